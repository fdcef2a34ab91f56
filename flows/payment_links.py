"""Making payments ourselves: a link by which the buyer pays the price less the points that are reserved.

Steps: write down what is wanted, under the order's lock; ask the acquirer, outside any transaction, with a key that
gives the same payment however often it is asked; write down the address. A link that no longer fits its order is given
up. Source: acquirers reference, sections 13.6 and 13.7.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter

from connector.acquiring.links import BadPayment, Link, LinkLost, MakesLinks, NewPayment
from connector.errors import ConnectorError, NeedsReauth, NotConfigured, Refused
from flows.link_terms import Wish, due_kopecks, new_payment, open_hold
from flows.refusals import BankAway, LinkRefused, LinksOff, OrderIsPaid, OrderNotFound
from storage import orders, outbox, payment_links
from storage.payment_links import NewLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from flows.jobs import Run
    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.payment_links import PaymentLink

ATTEMPTS_MAX = 3
STALE_BATCH = 20
KEY_GOOD_FOR = timedelta(minutes=45)
"""CloudPayments remembers an idempotency key for an hour; later the same one would make a second payment."""
_NEW_PAYMENT = TypeAdapter(NewPayment)

_log = structlog.get_logger(__name__)


def for_shop_order(rt: Runtime, order_ref: str, wish: Wish) -> PaymentLink:
    """The link of the shop's own order. Raises OrderNotFound, OrderIsPaid, LinksOff, LinkRefused, BankAway."""
    with rt.db.begin() as tx:
        order = orders.read_shop_order(tx, order_ref)
    if order is None:
        raise OrderNotFound
    return make(rt, order.id, wish)


def for_deals(rt: Runtime, found: Sequence[Order], hold: Callable[[], None]) -> set[int]:
    """Links of deals for which points are reserved. Returns the orders that have got a new one. Raises BankAway,
    LinkRefused for the first deal that gets none, after the others have theirs."""
    if rt.file.payment_links is None or "payment_link" not in rt.crm_names.lead_fields:
        return set()
    with rt.db.begin() as tx:
        due = [order.id for order in found if order.counted_at is None and open_hold(tx, order) is not None]
        before = {order_id: payment_links.open_url(tx, order_id) for order_id in due}
    made, failure = set[int](), None
    for order_id in due:
        hold()
        try:
            if make(rt, order_id, Wish()).url != before[order_id]:
                made.add(order_id)
        except OrderIsPaid:
            continue
        except (BankAway, LinkRefused) as denied:
            failure = denied
    if failure is not None:
        raise failure
    return made


def make(rt: Runtime, order_id: int, wish: Wish) -> PaymentLink:
    """The order's open link: the one there is if it still fits, else a new one. Asked twice, one payment is made."""
    for _ in range(ATTEMPTS_MAX):
        link, outdated = rt.db.run(lambda tx: _wanted(tx, rt, order_id, wish))
        if outdated is not None:
            _cancel(rt, outdated)
        if link.state == "open":
            return link
        opened = _opened(rt, link)
        if opened is not None:
            return opened
    raise BankAway


def give_up_stale(run: Run) -> Iterator[None]:
    """The job: links of orders that are paid, or whose points are no longer reserved, or whose time is over."""
    after = 0
    while True:
        with run.rt.db.begin() as tx:
            found = payment_links.stale(tx, now=run.now, after=after, limit=STALE_BATCH)
        for link in found:
            _give_up(run.rt, link)
            run.piece(lambda _tx: run.progress.plus(done=1, links=1))
            yield
        if len(found) < STALE_BATCH:
            return
        after = found[-1].id


def summary(counts: Mapping[str, int]) -> str:
    return f"закрыто ссылок на оплату: {counts.get('links', 0)}"


