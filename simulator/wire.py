"""How acquirers write things down: roubles, dates, forms in the dialects of .NET, PHP and Java, Basic auth.

Owns no state and knows no acquirer by name.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import quote_plus, urlsplit

from flask import request

from simulator.field_values import MOSCOW
from simulator.store import Record

FORM = "application/x-www-form-urlencoded"
Pairs = list[tuple[str, str]]
ESCAPE = re.compile("%[0-9A-F]{2}")


def roubles(kopecks: int, places: int = 2) -> str:
    """990.00"""
    return f"{Decimal(kopecks) / 100:.{places}f}"


def kopecks(text: object) -> int:
    """From roubles. Raises ValueError for what is no positive sum of whole kopecks."""
    try:
        amount = Decimal(str(text)) * 100
    except InvalidOperation as wrong:
        raise ValueError(f"не сумма: {text}") from wrong
    if not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise ValueError(f"не сумма: {text}")
    return int(amount)


def dotnet_form(pairs: Pairs) -> str:
    """As HttpUtility.UrlEncode writes: lower-case escapes."""
    encoded = _form(pairs, safe="-_.!*()", tilde="%7E")
    return ESCAPE.sub(lambda found: found[0].lower(), encoded)


def php_form(pairs: Pairs) -> str:
    """As http_build_query writes."""
    return _form(pairs, safe="-_.", tilde="%7E")


def java_form(pairs: Pairs) -> str:
    """As URLEncoder writes."""
    return _form(pairs, safe="-_.*", tilde="%7E")


def form_callback(method: str, url: str, form: str) -> Record:
    """The part of a delivery that depends on GET or POST. An empty `url` stays empty."""
    if method == "GET" and url:
        return {"method": "GET", "url": f"{url}{'&' if '?' in url else '?'}{form}", "body": "", "content_type": FORM}
    return {"method": "POST", "url": url, "body": form, "content_type": FORM}


def is_basic(user: str, password: str) -> bool:
    """Whether the request carries these Basic credentials."""
    auth = request.authorization
    given = (auth.username or "", auth.password or "") if auth is not None and auth.type == "basic" else ("", "")
    return all([same(one, other) for one, other in zip(given, (user, password), strict=True)])


def same(one: str, other: str) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(one.encode(), other.encode())


def is_address(url: object) -> bool:
    """Whether a browser may be sent there."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def in_utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def in_moscow(at: float) -> datetime:
    return datetime.fromtimestamp(at, MOSCOW)


def lead_of(order_id: str) -> int | None:
    """The deal in an order id of the form L{deal}-{attempt}."""
    deal, dash, attempt = order_id.removeprefix("L").partition("-")
    return int(deal) if order_id.startswith("L") and dash and deal.isdecimal() and attempt.isdecimal() else None


def _form(pairs: Pairs, *, safe: str, tilde: str) -> str:
    words = (f"{quote_plus(name, safe)}={quote_plus(value, safe)}" for name, value in pairs)
    return "&".join(words).replace("~", tilde)
