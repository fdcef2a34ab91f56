"""The demo's shops at the nine acquirers: their credentials as the product, the simulated bank and programs see them.

Owns which credential lies under which of the demo's keys. Knows neither formats nor signatures.
"""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING

from config.programme import check_programme

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SECRET_BYTES = 24
CERTIFICATE = "ROBOKASSA_RESULT2_CERTIFICATE"
CERTIFICATE_PATH = "/sim/certificates/robokassa.pem"

# By acquirer: its credentials, named as in the rules file, and under which key of the demo each is kept.
ACCOUNTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "tbank": {"terminal": "terminal", "password": "password"},
        "yookassa": {"shop_id": "shop_id", "secret": "shop_secret"},
        **{
            name: {credential: f"{name}_{credential}" for credential in credentials}
            for name, credentials in (
                ("cloudpayments", ("public_id", "secret")),
                ("robokassa", ("login", "password2", "test_password2")),
                ("sber", ("login", "password", "token", "callback_key")),
                ("alfabank", ("login", "password", "token", "callback_key")),
                ("prodamus", ("secret",)),
                ("paykeeper", ("secret", "login", "password")),
                ("stripe", ("webhook_secret", "secret_key")),
            )
        },
    }
)
# What signs a callback, where the acquirer does not call it `secret`.
SIGNED_WITH = MappingProxyType(
    {
        "tbank": "password",
        "robokassa": "password2",
        "sber": "callback_key",
        "alfabank": "callback_key",
        "stripe": "webhook_secret",
    }
)
# Names that a shop has anyway; every other key is made by chance.
OPEN_KEYS = MappingProxyType(
    {
        "terminal": "1700000000000DEMO",
        "shop_id": "100500",
        "cloudpayments_public_id": "pk_sportgory",
        "robokassa_login": "sportgory",
        "sber_login": "sportgory-sber-api",
        "alfabank_login": "sportgory-alfa-api",
        "paykeeper_login": "sportgory",
    }
)
PREFIXES = MappingProxyType(
    {"shop_secret": "test_", "stripe_webhook_secret": "whsec_", "stripe_secret_key": "rk_demo_"}
)


def new_keys() -> dict[str, str]:
    """Keys of all nine accounts."""
    names = [key for credentials in ACCOUNTS.values() for key in credentials.values()]
    return {name: OPEN_KEYS.get(name) or PREFIXES.get(name, "") + secrets.token_urlsafe(SECRET_BYTES) for name in names}


def environment(keys: Mapping[str, str]) -> dict[str, str]:
    """The variables that a rules file names: `env:TBANK_TERMINAL` and its fellows."""
    return {f"{name}_{one}".upper(): value for name in ACCOUNTS for one, value in _account(keys, name).items()}


def addresses(bank_url: str) -> dict[str, str]:
    """The simulated bank instead of the real ones' API."""
    return {f"{name.upper()}_API_URL": bank_url for name in ACCOUNTS}


def named(programme: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    """The acquirers of a rules file; all of them if the file is wrong, which the product's start will explain."""
    found = check_programme(programme, env).programme_file
    return tuple(ACCOUNTS) if found is None else tuple(one.provider for one in found.acquirers)


def simulated(keys: Mapping[str, str], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The cabinets at the simulated bank, which offers a buyer only those that are told to it."""
    return {name: _account(keys, name) for name in names}


def contract(keys: Mapping[str, str], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """For programs. `secret` is what signs, whatever the acquirer's own word for it."""
    told = {}
    for name in names:
        account = _account(keys, name)
        told[name] = {**account, "secret": account[SIGNED_WITH.get(name, "secret")]}
    return told


def _account(keys: Mapping[str, str], name: str) -> dict[str, str]:
    return {credential: keys[key] for credential, key in ACCOUNTS[name].items()}
