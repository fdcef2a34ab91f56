"""The deal's own fields in the CRM: how much may be spent, what is left to pay, what was earned; and the answer to
«Списать бонусов» in the feed.

A level: the present state is pushed, only differences, and what was pushed is remembered on the order. The remembered
state is forgotten before a write, so that whoever comes after our death writes everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector.amocrm.fields import LEAD_DIRECTORY_NAME, FieldSpec
from connector.amocrm.leads import DealChange
from connector.amocrm.notes import NoteDraft
from connector.errors import ConnectorError, Refused
from flows import book, deal_money, deal_payments, holds, payment_links
from flows.order_sheet import price_in_money
from flows.refusals import BankAway, Denied
from flows.settle import NotYet, SetupIncomplete, written_once
from loyalty.basket import KOPECKS_MAX, whole_sum
from storage import deal_marks, members, orders
from storage import holds as holds_storage
from storage import payment_links as payment_links_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.values import FieldValue
    from flows.runtime import Runtime
    from storage.orders import Order

FIELD_TYPES = {
    "redeem": ("numeric", "KOPILKA_REDEEM", False),
    "redeem_code": ("text", "KOPILKA_REDEEM_CODE", False),
    "allowed": ("numeric", "KOPILKA_ALLOWED", True),
    "total": ("numeric", "KOPILKA_TOTAL", True),
    "accrued": ("numeric", "KOPILKA_ACCRUED", True),
    "payment_status": ("text", "KOPILKA_PAYMENT_STATUS", True),
    "paid": ("numeric", "KOPILKA_PAID", True),
    "refunded": ("numeric", "KOPILKA_REFUNDED", True),
    "acquirer": ("text", "KOPILKA_ACQUIRER", True),
    "paid_on": ("text", "KOPILKA_PAID_ON", True),
    "payment_link": ("url", "KOPILKA_PAYMENT_LINK", True),
}
"""Type, our code, and whether nobody may type into it."""

OURS = ("allowed", "total", "accrued")


class LinkDelayed(ConnectorError):
    """The bank that makes payment links is away: everything else of the deal goes on, the link is tried for ever."""

    code = "link_delayed"
    retryable = True


def field_ids(rt: Runtime, crm: AmoCrm) -> dict[str, int]:
    """Ids of the configured fields of deals, by our keys; missing ones are created if the owner allows it."""
    names = rt.crm_names
    wanted: dict[str, FieldSpec] = {
        key: FieldSpec(name, *FIELD_TYPES[key][:2], is_api_only=FIELD_TYPES[key][2])
        for key, name in names.lead_fields.items()
    }
    if not wanted:
        return {}
    found = crm.ensure_lead_fields(rt.directory, wanted, create=names.create_missing_fields)
    missing = [spec.name for key, spec in wanted.items() if key not in found]
    if missing:
        raise SetupIncomplete(
            f"В amoCRM нет полей сделки: {', '.join(missing)}. Создайте их или разрешите amocrm.create_missing_fields"
        )
    return found


def refresh(rt: Runtime, order_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Brings the deals' fields up to date and tells the answer. Raises ConnectorError, SetupIncomplete, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    ids = field_ids(rt, rt.crm)
    with rt.db.begin() as tx:
        found = [one for one in orders.by_ids(tx, order_ids).values() if one.deal_ref is not None and one.member_id]
    crm = rt.crm
    _push(rt, crm, found, ids, hold)
    _tell(rt, crm, found, hold)
    _each(
        lambda: _push_links(rt, crm, found, ids, hold),
        lambda: deal_money.mark_invoices(rt, crm, found, hold),
        lambda: deal_payments.advance(rt, crm, found, hold),
    )
    known = {order.id for order in found}
    return {one: "поля сделки обновлены" if one in known else "сделки в CRM нет" for one in order_ids}


def _each(*steps: Callable[[], None]) -> None:
    """What one of them cannot do keeps none of the others back. Raises the first such failure after all."""
    failure: Exception | None = None
    for step in steps:
        try:
            step()
        except (NotYet, SetupIncomplete, Refused, LinkDelayed) as reason:
            failure = failure or reason
    if failure is not None:
        raise failure


def wanted_fields(tx: sa.Connection, rt: Runtime, order: Order) -> dict[str, FieldValue]:
    """What the deal's fields should say. While it is unpaid: what may be spent and what is left to pay with it."""
    link = {} if rt.file.payment_links is None else {"payment_link": payment_links_storage.open_url(tx, order.id)}
    return {**_points_fields(tx, rt, order), **deal_payments.fields(tx, rt, order), **link}


