"""Making payments ourselves: a link by which the buyer pays the price less the points that are reserved.

Steps: write down what is wanted, under the order's lock; ask the acquirer, outside any transaction, with a key that
gives the same payment however often it is asked; write down the address. A link that no longer fits its order is given
up and ended (`link_ending.py`) before the next is made. Source: acquirers reference, sections 13.6 and 13.7.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter

from connector.acquiring.links import BadPayment, Link, LinkLost, MakesLinks, NewPayment
from connector.errors import ConnectorError, NeedsReauth, NotConfigured, Refused
from flows import link_ending
from flows.link_terms import Wish, due_kopecks, expires_at, new_payment, open_hold
from flows.refusals import BankAway, HoldUnconfirmed, LinkRefused, LinksOff, OrderIsPaid, OrderNotFound
from storage import orders, payment_links
from storage.payment_links import NewLink

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.payment_links import PaymentLink

ATTEMPTS_MAX = 3
WHOLE_S_MAX = 20.0
"""No further request to the acquirer is begun after this."""
AT_ONCE_MAX = 2
"""Requests of the shop's programs that wait for an acquirer: one that hangs must leave threads for everybody else."""
REFUSED_SHOWN = timedelta(days=7)
SHOWN_MAX = 100
_NEW_PAYMENT = TypeAdapter(NewPayment)
_at_once = threading.BoundedSemaphore(AT_ONCE_MAX)

give_up_stale, summary = link_ending.review, link_ending.summary
"""The job, as the schedule knows it."""

_log = structlog.get_logger(__name__)


def for_shop_order(rt: Runtime, order_ref: str, wish: Wish) -> PaymentLink:
    """The link of the shop's own order. Raises OrderNotFound, OrderIsPaid, HoldUnconfirmed, LinksOff, LinkRefused,
    BankAway."""
    with rt.db.begin() as tx:
        order = orders.read_shop_order(tx, order_ref)
    if order is None:
        raise OrderNotFound
    if not _at_once.acquire(blocking=False):
        raise BankAway("Банк отвечает медленно, другие запросы ссылок ещё ждут его", retry_after_s=5)
    try:
        return make(rt, order.id, wish)
    finally:
        _at_once.release()


def for_deals(rt: Runtime, found: Sequence[Order], hold: Callable[[], None]) -> set[int]:
    """Links of deals for which points are reserved. Returns the orders that have got a new one. Raises BankAway,
    LinkRefused for the first deal that gets none, after the others have theirs."""
    if rt.file.payment_links is None or "payment_link" not in rt.crm_names.lead_fields:
        return set()
    with rt.db.begin() as tx:
        due = [order.id for order in found if order.counted_at is None and _is_reserved(tx, order)]
        before = {order_id: payment_links.open_url(tx, order_id) for order_id in due}
    made, failure = set[int](), None
    for order_id in due:
        hold()
        try:
            if make(rt, order_id, Wish()).url != before[order_id]:
                made.add(order_id)
        except (OrderIsPaid, HoldUnconfirmed):
            continue
        except (BankAway, LinkRefused) as denied:
            failure = denied
    if failure is not None:
        raise failure
    return made


def make(rt: Runtime, order_id: int, wish: Wish) -> PaymentLink:
    """The order's open link: the one there is if it still fits, else a new one. Asked twice, one payment is made."""
    until, ended = time.monotonic() + WHOLE_S_MAX, set[int]()
    for _ in range(ATTEMPTS_MAX + 1):
        if time.monotonic() > until:
            raise BankAway
        link, closing = rt.db.run(lambda tx: _wanted(tx, rt, order_id, wish, ended))
        if link is None:
            for one in closing:
                _end(rt, one)
                ended.add(one.id)
            continue
        ready = _alive(rt, link) if link.state == "open" else _opened(rt, link)
        if ready is not None:
            return ready
    raise BankAway


@dataclass(frozen=True)
class Shown:
    """A link for the owner's eyes, with its deal and the shop's order."""

    deal_ref: int | None
    shop_ref: str | None
    acquirer: str
    order_number: str
    amount_kopecks: int
    state: str
    url: str
    reason: str | None
    created_at: datetime
    expires_at: datetime


def shown(rt: Runtime) -> list[Shown]:
    """Links that can be paid or are being closed, and those that an acquirer refused in the last days; newest first."""
    with rt.db.begin() as tx:
        found = payment_links.to_show(tx, since=rt.now() - REFUSED_SHOWN, limit=SHOWN_MAX)
    return [
        Shown(
            deal_ref,
            shop_ref,
            link.acquirer,
            link.order_number,
            link.amount_kopecks,
            link.state,
            link.url,
            link.reason,
            link.created_at,
            link.expires_at,
        )
        for link, deal_ref, shop_ref in found
    ]


def _is_reserved(tx: sa.Connection, order: Order) -> bool:
    """A lower price is offered only when the buyer has agreed to spend his points."""
    hold = open_hold(tx, order)
    return hold is not None and hold.state == "active"


