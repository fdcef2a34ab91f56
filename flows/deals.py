"""A deal's story in the worker: a hook names deals, each named deal is read from the CRM, its order follows.

A hook is unsigned, so nothing in it is believed but «look at deal N». Each deal named gets one inbox row of our own
(`amocrm.deal`), whatever the number of hooks; those rows are read in batches, one request for many deals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from connector.amocrm.hooks import HookBody, parse_hook
from connector.amocrm.reading import date_value
from flows import consent_fields, crm_fields, deal_fields, deal_redemption, deal_stages, people, points
from flows.settle import ClaimLost, NotYet, SetupIncomplete
from storage import boxes, call_lists, holds, inbox, installation, members, orders, payments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact
    from connector.amocrm.leads import Deal
    from flows.runtime import Runtime
    from storage.inbox import InboxRow
    from storage.orders import Order

HOOK_SOURCE = "amocrm"
DEAL_SOURCE = "amocrm.deal"
CONTACT_SOURCE = "amocrm.contact"
TASK_SOURCE = "amocrm.task"
CONTACT_GONE = ("contact", "delete")
CONTACT_CHANGED = ("contact", "update")
ACCOUNT = "account"
FOREIGN = "пропущено: хук чужого аккаунта"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """What the CRM says of a batch of deals. `names`: contacts by id; `contacts`: those that were read, because we
    do not know them or because a deal for which their points are reserved has another contact now; `paid`: (pipeline,
    stage) pairs meaning paid; `lead_ids` and `birthday_id`: the CRM's ids of our fields."""

    deals: Mapping[int, Deal]
    names: Mapping[int, str]
    paid: frozenset[tuple[int, int]]
    contacts: Mapping[int, Contact] = field(default_factory=dict)
    lead_ids: Mapping[str, int] = field(default_factory=dict)
    birthday_id: int | None = None


def split_hook(rt: Runtime, row: InboxRow) -> None:
    """Turns a hook body into one row per deal it names. No network."""
    body = parse_hook(row.body)
    now = rt.now()
    refusal = _foreign(rt, body)
    named = [] if refusal else sorted({entity.id for entity in body.entities if entity.kind == "deal"})
    gone = [] if refusal else sorted({one.id for one in body.entities if (one.kind, one.action) == CONTACT_GONE})
    changed = [] if refusal else [one for one in body.entities if (one.kind, one.action) == CONTACT_CHANGED]
    tasks = [] if refusal else [one.id for one in body.entities if one.kind == "task" and one.action != "add"]

    def save(tx: sa.Connection) -> None:
        contacts = gone + (consent_fields.worth_reading(rt, tx, changed) if changed else [])
        ours = call_lists.tasks_of_ours(tx, tasks) if tasks else []
        for source, ids in ((DEAL_SOURCE, named), (CONTACT_SOURCE, contacts), (TASK_SOURCE, ours)):
            for entity_id in ids:
                inbox.add(tx, source=source, external_id=str(entity_id), body=b"", is_hint=True, now=now)
        outcome = refusal or _summary(body, named)
        if not boxes.finish(tx, "inbox", row.claim, now=now, outcome=outcome):
            raise ClaimLost

    rt.db.run(save)


def fetch(rt: Runtime, deal_refs: Sequence[int]) -> Found:
    """Reads deals and the contacts we do not know yet: two requests for a whole batch. Raises ConnectorError."""
    crm = _crm(rt)
    paid = deal_stages.paid(rt, crm).all
    found = crm.deals(deal_refs)
    contact_refs = {deal.main_contact_id for deal in found.values() if deal.main_contact_id is not None}
    with rt.db.begin() as tx:
        names = members.known_contacts(tx, contact_refs)
        replaced = holds.reserving_contacts(tx, found) - contact_refs
    unread = contact_refs - names.keys() | replaced
    contacts = crm.contacts(sorted(unread)) if unread else {}
    names |= {contact.id: contact.name for contact in contacts.values()}
    return Found(found, names, paid, contacts, deal_fields.field_ids(rt, crm), crm_fields.birthday_id(rt, crm))


def record(rt: Runtime, row: InboxRow, found: Found) -> None:
    """One deal's row: the order takes over what the CRM says now, the buyer is enrolled, the points converge."""
    now = rt.now()
    deal_ref = int(row.external_id)
    deal = found.deals.get(deal_ref)

    def save(tx: sa.Connection) -> None:
        outcome = _follow(tx, rt, deal_ref, deal, found)
        rt.failpoints.reach("inbox.before_commit")
        if not boxes.finish(tx, "inbox", row.claim, now=now, outcome=outcome):
            raise ClaimLost

    rt.db.run(save)
    rt.failpoints.reach("inbox.after_commit")
    rt.bell.ring("outbox", row.claim.id)


