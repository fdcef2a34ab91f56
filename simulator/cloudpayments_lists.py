"""CloudPayments' transactions and claims as its API shows them, and its lists of them: periods, zones, pages.

Implements «Выгрузка списка транзакций» and «Выгрузка списка претензий» of CloudPayments' documentation. A link that
nobody has paid is no transaction. A refund is one of its own, with the payment's number in OriginalTransactionId.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from flask import Response

from simulator import cloudpayments_notices as notices
from simulator.answers import Json, plain
from simulator.bank_world import Bank, PaymentError
from simulator.cloudpayments_notices import NAME, account, data
from simulator.shops import CloudPaymentsShop
from simulator.store import Record
from simulator.wire import in_utc

PAGE = 100
CLAIMS_PERIOD_MAX = timedelta(days=366)
PAYMENT, REFUND = 0, 1
STATUSES = {
    "authorized": (2, "Authorized"),
    "captured": (3, "Completed"),
    "canceled": (4, "Cancelled"),
    "rejected": (5, "Declined"),
}
WORDS = tuple(name for _code, name in STATUSES.values())
# Codes of the documentation's table; several places share one.
ZONES_H = {
    **{"HST": -10, "AKST": -9, "PST": -8, "MST": -7, "CST": -6, "EST": -5, "AST": -4, "BRT": -3, "UTC": 0, "GMT": 0},
    **{"CET": 1, "EET": 2, "MSK": 3, "AZT": 4, "AMT": 4, "SAMT": 4, "GET": 4, "TJT": 5, "YEKT": 5, "ALMT": 6},
    **{"NOVT": 6, "KRAT": 7, "HKT": 8, "IRKT": 8, "SGT": 8, "ULAT": 8, "YAKT": 9, "VLAT": 10, "SAKT": 11, "ANAT": 12},
}


def transactions(bank: Bank) -> list[Json]:
    """Payments and their refunds, each as a transaction, in the order of their numbers."""
    rows = []
    for payment in bank.payments_of(NAME):
        if payment["status"] in STATUSES and (payment["status"] != "canceled" or payment["held"]):
            rows.append(_payment(bank, payment))
        rows.extend(_refund(bank, payment, row) for row in payment["refunds"])
    return sorted(rows, key=lambda row: int(row["TransactionId"]))


def of_day(bank: Bank, asked: Json) -> Response:
    """/payments/list: the operations of one day of a zone."""
    try:
        start = datetime.strptime(str(asked.get("Date", "")), "%Y-%m-%d").replace(tzinfo=_zone(asked))
    except ValueError as wrong:
        raise PaymentError("Date is invalid") from wrong
    rows = _within(transactions(bank), "CreatedDate", start, start + timedelta(days=1, milliseconds=-1))
    return plain({"Model": rows, "Success": True, "Message": None})


def of_period(bank: Bank, asked: Json) -> Response:
    """/v2/payments/list: the operations of a period, refunds among them. The zone reads dates that name none."""
    statuses = asked.get("Statuses") or list(WORDS)
    if not isinstance(statuses, list) or not set(statuses) <= set(WORDS):
        raise PaymentError("Statuses is invalid")
    rows = [row for row in transactions(bank) if row["Status"] in statuses]
    return _page(asked, _within(rows, "CreatedDate", *_period(asked)))


def claims(bank: Bank, asked: Json) -> Response:
    """/chargebacks/list: claims, and after a won dispute their withdrawal; a year at most."""
    since, until = _period(asked)
    if until - since > CLAIMS_PERIOD_MAX:
        raise PaymentError("Period is longer than a year")
    disputes = [(payment, row) for payment in bank.payments_of(NAME) for row in payment["disputes"]]
    rows = [_claim(payment, row, "Presentment", row["created_at"]) for payment, row in disputes]
    won = [(payment, row) for payment, row in disputes if row["state"] == "won"]
    rows += [_claim(payment, row, "Representment", row["closed_at"]) for payment, row in won]
    return _page(asked, _within(rows, "Date", since, until))


def date(at: float) -> str:
    return f"/Date({int(at * 1000)})/"


def _within(rows: list[Json], key: str, since: datetime, until: datetime) -> list[Json]:
    """By their date, oldest first."""
    low, high = (int(edge.timestamp() * 1000) for edge in (since, until))
    found = [row for row in rows if low <= int(row[key][6:-2]) <= high]
    return sorted(found, key=lambda row: int(row[key][6:-2]))


def _period(asked: Json) -> tuple[datetime, datetime]:
    zone = _zone(asked)
    try:
        since, until = (datetime.fromisoformat(str(asked.get(f"CreatedDate{edge}"))) for edge in ("Gte", "Lte"))
    except ValueError as wrong:
        raise PaymentError("CreatedDateGte or CreatedDateLte is invalid") from wrong
    return (since if since.tzinfo else since.replace(tzinfo=zone)), (
        until if until.tzinfo else until.replace(tzinfo=zone)
    )


def _zone(asked: Json) -> timezone:
    code = str(asked.get("TimeZone") or "UTC")
    if code not in ZONES_H:
        raise PaymentError("TimeZone is invalid")
    return timezone(timedelta(hours=ZONES_H[code])) if ZONES_H[code] else UTC


def _page(asked: Json, rows: list[Json]) -> Response:
    number = asked.get("PageNumber")
    if isinstance(number, str) and number.isdecimal():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise PaymentError("PageNumber is invalid")
    return plain({"Model": rows[(number - 1) * PAGE : number * PAGE], "Success": True, "Message": None})


def _payment(bank: Bank, payment: Record) -> Json:
    code, status = STATUSES[payment["status"]]
    declined = {"Reason": notices.REASON["Reason"], "ReasonCode": int(notices.REASON["ReasonCode"])}
    return {
        **_transaction(bank, payment, payment["captured"] or payment["amount"], payment["created_at"]),
        **notices.CARD,
        "TransactionId": int(payment["id"]),
        "ConfirmDate": None if payment["captured_at"] is None else date(payment["captured_at"]),
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
    """A finished operation of an order. Dates are UTC whatever zone was asked for."""
    shop: CloudPaymentsShop = bank.shop(NAME)
    code, status = STATUSES["captured"]
    return {
        "PublicId": shop.public_id,
        "TerminalUrl": "https://shop.example",
        "OriginalTransactionId": None,
        "Type": PAYMENT,
        "Amount": amount / 100,
        "Currency": "RUB",
        "CurrencyCode": 0,
        "PaymentAmount": amount / 100,
        "PaymentCurrency": "RUB",
        "InvoiceId": payment["order_id"],
        "AccountId": account(payment),
        "Email": payment["payer"].get("email"),
        "Description": payment["description"],
        "JsonData": data(payment),
        "CreatedDate": date(at),
        "CreatedDateIso": f"{in_utc(at):%Y-%m-%dT%H:%M:%S}",
        "ConfirmDate": date(at),
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
        "TerminalUrl": "https://shop.example",
        "Amount": row["amount"] / 100,
        "Currency": "RUB",
        "Type": "Chargeback",
        "Operation": operation,
        "Card": "411111*******1111",
        "Gateway": "Test",
        "Date": date(at),
    }
