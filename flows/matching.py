"""Whose payment is this? What the acquirer says, what the shop's programs know, what the CRM finds by the payer.

Asks the CRM, so it runs outside any transaction; the choice among what was found is `loyalty/matching.py`.
Source: acquirers reference, section 13.6. Never by the amount alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector.amocrm.leads import LOST_STATUS_ID, WON_STATUS_ID
from flows import phones
from loyalty.matching import Candidate, Choice, choose
from loyalty.phrases import roubles
from storage import boxes, holds, inbox, orders, payment_links, payments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.leads import Deal
    from flows.runtime import Runtime
    from loyalty.events import PaymentFacts
    from loyalty.matching import Found
    from storage.holds import Reserved

DEALS_LOOKED_AT_MAX = 50
DEAL_SOURCE = "amocrm.deal"
_FOUND_RU: dict[Found, str] = {"order number": "номер заказа", "phone": "телефон", "e-mail": "почта"}
PHONE_DIGITS = 10
"""A phone is searched by its last digits: people write its beginning in many ways."""


class MatchRefused(Exception):
    """A person's word about a payment cannot be followed; `hint` says what can be done."""

    def __init__(self, title: str, hint: str) -> None:
        super().__init__(title)
        self.hint = hint


class PaymentNotFound(MatchRefused):
    def __init__(self) -> None:
        super().__init__("Такого платежа нет", "kopilka payments unmatched покажет платежи без сделки")


class PaymentMatched(MatchRefused):
    def __init__(self) -> None:
        hint = "переносят платёж только в банке: возвратом и новой оплатой"
        super().__init__("Платёж уже отнесён к другому заказу", hint)


@dataclass(frozen=True)
class Home:
    """Where a payment belongs: a deal of the CRM, an order that a link of ours was made for, an order of the shop's
    programs, or nobody knows (`choice`)."""

    deal_ref: int | None = None
    order_id: int | None = None
    shop_ref: str | None = None
    choice: Choice | None = None

    @property
    def is_unknown(self) -> bool:
        return self.deal_ref is None and self.order_id is None and self.shop_ref is None


def find(rt: Runtime, facts: PaymentFacts) -> Home:
    """The first of: the deal the payment names, the order of our own link, the shop's order of that number, the
    payer's only deal of that price.
    Raises ConnectorError if the CRM cannot be asked."""
    if facts.deal_ref is not None:
        return Home(deal_ref=facts.deal_ref)
    if facts.order_ref:
        with rt.db.begin() as tx:
            order_id = payment_links.order_named(tx, facts.order_ref)
            if order_id is not None:
                return Home(order_id=order_id)
            if orders.read_shop_order(tx, facts.order_ref) is not None:
                return Home(shop_ref=facts.order_ref)
    if rt.crm is None:
        return Home(choice=Choice(None, None, ()))
    choice = choose(_of_payer(rt, rt.crm, facts), facts.captured_kopecks)
    return Home(deal_ref=choice.deal_ref, choice=choice)


def assign(rt: Runtime, payment: str, deal_ref: int, *, by: str) -> str:
    """A person says to which deal a payment belongs (`payment` is «tbank:8742591»); its callback is worked again.
    Returns a line for him. Raises PaymentNotFound, PaymentMatched."""
    acquirer, _, payment_ref = payment.partition(":")
    now = rt.now()

    def work(tx: sa.Connection) -> int | None:
        order = orders.open_order(tx, deal_ref, now=now)
        found = payments.find(tx, acquirer, payment_ref)
        if found is None:
            raise PaymentNotFound
        if found.order_id == order.id:
            return found.inbox_id
        if not payments.match(tx, found.id, order.id, by=by):
            raise PaymentMatched
        inbox.add(tx, source=DEAL_SOURCE, external_id=str(deal_ref), body=b"", is_hint=True, now=now)
        if found.inbox_id is not None:
            boxes.replay(tx, "inbox", found.inbox_id, now=now)
        return found.inbox_id

    row_id = rt.db.run(work)
    rt.bell.ring("inbox", row_id or 0)
    return f"платёж {payment} отнесён к сделке {deal_ref}, баллы начислятся сейчас"


