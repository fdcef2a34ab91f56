"""Notes in a deal's feed.

Owns their wire format: plain notes that never start a funnel trigger. Implements section 4.6 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.amocrm.api import Api, in_write_batch
from connector.amocrm.reading import ids_in_order, text, whole

NOTE_TYPE = "common"


@dataclass(frozen=True)
class Note:
    id: int
    text: str = field(repr=False)


@dataclass(frozen=True)
class NoteDraft:
    deal_id: int
    text: str = field(repr=False)


class NotesApi(Api):
    def deal_notes(self, deal_id: int) -> list[Note]:
        """The deal's plain notes. Look here before adding: amoCRM would keep a note twice."""
        rows = self.all_rows(f"/leads/{deal_id}/notes", "notes", {"filter": {"note_type": [NOTE_TYPE]}})
        found = []
        for row in rows:
            params = row.get("params")
            found.append(Note(whole(row, "id"), text(params, "text") if isinstance(params, dict) else ""))
        return found

    def add_notes(self, drafts: Sequence[NoteDraft]) -> list[int]:
        """Ids in the order of `drafts`."""
        in_write_batch(len(drafts))
        if not drafts:
            return []
        body = [
            {
                "entity_id": draft.deal_id,
                "note_type": NOTE_TYPE,
                "params": {"text": draft.text},
                "is_need_to_trigger_digital_pipeline": False,
                "request_id": str(index),
            }
            for index, draft in enumerate(drafts)
        ]
        answer = self.request("POST", "/leads/notes", body=body)
        return ids_in_order(answer, [str(index) for index in range(len(drafts))], "notes")
