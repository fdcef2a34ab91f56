"""Stripe's lists and single objects to read: payment intents, charges, refunds, disputes.

Newest first, pages by the last id. Implements «Pagination» and the list calls of Stripe's documentation.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request

from simulator import stripe_objects as objects
from simulator.answers import Json, plain
from simulator.bank_world import Bank, the_bank
from simulator.store import Record
from simulator.stripe_objects import NAME, Refusal

PAGE, PAGE_MAX = 10, 100
BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "created": lambda at, bound: at == bound,
    "created[gt]": lambda at, bound: at > bound,
    "created[gte]": lambda at, bound: at >= bound,
    "created[lt]": lambda at, bound: at < bound,
    "created[lte]": lambda at, bound: at <= bound,
}


def intents() -> Response:
    """GET /v1/payment_intents"""
    bank = the_bank()
    with bank.store.lock:
        return _page([_intent(bank, row, "data.latest_charge") for row in bank.payments_of(NAME)])


def intent(payment_id: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        return plain(_intent(bank, found(bank, payment_id), "latest_charge"))


def charges() -> Response:
    """GET /v1/charges. The intent and the refunds are whole only for who asks: «Expanding responses»."""
    bank = the_bank()
    with bank.store.lock:
        shown = []
        for payment in bank.payments_of(NAME):
            if objects.is_charged(payment):
                row = objects.charge(bank, payment, with_refunds=_is_expanded("data.refunds"))
                if _is_expanded("data.payment_intent"):
                    row["payment_intent"] = objects.intent(bank, payment)
                shown.append(row)
        return _page(shown)


def refunds() -> Response:
    """GET /v1/refunds"""
    bank = the_bank()
    with bank.store.lock:
        return _page(_of_payments(bank, "refunds", objects.refund))


def refund(refund_id: str) -> Response:
    return _one("refund", refund_id, "refunds", objects.refund)


def disputes() -> Response:
    """GET /v1/disputes. There is no filter by status, as there."""
    bank = the_bank()
    with bank.store.lock:
        return _page(_of_payments(bank, "disputes", objects.dispute))


def dispute(dispute_id: str) -> Response:
    return _one("dispute", dispute_id, "disputes", objects.dispute)


def found(bank: Bank, payment_id: str) -> Record:
    """Raises Refusal."""
    payment = bank.payments().get(payment_id)
    if payment is None or payment["acquirer"] != NAME:
        raise _missing("payment_intent", payment_id)
    return payment


def _one(kind: str, wanted: str, key: str, show: Callable[[Bank, Record, Record], Json]) -> Response:
    bank = the_bank()
    with bank.store.lock:
        for payment in bank.payments_of(NAME):
            for row in payment[key]:
                if row["id"] == wanted:
                    return plain(show(bank, payment, row))
    raise _missing(kind, wanted)


def _of_payments(bank: Bank, key: str, show: Callable[[Bank, Record, Record], Json]) -> list[Json]:
    """What hangs on payments, of one payment or one charge if the query names it."""
    args = request.args
    return [
        show(bank, payment, row)
        for payment in bank.payments_of(NAME)
        for row in payment[key]
        if args.get("payment_intent") in (None, payment["id"])
        and args.get("charge") in (None, objects.charge_id(payment))
    ]


def _intent(bank: Bank, payment: Record, place: str) -> Json:
    """With the charge, and the charge's refunds, if `expand[]` asks for them."""
    shown = objects.intent(bank, payment)
    if shown["latest_charge"] and _is_expanded(place):
        shown["latest_charge"] = objects.charge(bank, payment, with_refunds=_is_expanded(f"{place}.refunds"))
    return shown


def _is_expanded(place: str) -> bool:
    asked = [value for key, value in request.args.items(multi=True) if key.partition("[")[0] == "expand"]
    return any(one == place or one.startswith(f"{place}.") for one in asked)


def _page(rows: list[Json]) -> Response:
    """The rows in the order of their making are turned round; several may have been made in one second."""
    bounds = [(compare, _whole(name)) for name, compare in BOUNDS.items() if name in request.args]
    numbers = {row["id"]: place for place, row in enumerate(rows)}
    kept = [row for row in rows if all(compare(row["created"], bound) for compare, bound in bounds)]
    kept.sort(key=lambda row: (row["created"], numbers[row["id"]]), reverse=True)
    limit = _whole("limit") if "limit" in request.args else PAGE
    if not 1 <= limit <= PAGE_MAX:
        raise Refusal(400, f"Invalid limit: it must be from 1 to {PAGE_MAX}", param="limit")
    shown, has_more = _window(kept, limit)
    return plain(objects.listed(shown, request.path, has_more=has_more))


def _window(rows: list[Json], limit: int) -> tuple[list[Json], bool]:
    """The page beside the object that the query names, and whether there is more beyond it."""
    after, before = request.args.get("starting_after"), request.args.get("ending_before")
    if after and before:
        raise Refusal(400, "You may only specify one of these parameters: ending_before, starting_after.")
    ids = [row["id"] for row in rows]
    for name, wanted in (("starting_after", after), ("ending_before", before)):
        if wanted and wanted not in ids:
            raise Refusal(400, f"No such object: '{wanted}'", code="resource_missing", param=name)
    if before:
        end = ids.index(before)
        return rows[max(0, end - limit) : end], end > limit
    start = ids.index(after) + 1 if after else 0
    return rows[start : start + limit], len(rows) > start + limit


def _whole(name: str) -> int:
    text = request.args[name]
    if not (text.isascii() and text.isdecimal()):
        raise Refusal(400, f"Invalid integer: {text}", param=name)
    return int(text)


def _missing(kind: str, wanted: str) -> Refusal:
    return Refusal(404, f"No such {kind}: '{wanted}'", code="resource_missing")
