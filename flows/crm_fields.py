"""The contact's fields: which of them are ours, and what they should say of a member.

Owns roles, types and texts. Sending is `crm.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.amocrm.fields import FieldSpec
from flows.crm_desk import segment_title
from flows.settle import SetupIncomplete
from loyalty import burning
from loyalty.wording import count_text, full_date

if TYPE_CHECKING:
    from datetime import datetime

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import FieldValue
    from flows.runtime import Runtime
    from storage.members import Member

RFM_PLACEHOLDER = "ещё не рассчитан"
CARD_NOT_INSTALLED = "не установлена"
BIRTHDAY_ENTRY = "birthday_field"
READ_ROLES = ("birthday",)
"""Fields of the contact that people fill in and we only read."""

FIELD_TYPES = {
    "nearest_burn": ("text", "KOPILKA_NEAREST_BURN"),
    "balance": ("numeric", "KOPILKA_BALANCE"),
    "pending": ("numeric", "KOPILKA_PENDING"),
    "segment": ("text", "KOPILKA_SEGMENT"),
    "rfm": ("text", "KOPILKA_RFM"),
    "card_link": ("url", "KOPILKA_CARD_LINK"),
    "card_status": ("text", "KOPILKA_CARD_STATUS"),
    "no_calls": ("checkbox", "KOPILKA_NO_CALLS"),
    "no_offers": ("checkbox", "KOPILKA_NO_OFFERS"),
}
TYPED_BY_PEOPLE = ("no_calls", "no_offers")
"""Fields that managers fill in too, so they are not closed to them when we create them (`consent_fields.py`)."""


def wanted_fields(rt: Runtime, member: Member, burn: tuple[int, datetime] | None) -> dict[str, FieldValue]:
    """What the contact's fields should say now, by our keys. `burn`: his points that end soonest."""
    return {
        "nearest_burn": "" if burn is None else burn_text(rt, *burn),
        "balance": member.balance.available - member.balance.debt,
        "pending": member.balance.pending,
        "segment": segment_title(rt, member),
        "rfm": RFM_PLACEHOLDER,
        "card_link": rt.card_url(member.card_token),
        "card_status": CARD_NOT_INSTALLED,
    }


def spec(key: str, name: str) -> FieldSpec:
    """How a contact field of ours is found or made."""
    return FieldSpec(name, *FIELD_TYPES[key], is_api_only=key not in TYPED_BY_PEOPLE)


def burn_text(rt: Runtime, points: int, ends_at: datetime) -> str:
    """«340 баллов до 27 марта 2026»: the last valid day."""
    last_day = burning.last_valid_day(ends_at, rt.programme.timezone)
    return f"{count_text(points, rt.point_forms)} до {full_date(last_day)}"


def field_ids(rt: Runtime, crm: AmoCrm) -> dict[str, int]:
    """Ids of the configured contact fields, by our keys; missing ones are created if the owner allows it."""
    names = rt.crm_names
    wanted: dict[str, FieldSpec] = {
        key: spec(key, name) for key, name in names.contact_fields.items() if key not in READ_ROLES
    }
    found = crm.ensure_contact_fields(rt.directory, wanted, create=names.create_missing_fields)
    missing = [spec.name for key, spec in wanted.items() if key not in found]
    if missing:
        raise SetupIncomplete(
            f"В amoCRM нет полей контакта: {', '.join(missing)}. Создайте их или разрешите amocrm.create_missing_fields"
        )
    return found


def birthday_id(rt: Runtime, crm: AmoCrm) -> int | None:
    """The id of the field in which the CRM keeps birthdays; None when the rules file names none or it is missing."""
    name = rt.crm_names.contact_fields.get("birthday")
    if name is None:
        return None
    cached = rt.directory.get(BIRTHDAY_ENTRY)
    if cached is None or cached.get("name") != name:
        found = next((one for one in crm.fields("contacts") if one.name.casefold() == name.casefold()), None)
        cached = {"name": name, "id": None if found is None else found.id}
        rt.directory.put(BIRTHDAY_ENTRY, cached)
    field_id: int | None = cached["id"]
    return field_id
