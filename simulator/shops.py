"""What a shop has in its cabinets at the acquirers: credentials, and how notifications are set up.

Owns the keys of `bank.<acquirer>` in the configuration file; `POST /sim/cabinet/<acquirer>` changes the same keys while
the bank runs. T-Bank and YooKassa have none beyond their credentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HASHES = ("md5", "ripemd160", "sha1", "sha256", "sha384", "sha512")
REFUND_STATUSES = ("", "refund", "refunded", "order_refunded")


class Shop:
    """One shop at one acquirer."""


@dataclass(frozen=True)
class CloudPaymentsShop(Shop):
    """`check` asks the shop before every payment."""

    public_id: str = "pk_simulated"
    secret: str = "simulated-api-secret"  # noqa: S105 - a toy account's
    method: str = "POST"
    check: bool = False
    test: bool = False

    def __post_init__(self) -> None:
        _one_of("method", self.method, ("GET", "POST"))


@dataclass(frozen=True)
class RobokassaShop(Shop):
    """`method` of ResultURL; `result2` says whether a ResultUrl2 is set; `test` is the shop's test mode."""

    login: str = "simulated-shop"
    password2: str = "simulated-password-2"
    test_password2: str = "simulated-test-password-2"
    algorithm: str = "md5"
    method: str = "POST"
    result2: bool = True
    test: bool = False

    def __post_init__(self) -> None:
        _one_of("method", self.method, ("GET", "POST"))
        _one_of("algorithm", self.algorithm, HASHES)


@dataclass(frozen=True)
class RbsShop(Shop):
    """`fields` are the parameters ticked for callbacks, `version` that of getOrderStatusExtended.

    Two things the documentation leaves open: `part_state` is paymentState after a refund of a part (DEPOSITED or
    REFUNDED), `deposited_shrinks` whether a refund lessens depositedAmount.
    """

    login: str = "simulated-api"
    password: str = "simulated-password"  # noqa: S105 - a toy account's
    token: str = "simulated-token"  # noqa: S105 - a toy account's
    callback_key: str = "simulated-callback-key"
    checksum: str = "hmac"
    method: str = "GET"
    fields: tuple[str, ...] = ()
    version: int = 30
    part_state: str = "REFUNDED"
    deposited_shrinks: bool = True

    def __post_init__(self) -> None:
        _one_of("method", self.method, ("GET", "POST", "JSON"))
        _one_of("checksum", self.checksum, ("hmac", "rsa", "none"))
        _one_of("part_state", self.part_state, ("DEPOSITED", "REFUNDED"))
        object.__setattr__(self, "fields", tuple(self.fields))


@dataclass(frozen=True)
class ProdamusShop(Shop):
    """`form` is multipart or urlencoded; `refund_status` is told after a refund, "" tells nothing (undocumented)."""

    secret: str = "simulated-page-secret"  # noqa: S105 - a toy account's
    domain: str = "simulated.payform.ru"
    demo: bool = False
    form: str = "multipart"
    refund_status: str = ""

    def __post_init__(self) -> None:
        _one_of("form", self.form, ("multipart", "urlencoded"))
        _one_of("refund_status", self.refund_status, REFUND_STATUSES)


@dataclass(frozen=True)
class PayKeeperShop(Shop):
    """`secret` is the word in notifications, `login` and `password` those of the JSON API."""

    secret: str = "simulated-secret-word"  # noqa: S105 - a toy account's
    login: str = "simulated-user"
    password: str = "simulated-user-password"  # noqa: S105 - a toy account's


@dataclass(frozen=True)
class StripeShop(Shop):
    """`checkout` sends checkout.session.completed too. `old_webhook_secret` signs as well while secrets are rotated."""

    webhook_secret: str = "whsec_simulated"  # noqa: S105 - a toy account's
    old_webhook_secret: str = ""
    secret_key: str = "sk_live_simulated"  # noqa: S105 - a toy account's
    currency: str = "rub"
    livemode: bool = True
    checkout: bool = False


KINDS: dict[str, type[Shop]] = {
    "cloudpayments": CloudPaymentsShop,
    "robokassa": RobokassaShop,
    "sber": RbsShop,
    "alfabank": RbsShop,
    "prodamus": ProdamusShop,
    "paykeeper": PayKeeperShop,
    "stripe": StripeShop,
}
# Two shops on one platform need different names there, or nobody could tell them apart.
USUAL: dict[str, dict[str, Any]] = {
    name: {"login": f"{name}-api", "token": f"{name}-simulated-token"} for name in ("sber", "alfabank")
}


def usual() -> dict[str, Shop]:
    """Every shop with its defaults."""
    return told({})


def told(bank: dict[str, dict[str, Any]]) -> dict[str, Shop]:
    """Every shop, with what the file says. Raises TypeError (unknown key), ValueError."""
    return {name: kind(**{**USUAL.get(name, {}), **bank.get(name, {})}) for name, kind in KINDS.items()}


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{key}: ждём одно из {', '.join(known)}")
