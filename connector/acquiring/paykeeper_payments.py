"""PayKeeper's payments as its JSON API prints them, times by Moscow's clock.

Owns the reading of a row. What `refund_amount` says while a refund is still going on is not documented, so it counts
when that is done. Asking is `paykeeper.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.acquiring.base import Fetched, Ignored
from connector.acquiring.reading import matching, with_metadata
from connector.errors import BadReply, NeedsReauth
from connector.http import Reply
from connector.money import kopecks_from_roubles
from connector.replies import raise_for_status
from loyalty.events import PaymentFacts, PaymentStatus

MOSCOW = ZoneInfo("Europe/Moscow")
REF = re.compile(r"[0-9]{1,20}")
_PAID = ("obtained", "success", "stuck", "refunding", "partially_refunded", "refunded")
_KNOWN = ("pending", "canceled", "failed", *_PAID)


def answer(reply: Reply, what: str) -> list[dict[str, Any]]:
    """Payments. Who is not let in gets a page or is sent to one."""
    if reply.status in {302, 303} or (reply.status == 200 and reply.body.lstrip()[:1] == b"<"):
        raise NeedsReauth(f"{what}: the credentials are not accepted")
    raise_for_status(reply, what, is_write=False)
    found = reply.json()
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadReply(f"{what}: the answer is not a list of payments")
    return found


def told(row: Mapping[str, Any]) -> Fetched:
    """A payment as the API tells it."""
    payment, status = {**row, "id": matching(REF, str(row.get("id")), "a payment")}, str(row.get("status"))
    if status not in _KNOWN:
        raise BadReply("PayKeeper: a payment of unknown status")
    if status not in _PAID:
        return Ignored("the payment is pending") if status == "pending" else _dated(facts_of(payment, "failed"), row)
    captured = kopecks_from_roubles(payment.get("pay_amount"))
    refunded = kopecks_from_roubles(payment.get("refund_amount") or 0) if status.endswith("refunded") else 0
    facts = facts_of(payment, "refunded" if status == "refunded" else "captured", captured=captured, refunded=refunded)
    return replace(_dated(facts, row), is_whole=status != "refunding")


def _dated(facts: PaymentFacts, row: Mapping[str, Any]) -> PaymentFacts:
    """When it was paid, or begun if nothing was."""
    told = (_instant(row.get(name)) for name in ("obtain_datetime", "pay_datetime", "pending_datetime"))
    return replace(facts, occurred_at=next((at for at in told if at is not None), None))


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone stands beside
    except ValueError:
        return None
    return moment.replace(tzinfo=MOSCOW).astimezone(UTC)


def facts_of(told: Mapping[str, Any], status: PaymentStatus, *, captured: int = 0, refunded: int = 0) -> PaymentFacts:
    facts = PaymentFacts(
        acquirer="paykeeper",
        payment_ref=told["id"],
        deal_ref=None,
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        status=status,
        occurred_at=None,
        is_test=False,
        refund_is_total=status == "refunded",
    )
    order = {"order": told.get("orderid"), "phone": told.get("client_phone"), "email": told.get("client_email")}
    return with_metadata(facts, order, told.get("clientid"))
