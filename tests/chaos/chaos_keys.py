"""Under which name the product must have kept a delivery: by what the senders' documents say is new and what a repeat.

Reads deliveries as the simulator shows them. Shares nothing with the product.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

Delivery = Mapping[str, Any]
_PART = re.compile(r'name="([^"]+)"\r\n\r\n(.*?)\r\n--', re.DOTALL)


def key_of(delivery: Delivery) -> tuple[str, str]:
    """Source and external id."""
    if delivery["policy"] == "amocrm":
        return "amocrm", hashlib.blake2b(delivery["body"].encode(), digest_size=20).hexdigest()
    source = urlsplit(delivery["url"]).path.rpartition("/")[2]
    return source, _KEYS[source](delivery)


def _yookassa(delivery: Delivery) -> str:
    body = delivery["body"]
    return f"{body['event']}:{body['object']['id']}:{body['object']['status']}"


def _tbank(delivery: Delivery) -> str:
    body = delivery["body"]
    return f"{body['PaymentId']}:{body['Status']}:{body['Amount']}:{'true' if body['Success'] else 'false'}"


def _cloudpayments(delivery: Delivery) -> str:
    return f"{delivery['event']}:{_form(delivery['body'])['TransactionId']}"


def _robokassa(delivery: Delivery) -> str:
    if delivery["event"] == "ResultURL":
        return _form(delivery["body"])["InvId"]
    claims = delivery["body"].split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["data"]
    return f"jws:{told['opKey']}:{told['state']}"


def _rbs(delivery: Delivery) -> str:
    told = _form(urlsplit(delivery["url"]).query)
    return f"{told['mdOrder']}:{told['operation']}:{told['status']}::{told['callbackCreationDate']}"


def _prodamus(delivery: Delivery) -> str:
    told = dict(_PART.findall(delivery["body"]))
    return f"{told['order_id']}:{told['payment_status']}:{told['attempt']}"


def _paykeeper(delivery: Delivery) -> str:
    return _form(delivery["body"])["id"]


def _stripe(delivery: Delivery) -> str:
    return str(delivery["body"]["id"])


def _form(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


_KEYS: dict[str, Callable[[Delivery], str]] = {
    "yookassa": _yookassa,
    "tbank": _tbank,
    "cloudpayments": _cloudpayments,
    "robokassa": _robokassa,
    "sber": _rbs,
    "alfabank": _rbs,
    "prodamus": _prodamus,
    "paykeeper": _paykeeper,
    "stripe": _stripe,
}
