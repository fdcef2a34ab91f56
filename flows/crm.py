"""A member's place in the CRM: the contact's fields, the customer and its segment, made equal to the ledger.

Only differences are sent. What was sent is remembered, so an unchanged member costs nothing and our own echo finds
nothing to do. After a write whose fate is unknown the member is «unsure»: the contact is read before the next write,
and once more after the time in which the lost write could still land.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from connector.amocrm.contacts import ContactChange, contact_diff
from connector.amocrm.customers import SEGMENTS_DIRECTORY_NAME as SEGMENTS_ENTRY
from connector.amocrm.fields import DIRECTORY_NAME as FIELDS_ENTRY
from connector.errors import Refused, WrongMode
from flows import consent_fields, crm_bonus, crm_fields, crm_purchases
from flows.crm_customers import MODE_ENTRY, push_customers
from flows.crm_desk import Desk, remember, save, unsure_if_lost
from flows.settle import NotYet, SetupIncomplete
from storage import crm as crm_storage
from storage import lots, members, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import FieldValue
    from flows.runtime import Runtime
    from storage.crm import CrmState
    from storage.members import Member, Shown


def refresh(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Brings contacts and customers of these members up to date. Raises ConnectorError, SetupIncomplete, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    desk = _lay_out(rt, rt.crm, member_ids, hold)
    present = [member for member in desk.members.values() if member.id not in desk.unread]
    with _looked_up_anew_if_refused(rt, len(member_ids)):
        _push_fields(rt, rt.crm, desk, present)
        if rt.crm_names.customers:
            living = [member for member in present if member.merged_into_id is None]
            strangers = [member.id for member in living if desk.states[member.id].customer_ref is None]
            push_customers(rt, rt.crm, desk, living)
            met = [one for one in strangers if desk.states[one].customer_ref is not None]
            crm_purchases.customers_came(rt, met)
            crm_bonus.customers_came(rt, met)
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


@contextmanager
def _looked_up_anew_if_refused(rt: Runtime, members_count: int) -> Iterator[None]:
    """A refusal may mean that a field or segment was deleted and our remembered id is of no use: the next attempt looks
    them up. Several members are then worked one by one; a single one is tried on the schedule before a person must."""
    try:
        yield
    except WrongMode as failure:
        rt.directory.put(MODE_ENTRY, {"mode": ""})
        raise SetupIncomplete("Включите в amoCRM «Покупателей»: в режиме сегментов или периодичности") from failure
    except Refused as failure:
        for name in (FIELDS_ENTRY, SEGMENTS_ENTRY):
            rt.directory.put(name, {})
        if failure.retryable or members_count > 1:
            raise
        raise NotYet(f"amoCRM не принимает поля контакта или покупателя: {failure}") from failure


def _lay_out(rt: Runtime, crm: AmoCrm, member_ids: Sequence[int], hold: Callable[[], None]) -> Desk:
    began_at = rt.now()
    ticks = consent_fields.ids(rt, crm)
    with rt.db.begin() as tx:
        shown = [one for one in members.shown(tx, member_ids).values() if one.contact_ref is not None]
        # Another contact of a person who was merged shows what he has now; the customer is the living one's alone.
        found = {
            one.id: replace(one.person, id=one.id, contact_ref=one.contact_ref, merged_into_id=_into(one))
            for one in shown
        }
        states = crm_storage.states(tx, {*member_ids, *found})
        nearest = lots.next_burns(tx, {one.person.id for one in shown})
        burns = {one.id: nearest[one.person.id] for one in shown if one.person.id in nearest}
        unsettled = consent_fields.unsettled(tx, ticks, found.values())
    to_read = {one.id: one.contact for one in found.values() if one.id in unsettled or _must_read(rt, states[one.id])}
    contacts = crm.contacts(list(to_read.values())) if to_read else {}
    unread = frozenset(member_id for member_id, contact in to_read.items() if contact not in contacts)
    return Desk(found, states, contacts, began_at, hold, burns, unread)


def _into(one: Shown) -> int | None:
    return one.person.id if one.is_merged else None


def _must_read(rt: Runtime, state: CrmState) -> bool:
    no_customer = rt.crm_names.customers and state.customer_ref is None
    return state.pushed_fields is None or state.unsure_until is not None or no_customer


def _push_fields(rt: Runtime, crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    ids = crm_fields.field_ids(rt, crm)
    ticks = consent_fields.meet(rt, crm, desk.contacts.values(), desk.began_at)
    wanted = {member.id: crm_fields.wanted_fields(rt, member, desk.burns.get(member.id)) for member in present}
    changes: list[ContactChange] = []
    for member in present:
        by_id = {ids[key]: value for key, value in wanted[member.id].items() if key in ids}
        contact = desk.contacts.get(member.contact)
        if contact is not None:
            change = contact_diff(contact, by_id | ticks.get(contact.id, {}))
        else:
            change = _difference_from_pushed(member, ids, wanted[member.id], desk.states[member.id])
        if change is not None:
            changes.append(change)
    changed = {change.contact_id for change in changes}
    writing = [member for member in present if member.contact in changed]
    if writing:  # remembered before the write: whoever comes after our death reads first
        remember(rt, desk, writing, pushed_fields=None)
        consent_fields.begin(rt, ticks)
        desk.hold()
        with unsure_if_lost(rt, desk, writing):
            crm.update_contacts(changes)
        rt.failpoints.reach("crm.after_fields")
        consent_fields.done(rt, ticks)
    for member in present:
        desk.states[member.id] = replace(desk.states[member.id], pushed_fields=_by_field_id(ids, wanted[member.id]))
    save(rt, desk)


def _difference_from_pushed(
    member: Member, ids: Mapping[str, int], wanted: Mapping[str, FieldValue], state: CrmState
) -> ContactChange | None:
    pushed = state.pushed_fields or {}
    values = {
        int(field_id): value
        for field_id, value in _by_field_id(ids, wanted).items()
        if field_id not in pushed or pushed[field_id] != value
    }
    return ContactChange(member.contact, values) if values else None


def _by_field_id(ids: Mapping[str, int], wanted: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Remembered by the CRM's field, not by our key: a field that is new, or was made anew, has been told nothing."""
    return {str(ids[key]): value for key, value in wanted.items() if key in ids}


def _be_sure_again(rt: Runtime, desk: Desk) -> None:
    """What was read after a lost write could last land is the truth again."""
    sure = [
        replace(state, unsure_until=None)
        for state in desk.states.values()
        if state.unsure_until is not None and state.unsure_until <= desk.began_at
    ]
    with rt.db.begin() as tx:
        crm_storage.save(tx, sure)
