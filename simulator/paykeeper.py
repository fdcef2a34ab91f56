"""PayKeeper: notifications with an md5 key, the JSON API behind Basic auth.

Implements the acquirers reference section 8. Holds notify nobody until they are captured; refunds never do.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from flask import Blueprint, Response, request

from simulator import bank as payments
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, number_or_uuid, the_bank
from simulator.deliveries import Policy
from simulator.shops import PayKeeperShop
from simulator.store import Record
from simulator.wire import FORM, in_moscow, is_basic, kopecks, php_form, roubles, same

NAME = "paykeeper"
TIMEOUT_S = 30.0
# Third parties tell of about fifty tries, one a minute.
GAP_S, TRIES = 60.0, 50
SYSTEM_ID = "120"
PAGE = 100
STATUSES = {"new": "pending", "authorized": "pending", "canceled": "canceled", "rejected": "failed"}
# Money is there in all three; they tell what came of the notification.
DELIVERED = {"waiting": "obtained", "accepted": "success", "gave_up": "stuck"}

bp = Blueprint(NAME, __name__)


class Refusal(Exception):
    """`{"result": "fail", "msg": …}`."""


def key(told: dict[str, str], secret: str) -> str:
    """What signs a notification."""
    return _md5(told["id"] + told["sum"] + told["clientid"] + told["orderid"] + secret)


def policies(_bank: Bank) -> dict[str, Policy]:
    """The exact reply is the delivery's `ack`."""
    return {
        NAME: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: status == 200,
            gap_s=lambda tries, _status: GAP_S if tries < TRIES else None,
        )
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """Accepted payments only."""
    return [_notification(bank, payment, was_held="authorized" not in events)] if "captured" in events else []


def answered(_bank: Bank, payment: Record, delivery: Record) -> None:
    """The payment's status shows what became of its notification."""
    if payment.get("told") != "accepted":
        payment["told"] = delivery["state"]
    payment["repeats"] = max(int(payment.get("repeats", 0)), len(delivery["attempts"]))


@bp.errorhandler(Refusal)
@bp.errorhandler(PaymentError)
def refused(problem: Exception) -> Response:
    return plain({"result": "fail", "msg": str(problem)})


@bp.before_request
def authenticate() -> Response | None:
    """Basic auth; what changes something also needs the token."""
    bank = the_bank()
    shop: PayKeeperShop = bank.shop(NAME)
    if not is_basic(shop.login, shop.password):
        return Response("Unauthorized", status=401, headers={"WWW-Authenticate": 'Basic realm="PayKeeper"'})
    if request.method == "POST" and not same(request.form.get("token", ""), _token(shop)):
        raise Refusal("Неверный токен безопасности")
    return None


@bp.get("/info/settings/token/")
def token() -> Response:
    return plain({"token": _token(the_bank().shop(NAME))})


@bp.get("/info/payments/byid/")
def by_id() -> Response:
    bank = the_bank()
    with bank.store.lock:
        return plain([_shown(_found(bank, request.args.get("id", "")))])


@bp.get("/info/payments/bydate/")
def by_date() -> Response:
    """Payments that began in a period of Moscow's days, both ends included."""
    bank, args = the_bank(), request.args
    try:
        start, end = (datetime.strptime(args.get(edge, ""), "%Y-%m-%d").date() for edge in ("start", "end"))  # noqa: DTZ007 - a day has no zone
        limit, skip = int(args.get("limit", PAGE)), int(args.get("from", 0))
    except ValueError as wrong:
        raise Refusal("Неверный формат даты") from wrong
    wanted = args.getlist("status[]")
    with bank.store.lock:
        rows = [row for row in bank.payments_of(NAME) if start <= in_moscow(row["created_at"]).date() <= end]
        shown = [_shown(row) for row in rows]
    return plain([row for row in shown if not wanted or row["status"] in wanted][skip : skip + limit])


@bp.post("/change/payment/reverse/")
def reverse() -> Response:
    """Gives money back; `partial` says whether a part is meant."""
    bank = the_bank()
    with bank.store.lock:
        payment = _found(bank, request.form.get("id", ""))
        try:
            amount = kopecks(request.form.get("amount"))
        except ValueError as wrong:
            raise Refusal("Неверная сумма") from wrong
        if payment["status"] == "authorized":
            payments.cancel(bank, payment)
        else:
            payments.refund(bank, payment, amount)
    return plain({"result": "success"})


@bp.post("/change/payment/capture/")
def capture() -> Response:
    bank = the_bank()
    with bank.store.lock:
        payments.capture(bank, _found(bank, request.form.get("id", "")))
    return plain({"result": "success"})


def _notification(bank: Bank, payment: Record, *, was_held: bool) -> Record:
    shop: PayKeeperShop = bank.shop(NAME)
    payer = payment["payer"]
    told = {
        "id": payment["id"],
        "sum": roubles(payment["captured"]),
        "clientid": str(payer.get("name") or ""),
        "orderid": payment["order_id"],
    }
    told["key"] = key(told, shop.secret)
    told |= {
        "service_name": payment["description"],
        "client_email": str(payer.get("email") or ""),
        "client_phone": str(payer.get("phone") or ""),
        "ps_id": SYSTEM_ID,
    }
    if was_held:
        told["batch_date"] = _stamp(payment["captured_at"])
    return {
        "policy": NAME,
        "url": payment["notify_url"] or bank.callback_url(NAME),
        "content_type": FORM,
        "body": php_form(list(told.items())),
        "ack": f"OK {_md5(payment['id'] + shop.secret)}",
        "event": "payment",
    }


def _shown(payment: Record) -> Json:
    """The API writes every number as text."""
    captured_at = payment["captured_at"]
    status = _status(payment)
    return {
        "id": payment["id"],
        "pay_amount": roubles(payment["captured"] or payment["amount"]),
        "refund_amount": roubles(payment["refunded"]),
        "clientid": payment["payer"].get("name") or "",
        "orderid": payment["order_id"],
        "payment_system_id": SYSTEM_ID,
        "unique_id": payment["id"].zfill(12),
        "status": status,
        "repeat_counter": str(payment.get("repeats", 0)),
        "pending_datetime": _stamp(payment["created_at"]),
        "obtain_datetime": None if captured_at is None else _stamp(captured_at),
        "success_datetime": _stamp(captured_at) if status == "success" else None,
    }


def _status(payment: Record) -> str:
    if payment["refunded"]:
        return "refunded" if payment["refunded"] == payment["captured"] else "partially_refunded"
    return STATUSES.get(payment["status"]) or DELIVERED.get(payment.get("told", "waiting"), "obtained")


def _found(bank: Bank, payment_id: str) -> Record:
    payment = bank.payments().get(payment_id)
    if payment is None or payment["acquirer"] != NAME:
        raise Refusal("Платеж не найден")
    return payment


def _token(shop: PayKeeperShop) -> str:
    return _md5(f"token:{shop.login}:{shop.password}")


def _stamp(at: float) -> str:
    return f"{in_moscow(at):%Y-%m-%d %H:%M:%S}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


PROVIDER = Provider(
    name=NAME,
    title="PayKeeper",
    notify=notifications,
    policies=policies,
    new_id=number_or_uuid,
    blueprint=bp,
    api=("/info/", "/change/"),
    answered=answered,
)
