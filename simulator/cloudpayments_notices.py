"""CloudPayments' notifications: what each kind says and how it is signed.

Implements the acquirers reference section 4. Money is roubles with two digits; a refund is a transaction of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import unquote_plus

from simulator import bank as payments
from simulator.bank_world import Bank
from simulator.deliveries import Policy
from simulator.shops import CloudPaymentsShop
from simulator.store import Record
from simulator.wire import Pairs, dotnet_form, form_callback, in_utc, roubles

NAME, POLICY, CHECK = "cloudpayments", "cloudpayments", "cloudpayments check"
SENDER_IP = "87.251.91.164"
TIMEOUT_S = 30.0
GAPS_S = (60.0, 120.0, 300.0, 600.0)
LONGEST_GAP_S = 1800.0
TRIES = 100
REASON = {"Reason": "InsufficientFunds", "ReasonCode": "5051"}
CARD = {"CardFirstSix": "411111", "CardLastFour": "1111", "CardType": "Visa", "CardExpDate": "12/29"}


def signature(message: str, secret: str) -> str:
    """HMAC-SHA256 in base64, of a message as it is sent or as it reads decoded."""
    return base64.b64encode(hmac.digest(secret.encode(), message.encode(), hashlib.sha256)).decode()


def policies(_bank: Bank) -> dict[str, Policy]:
    """A hundred tries of everything but Check, which has one: no answer declines the payment."""
    return {
        POLICY: Policy(timeout_s=TIMEOUT_S, accepts=_accepts, gap_s=_gap_s),
        CHECK: Policy(timeout_s=TIMEOUT_S, accepts=_accepts, gap_s=lambda _tries, _status: None),
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """One notification of a step: the Pay of a one-stage payment says that the money is taken."""
    event = events[-1]
    if event == "refunded":
        return [_notification(bank, "refund", _refund(payment, payment["refunds"][-1]))]
    if event == "canceled":
        return [_notification(bank, "cancel", _cancel(bank, payment))] if payment["held"] else []
    kinds = {"authorized": "pay", "captured": "pay" if "authorized" in events else "confirm", "rejected": "fail"}
    return [_notification(bank, kinds[event], _payment(bank, payment, kinds[event]))] if event in kinds else []


def ask(bank: Bank, payment: Record) -> list[Record]:
    """Check, if the shop has it switched on."""
    if not bank.shop(NAME).check:
        return []
    return [{**_notification(bank, "check", _payment(bank, payment, "check")), "policy": CHECK, "once": True}]


def answered(bank: Bank, payment: Record, delivery: Record) -> None:
    """The shop's word on a Check decides about the payment."""
    if delivery["event"] == "check" and payment["status"] == "new":
        (payments.authorize if delivery["state"] == "accepted" else payments.reject)(bank, payment)


def account(payment: Record) -> str:
    """AccountId: how the shop knows the payer."""
    payer = payment["payer"]
    return str(payer.get("account") or payer.get("phone") or payer.get("email") or "")


def data(payment: Record) -> str:
    """The shop's own data of a payment, as JSON inside a field."""
    return json.dumps(payment["metadata"], ensure_ascii=False) if payment["metadata"] else ""


def _payment(bank: Bank, payment: Record, kind: str) -> Pairs:
    """In the order of a real notification (vector pay_completed_content_hmac); newer fields at the end."""
    shop: CloudPaymentsShop = bank.shop(NAME)
    amount = roubles(payment["captured"] if kind == "confirm" else payment["amount"])
    taken = "Authorized" if payment["two_stage"] and kind != "confirm" else "Completed"
    fields = {
        "TransactionId": payment["id"],
        "Amount": amount,
        "Currency": "RUB",
        "PaymentAmount": amount,
        "PaymentCurrency": "RUB",
        **_order(payment),
        "SubscriptionId": "",
        "Name": payment["payer"].get("name") or "",
        "DateTime": _stamp(payment["created_at"]),
        "IpAddress": "127.0.0.1",
        "IpCountry": "RU",
        "IpCity": "Санкт-Петербург",
        **CARD,
        "Issuer": "",
        "IssuerBankCountry": "RU",
        "Description": payment["description"],
        **({"AuthCode": "A1B2C3", "Token": f"tk_{payment['id']}"} if kind in ("pay", "confirm") else {}),
        "TestMode": str(int(shop.test)),
        **(REASON if kind == "fail" else {"Status": taken}),
        "OperationType": "Payment",
        "GatewayName": "Test",
        "Data": data(payment),
        "TotalFee": "0.00",
        "VatAboveTotalFee": "0.00",
    }
    return list(fields.items())


def _refund(payment: Record, row: Record) -> Pairs:
    fields = {
        "TransactionId": row["id"],
        "PaymentTransactionId": payment["id"],
        "Amount": roubles(row["amount"]),
        "DateTime": _stamp(row["created_at"]),
        "OperationType": "Refund",
        **_order(payment),
        "Data": data(payment),
        "Rrn": "",
    }
    return list(fields.items())


def _cancel(bank: Bank, payment: Record) -> Pairs:
    fields = {
        "TransactionId": payment["id"],
        "Amount": roubles(payment["amount"]),
        "DateTime": _stamp(bank.clock.now()),
        **_order(payment),
        "Data": data(payment),
        "Rrn": "",
    }
    return list(fields.items())


def _order(payment: Record) -> dict[str, str]:
    email = payment["payer"].get("email") or ""
    return {"InvoiceId": payment["order_id"], "AccountId": account(payment), "Email": email}


def _notification(bank: Bank, kind: str, pairs: Pairs) -> Record:
    """Both HMACs are over all that is sent: the body of a POST, the whole query of a GET."""
    shop: CloudPaymentsShop = bank.shop(NAME)
    address = bank.callback_url(NAME)
    told = form_callback(shop.method, f"{address}?type={kind}" if address else "", dotnet_form(pairs))
    message = told["body"] or told["url"].partition("?")[2]
    signatures = {
        "X-Content-HMAC": signature(unquote_plus(message), shop.secret),
        "Content-HMAC": signature(message, shop.secret),
    }
    return {**told, "policy": POLICY, "headers": {"X-Forwarded-For": SENDER_IP, **signatures}, "event": kind}


def _stamp(at: float) -> str:
    return f"{in_utc(at):%Y-%m-%d %H:%M:%S}"


def _accepts(status: int, reply: str) -> bool:
    """{"code":0}; anything else is asked again."""
    try:
        answer = json.loads(reply)
    except ValueError:
        return False
    return status == 200 and isinstance(answer, dict) and type(answer.get("code")) is int and answer["code"] == 0


def _gap_s(tries: int, _status: int) -> float | None:
    if tries >= TRIES:
        return None
    return GAPS_S[tries - 1] if tries <= len(GAPS_S) else LONGEST_GAP_S
