"""CloudPayments: the JSON API behind Basic auth. Its notifications are `cloudpayments_notices`.

Implements the acquirers reference section 4.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g, request

from simulator import bank as payments
from simulator import cloudpayments_notices as notices
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, number_id, the_bank
from simulator.cloudpayments_notices import NAME, account, data
from simulator.shops import CloudPaymentsShop
from simulator.store import Record
from simulator.wire import in_utc, is_basic, kopecks, lead_of

KEEP_ANSWERS_S = 3600
PAGE = 100
PAYMENT, REFUND = 0, 1
STATUSES = {
    "new": (1, "AwaitingAuthentication"),
    "authorized": (2, "Authorized"),
    "captured": (3, "Completed"),
    "canceled": (4, "Cancelled"),
    "rejected": (5, "Declined"),
}

bp = Blueprint(NAME, __name__)


class Refusal(Exception):
    """Success false with a Message."""


@bp.errorhandler(Refusal)
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
    g.cloudpayments_key = f"{request.path}:{key}"
    kept = bank.store.table("cloudpayments answers").get(g.cloudpayments_key)
    return plain(kept["body"]) if kept and kept["at"] > bank.clock.now() - KEEP_ANSWERS_S else None


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
        rows = [row for row in _transactions(bank) if str(row["TransactionId"]) == number]
    return _told(rows)


@bp.post("/v2/payments/find")
def find() -> Response:
    """The last operation of an order, refunds included."""
    bank, order_id = the_bank(), str(_asked().get("InvoiceId", ""))
    with bank.store.lock:
        rows = [row for row in _transactions(bank) if order_id and row["InvoiceId"] == order_id]
    return _told(rows)


@bp.post("/v2/payments/list")
def list_transactions() -> Response:
    """Operations of a period, refunds among them."""
    bank, asked = the_bank(), _asked()
    statuses = asked.get("Statuses") or [name for _code, name in STATUSES.values()]
    with bank.store.lock:
        rows = [row for row in _transactions(bank) if row["Status"] in statuses]
    return _page(asked, rows, "CreatedDate")


@bp.post("/chargebacks/list")
def list_claims() -> Response:
    """Claims, and after a won dispute their withdrawal."""
    bank, asked = the_bank(), _asked()
    with bank.store.lock:
        disputes = [(payment, row) for payment in bank.payments_of(NAME) for row in payment["disputes"]]
        rows = [_claim(payment, row, "Presentment", row["created_at"]) for payment, row in disputes]
        won = [(payment, row) for payment, row in disputes if row["state"] == "won"]
        rows += [_claim(payment, row, "Representment", row["closed_at"]) for payment, row in won]
    return _page(asked, rows, "Date")


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


@bp.post("/orders/create")
def create_order() -> Response:
    """An invoice with a link; the payer pays it on the bank's own page."""
    bank, asked = the_bank(), _asked()
    amount, order_id, own = _sum(asked), str(asked.get("InvoiceId") or ""), asked.get("JsonData") or {}
    with bank.store.lock:
        payment = payments.create(
            bank,
            NAME,
            amount,
            order_id=order_id,
            lead_id=lead_of(order_id),
            two_stage=bool(asked.get("RequireConfirmation")),
            description=str(asked.get("Description", "")),
            metadata=json.loads(own) if isinstance(own, str) else own,
            payer={"email": asked.get("Email"), "phone": asked.get("Phone"), "account": asked.get("AccountId")},
        )
    model = {key: asked.get(key) for key in ("Email", "Phone", "Description", "RequireConfirmation")}
    model |= {"Id": payment["id"], "Number": int(payment["id"]), "Amount": amount / 100, "Currency": "RUB"}
    model |= {"Url": f"{request.host_url}pay/{payment['id']}", "StatusCode": 0, "Status": "Created"}
    return plain({"Model": model, "Success": True, "Message": None})


def _asked() -> Json:
    asked: Any = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    if not isinstance(asked, dict):
        raise Refusal("Invalid request")
    return asked


def _sum(asked: Json) -> int:
    try:
        return kopecks(asked.get("Amount"))
    except ValueError as wrong:
        raise Refusal("Amount is invalid") from wrong


