"""Members as the CRM's customers («Покупатели»): found or created once, linked to the contact, in their segment.

amoCRM has no idempotency keys: creating is announced in our database first, and after an attempt whose end is unknown
the customer is searched by the card number in its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.amocrm.customers import CustomerChange, CustomerDraft
from flows import crm_habits
from flows.crm_desk import remember, save, segment_title, unsure_if_lost
from flows.settle import SetupIncomplete, written_once
from storage import rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from connector.amocrm.client import AmoCrm
    from flows.crm_desk import Desk
    from flows.crm_habits import Habit
    from flows.runtime import Runtime
    from storage.members import Member

NO_SEGMENT = "-"
"""In place of a segment's name: the customer was told to be in none."""

MODE_ENTRY = "customers_mode"

CREATING = "creating"
"""In place of a segment's name: a customer was or is being created and may exist without our knowing its id."""


def push_customers(rt: Runtime, crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    """Brings customers, their segments and their expected purchases up to date. Raises ConnectorError, ClaimLost,
    SetupIncomplete."""
    has_segments = _mode(rt, crm) == "segments"
    titles = [rule.title for rule in rt.programme.segments] if has_segments else []
    segment_ids = crm.ensure_segments(rt.directory, titles) if titles else {}
    habits = crm_habits.of(rt, present)
    _find_customers(crm, desk, present)
    wanted = [member for member in present if segment_title(rt, member) or habits[member.id].has_bought]
    _create_customers(rt, crm, desk, wanted, segment_ids, habits)
    untold = {member.id for member in present if has_segments and not _is_told(rt, desk, member)}
    foreign = _foreign_segments(rt, crm, desk, untold, segment_ids)
    changes = {}
    for member in present:
        state = desk.states[member.id]
        if state.customer_ref is None:
            continue
        change = habits[member.id].change(state.customer_ref)
        if member.id in untold:
            title = segment_title(rt, member)
            own = (segment_ids[title],) if title else ()
            change = replace(change, segment_ids=(*foreign.get(state.customer_ref, ()), *own))
        if change != CustomerChange(state.customer_ref):
            changes[member.id] = change
    writing = [member for member in present if member.id in changes]
    if writing:
        remember(rt, desk, writing, pushed_segment=None)
        crm_habits.forget(rt, [habits[member.id] for member in writing])
        desk.hold()
        with unsure_if_lost(rt, desk, writing):
            crm.update_customers(list(changes.values()))
        rt.failpoints.reach("crm.after_segments")
    for member in writing:
        desk.states[member.id] = replace(desk.states[member.id], pushed_segment=_told(rt, member))
    save(rt, desk)
    crm_habits.save(rt, [habits[member.id] for member in present if desk.states[member.id].customer_ref is not None])


def _is_told(rt: Runtime, desk: Desk, member: Member) -> bool:
    """Whether the member's customer surely stands in his segment."""
    state = desk.states[member.id]
    return state.pushed_segment == _told(rt, member) and state.unsure_until is None


def _told(rt: Runtime, member: Member) -> str:
    """By its name, not its code: amoCRM knows the name, and the owner may change it."""
    return segment_title(rt, member) or NO_SEGMENT


def _foreign_segments(
    rt: Runtime, crm: AmoCrm, desk: Desk, member_ids: Collection[int], ours: Mapping[str, int]
) -> dict[int, tuple[int, ...]]:
    """The shop's own segments of these members' customers: amoCRM replaces the whole set, so they are written back."""
    refs = [ref for one in sorted(member_ids) if (ref := desk.states[one].customer_ref) is not None]
    if not refs:
        return {}
    desk.hold()
    own = set(ours.values())
    found = {ref: [one for one in known.segment_ids if one not in own] for ref, known in crm.customers(refs).items()}
    if any(found.values()):
        former = _former_segments(rt, crm)
        found = {ref: [one for one in others if one not in former] for ref, others in found.items()}
    return {ref: tuple(others) for ref, others in found.items()}


def _former_segments(rt: Runtime, crm: AmoCrm) -> set[int]:
    """Segments of earlier versions of the rules: they were ours too, and nobody else takes them off."""
    with rt.db.begin() as tx:
        titles = {title.strip().casefold() for title in rules.segment_titles(tx)}
    return {one.id for one in crm.segments() if one.name.strip().casefold() in titles}


def _mode(rt: Runtime, crm: AmoCrm) -> str:
    """How the account keeps customers. Raises SetupIncomplete when it keeps none."""
    known = rt.directory.get(MODE_ENTRY)
    if known is None or not known.get("mode"):
        known = {"mode": crm.account().customers_mode}
        rt.directory.put(MODE_ENTRY, known)
    mode = str(known.get("mode"))
    if mode in ("disabled", "unavailable"):
        rt.directory.put(MODE_ENTRY, {"mode": ""})
        raise SetupIncomplete(
            "В amoCRM выключены «Покупатели»: включите их в режиме сегментов или периодичности, или напишите "
            "amocrm.customers: no"
        )
    return "periodicity" if mode in ("periodicity", "dynamic") else "segments"


def _find_customers(crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    """A customer may exist already: linked by a person, or made by an attempt that died before it was remembered."""
    for member in present:
        if desk.states[member.id].customer_ref is not None:
            continue
        contact = desk.contacts.get(member.contact)
        known = contact.customer_ids if contact is not None else ()
        if not known and desk.states[member.id].pushed_segment is not None:
            known = tuple(one.id for one in crm.find_customers(member.card_number) if member.card_number in one.name)
            if known:
                crm.link_contacts_to_customers({min(known): member.contact})
        if known:
            desk.states[member.id] = replace(desk.states[member.id], customer_ref=min(known), pushed_segment=None)


def _create_customers(
    rt: Runtime,
    crm: AmoCrm,
    desk: Desk,
    wanted: Sequence[Member],
    segment_ids: Mapping[str, int],
    habits: Mapping[int, Habit],
) -> None:
    newcomers = [member for member in wanted if desk.states[member.id].customer_ref is None]
    if not newcomers:
        return
    # Remembered before the write: if we die now, the next attempt searches first.
    remember(rt, desk, newcomers, pushed_segment=CREATING)
    drafts = [
        CustomerDraft(
            name=f"{member.name}, карта {member.card_number}",
            segment_ids=tuple(segment_ids[title] for title in [segment_title(rt, member)] if title in segment_ids),
            request_id=str(member.id),
            next_at=None if segment_ids else habits[member.id].next_at(rt),
        )
        for member in newcomers
    ]
    desk.hold()
    with written_once():
        created = crm.create_customers(drafts)
    rt.failpoints.reach("crm.after_create")
    for member, customer_ref in zip(newcomers, created, strict=True):
        desk.states[member.id] = replace(desk.states[member.id], customer_ref=customer_ref, pushed_segment=None)
    desk.hold()
    crm.link_contacts_to_customers({_customer(desk, member): member.contact for member in newcomers})
    save(rt, desk)


def _customer(desk: Desk, member: Member) -> int:
    customer_ref = desk.states[member.id].customer_ref
    if customer_ref is None:
        raise ValueError("a created customer has an id")
    return customer_ref
