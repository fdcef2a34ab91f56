"""Tags of amoCRM records. Implements the amoCRM reference section 4.5."""

from __future__ import annotations

from simulator.answers import Json
from simulator.store import Record
from simulator.world import Crm


def changed(crm: Crm, current: list[Record], item: Json) -> list[Record]:
    """The set of tags after a write: `_embedded.tags` replaces it, tags_to_add and tags_to_delete edit it."""
    embedded = item.get("_embedded") or {}
    if "tags" in embedded:
        current = [_known(crm, tag) for tag in embedded["tags"] or []]
    for tag in item.get("tags_to_add") or []:
        known = _known(crm, tag)
        if known not in current:
            current = [*current, known]
    for tag in item.get("tags_to_delete") or []:
        current = [row for row in current if row["id"] != tag.get("id") and row["name"] != tag.get("name")]
    return current


def _known(crm: Crm, tag: Json) -> Record:
    for row in crm.rows("tags").values():
        if row["id"] == tag.get("id") or row["name"] == tag.get("name"):
            return row
    tag_id = crm.next_id("tags")
    return crm.store.put("tags", tag_id, {"id": tag_id, "name": str(tag.get("name", tag_id)), "color": None})
