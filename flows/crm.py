"""A member's place in the CRM: the contact's fields, the customer and its segment, made equal to the ledger.

Only differences are sent. What was sent is remembered, so an unchanged member costs nothing and our own echo finds
nothing to do. After a write whose fate is unknown the member is «unsure»: the contact is read before the next write,
and once more after the time in which the lost write could still land.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from connector.amocrm.contacts import ContactChange, contact_diff
from connector.amocrm.customers import CustomerChange, CustomerDraft
from connector.amocrm.fields import FieldSpec
from connector.errors import ConnectorError, WrongMode
from flows.settle import UNSURE_FOR, SetupIncomplete, written_once
from loyalty import segments
from storage import crm as crm_storage
from storage import members, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact, FieldValue
    from flows.runtime import Runtime
    from storage.crm import CrmState
    from storage.members import Member

RFM_PLACEHOLDER = "ещё не рассчитан"
CARD_NOT_INSTALLED = "не установлена"
NO_SEGMENT = "-"
"""In place of a segment's code: the customer was told to be in none."""

CREATING = "creating"
"""In place of a segment's code: a customer was or is being created and may exist without our knowing its id."""

FIELD_TYPES = {
    "balance": ("numeric", "KOPILKA_BALANCE"),
    "pending": ("numeric", "KOPILKA_PENDING"),
    "segment": ("text", "KOPILKA_SEGMENT"),
    "rfm": ("text", "KOPILKA_RFM"),
    "card_link": ("url", "KOPILKA_CARD_LINK"),
    "card_status": ("text", "KOPILKA_CARD_STATUS"),
}


@dataclass(frozen=True)
class Desk:
    """One batch on its way: members, what the CRM was told before, what it says now where that was read.

    `began_at`: nothing here was read earlier. `hold` is called before a write that must not happen twice.
    """

    members: Mapping[int, Member]
    states: dict[int, CrmState]
    contacts: Mapping[int, Contact]
    began_at: datetime
    hold: Callable[[], None]


def wanted_fields(rt: Runtime, member: Member) -> dict[str, FieldValue]:
    """What the contact's fields should say now, by our keys."""
    return {
        "balance": member.balance.available - member.balance.debt,
        "pending": member.balance.pending,
        "segment": _segment_title(rt, member),
        "rfm": RFM_PLACEHOLDER,
        "card_link": rt.card_url(member.card_token),
        "card_status": CARD_NOT_INSTALLED,
    }