def _wanted(
    tx: sa.Connection, rt: Runtime, order_id: int, wish: Wish, ended: Collection[int]
) -> tuple[PaymentLink | None, list[PaymentLink]]:
    """The link to be asked for or already open; None while others, except those `ended` now, must be ended before."""
    names = rt.file.payment_links
    if names is None or not isinstance(rt.acquirers.get(names.acquirer), MakesLinks):
        raise LinksOff
    order, now = orders.lock(tx, order_id), rt.now()
    hold = open_hold(tx, order)
    if hold is not None and hold.state != "active":
        raise HoldUnconfirmed
    amount = due_kopecks(tx, rt, order)
    if amount <= 0:
        raise OrderIsPaid
    live = payment_links.live(tx, order.id)
    if live is not None:
        if _is_good(live, names.acquirer, now=now) and link_ending.fits(tx, rt, order, live):
            return live, []
        payment_links.give_up(tx, live.id, reason=link_ending.CHANGED, now=now)
    known = payment_links.of_order(tx, order.id)
    closing = [one for one in known if one.state == "closing" and one.id not in ended]
    if closing:
        return None, closing
    hold_id = None if hold is None else hold.id
    new = NewLink(rt.new_id("pay"), order.id, hold_id, names.acquirer, amount, expires_at(hold, now=now))
    link = payment_links.want(tx, new, now=now)
    payment = new_payment(tx, rt, names, order, hold, link, wish)
    asked = _NEW_PAYMENT.dump_python(payment, mode="json")
    payment_links.save_asked(tx, link.id, asked, order_number=payment.order)
    return replace(link, asked=asked, order_number=payment.order), []


def _is_good(link: PaymentLink, acquirer: str, *, now: datetime) -> bool:
    is_in_time = link.expires_at > now if link.state == "open" else now - link.created_at < link_ending.KEY_GOOD_FOR
    return is_in_time and link.acquirer == acquirer


def _end(rt: Runtime, link: PaymentLink) -> None:
    """Before another link is made. Raises BankAway, LinkRefused while this one may be paid."""
    ended = link_ending.cancelled(rt, link)
    if ended == "away":
        raise BankAway
    if ended == "paying":
        raise LinkRefused(
            "по прежней ссылке этого заказа платят или уже заплатили",
            hint="подождите уведомления банка; если его нет, проверьте платёж в кабинете банка",
        )


def _alive(rt: Runtime, link: PaymentLink) -> PaymentLink | None:
    """The open link, unless the acquirer says that it is dead."""
    try:
        return link if link_ending.is_alive(rt, link) else None
    except ConnectorError as failure:
        _log.warning("link_not_seen", acquirer=link.acquirer, error=failure.code)
        raise BankAway from failure


def _opened(rt: Runtime, link: PaymentLink) -> PaymentLink | None:
    """The link with its address; None if it must be looked again what is wanted."""
    with rt.db.begin() as tx:
        tries = payment_links.count_try(tx, link.id)
    if tries is None:
        return None
    acquirer = link_ending.maker(rt, link.acquirer)
    try:
        made = acquirer.create_link(_NEW_PAYMENT.validate_python(dict(link.asked)))
    except LinkLost as lost:
        _without_address(rt, link, lost.link, is_ours=lost.is_new or tries > 1)
        return None
    except (Refused, BadPayment) as failure:
        if isinstance(failure, Refused) and failure.retryable:
            raise BankAway from failure
        if not _over(rt, link, "refused", _words(failure)):
            return None  # another process has opened it
        raise LinkRefused(_words(failure)) from failure
    except (NeedsReauth, NotConfigured) as failure:
        raise LinkRefused(
            f"банк не принимает ключи ({failure.code})", hint="проверьте секреты банка: kopilka check"
        ) from failure
    except ConnectorError as failure:  # it may have been made: the same key finds it
        _log.warning("link_not_made", acquirer=link.acquirer, error=failure.code)
        raise BankAway from failure
    return _remembered(rt, link, made)


def _remembered(rt: Runtime, link: PaymentLink, made: Link) -> PaymentLink | None:
    now = rt.now()
    with rt.db.begin() as tx:
        payment_links.opened(tx, link.id, url=made.url, payment_ref=made.payment_ref, link_ref=made.link_ref, now=now)
        present = payment_links.by_id(tx, link.id)
    if present.link_ref == made.link_ref:
        return present if present.state == "open" else None
    _cancel(rt, link, made)  # it was given up meanwhile, and nobody has seen this address
    return None


def _without_address(rt: Runtime, link: PaymentLink, lost: Link, *, is_ours: bool) -> None:
    """The acquirer has a payment under this attempt's number, and does not tell its address again. First this attempt
    is ended, so that nobody hands that payment out any more; then the payment is, unless it is somebody else's."""
    if not _over(rt, link, "closed", link_ending.LOST if is_ours else "этот номер заказа в банке уже занят"):
        return  # another process knows its address
    if is_ours:
        _cancel(rt, link, lost)


def _cancel(rt: Runtime, link: PaymentLink, made: Link) -> None:
    """A payment that has no row as a link. Raises BankAway; LinkRefused if it is paid, its facts are counted then."""
    named = replace(link, state="closing", url=made.url, payment_ref=made.payment_ref, link_ref=made.link_ref)
    _end(rt, named)


def _over(rt: Runtime, link: PaymentLink, state: str, reason: str) -> bool:
    """False: it is no longer only wanted."""
    with rt.db.begin() as tx:
        return payment_links.move(tx, link.id, state, was=("wanted",), reason=reason, now=rt.now())


def _words(failure: Refused | BadPayment) -> str:
    """What the acquirer said itself, as far as it said anything."""
    told = failure.problems if isinstance(failure, Refused) else ()
    said = "; ".join(": ".join(part for part in (one.code, one.path, one.detail) if part) for one in told)
    return f"{failure} ({said})" if said else str(failure)