def _points_fields(tx: sa.Connection, rt: Runtime, order: Order) -> dict[str, FieldValue]:
    earned = order.accrued + order.welcomed
    if order.counted_at is not None or order.is_stage_paid:
        return {"allowed": None, "total": None, "accrued": earned}
    member = members.by_ids(tx, [order.member_id or 0])[order.member_id or 0]
    account = book.open_account(tx, rt, member, now=rt.now())
    held = None if order.hold_id is None else holds_storage.by_id(tx, order.hold_id)
    if held is not None and not held.is_open:
        held = None
    price, due = order.price_kopecks, order.price_kopecks
    if held is not None:
        price, due = held.total_kopecks, price_in_money(order, held, rt.programme_of(tx, held.rules_version))
    free = account.balances["available"] + (held.points if held is not None else 0)
    found = holds.quoted(rt, member, whole_sum(min(price, KOPECKS_MAX)), balance=free, redeem=0, at=rt.now())
    return {"allowed": found.checkout.spending.max_points, "total": _roubles(due), "accrued": earned}


def _push_links(
    rt: Runtime, crm: AmoCrm, found: Sequence[Order], ids: dict[str, int], hold: Callable[[], None]
) -> None:
    """Where points are reserved the buyer gets a link for the lower price. Raises LinkDelayed while the bank is away;
    NotYet, or Refused for several deals, when it makes none."""
    try:
        made = payment_links.for_deals(rt, found, hold)
    except Denied as denied:
        text = (
            f"Ссылка на оплату не создана: {denied.detail or denied.title}. {denied.details.get('hint', denied.hint)}"
        )
        if isinstance(denied, BankAway):
            raise LinkDelayed(text) from denied
        if len(found) > 1:  # one deal is the reason: each is worked alone then
            raise Refused(text, status=denied.status) from denied
        raise NotYet(text) from denied
    with rt.db.begin() as tx:
        fresh = list(orders.by_ids(tx, made).values())
    _push(rt, crm, fresh, ids, hold)


def _push(rt: Runtime, crm: AmoCrm, found: Sequence[Order], ids: dict[str, int], hold: Callable[[], None]) -> None:
    with rt.db.begin() as tx:
        wanted = {order.id: _by_id(ids, wanted_fields(tx, rt, order)) for order in found}
    changes = {}
    for order in found:
        pushed = order.pushed_fields
        values = {
            int(field_id): value
            for field_id, value in wanted[order.id].items()
            if pushed is None or field_id not in pushed or pushed[field_id] != value
        }
        if values:
            changes[order.id] = DealChange(order.deal, values)
    changed = [order for order in found if order.id in changes]
    if changed:
        with rt.db.begin() as tx:
            for order in changed:
                deal_marks.save_pushed(tx, order.id, None)
        hold()
        try:
            with written_once():
                crm.update_deals(list(changes.values()))
        except Refused as failure:  # a field was deleted in the CRM: the next attempt looks them up
            rt.directory.put(LEAD_DIRECTORY_NAME, {})
            if failure.retryable or len(changed) > 1:
                raise
            raise NotYet(f"amoCRM не принимает поля сделки: {failure}") from failure
        rt.failpoints.reach("deal.after_fields")
    with rt.db.begin() as tx:
        for order in changed:
            deal_marks.save_pushed(tx, order.id, dict(wanted[order.id]))


def _tell(rt: Runtime, crm: AmoCrm, found: Sequence[Order], hold: Callable[[], None]) -> None:
    """The answer in the feed, at most once: it is marked as told before it is written, because amoCRM keeps no
    idempotency keys and the fields say the same."""
    unsaid = [order for order in found if order.redeem_answer and order.redeem_answer != order.noted_hold]
    silent = [order for order in found if not order.redeem_answer and order.noted_hold]
    if not unsaid and not silent:
        return
    hold()
    with rt.db.begin() as tx:
        for order in (*unsaid, *silent):
            deal_marks.save_noted_hold(tx, order.id, order.redeem_answer)
    if unsaid and rt.crm_names.note_to_feed:
        crm.add_notes([NoteDraft(order.deal, f"{rt.programme.name}. {order.redeem_answer}") for order in unsaid])


def _by_id(ids: dict[str, int], values: dict[str, FieldValue]) -> dict[str, FieldValue]:
    """By the CRM's field: one that is new, or was made anew, has been told nothing."""
    return {str(ids[key]): value for key, value in values.items() if key in ids}


def _roubles(kopecks: int) -> FieldValue:
    whole, rest = divmod(kopecks, 100)
    return whole if rest == 0 else f"{whole}.{rest:02}"