def refresh(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Brings contacts and customers of these members up to date. Raises ConnectorError, SetupIncomplete, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    desk = _lay_out(rt, rt.crm, member_ids, hold)
    present = [
        member
        for member in desk.members.values()
        if member.contact_ref in desk.contacts or not _must_read(rt, desk.states[member.id])
    ]
    _push_fields(rt, rt.crm, desk, present)
    if rt.crm_names.customers:
        try:
            _push_customers(rt, rt.crm, desk, present)
        except WrongMode as failure:
            raise SetupIncomplete("Включите в amoCRM «Покупателей» в режиме сегментов") from failure
    _be_sure_again(rt, desk)
    ids = {member.id for member in present}
    return {one: "поля и покупатель обновлены" if one in ids else "контакта в CRM нет" for one in member_ids}


def look_again_later(tx: sa.Connection, member_ids: Sequence[int], *, lost: Sequence[int], now: datetime) -> None:
    """Members with a write that may still land are looked at once more when it cannot any longer, those whose claim
    was `lost` on the way at once: two of us may have written."""
    states = crm_storage.states(tx, lost).values()
    crm_storage.save(tx, [replace(state, pushed_fields=None, pushed_segment=None) for state in states])
    for state in crm_storage.states(tx, member_ids).values():
        if state.unsure_until is not None:
            outbox.add(tx, "crm", [state.member_id], now=now, due_at=max(state.unsure_until, now))


def field_ids(rt: Runtime, crm: AmoCrm) -> dict[str, int]:
    """Ids of the configured contact fields, by our keys; missing ones are created if the owner allows it."""
    names = rt.crm_names
    wanted: dict[str, FieldSpec] = {
        key: FieldSpec(name, *FIELD_TYPES[key]) for key, name in names.contact_fields.items()
    }
    found = crm.ensure_contact_fields(rt.directory, wanted, create=names.create_missing_fields)
    missing = [spec.name for key, spec in wanted.items() if key not in found]
    if missing:
        raise SetupIncomplete(
            f"В amoCRM нет полей контакта: {', '.join(missing)}. Создайте их или разрешите amocrm.create_missing_fields"
        )
    return found


def _lay_out(rt: Runtime, crm: AmoCrm, member_ids: Sequence[int], hold: Callable[[], None]) -> Desk:
    began_at = rt.now()
    with rt.db.begin() as tx:
        found = members.by_ids(tx, member_ids)
        states = crm_storage.states(tx, member_ids)
    to_read = [member.contact_ref for member in found.values() if _must_read(rt, states[member.id])]
    return Desk(found, states, crm.contacts(to_read) if to_read else {}, began_at, hold)


def _must_read(rt: Runtime, state: CrmState) -> bool:
    no_customer = rt.crm_names.customers and state.customer_ref is None
    return state.pushed_fields is None or state.unsure_until is not None or no_customer


def _push_fields(rt: Runtime, crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    ids = field_ids(rt, crm)
    wanted = {member.id: wanted_fields(rt, member) for member in present}
    changes: list[ContactChange] = []
    for member in present:
        by_id = {ids[key]: value for key, value in wanted[member.id].items() if key in ids}
        contact = desk.contacts.get(member.contact_ref)
        if contact is not None:
            change = contact_diff(contact, by_id)
        else:
            change = _difference_from_pushed(member, ids, wanted[member.id], desk.states[member.id])
        if change is not None:
            changes.append(change)
    changed = {change.contact_id for change in changes}
    writing = [member for member in present if member.contact_ref in changed]
    if writing:  # remembered before the write: whoever comes after our death reads first
        _remember(rt, desk, writing, pushed_fields=None)
        desk.hold()
        with _unsure_if_lost(rt, desk, writing):
            crm.update_contacts(changes)
        rt.failpoints.reach("crm.after_fields")
    for member in present:
        desk.states[member.id] = replace(desk.states[member.id], pushed_fields=_by_field_id(ids, wanted[member.id]))
    _save(rt, desk)


@contextmanager
def _unsure_if_lost(rt: Runtime, desk: Desk, writing: Sequence[Member]) -> Iterator[None]:
    """Around a write of absolute values: one whose fate is unknown may still land on top of a later one."""
    try:
        yield
    except ConnectorError as failure:
        if failure.ambiguous:
            _remember(rt, desk, writing, unsure_until=rt.now() + UNSURE_FOR)
        raise


def _difference_from_pushed(
    member: Member, ids: Mapping[str, int], wanted: Mapping[str, FieldValue], state: CrmState
) -> ContactChange | None:
    pushed = state.pushed_fields or {}
    values = {
        int(field_id): value
        for field_id, value in _by_field_id(ids, wanted).items()
        if field_id not in pushed or pushed[field_id] != value
    }
    return ContactChange(member.contact_ref, values) if values else None


def _by_field_id(ids: Mapping[str, int], wanted: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Remembered by the CRM's field, not by our key: a field that is new, or was made anew, has been told nothing."""
    return {str(ids[key]): value for key, value in wanted.items() if key in ids}


def _push_customers(rt: Runtime, crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    segment_ids = crm.ensure_segments(rt.directory, [rule.title for rule in rt.programme.segments])
    _find_customers(crm, desk, present)
    titled = [member for member in present if _segment_title(rt, member)]
    _create_customers(rt, crm, desk, titled, segment_ids)
    changes = []
    writing = []
    for member in present:
        state = desk.states[member.id]
        is_told = state.pushed_segment == (member.segment_code or NO_SEGMENT) and state.unsure_until is None
        if state.customer_ref is not None and not is_told:
            title = _segment_title(rt, member)
            changes.append(CustomerChange(state.customer_ref, segment_ids=(segment_ids[title],) if title else ()))
            writing.append(member)
    if writing:
        _remember(rt, desk, writing, pushed_segment=None)
        desk.hold()
        with _unsure_if_lost(rt, desk, writing):
            crm.update_customers(changes)
        rt.failpoints.reach("crm.after_segments")
    for member in writing:
        desk.states[member.id] = replace(desk.states[member.id], pushed_segment=member.segment_code or NO_SEGMENT)
    _save(rt, desk)


def _find_customers(crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    """A customer may exist already: linked by a person, or made by an attempt that died before it was remembered."""
    for member in present:
        if desk.states[member.id].customer_ref is not None:
            continue
        contact = desk.contacts.get(member.contact_ref)
        known = contact.customer_ids if contact is not None else ()
        if not known and desk.states[member.id].pushed_segment is not None:
            known = tuple(one.id for one in crm.find_customers(member.card_number) if member.card_number in one.name)
            if known:
                crm.link_contact_to_customer(min(known), member.contact_ref)
        if known:
            desk.states[member.id] = replace(desk.states[member.id], customer_ref=min(known), pushed_segment=None)


def _create_customers(
    rt: Runtime, crm: AmoCrm, desk: Desk, titled: Sequence[Member], segment_ids: Mapping[str, int]
) -> None:
    newcomers = [member for member in titled if desk.states[member.id].customer_ref is None]
    if not newcomers:
        return
    # Remembered before the write: if we die now, the next attempt searches first.
    _remember(rt, desk, newcomers, pushed_segment=CREATING)
    drafts = [
        CustomerDraft(
            name=f"{member.name}, карта {member.card_number}",
            segment_ids=(segment_ids[_segment_title(rt, member)],),
            request_id=str(member.id),
        )
        for member in newcomers
    ]
    desk.hold()
    with written_once():
        created = crm.create_customers(drafts)
    rt.failpoints.reach("crm.after_create")
    for member, customer_ref in zip(newcomers, created, strict=True):
        desk.states[member.id] = replace(desk.states[member.id], customer_ref=customer_ref, pushed_segment=None)
    for member in newcomers:
        desk.hold()
        crm.link_contact_to_customer(_customer(desk, member), member.contact_ref)
    _save(rt, desk)


def _customer(desk: Desk, member: Member) -> int:
    customer_ref = desk.states[member.id].customer_ref
    if customer_ref is None:
        raise ValueError("a created customer has an id")
    return customer_ref


def _be_sure_again(rt: Runtime, desk: Desk) -> None:
    """What was read after a lost write could last land is the truth again."""
    sure = [
        replace(state, unsure_until=None)
        for state in desk.states.values()
        if state.unsure_until is not None and state.unsure_until <= desk.began_at
    ]
    with rt.db.begin() as tx:
        crm_storage.save(tx, sure)


def _remember(rt: Runtime, desk: Desk, some: Sequence[Member], **change: Any) -> None:
    for member in some:
        desk.states[member.id] = replace(desk.states[member.id], **change)
    _save(rt, desk)


def _save(rt: Runtime, desk: Desk) -> None:
    with rt.db.begin() as tx:
        crm_storage.save(tx, desk.states.values())


def _segment_title(rt: Runtime, member: Member) -> str:
    rule = segments.by_code(member.segment_code, rt.programme.segments)
    return "" if rule is None else rule.title
