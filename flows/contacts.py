"""A contact that a hook named: its fields about consent are read; or it is gone from the CRM, merged or deleted.

amoCRM does not say which. If the deals of our member now belong to one other contact, the two were one person: our
members are merged, and no point is lost or counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from flows import consent_fields, deals, people
from flows.settle import ClaimLost, SetupIncomplete
from storage import boxes, deal_marks, members

if TYPE_CHECKING:
    from datetime import datetime

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact
    from flows.runtime import Runtime
    from storage.inbox import InboxRow

DEALS_READ_MAX = 50

_log = structlog.get_logger(__name__)


def gone(rt: Runtime, row: InboxRow) -> None:
    """One contact's row. Steps: who was he; does the CRM still know him; whose are his deals now; merge."""
    outcome = _follow(rt, int(row.external_id))
    with rt.db.begin() as tx:
        if not boxes.finish(tx, "inbox", row.claim, now=rt.now(), outcome=outcome):
            raise ClaimLost


def _hear(rt: Runtime, crm: AmoCrm, contact: Contact, read_at: datetime) -> str:
    """A contact that is there: did a manager tick one of our fields?"""
    if not consent_fields.look(rt, crm, [contact], read_at):
        return "контакт на месте"
    rt.bell.ring("outbox", contact.id)
    return "контакт на месте; согласие изменено"


def _follow(rt: Runtime, contact_ref: int) -> str:
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    with rt.db.begin() as tx:
        member = members.by_contact(tx, contact_ref)
        if member is None:
            return "такого участника нет"
        deal_refs = deal_marks.deals_of(tx, member.id, limit=DEALS_READ_MAX)
    read_at = rt.now()
    contact = rt.crm.contacts([contact_ref]).get(contact_ref)
    if contact is not None:
        return _hear(rt, rt.crm, contact, read_at)
    if member.contact_ref != contact_ref:
        return "контакта нет; его участник давно объединён с другим"
    found = deals.fetch(rt, deal_refs) if deal_refs else None
    # A merge hands over every deal; a deletion leaves deals without a contact, and one of them may get another buyer.
    owners = set() if found is None else {deal.main_contact_id for deal in found.deals.values() if not deal.is_deleted}
    if found is None or len(owners) != 1 or owners & {None, contact_ref}:
        return "контакт удалён; чьи теперь сделки, не ясно: баллы остались у участника"
    heir_ref = owners.pop()
    if heir_ref is None or heir_ref not in found.names:
        return "контакт удалён; новый контакт его сделок не читается"
    return _hand_over(rt, member.id, contact_ref, heir_ref, found.contacts.get(heir_ref))


def _hand_over(rt: Runtime, member_id: int, contact_ref: int, heir_ref: int, inherited: Contact | None) -> str:
    """The contact that all deals now belong to takes the member's place, or its own member takes him over."""
    with rt.db.begin() as tx:
        heir = members.by_contact(tx, heir_ref)
        if heir is None:
            member = members.lock(tx, member_id)
            if member.contact_ref != contact_ref:
                return "участник изменился, пока мы читали сделки"  # erased, or joined with another
            members.move_contact(tx, member.id, heir_ref)
            if inherited is not None:
                people.take_over_contact(tx, rt, member, inherited, None)
            people.tell_anew(tx, rt, member.id)
            return "контакт объединён с другим, участник остался тем же"
    people.merge(rt, from_id=member_id, into_id=heir.id)
    _log.info("members_merged", from_id=member_id, into_id=heir.id)
    return "контакты объединены: баллы и сроки сохранены"
