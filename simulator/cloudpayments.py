"""CloudPayments: the JSON API behind Basic auth.

Implements the acquirers reference section 4. Notifications are `cloudpayments_notices`, lists `cloudpayments_lists`,
links `cloudpayments_orders`.
"""

from __future__ import annotations

import random
from typing import Any

from flask import Blueprint, Response, g, request

from simulator import bank as payments
from simulator import cloudpayments_lists as lists
from simulator import cloudpayments_notices as notices
from simulator import cloudpayments_orders as orders
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, number_id, the_bank
from simulator.cloudpayments_notices import NAME
from simulator.shops import CloudPaymentsShop
from simulator.store import Record
from simulator.wire import is_basic, kopecks

KEEP_ANSWERS_S = 3600

bp = Blueprint(NAME, __name__)


@bp.errorhandler(PaymentError)
def refused(problem: Exception) -> Response:
    return plain({"Success": False, "Message": str(problem)})


@bp.before_request
def authenticate() -> Response | None:
    """Basic auth, and the answer that the same X-Request-ID got within the hour."""
    bank = the_bank()
    shop: CloudPaymentsShop = bank.shop(NAME)
    if not is_basic(shop.public_id, shop.secret):
        return Response(status=401)
    key = request.headers.get("X-Request-ID")
    if not key:
        return None
    kept = bank.store.table("cloudpayments answers").get(f"{request.path}:{key}")
    if kept and kept["at"] > bank.clock.now() - KEEP_ANSWERS_S:
        return plain(kept["body"])
    g.cloudpayments_key = f"{request.path}:{key}"
    return None


@bp.after_request
def remember(response: Response) -> Response:
    key, body = g.pop("cloudpayments_key", None), response.get_json(silent=True)
    if key and body and body["Success"]:
        bank = the_bank()
        with bank.store.lock:
            bank.store.put("cloudpayments answers", key, {"at": bank.clock.now(), "body": body})
    return response


@bp.post("/payments/get")
def get_payment() -> Response:
    bank, number = the_bank(), str(_asked().get("TransactionId", ""))
    with bank.store.lock:
        rows = [row for row in lists.transactions(bank) if str(row["TransactionId"]) == number]
    return _told(rows)


@bp.post("/v2/payments/find")
def find() -> Response:
    """The last operation of an order, refunds included."""
    bank, order_id = the_bank(), str(_asked().get("InvoiceId", ""))
    with bank.store.lock:
        rows = [row for row in lists.transactions(bank) if order_id and row["InvoiceId"] == order_id]
    return _told(rows)


@bp.post("/payments/list")
def list_day() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        return lists.of_day(bank, asked)


@bp.post("/v2/payments/list")
def list_period() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        return lists.of_period(bank, asked)


@bp.post("/chargebacks/list")
def list_claims() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        return lists.claims(bank, asked)


@bp.post("/payments/refund")
def refund() -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        row = payments.refund(bank, _found(bank, asked), _sum(asked))
    return plain({"Model": {"TransactionId": int(row["id"])}, "Success": True, "Message": None})


@bp.post("/payments/<any(confirm,void):step>")
def finish_hold(step: str) -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        payment = _found(bank, asked)
        if step == "confirm":
            payments.capture(bank, payment, _sum(asked))
        else:
            payments.cancel(bank, payment)
    return plain({"Success": True, "Message": None})


@bp.post("/orders/<any(create,cancel):step>")
def change_order(step: str) -> Response:
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        return orders.create(bank, asked) if step == "create" else orders.cancel(bank, asked)


def _asked() -> Json:
    asked: Any = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    if not isinstance(asked, dict):
        raise PaymentError("Invalid request")
    return asked


def _sum(asked: Json) -> int:
    try:
        return kopecks(asked.get("Amount"))
    except ValueError as wrong:
        raise PaymentError("Amount is invalid") from wrong


def _found(bank: Bank, asked: Json) -> Record:
    payment = bank.payments().get(str(asked.get("TransactionId", "")))
    if payment is None or payment["acquirer"] != NAME:
        raise PaymentError("Transaction not found")
    return payment


def _told(rows: list[Json]) -> Response:
    """The last of the rows. A declined payment is told with Success false."""
    if not rows:
        return plain({"Success": False, "Message": "Not found"})
    return plain({"Model": rows[-1], "Success": rows[-1]["Status"] != "Declined", "Message": None})


def _new_id(bank: Bank, kind: str) -> str:
    """Refunds are numbered with the payments; a claim has an id of its own kind."""
    number = number_id(bank, kind)
    return f"{random.Random(f'claim {number}').getrandbits(96):024x}" if kind == "dispute" else number


PROVIDER = Provider(
    name=NAME,
    title="CloudPayments",
    notify=notices.notifications,
    policies=notices.policies,
    new_id=_new_id,
    blueprint=bp,
    api=("/payments/", "/v2/payments/", "/chargebacks/", "/orders/"),
    disputes=True,
    ask=notices.ask,
    answered=notices.answered,
)
