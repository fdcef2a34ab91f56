"""How a payment link ends: fits no more, is cancelled at its acquirer, has died there.

A link whose address is known is over only when the acquirer says that nobody can pay by it. Until then it is `closing`
and asked about again: making a new one is `payment_links.py`, the money that comes by one `link_payments.py`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import structlog

from connector.acquiring.base import Ignored
from connector.acquiring.links import Link, MakesLinks
from connector.errors import ConnectorError
from flows import found_facts
from flows.found_facts import Found
from flows.link_terms import due_kopecks, open_hold
from flows.refusals import LinksOff
from loyalty.events import PaymentFacts
from storage import orders, outbox, payment_links

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import sqlalchemy as sa

    from connector.acquiring.base import Acquirer, Fetched
    from flows.jobs import Run
    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.payment_links import PaymentLink

    Ended = Literal["over", "pending", "paying", "away", "off"]
    """`pending`: the acquirer cancels none that nobody has begun to pay, it dies soon; `paying`: paid or being paid;
    `away`: no answer; `off`: the acquirer is set up no longer."""

BATCH = 20
KEY_GOOD_FOR = timedelta(minutes=45)
"""CloudPayments remembers an idempotency key for an hour; later the same one would make a second payment."""
SEEN_FOR = timedelta(hours=1)
"""A link that was not looked at for so long may have died at the acquirer, and its callback got lost."""
ASKED_FOR = timedelta(days=3)
"""An acquirer that answers «no» for so long will not say otherwise."""
CHANGED = "цена или списание изменились"
OVERDUE = "срок ссылки вышел"
LOST = "адрес ссылки потерян вместе с ответом банка"
NOT_CANCELLED = "банк не отменил ссылку: по ней платят или уже заплатили"
NOT_YET = "банк не отменяет неоплаченную ссылку, она кончится сама"
DIED = "банк закрыл ссылку"

_log = structlog.get_logger(__name__)


def review(run: Run) -> Iterator[None]:
    """The job: links that fit their order no more, whose time is over, that died, or are being cancelled. A bank that
    did not answer is not asked again in this run."""
    after, away = 0, set[str]()
    while True:
        with run.rt.db.begin() as tx:
            found = payment_links.to_review(
                tx, now=run.now, wanted_for=KEY_GOOD_FOR, seen_for=SEEN_FOR, after=after, limit=BATCH
            )
        for link in found:
            ended = _reviewed(run.rt, link, away)
            run.piece(lambda _tx, ended=ended: run.progress.plus(done=1, links=int(ended)))  # type: ignore[misc]
            yield
        if len(found) < BATCH:
            return
        after = found[-1].id


def summary(counts: Mapping[str, int]) -> str:
    return f"закрыто ссылок на оплату: {counts.get('links', 0)}"


def fits(tx: sa.Connection, rt: Runtime, order: Order, link: PaymentLink) -> bool:
    """Whether it asks for what is left to pay now; the order is locked."""
    hold = open_hold(tx, order)
    if hold is not None and hold.state != "active":
        return False
    hold_id = None if hold is None else hold.id
    return (link.hold_id, link.amount_kopecks) == (hold_id, due_kopecks(tx, rt, order))


def cancelled(rt: Runtime, link: PaymentLink) -> Ended:
    """Asks the acquirer to end a link that is `closing`, and keeps its answer. What was paid by it is counted."""
    if not link.link_ref:
        return "over"
    try:
        acquirer = maker(rt, link.acquirer)
    except LinksOff:
        return "off"
    try:
        is_over = acquirer.cancel_link(Link(link.url, link.payment_ref, link.link_ref))
        told = None if is_over else state_of(rt, link)
    except ConnectorError as failure:
        _log.warning("link_not_cancelled", acquirer=link.acquirer, error=failure.code)
        return "away"
    is_pending = isinstance(told, Ignored) and acquirer.ends_by_itself
    ended: Ended = "over" if is_over else "pending" if is_pending else "paying"
    with rt.db.begin() as tx:
        now = rt.now()
        if ended == "over" or (link.closed_at is not None and link.closed_at < now - ASKED_FOR):
            payment_links.move(tx, link.id, "closed", was=("closing",), reason=None, now=now)
        else:
            payment_links.not_cancelled(tx, link.id, reason=NOT_YET if ended == "pending" else NOT_CANCELLED)
    return ended


def state_of(rt: Runtime, link: PaymentLink) -> Fetched | None:
    """What the acquirer says of the link's payment; None where it has no name before somebody pays. Facts are counted
    like those of a callback. Raises ConnectorError, LinksOff."""
    if not link.payment_ref:
        return None
    acquirer: Acquirer | None = rt.acquirers.get(link.acquirer)
    if acquirer is None:
        raise LinksOff
    told = acquirer.fetch(link.payment_ref)
    if isinstance(told, PaymentFacts):
        with rt.db.begin() as tx:
            found_facts.keep(tx, Found(link.acquirer, link.payment_ref, told), now=rt.now())
        rt.bell.ring("inbox", 0)
    return told


def is_alive(rt: Runtime, link: PaymentLink) -> bool:
    """Whether an open link can still be paid; looks if nobody did for long. Raises ConnectorError, LinksOff."""
    now = rt.now()
    if not link.payment_ref or link.looked_at > now - SEEN_FOR:
        return True
    told = state_of(rt, link)
    is_dead = isinstance(told, PaymentFacts) and told.status in ("failed", "voided")
    with rt.db.begin() as tx:
        if is_dead:
            order = orders.lock(tx, link.order_id)
            payment_links.move(tx, link.id, "closed", was=("open",), reason=DIED, now=now)
            tell_deal(tx, rt, order, now=now)
        else:
            payment_links.looked(tx, link.id, now=now)
    return not is_dead


def maker(rt: Runtime, name: str) -> MakesLinks:
    """Raises LinksOff for an acquirer that is set up no longer."""
    acquirer: object = rt.acquirers.get(name)
    if not isinstance(acquirer, MakesLinks):
        raise LinksOff
    return acquirer


def tell_deal(tx: sa.Connection, rt: Runtime, order: Order, *, now: datetime) -> None:
    if order.deal_ref is not None and rt.crm is not None and rt.crm_names.lead_fields:
        outbox.add(tx, "deal", [order.id], now=now)


def _reviewed(rt: Runtime, link: PaymentLink, away: set[str]) -> bool:
    """Whether it is over now."""
    if link.state in payment_links.LIVE:
        link = _still_wanted(rt, link)
    if link.state not in ("open", "closing") or link.acquirer in away:
        return link.state == "closed"
    if link.state == "closing":
        ended = cancelled(rt, link)
        if ended == "away":
            away.add(link.acquirer)
        return ended == "over"
    try:
        return not is_alive(rt, link)
    except (ConnectorError, LinksOff) as failure:
        _log.warning("link_not_seen", acquirer=link.acquirer, error=type(failure).__name__)
        away.add(link.acquirer)
        return False


def _still_wanted(rt: Runtime, link: PaymentLink) -> PaymentLink:
    """The link as it stands after its order was looked at."""
    now = rt.now()
    with rt.db.begin() as tx:
        order = orders.lock(tx, link.order_id)
        link = payment_links.by_id(tx, link.id)
        if link.state not in payment_links.LIVE:
            return link
        reason = _why_over(tx, rt, order, link, now=now)
        if reason is None:
            payment_links.still_fits(tx, link.id)
        else:
            payment_links.give_up(tx, link.id, reason=reason, now=now)
            tell_deal(tx, rt, order, now=now)
        return payment_links.by_id(tx, link.id)


def _why_over(tx: sa.Connection, rt: Runtime, order: Order, link: PaymentLink, *, now: datetime) -> str | None:
    if link.expires_at <= now:
        return OVERDUE
    if link.state == "wanted" and link.created_at <= now - KEY_GOOD_FOR:
        return "банк не ответил, есть ли у ссылки адрес"
    return None if fits(tx, rt, order, link) else CHANGED
