"""Members as the CRM's customers («Покупатели»): found or created once, linked to the contact, in their segment.

amoCRM has no idempotency keys: creating is announced in our database first, and after an attempt whose end is unknown
the customer is searched by the card number in its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.amocrm.customers import CustomerChange, CustomerDraft
from flows.crm_desk import remember, save, segment_title, unsure_if_lost
from flows.settle import written_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connector.amocrm.client import AmoCrm
    from flows.crm_desk import Desk
    from flows.runtime import Runtime
    from storage.members import Member

NO_SEGMENT = "-"
"""In place of a segment's code: the customer was told to be in none."""

CREATING = "creating"
"""In place of a segment's code: a customer was or is being created and may exist without our knowing its id."""


def push_customers(rt: Runtime, crm: AmoCrm, desk: Desk, present: Sequence[Member]) -> None:
    """Brings customers and their segments up to date. Raises ConnectorError, ClaimLost."""
    segment_ids = crm.ensure_segments(rt.directory, [rule.title for rule in rt.programme.segments])
    _find_customers(crm, desk, present)
    titled = [member for member in present if segment_title(rt, member)]
    _create_customers(rt, crm, desk, titled, segment_ids)
    changes = []
    writing = []
    for member in present:
        state = desk.states[member.id]
        is_told = state.pushed_segment == (member.segment_code or NO_SEGMENT) and state.unsure_until is None
        if state.customer_ref is not None and not is_told:
            title = segment_title(rt, member)
            changes.append(CustomerChange(state.customer_ref, segment_ids=(segment_ids[title],) if title else ()))
            writing.append(member)
    if writing:
        remember(rt, desk, writing, pushed_segment=None)
        desk.hold()
        with unsure_if_lost(rt, desk, writing):
            crm.update_customers(changes)
        rt.failpoints.reach("crm.after_segments")
    for member in writing:
        desk.states[member.id] = replace(desk.states[member.id], pushed_segment=member.segment_code or NO_SEGMENT)
    save(rt, desk)


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
    rt: Runtime, crm: AmoCrm, desk: Desk, titled: Sequence[Member], segment_ids: Mapping[str, int]
) -> None:
    newcomers = [member for member in titled if desk.states[member.id].customer_ref is None]
    if not newcomers:
        return
    # Remembered before the write: if we die now, the next attempt searches first.
    remember(rt, desk, newcomers, pushed_segment=CREATING)
    drafts = [
        CustomerDraft(
            name=f"{member.name}, карта {member.card_number}",
            segment_ids=(segment_ids[segment_title(rt, member)],),
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
    desk.hold()
    crm.link_contacts_to_customers({_customer(desk, member): member.contact for member in newcomers})
    save(rt, desk)


def _customer(desk: Desk, member: Member) -> int:
    customer_ref = desk.states[member.id].customer_ref
    if customer_ref is None:
        raise ValueError("a created customer has an id")
    return customer_ref
