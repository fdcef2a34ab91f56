"""What the benchmarks post: an amoCRM hook of 1.2 kB and T-Bank callbacks with a right Token, each one different.

Written from the systems' documentation and not with our connector, so that a wrong reading would show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import quote_plus

TERMINAL = "1700000000000DEMO"
TERMINAL_PASSWORD = "benchmark-terminal-password"
SUBDOMAIN = "sportgory"
ACCOUNT_ID = 28805383
KOPECKS = 499_000

_LEAD = (
    ("name", "Палатка и спальник"),
    ("status_id", "142"),
    ("old_status_id", "20067736"),
    ("price", "4990"),
    ("responsible_user_id", "2079676"),
    ("last_modified", "1772355664"),
    ("modified_user_id", "2079718"),
    ("created_user_id", "2076025"),
    ("date_create", "1772355209"),
    ("pipeline_id", "9217056"),
    ("tags][0][id", "80147"),
    ("tags][0][name", "повтор"),
    ("account_id", str(ACCOUNT_ID)),
    ("custom_fields][0][id", "66339"),
    ("custom_fields][0][name", "Источник"),
    ("custom_fields][0][values][0][value", "Сайт"),
    ("custom_fields][0][values][0][enum", "139517"),
)
_ACCOUNT = (("account[subdomain]", SUBDOMAIN), ("account[id]", str(ACCOUNT_ID)))


def hook_maker() -> Callable[[int], bytes]:
    """A number (a deal's) -> the bytes of amoCRM's «the deal's stage changed»."""
    pairs = [(f"leads[status][0][{name}]", value) for name, value in _LEAD] + list(_ACCOUNT)
    rest = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()
    return lambda number: b"leads%%5Bstatus%%5D%%5B0%%5D%%5Bid%%5D=%d&%b" % (number, rest)


def callback_maker() -> Callable[[int], bytes]:
    """A number (the payment's and the deal's) -> the bytes of T-Bank's signed «confirmed»."""
    fields = {
        "Amount": str(KOPECKS),
        "CardId": "322264",
        "ErrorCode": "0",
        "ExpDate": "0229",
        "OrderId": "L{number}-1",
        "Pan": "430000******0777",
        "Password": TERMINAL_PASSWORD,
        "PaymentId": "{number}",
        "Status": "CONFIRMED",
        "Success": "true",
        "TerminalKey": TERMINAL,
    }
    signed = "".join(fields[name] for name in sorted(fields))
    body = (
        f'{{{{"TerminalKey":"{TERMINAL}","OrderId":"L{{number}}-1","Success":true,"Status":"CONFIRMED",'
        f'"PaymentId":{{number}},"ErrorCode":"0","Amount":{KOPECKS},"CardId":322264,"Pan":"430000******0777",'
        '"ExpDate":"0229","Token":"{token}"}}'
    )

    def make(number: int) -> bytes:
        token = hashlib.sha256(signed.format(number=number).encode()).hexdigest()
        return body.format(number=number, token=token).encode()

    return make


MAKERS: dict[str, Callable[[], Callable[[int], bytes]]] = {"hook": hook_maker, "callback": callback_maker}
CONTENT_TYPES = {"hook": "application/x-www-form-urlencoded", "callback": "application/json"}
