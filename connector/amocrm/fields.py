"""Custom fields of contacts and of deals: finding ours, creating the missing ones.

Owns the match between what we need and what the account has: by our own code first, then by name. Never changes or
deletes a field. Implements section 4.4 of the amoCRM reference (definitions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connector.amocrm.api import Api, in_write_batch
from connector.amocrm.reading import ids_in_order, text, whole
from connector.errors import FieldAmbiguous, FieldTypeMismatch, Refused
from connector.protocols import Directory

Owner = Literal["contacts", "leads"]

DIRECTORY_NAME = "contact_fields"
LEAD_DIRECTORY_NAME = "lead_fields"


@dataclass(frozen=True)
class FieldSpec:
    """A field we need. `type` is amoCRM's word: numeric, text, url, checkbox, date, birthday. `code` is ours, KOPILKA_…

    `is_api_only` is how a missing field is created: nobody may type into it in the CRM's interface. `other_types` are
    those in which a field that people made for themselves is welcome too.
    """

    name: str
    type: str
    code: str
    is_api_only: bool = True
    other_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """A field that the account has."""

    id: int
    name: str
    type: str
    code: str
    is_api_only: bool


class FieldsApi(Api):
    def fields(self, owner: Owner) -> list[Field]:
        """All custom fields of contacts or of deals."""
        rows = self.all_rows(f"/{owner}/custom_fields", "custom_fields")
        return [
            Field(
                id=whole(row, "id"),
                name=text(row, "name"),
                type=text(row, "type"),
                code=text(row, "code"),
                is_api_only=row.get("is_api_only") is True,
            )
            for row in rows
        ]

    def create_fields(self, owner: Owner, specs: Sequence[FieldSpec]) -> list[int]:
        """Ids in the order of `specs`. Needs admin rights."""
        in_write_batch(len(specs))
        if not specs:
            return []
        answer = self.request("POST", f"/{owner}/custom_fields", body=[_definition(spec) for spec in specs])
        return ids_in_order(answer, [spec.code for spec in specs], "custom_fields")

    def ensure_contact_fields(
        self, directory: Directory, wanted: Mapping[str, FieldSpec], *, create: bool
    ) -> dict[str, int]:
        """Ids of contact fields by the caller's keys. Without `create` a key whose field does not exist is left out.

        Raises FieldTypeMismatch, FieldAmbiguous. A complete result is remembered in the directory; after a write was
        refused because a field is gone, put an empty mapping under DIRECTORY_NAME to look again.
        """
        return self._ensured("contacts", directory, DIRECTORY_NAME, wanted, create=create)

    def ensure_lead_fields(
        self, directory: Directory, wanted: Mapping[str, FieldSpec], *, create: bool
    ) -> dict[str, int]:
        """The same for the fields of deals, remembered under LEAD_DIRECTORY_NAME."""
        return self._ensured("leads", directory, LEAD_DIRECTORY_NAME, wanted, create=create)

    def _ensured(
        self, owner: Owner, directory: Directory, entry_name: str, wanted: Mapping[str, FieldSpec], *, create: bool
    ) -> dict[str, int]:
        known = _remembered(directory.get(entry_name), wanted)
        if known is not None:
            return known
        found = matched_fields(self.fields(owner), wanted)
        missing = [key for key in wanted if key not in found]
        if missing and create:
            found |= self._created(owner, missing, wanted)
        if len(found) == len(wanted):
            directory.put(entry_name, {key: _entry(wanted[key], field_id) for key, field_id in found.items()})
        return found

    def _created(self, owner: Owner, missing: list[str], wanted: Mapping[str, FieldSpec]) -> dict[str, int]:
        try:
            ids = self.create_fields(owner, [wanted[key] for key in missing])
        except Refused:
            # Codes are unique in an account: another process may have created them a moment ago.
            found = matched_fields(self.fields(owner), {key: wanted[key] for key in missing})
            if len(found) < len(missing):
                raise
            return found
        return dict(zip(missing, ids, strict=True))


def matched_fields(fields: Iterable[Field], wanted: Mapping[str, FieldSpec]) -> dict[str, int]:
    """Ids of the wanted fields that exist. Raises FieldTypeMismatch, FieldAmbiguous."""
    existing = list(fields)
    matches = {key: _match(existing, spec) for key, spec in wanted.items()}
    return {key: field.id for key, field in matches.items() if field is not None}


def _match(fields: list[Field], spec: FieldSpec) -> Field | None:
    candidates = [field for field in fields if field.code == spec.code]
    if not candidates:
        candidates = [field for field in fields if _plain(field.name) == _plain(spec.name)]
    if not candidates:
        return None
    if len(candidates) > 1:
        raise FieldAmbiguous(name=spec.name, field_ids=tuple(field.id for field in candidates))
    field = candidates[0]
    if field.type not in (spec.type, *spec.other_types):
        raise FieldTypeMismatch(name=field.name, field_id=field.id, actual_type=field.type, wanted_type=spec.type)
    return field


def _definition(spec: FieldSpec) -> dict[str, Any]:
    own = {"name": spec.name, "type": spec.type, "code": spec.code, "is_api_only": spec.is_api_only}
    return {**own, "request_id": spec.code}


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _entry(spec: FieldSpec, field_id: int) -> dict[str, Any]:
    return {"id": field_id, "name": spec.name, "type": spec.type, "code": spec.code}


def _remembered(cached: Mapping[str, Any] | None, wanted: Mapping[str, FieldSpec]) -> dict[str, int] | None:
    """Ids from the directory, if it answers for every key and for the same specification."""
    if not cached:
        return None
    ids: dict[str, int] = {}
    for key, spec in wanted.items():
        entry = cached.get(key)
        field_id = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(field_id, int) or entry != _entry(spec, field_id):
            return None
        ids[key] = field_id
    return ids
