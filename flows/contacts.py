"""A contact that is gone from the CRM: merged into another, or deleted.

amoCRM does not say which. If the deals of our member now belong to one other contact, the two were one person: our
members are merged, and no point is lost or counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from flows import deals, people
from flows.settle import ClaimLost, SetupIncomplete
from storage import boxes, deal_marks, members

if TYPE_CHECKING:
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


def _follow(rt: Runtime, contact_ref: int) -> str:
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    with rt.db.begin() as tx:
        member = members.by_contact(tx, contact_ref)
        if member is None or member.contact_ref != contact_ref:
            return "такого участника нет"
        deal_refs = deal_marks.deals_of(tx, member.id, limit=DEALS_READ_MAX)
    if contact_ref in rt.crm.contacts([contact_ref]):
        return "контакт на месте"
    found = deals.fetch(rt, deal_refs) if deal_refs else None
    # A merge hands over every deal; a deletion leaves deals without a contact, and one of them may get another buyer.
    owners = set() if found is None else {deal.main_contact_id for deal in found.deals.values() if not deal.is_deleted}
    if found is None or len(owners) != 1 or owners & {None, contact_ref}:
        return "контакт удалён; чьи теперь сделки, не ясно: баллы остались у участника"
    heir_ref = owners.pop()
    if heir_ref is None or heir_ref not in found.names:
        return "контакт удалён; новый контакт его сделок не читается"
    with rt.db.begin() as tx:
        heir = members.by_contact(tx, heir_ref)
        if heir is None:
            members.move_contact(tx, member.id, heir_ref)
            contact = found.contacts.get(heir_ref)
            if contact is not None:
                people.take_over_contact(tx, rt, member, contact, None)
            people.tell_anew(tx, rt, member.id)
            return "контакт объединён с другим, участник остался тем же"
    people.merge(rt, from_id=member.id, into_id=heir.id)
    _log.info("members_merged", from_id=member.id, into_id=heir.id)
    return "контакты объединены: баллы и сроки сохранены"