@dataclass(frozen=True)
class Waiting:
    """A payment that has moved money and belongs to no order yet, with the deals it may belong to."""

    acquirer: str
    payment_ref: str
    captured_kopecks: int
    refunded_kopecks: int
    heard_at: datetime
    suggested: Sequence[Mapping[str, Any]]


def waiting(rt: Runtime, *, limit: int) -> list[Waiting]:
    """Oldest first."""
    with rt.db.begin() as tx:
        return [
            Waiting(
                one.acquirer,
                one.payment_ref,
                one.captured_kopecks,
                one.refunded_kopecks,
                one.captured_at or one.created_at,
                one.suggested or (),
            )
            for one in payments.unmatched(tx, limit=limit)
            if one.totals.moved_money
        ]


def question(facts: PaymentFacts, likely: Sequence[Candidate]) -> str:
    """What a person reads who must say whose payment it is."""
    name = f"{facts.acquirer}:{facts.payment_ref}"
    begin = f"Платёж {name} на {roubles(facts.captured_kopecks)}: неясно, к какой сделке он относится."
    guesses = "; ".join(
        f"{one.deal_ref} «{one.name}» {roubles(max(one.dues_kopecks, default=0))} ({_FOUND_RU[one.found_by]})"
        for one in likely
    )
    middle = f" Похоже: {guesses}." if guesses else " По телефону и почте сделок не нашлось."
    return f"{begin}{middle} Отнести: kopilka payments match {name} НОМЕР_СДЕЛКИ"


def told(likely: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Kept with the payment for programs."""
    return [
        {"deal": one.deal_ref, "name": one.name, "price_kopecks": max(one.dues_kopecks, default=0), "by": one.found_by}
        for one in likely
    ]


def _of_payer(rt: Runtime, crm: AmoCrm, facts: PaymentFacts) -> list[Candidate]:
    phones_told, emails_told = phones.all_in([facts.payer.phone]), phones.emails_in([facts.payer.email])
    found: dict[int, Found] = {}
    for email in emails_told:
        for contact in crm.search_contacts(email):
            if email in phones.emails_in(contact.emails):
                found |= dict.fromkeys(contact.deal_ids, "e-mail")
    for phone in phones_told:
        for contact in crm.search_contacts(phone[-PHONE_DIGITS:]):
            if phone in phones.all_in(contact.phones):
                found |= dict.fromkeys(contact.deal_ids, "phone")
    newest = sorted(found, reverse=True)[:DEALS_LOOKED_AT_MAX]
    deals = [deal for deal in crm.deals(newest).values() if not deal.is_deleted] if newest else []
    with rt.db.begin() as tx:
        reserved = holds.reserved_of_deals(tx, [deal.id for deal in deals])
        values = {
            one: rt.programme_of(tx, one).point_value_kopecks for one in {r.rules_version for r in reserved.values()}
        }
    return [_candidate(deal, found[deal.id], _discounted(reserved.get(deal.id), values)) for deal in deals]


def _discounted(hold: Reserved | None, values: Mapping[str, int]) -> tuple[int, ...]:
    """The lower price of a deal for which points are reserved."""
    return () if hold is None else (hold.total_kopecks - hold.points * values[hold.rules_version],)


def _candidate(deal: Deal, found_by: Found, lower: tuple[int, ...]) -> Candidate:
    prices = (deal.price_kopecks,) if deal.price_kopecks else ()
    is_open = deal.status_id not in (LOST_STATUS_ID, WON_STATUS_ID)
    return Candidate(deal.id, deal.name, lower or prices, is_open=is_open, found_by=found_by)
