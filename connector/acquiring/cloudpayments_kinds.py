"""What kind of notification of CloudPayments this is.

Owns the distrust of the kind in our own address, which nobody signs. What a notification says is `cloudpayments.py`.
"""

from __future__ import annotations

import re

from connector.acquiring.forms import form_fields

KIND = re.compile(rb"(?:^|&)type=([A-Za-z]{1,16})(?:&|$)")
_ONLY_OF_A_PAYMENT = ("AuthCode", "GatewayName", "Token")


def sorted_out(raw: bytes) -> tuple[str, dict[str, str]]:
    """What a notification is, and its fields: the kind our address says, unless its signed fields speak against it."""
    kind, fields = raw.partition(b"\n")[0].decode("latin-1"), form_fields(raw.partition(b"\n")[2])
    is_payment = any(fields.get(name) for name in _ONLY_OF_A_PAYMENT)
    if fields.get("PaymentTransactionId"):
        return "refund", fields
    if fields.get("ReasonCode", "0") not in ("", "0"):
        return "fail", fields
    if "TransactionId" not in fields or (kind in ("recurrent", "receipt") and not is_payment):
        return "other", fields
    # A check looks like the payment it comes before, but for what only a bank's answer can give.
    is_check = not is_payment and "OperationType" in fields
    is_news = not is_check and fields.get("Status") in ("Authorized", "Completed")
    fits = {"check": is_check, "pay": is_news, "confirm": is_news, "cancel": not fields.get("Status")}
    return (kind if fits.get(kind) else "unclear"), fields
