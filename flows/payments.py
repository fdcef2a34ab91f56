"""A payment's story in the worker: understand the callback, ask the acquirer if it proves nothing, record, converge.

Money moves only by what the acquirer states about the whole payment; a message is never added up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.acquiring.base import Fetched, Ignored, NeedsFetch, NotOurs
from connector.acquiring.base import NeedsPerson as AcquirerNeedsPerson
from connector.errors import BadReply, NotConfigured
from flows import deal_payments, deals, found_facts, link_payments, matching, points
from flows.settle import ClaimLost, NeedsPerson
from loyalty.events import PaymentFacts
from storage import boxes, inbox, orders
from storage import payments as payments_storage

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from flows.matching import Home
    from flows.runtime import Runtime
    from loyalty.matching import Choice
    from storage.inbox import InboxRow
    from storage.orders import Order
    from storage.payments import Payment


def record(rt: Runtime, row: InboxRow) -> None:
    """Works one callback. Steps: parse; re-read where it is only a hint; ask whose it is if it does not say (network,
    outside any transaction); one transaction."""
    understood = _understand(rt, row)
    if isinstance(understood, str):
        _finish(rt, row, understood)
        return
    now = rt.now()
    occurred_at = min(understood.occurred_at or row.received_at, now)  # a clock ahead of ours earns nothing early
    facts = replace(understood, occurred_at=occurred_at)
    with rt.db.begin() as tx:
        known = payments_storage.find(tx, facts.acquirer, facts.payment_ref)
    if known is None:
        facts = _with_its_payment(rt, facts)
    home = None if known is not None and known.order_id is not None else matching.find(rt, facts)
    if home is not None and home.is_unknown:
        _keep_unmatched(rt, row, facts, home.choice, now=now)
        return

    def save(tx: sa.Connection) -> bool:
        order = _order(tx, facts, known, home, now=now)
        if payments_storage.save(tx, order.id, facts, now=now, inbox_id=row.claim.id) != order.id:
            raise NeedsPerson("Платёж уже отнесён к другому заказу: сверьте вручную")
        order, link = link_payments.heard(tx, rt, order, facts, now=now)
        if order.member_id is None:
            inbox.add(tx, source=deals.DEAL_SOURCE, external_id=str(order.deal), body=b"", is_hint=True, now=now)
            outcome = "платёж записан, сделка будет прочитана в CRM"
        else:
            outcome = points.converge_order(tx, rt, order, occurred_at=occurred_at, now=now)
        link_payments.ask(tx, rt, order.id, link, now=now)
        deal_payments.told(tx, rt, order, now=now)
        rt.failpoints.reach("inbox.before_commit")
        if not boxes.finish(tx, "inbox", row.claim, now=now, outcome=outcome):
            raise ClaimLost
        return order.member_id is None

    needs_deal = rt.db.run(save)
    rt.failpoints.reach("inbox.after_commit")
    rt.bell.ring("inbox" if needs_deal else "outbox", row.claim.id)


def _with_its_payment(rt: Runtime, facts: PaymentFacts) -> PaymentFacts:
    """A refund heard of before its payment: that word may be lost, so the acquirer is asked if it can be."""
    if facts.captured_kopecks or not (facts.refunds or facts.refunded_kopecks):
        return facts
    try:
        found = rt.acquirers[facts.acquirer].fetch(facts.payment_ref)
    except NotConfigured:
        return facts
    if not isinstance(found, PaymentFacts):
        return facts
    return replace(found, refunds=(*found.refunds, *facts.refunds), occurred_at=found.occurred_at or facts.occurred_at)


def _order(tx: sa.Connection, facts: PaymentFacts, known: Payment | None, home: Home | None, *, now: datetime) -> Order:
    """The payment's order, locked. Raises NeedsPerson if the payment now names another deal than before."""
    if known is not None and known.order_id is not None:
        order = orders.lock(tx, known.order_id)
        if facts.deal_ref not in (None, order.deal_ref):
            raise NeedsPerson(
                f"Платёж уже отнесён к другой сделке, а теперь назвал сделку {facts.deal_ref}: сверьте вручную"
            )
        return order
    if home is not None and home.deal_ref is not None:
        return orders.open_order(tx, home.deal_ref, now=now)
    if home is not None and home.order_id is not None:
        return orders.lock(tx, home.order_id)
    found = None if home is None else orders.find_shop_order(tx, home.shop_ref or "")
    if found is None:
        raise NeedsPerson("Заказа, к которому относился платёж, больше нет: сверьте вручную")
    return found


def _keep_unmatched(rt: Runtime, row: InboxRow, facts: PaymentFacts, choice: Choice | None, *, now: datetime) -> None:
    """Nothing is lost: the payment is kept without an order. Where money has moved, a person is asked whose it is."""
    likely = () if choice is None else choice.suggested
    with rt.db.begin() as tx:
        payments_storage.save(tx, None, facts, now=now, inbox_id=row.claim.id)
        payments_storage.suggest(tx, facts.acquirer, facts.payment_ref, matching.told(likely))
    if not (facts.captured_kopecks or facts.refunded_kopecks or facts.refunds or facts.refund_is_total):
        _finish(rt, row, "платёж записан, сделка неизвестна, деньги ещё не списаны")
        return
    raise NeedsPerson(matching.question(facts, likely))


def _understand(rt: Runtime, row: InboxRow) -> PaymentFacts | str:
    """The payment's facts, or why there is nothing to do."""
    if row.source == found_facts.SOURCE:
        return _reconciled(row)
    acquirer = rt.acquirers.get(row.source)
    if acquirer is None:
        raise NeedsPerson(f"Эквайринг {row.source} больше не настроен в файле правил")
    try:
        told: Fetched | NeedsFetch = acquirer.parse(row.body)
    except BadReply as failure:
        raise NeedsPerson(f"Уведомление подлинное, но не читается ({failure}): сверьте платёж вручную") from failure
    if isinstance(told, NeedsFetch):
        told = acquirer.fetch(told.payment_ref)
        rt.failpoints.reach("inbox.after_fetch")
    if isinstance(told, AcquirerNeedsPerson):
        raise NeedsPerson(told.reason_ru)
    if isinstance(told, Ignored):
        return f"пропущено: {told.reason}"
    if isinstance(told, NotOurs):
        return "пропущено: у эквайринга нет такого платежа нашего магазина"
    if told.is_test:
        return "пропущено: тестовый платёж"
    return told


def _reconciled(row: InboxRow) -> PaymentFacts:
    """What was found at the acquirer when books were compared."""
    try:
        found = found_facts.read(row.body)
    except found_facts.NotFacts as failure:
        raise NeedsPerson("Находка сверки не читается: повторите её, kopilka reconcile") from failure
    if found.facts is None:
        raise NeedsPerson(found.question)
    return found.facts


def _finish(rt: Runtime, row: InboxRow, outcome: str) -> None:
    with rt.db.begin() as tx:
        boxes.finish(tx, "inbox", row.claim, now=rt.now(), outcome=outcome)
