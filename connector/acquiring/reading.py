"""Readers of single foreign fields, and the proofs that several acquirers have in common.

Owns what an instant, a payer, a sender's address or a shop's own metadata may look like before it is taken for one.
Knows no acquirer; texts are told and compared as in `forms.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

from connector.acquiring.base import Check, deal_id, deal_of_order
from connector.acquiring.forms import MAX_TOLD_CHARS, is_same, told
from connector.errors import BadReply
from loyalty.events import Payer, PaymentFacts

Content = TypeVar("Content")
Networks = Sequence[IPv4Network | IPv6Network]
ORDER_NAMES = ("order", "order_id", "order_number", "orderNumber")
_PHONE = re.compile(r"\+?[0-9]{10,15}")


def compared(what_ru: str, *, expected: str, given: object, hashed: str = "") -> Check:
    """A proof that is a text. Anything else than a text, or none, is no proof."""
    text = given if isinstance(given, str) else ""
    return Check(what_ru, text != "" and is_same(text, expected), hashed, expected, text)


def tried(read: Callable[[bytes], Content], raw: bytes, *, like: str) -> tuple[Content | None, Check]:
    """What the bytes say, and the verdict on their shape; `like` shows what they should look like."""
    try:
        return read(raw), Check("вид уведомления", is_good=True)
    except BadReply:
        given = raw[:MAX_TOLD_CHARS].decode("utf-8", "replace")
        return None, Check("вид уведомления", is_good=False, expected=like, given=given)


def sent_from(senders: Networks, remote_ip: str | None) -> Check:
    is_good = is_within(remote_ip, senders)
    return Check("адрес отправителя", is_good, expected=", ".join(map(str, senders)), given=remote_ip or "")


def networks(text: str) -> Networks:
    """Addresses and networks, separated by spaces."""
    return tuple(ip_network(one) for one in text.split())


def is_within(remote_ip: str | None, senders: Networks) -> bool:
    """A dual-stack socket shows IPv4 senders as ::ffff:…; an address that cannot be read is in no network."""
    try:
        address = ip_address(remote_ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in senders)


def with_metadata(facts: PaymentFacts, metadata: object, customer: object = None) -> PaymentFacts:
    """The facts with what the shop wrote into the payment when it was made: deal, order, invoice, buyer.

    `customer` is the shop's name of its buyer, which is often his phone or e-mail."""
    content: Mapping[str, object] = metadata if isinstance(metadata, dict) else {}
    order = next((content[name] for name in ORDER_NAMES if content.get(name)), None)
    buyer = told(customer)
    return replace(
        facts,
        deal_ref=deal_id(content.get("lead_id")) or deal_of_order(order),
        order_ref=told(order),
        invoice_ref=deal_id(content.get("invoice_id")),
        payer=Payer(
            phone=told(content.get("phone")) or (buyer if _PHONE.fullmatch(buyer) else ""),
            email=told(content.get("email")) or (buyer if "@" in buyer else ""),
        ),
    )


def matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    """A text of this form. Raises BadReply."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise BadReply(f"not {what}")
    return value


def instant(value: object) -> datetime | None:
    """ISO 8601 with a zone, as UTC. Without a zone nobody knows when it was."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