def _found(bank: Bank, asked: Json) -> Record:
    payment = bank.payments().get(str(asked.get("TransactionId", "")))
    if payment is None or payment["acquirer"] != NAME:
        raise Refusal("Transaction not found")
    return payment


def _told(rows: list[Json]) -> Response:
    """The last of the rows. A declined payment is told with Success false."""
    if not rows:
        return plain({"Success": False, "Message": "Not found"})
    return plain({"Model": rows[-1], "Success": rows[-1]["Status"] != "Declined", "Message": None})


def _page(asked: Json, rows: list[Json], key: str) -> Response:
    """Rows of a period by their date, oldest first, 100 on a page."""
    try:
        since, until = (_millis(asked.get(edge)) for edge in ("CreatedDateGte", "CreatedDateLte"))
        skip = (int(asked.get("PageNumber", 0)) - 1) * PAGE
    except ValueError as wrong:
        raise Refusal("Invalid period") from wrong
    if skip < 0:
        raise Refusal("PageNumber is invalid")
    found = [row for row in rows if since <= int(row[key][6:-2]) <= until]
    found.sort(key=lambda row: int(row[key][6:-2]))
    return plain({"Model": found[skip : skip + PAGE], "Success": True, "Message": None})


def _transactions(bank: Bank) -> list[Json]:
    """Payments and their refunds, each as a transaction, in the order of their numbers."""
    rows = []
    for payment in bank.payments_of(NAME):
        rows.append(_payment(bank, payment))
        rows.extend(_refund(bank, payment, row) for row in payment["refunds"])
    return sorted(rows, key=lambda row: int(row["TransactionId"]))


def _payment(bank: Bank, payment: Record) -> Json:
    code, status = STATUSES[payment["status"]]
    declined = {"Reason": notices.REASON["Reason"], "ReasonCode": int(notices.REASON["ReasonCode"])}
    return {
        **_transaction(bank, payment, payment["captured"] or payment["amount"], payment["created_at"]),
        **notices.CARD,
        "TransactionId": int(payment["id"]),
        "ConfirmDate": None if payment["captured_at"] is None else _date(payment["captured_at"]),
        "Status": status,
        "StatusCode": code,
        "Refunded": payment["refunded"] > 0,
        "Name": payment["payer"].get("name"),
        **(declined if payment["status"] == "rejected" else {}),
    }


def _refund(bank: Bank, payment: Record, row: Record) -> Json:
    own = {"TransactionId": int(row["id"]), "OriginalTransactionId": int(payment["id"]), "Type": REFUND}
    return {**_transaction(bank, payment, row["amount"], row["created_at"]), **own}


def _transaction(bank: Bank, payment: Record, amount: int, at: float) -> Json:
    """A finished operation of an order."""
    shop: CloudPaymentsShop = bank.shop(NAME)
    code, status = STATUSES["captured"]
    return {
        "PublicId": shop.public_id,
        "OriginalTransactionId": None,
        "Type": PAYMENT,
        "Amount": amount / 100,
        "Currency": "RUB",
        "PaymentAmount": amount / 100,
        "PaymentCurrency": "RUB",
        "InvoiceId": payment["order_id"],
        "AccountId": account(payment),
        "Email": payment["payer"].get("email"),
        "Description": payment["description"],
        "JsonData": data(payment),
        "CreatedDate": _date(at),
        "CreatedDateIso": f"{in_utc(at):%Y-%m-%dT%H:%M:%S}",
        "ConfirmDate": _date(at),
        "TestMode": shop.test,
        "Status": status,
        "StatusCode": code,
        "Reason": "Approved",
        "ReasonCode": 0,
        "Refunded": False,
        "TotalFee": 0,
    }


def _claim(payment: Record, row: Record, operation: str, at: float) -> Json:
    return {
        "ChargeBackId": row["id"],
        "TransactionId": int(payment["id"]),
        "Amount": row["amount"] / 100,
        "Currency": "RUB",
        "Type": "Chargeback",
        "Operation": operation,
        "Card": "411111*******1111",
        "Gateway": "Test",
        "Date": _date(at),
    }


def _date(at: float) -> str:
    return f"/Date({int(at * 1000)})/"


def _millis(text: object) -> int:
    """Raises ValueError."""
    at = datetime.fromisoformat(str(text))
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


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
