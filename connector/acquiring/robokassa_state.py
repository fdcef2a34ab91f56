"""Robokassa's OpStateExt: what its XML says of an invoice.

Owns the reading of that answer and the limits on it: acquirers reference, section 5. Asks nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

from connector.acquiring.base import MAX_BODY_BYTES
from connector.acquiring.reading import instant
from connector.errors import BadReply, NeedsReauth, ServerFailed
from connector.money import kopecks_from_roubles
from loyalty.events import PaymentStatus

WHAT = "Robokassa OpStateExt"
ROUTE = "/Merchant/WebService/Service.asmx/OpStateExt"
MAX_SHOP_FIELDS = 100
_KNOWN, _UNKNOWN = "0", "3"
# None: nothing has come of it yet. 50: the buyer has paid, the shop is being credited; that counts. 60: the shop was
# not credited, the buyer has his money back. Refunds of a paid invoice (100) leave no trace here.
_STATES: dict[str, PaymentStatus | None] = {
    "5": None,
    "10": "failed",
    "20": "authorised",
    "50": "captured",
    "60": "refunded",
    "80": None,
    "100": "captured",
}


@dataclass(frozen=True)
class InvoiceState:
    """`status` is None while the payment is under way, `shop_fields` are the shop's own Shp_…"""

    status: PaymentStatus | None
    captured_kopecks: int
    changed_at: datetime | None
    shop_fields: dict[str, str]


def read_state(body: bytes) -> InvoiceState | None:
    """None if the shop has no such invoice. Raises NeedsReauth, ServerFailed, BadReply."""
    root = _root(body)
    result, code = _text(root, "Result/Code"), _text(root, "State/Code")
    if result == _UNKNOWN:
        return None
    if result in ("1", "2"):
        raise NeedsReauth(f"{WHAT}: the login, the password or the algorithm is not accepted")
    if result == "1000":
        raise ServerFailed(f"{WHAT}: internal error")
    if result != _KNOWN or code not in _STATES:
        raise BadReply(f"{WHAT}: neither a state nor a reason why not")
    status = _STATES[code]
    kopecks = kopecks_from_roubles(_text(root, "Info/OutSum")) if status == "captured" else 0
    own = root.findall("UserField/Field")[:MAX_SHOP_FIELDS]
    shop_fields = {_text(field, "Name"): _text(field, "Value") for field in own}
    return InvoiceState(status, kopecks, instant(_text(root, "State/StateDate")), shop_fields)


def _root(body: bytes) -> ET.Element:
    """Names without their namespaces. A document type is refused unread: with it come entities, and with them answers
    that grow without end."""
    root = None
    try:
        text = body.decode("utf-8-sig") if len(body) <= MAX_BODY_BYTES else ""
        if "<!DOCTYPE" not in text and "<!ENTITY" not in text:
            root = ET.fromstring(text)  # noqa: S314
    except (ValueError, ET.ParseError):
        root = None
    if root is None:
        raise BadReply(f"{WHAT}: the answer is not plain XML")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
