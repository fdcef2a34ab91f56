"""A payment's story in the worker: understand the callback, ask the acquirer if it proves nothing, record, converge.

Money moves only by what the acquirer states about the whole payment; a message is never added up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connector.acquiring.base import Fetched, Ignored, NeedsFetch, NotOurs
from connector.acquiring.base import NeedsPerson as AcquirerNeedsPerson
from connector.errors import BadReply
from flows import deals, points
from flows.settle import ClaimLost, NeedsPerson
from storage import boxes, inbox, orders
from storage import payments as payments_storage

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.events import PaymentFacts
    from storage.inbox import InboxRow


def record(rt: Runtime, row: InboxRow) -> None:
    """Works one callback. Steps: parse; re-read where it is only a hint (network, no transaction); one transaction."""
    understood = _understand(rt, row)
    if isinstance(understood, str):
        _finish(rt, row, understood)
        return
    now = rt.now()
    occurred_at = min(understood.occurred_at or row.received_at, now)  # a clock ahead of ours earns nothing early
    facts = replace(understood, occurred_at=occurred_at)

    def save(tx: sa.Connection) -> bool:
        deal_ref = facts.deal_ref or payments_storage.deal_of(tx, facts.acquirer, facts.payment_ref)
        if deal_ref is None:
            raise NeedsPerson("В платеже нет номера сделки: укажите его в заказе вида L1234-1 или сверьте вручную")
        order = orders.open_order(tx, deal_ref, now=now)
        if payments_storage.save(tx, order.id, facts, now=now) != order.id:
            raise NeedsPerson(f"Платёж уже отнесён к другой сделке, а теперь назвал сделку {deal_ref}: сверьте вручную")
        if order.member_id is None:
            inbox.add(tx, source=deals.DEAL_SOURCE, external_id=str(deal_ref), body=b"", is_hint=True, now=now)
            outcome = "платёж записан, сделка будет прочитана в CRM"
        else:
            outcome = points.converge_order(tx, rt, order, occurred_at=occurred_at, now=now)
        rt.failpoints.reach("inbox.before_commit")
        if not boxes.finish(tx, "inbox", row.claim, now=now, outcome=outcome):
            raise ClaimLost
        return order.member_id is None

    needs_deal = rt.db.run(save)
    rt.failpoints.reach("inbox.after_commit")
    rt.bell.ring("inbox" if needs_deal else "outbox", row.claim.id)


def _understand(rt: Runtime, row: InboxRow) -> PaymentFacts | str:
    """The payment's facts, or why there is nothing to do."""
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


def _finish(rt: Runtime, row: InboxRow, outcome: str) -> None:
    with rt.db.begin() as tx:
        boxes.finish(tx, "inbox", row.claim, now=rt.now(), outcome=outcome)