def _follow(tx: sa.Connection, rt: Runtime, deal_ref: int, deal: Deal | None, found: Found) -> str:
    now = rt.now()
    is_paid = deal is not None and not deal.is_deleted and (deal.pipeline_id, deal.status_id) in found.paid
    order = orders.find(tx, deal_ref)
    if order is None and not is_paid and not _is_of_member(tx, deal, found):
        return "сделка не оплачена" if deal else "такой сделки в CRM нет"
    if order is None and is_paid and _was_before_us(tx, deal):
        return "сделка закрыта до начала программы: баллов за прошлое нет"
    order = order or orders.open_order(tx, deal_ref, now=now)
    if _has_another_buyer(tx, order, deal, found):
        deal_redemption.give_up(tx, rt, order, now=now)
        order = orders.lock(tx, order.id)
    member_id = order.member_id
    if member_id is None or (order.is_untouched and deal is not None and deal.main_contact_id in found.names):
        member_id = _enrol(tx, rt, deal, found)
    price_kopecks = order.price_kopecks if deal is None else deal.price_kopecks
    orders.save_deal(tx, order.id, member_id=member_id, price_kopecks=price_kopecks, is_stage_paid=is_paid)
    fresh = orders.by_ids(tx, [order.id])[order.id]
    # What was paid once and returned reserves nothing, nor does what the bank is paid for already.
    if found.lead_ids and not is_paid and fresh.counted_at is None and not payments.moved_money(tx, order.id):
        deal_redemption.follow(tx, rt, fresh, deal_redemption.wish_of(deal, found.lead_ids), now=now)
        fresh = orders.by_ids(tx, [order.id])[order.id]
    return points.converge_order(tx, rt, fresh, occurred_at=now, now=now)


def _was_before_us(tx: sa.Connection, deal: Deal | None) -> bool:
    """A deal of the past that somebody touched: an edit, a robot, a tag. History is the first import's, without
    points."""
    since = installation.since(tx)
    return deal is not None and deal.closed_at is not None and since is not None and deal.closed_at < since


def _has_another_buyer(tx: sa.Connection, order: Order, deal: Deal | None, found: Found) -> bool:
    """The manager has put another main contact into a deal for which points of the first one are only reserved."""
    if deal is None or order.hold_id is None or order.counted_at is not None or order.revision or order.kept_kopecks:
        return False
    if deal.main_contact_id is None or deal.main_contact_id not in found.names:
        return False
    buyer = members.by_contact(tx, deal.main_contact_id)
    before = members.by_ids(tx, [order.member_id or 0]).get(order.member_id or 0)
    if before is None or (buyer is not None and buyer.id == before.id):
        return False
    return before.contact_ref in found.contacts  # one who is gone may have been merged into the new one


def _is_of_member(tx: sa.Connection, deal: Deal | None, found: Found) -> bool:
    """An unpaid deal concerns us if its buyer may spend points on it."""
    if deal is None or deal.is_deleted or deal.main_contact_id is None or not found.lead_ids:
        return False
    return members.by_contact(tx, deal.main_contact_id) is not None


def _enrol(tx: sa.Connection, rt: Runtime, deal: Deal | None, found: Found) -> int:
    """The buyer: the deal's main contact."""
    if deal is None:
        raise NotYet("По платежу есть номер сделки, но такой сделки в CRM нет")
    if deal.main_contact_id is None or deal.main_contact_id not in found.names:
        raise NotYet("У сделки нет контакта: добавьте покупателя в сделку, баллы начислятся сами")
    name, contact = found.names[deal.main_contact_id], found.contacts.get(deal.main_contact_id)
    if contact is not None:
        people.recognise(tx, contact)
    member, is_new = members.enrol(tx, contact_ref=deal.main_contact_id, name=name, card=rt.new_card(), now=rt.now())
    if contact is not None:
        stored = None if found.birthday_id is None else contact.field_values.get(found.birthday_id)
        people.take_over_contact(tx, rt, member, contact, date_value(stored))
    if is_new:
        people.welcome_signup(tx, rt, member, now=rt.now())
        _log.info("member_enrolled", member_id=member.id)
    return member.id


def _foreign(rt: Runtime, body: HookBody) -> str | None:
    """A body of another account under our address: kept, not followed."""
    known = rt.directory.recall(ACCOUNT)
    if body.account_id is not None and known is not None:  # a renamed account keeps its id
        return None if known.get("id") == body.account_id else FOREIGN
    subdomain = rt.crm_subdomain
    is_foreign = body.subdomain is not None and subdomain is not None and body.subdomain != subdomain
    return FOREIGN if is_foreign else None


def _summary(body: HookBody, named: Sequence[int]) -> str:
    problems = f"; не разобрано: {len(body.problems)} ({body.problems[0]})" if body.problems else ""
    return f"сделок к чтению: {len(named)}{problems}"


def _crm(rt: Runtime) -> AmoCrm:
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    return rt.crm