def _wanted(tx: sa.Connection, rt: Runtime, order_id: int, wish: Wish) -> tuple[PaymentLink, PaymentLink | None]:
    """The link to be asked for or already open, and one that it takes the place of."""
    names = rt.file.payment_links
    if names is None or not isinstance(rt.acquirers.get(names.acquirer), MakesLinks):
        raise LinksOff
    order, now = orders.lock(tx, order_id), rt.now()
    hold = open_hold(tx, order)
    amount = due_kopecks(tx, rt, order)
    if amount <= 0:
        raise OrderIsPaid
    hold_id = None if hold is None else hold.id
    live = payment_links.live(tx, order.id)
    is_good = live is not None and (live.state == "open" or now - live.created_at < KEY_GOOD_FOR)
    if live is not None and is_good and _fits(live, amount, names.acquirer, hold_id):
        return live, None
    if live is not None:
        payment_links.close(tx, live.id, state="closed", reason="цена или списание изменились", now=now)
    public_id = rt.new_id("pay")
    expires_at = None if hold is None else hold.expires_at
    new = NewLink(public_id, order.id, hold_id, names.acquirer, amount, expires_at)
    link = payment_links.want(tx, new, now=now)
    asked = _NEW_PAYMENT.dump_python(new_payment(tx, rt, names, order, hold, link, wish), mode="json")
    payment_links.save_asked(tx, link.id, asked)
    return replace(link, asked=asked), live


def _fits(link: PaymentLink, amount_kopecks: int, acquirer: str, hold_id: int | None) -> bool:
    return (link.amount_kopecks, link.acquirer, link.hold_id) == (amount_kopecks, acquirer, hold_id)


def _opened(rt: Runtime, link: PaymentLink) -> PaymentLink | None:
    """The link with its address; None if the next attempt must be made."""
    acquirer = _maker(rt, link.acquirer)
    try:
        made = acquirer.create_link(_NEW_PAYMENT.validate_python(dict(link.asked)))
    except LinkLost as lost:
        acquirer.cancel_link(lost.link)
        _closed(rt, link, "closed", "адрес ссылки потерян вместе с ответом банка")
        return None
    except (Refused, BadPayment) as failure:
        if isinstance(failure, Refused) and failure.retryable:
            raise BankAway from failure
        _closed(rt, link, "refused", str(failure))
        raise LinkRefused(str(failure)) from failure
    except (NeedsReauth, NotConfigured) as failure:
        raise LinkRefused(
            f"банк не принимает ключи ({failure.code})", hint="проверьте секреты банка: kopilka check"
        ) from failure
    except ConnectorError as failure:  # it may have been made: the same key finds it
        _log.warning("link_not_made", acquirer=link.acquirer, error=failure.code)
        raise BankAway from failure
    with rt.db.begin() as tx:
        is_ours = payment_links.opened(tx, link.id, url=made.url, payment_ref=made.payment_ref, link_ref=made.link_ref)
        now_live = payment_links.live(tx, link.order_id)
    if is_ours:
        return replace(link, state="open", url=made.url, payment_ref=made.payment_ref, link_ref=made.link_ref)
    if now_live is not None and now_live.id == link.id:
        return now_live  # another process has asked with the same key
    acquirer.cancel_link(made)
    return None


def _closed(rt: Runtime, link: PaymentLink, state: str, reason: str) -> None:
    with rt.db.begin() as tx:
        payment_links.close(tx, link.id, state=state, reason=reason, now=rt.now())


def _give_up(rt: Runtime, link: PaymentLink) -> None:
    """Its order decides what it was: paid, or nothing any more. The deal is told either way."""
    now = rt.now()
    with rt.db.begin() as tx:
        order = orders.lock(tx, link.order_id)
        is_paid = order.is_kept and link.url != ""
        payment_links.close(tx, link.id, state="paid" if is_paid else "closed", reason=None, now=now)
        if order.deal_ref is not None and rt.crm is not None and rt.crm_names.lead_fields:
            outbox.add(tx, "deal", [order.id], now=now)
    if not is_paid:
        _cancel(rt, link)


def _cancel(rt: Runtime, link: PaymentLink) -> None:
    """As far as the acquirer can. A link that stays open brings a payment that is taken for what it is."""
    if not link.link_ref:
        return
    try:
        _maker(rt, link.acquirer).cancel_link(Link(link.url, link.payment_ref, link.link_ref))
    except (ConnectorError, LinksOff) as failure:
        _log.warning("link_not_cancelled", acquirer=link.acquirer, error=type(failure).__name__)


def _maker(rt: Runtime, name: str) -> MakesLinks:
    acquirer: object = rt.acquirers.get(name)
    if not isinstance(acquirer, MakesLinks):
        raise LinksOff
    return acquirer
