"""Sber and Alfa-Bank: the REST API of the RBS platform. Their callbacks are `rbs_notices`.

Implements the acquirers reference section 6. Both banks' shops live on one server and are told apart by credentials.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from simulator import bank as payments
from simulator import rbs_notices
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError, Provider, the_bank, uuid_id
from simulator.rbs_notices import amounts
from simulator.shops import RbsShop
from simulator.store import Record
from simulator.wire import same

SBER, ALFA = "sber", "alfabank"
ORDER_STATUSES = {"CREATED": 0, "APPROVED": 1, "DEPOSITED": 2, "REVERSED": 3, "REFUNDED": 4, "DECLINED": 6}
DENIED = ("5", "Доступ запрещён")
BAD_AMOUNT = ("5", "Неверная сумма")
NO_ORDER = ("6", "Заказ не найден")
WRONG_STATE = "7"
INSUFFICIENT_FUNDS = 116

bp = Blueprint("rbs", __name__, url_prefix="/payment/rest")


class Refusal(Exception):
    """An errorCode with its errorMessage; the HTTP status stays 200."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@bp.errorhandler(Refusal)
def refused(refusal: Refusal) -> Response:
    return plain({"errorCode": refusal.code, "errorMessage": str(refusal)})


@bp.errorhandler(PaymentError)
def impossible(problem: PaymentError) -> Response:
    return refused(Refusal(WRONG_STATE, str(problem)))


@bp.post("/getOrderStatusExtended.do")
def status() -> Response:
    bank, name = _caller()
    with bank.store.lock:
        return plain(_status(bank.shop(name), _order(bank, name)))


@bp.post("/refund.do")
def refund() -> Response:
    """`amount` 0 gives back all; `externalRefundId` makes a repeat harmless."""
    bank, name = _caller()
    with bank.store.lock:
        payment = _order(bank, name)
        key, expected = request.values.get("externalRefundId"), request.values.get("expectedDepositedAmount")
        if key and any(row.get("request_id") == key for row in payment["refunds"]):
            return _done(name)
        if expected and expected != str(amounts(bank.shop(name), payment)["depositedAmount"]):
            raise Refusal(WRONG_STATE, "depositedAmount заказа другой")
        payments.refund(bank, payment, _amount() or None, request_id=key)
    return _done(name)


@bp.post("/reverse.do")
def reverse() -> Response:
    bank, name = _caller()
    with bank.store.lock:
        payment = _order(bank, name)
        if payment["status"] == "new":
            raise PaymentError("заказ не оплачен")
        payments.cancel(bank, payment)
    return _done(name)


@bp.post("/deposit.do")
def deposit() -> Response:
    bank, name = _caller()
    with bank.store.lock:
        payments.capture(bank, _order(bank, name), _amount() or None)
    return _done(name)


def _caller() -> tuple[Bank, str]:
    """The shop whose token or whose name and password this is."""
    bank, given = the_bank(), request.values
    for name in (SBER, ALFA):
        shop: RbsShop = bank.shop(name)
        if "token" in given:
            known = same(given["token"], shop.token)
        else:
            known = same(given.get("userName", ""), shop.login) and same(given.get("password", ""), shop.password)
        if known:
            return bank, name
    raise Refusal(*DENIED)


def _order(bank: Bank, name: str) -> Record:
    """By the bank's id, or by the shop's number (the newest, if a shop has used one twice)."""
    order_id, number = request.values.get("orderId"), request.values.get("orderNumber")
    for payment in reversed(bank.payments_of(name)):
        if payment["id"] == order_id if order_id else number and payment["order_id"] == number:
            return payment
    raise Refusal(*NO_ORDER)


def _amount() -> int:
    text = request.values.get("amount", "0")
    if not (text.isascii() and text.isdecimal()):
        raise Refusal(*BAD_AMOUNT)
    return int(text)


def _done(name: str) -> Response:
    """Alfa-Bank's samples have a number here, Sber's a string."""
    return plain({"errorCode": 0 if name == ALFA else "0", "errorMessage": "Успешно"})


def _status(shop: RbsShop, payment: Record) -> Json:
    """What the version of the answer in the shop's settings has; later versions only add."""
    money = amounts(shop, payment)
    is_rejected = payment["status"] == "rejected"
    shown: Json = {
        "errorCode": "0",
        "errorMessage": "Успешно",
        "orderNumber": payment["order_id"],
        "orderStatus": ORDER_STATUSES[money["paymentState"]],
        "actionCode": INSUFFICIENT_FUNDS if is_rejected else 0,
        "actionCodeDescription": "Недостаточно средств" if is_rejected else "",
        "amount": payment["amount"],
        "currency": "643",
        "date": _millis(payment["created_at"]),
        "orderDescription": payment["description"],
        "ip": "127.0.0.1",
        "merchantOrderParams": [{"name": name, "value": str(value)} for name, value in payment["metadata"].items()],
        "attributes": [{"name": "mdOrder", "value": payment["id"]}],
        "cardAuthInfo": {"maskedPan": "411111**1111", "expiration": "203412", "approvalCode": "123456"},
    }
    for since, more in _newer(shop, payment, money):
        if shop.version >= since:
            shown |= more
    return shown


def _newer(shop: RbsShop, payment: Record, money: Json) -> list[tuple[int, Json]]:
    payer, taken_at = payment["payer"], payment["captured_at"]
    refunds = [_refund(shop, row) for row in payment["refunds"]]
    return [
        (2, {"authDateTime": _millis(taken_at or payment["created_at"]), "terminalId": "123456"}),
        (3, {"paymentAmountInfo": money}),
        (5, {"refunds": refunds} if refunds else {}),
        (6, {"chargeback": payments.disputed(payment) > 0}),
        (9, {"paymentWay": "CARD"}),
        (10, {} if taken_at is None else {"depositedDate": _millis(taken_at)}),
        (12, {"refundedDate": refunds[-1]["date"]} if refunds else {}),
        (13, {"payerData": {key: payer[key] for key in ("email", "phone") if payer.get(key)}}),
    ]


def _refund(shop: RbsShop, row: Record) -> Json:
    shown = {
        "date": _millis(row["created_at"]),
        "actionCode": "0",
        "referenceNumber": f"{int(row['id'][:8], 16) % 10**12:012d}",
        "amount": row["amount"],
    }
    if shop.version >= 21 and row.get("request_id"):
        shown["externalRefundId"] = row["request_id"]
    if shop.version >= 26:
        shown["approvalCode"] = "654321"
    return shown


def _millis(at: float) -> int:
    return int(at * 1000)


def _provider(name: str, title: str) -> Provider:
    return Provider(
        name=name,
        title=title,
        notify=rbs_notices.notifications,
        policies=rbs_notices.policies,
        new_id=uuid_id,
        blueprint=bp,
        api=("/payment/rest/",),
        disputes=True,
        reverses_captured=True,
    )


PROVIDERS = (_provider(SBER, "Сбер"), _provider(ALFA, "Альфа-Банк"))
