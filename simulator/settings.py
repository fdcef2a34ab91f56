"""The configuration file of the simulator. Owns its keys and defaults; everything is optional, `{}` is a valid file.

What the bank's acquirers are set to is `shops`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator import shops


@dataclass(frozen=True)
class CrmSettings:
    """One amoCRM account with one private integration. `requests_per_second` 0 switches the limiter off; without
    `lists` the account's tariff has none, invoices among them."""

    subdomain: str = "sportgory"
    account_id: int = 28805383
    client_id: str = "11111111-2222-4333-8444-555555555555"
    client_secret: str = "simulated-client-secret"  # noqa: S105 - a toy account's
    redirect_uri: str = "http://127.0.0.1/oauth/amocrm"
    long_lived_token: str = "simulated-long-lived-token"  # noqa: S105 - a toy account's
    customers_mode: str = "segments"
    lists: bool = True
    requests_per_second: int = 7
    ban_after: int = 100
    ban_s: float = 60.0


@dataclass(frozen=True)
class BankSettings:
    """Merchant accounts of T-Bank and YooKassa, the other shops by acquirer, and the key that signs Google
    service-account assertions. `named`: the acquirers that the file names, none: all are offered to a buyer."""

    terminal: str = "1700000000000DEMO"
    password: str = "simulated-terminal-password"  # noqa: S105 - a toy account's
    shop_id: str = "100500"
    secret: str = "simulated-shop-secret"  # noqa: S105 - a toy account's
    shops: dict[str, shops.Shop] = field(default_factory=shops.usual)
    google_public_key: str = ""
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShopSettings:
    pipeline: str = "Интернет-магазин"
    paid_status: str = "Оплачен"


@dataclass
class Peers:
    """How the servers find each other; POST /sim/peers changes it while they run."""

    payments_url: str = ""
    crm_url: str = ""
    bank_url: str = ""
    mail_url: str = ""

    def update(self, values: dict[str, Any]) -> None:
        """Takes the keys it knows; `product.payments_url` may be nested as in the file."""
        product = values.get("product") or {}
        self.payments_url = str(values.get("payments_url") or product.get("payments_url") or self.payments_url)
        self.crm_url = str(values.get("crm_url") or self.crm_url).rstrip("/")
        self.bank_url = str(values.get("bank_url") or self.bank_url).rstrip("/")
        self.mail_url = str(values.get("mail_url") or self.mail_url).rstrip("/")


@dataclass(frozen=True)
class Settings:
    crm: CrmSettings = field(default_factory=CrmSettings)
    bank: BankSettings = field(default_factory=BankSettings)
    shop: ShopSettings = field(default_factory=ShopSettings)
    peers: Peers = field(default_factory=Peers)
    seed: int = 7


def load(path: Path) -> Settings:
    """Reads the JSON file. Raises OSError, ValueError, TypeError (unknown key of a section)."""
    data = json.loads(path.read_text(encoding="utf-8"))
    bank = data.get("bank", {})
    crm = dict(data.get("crm", {}))
    if "requests_per_second" in data:
        crm["requests_per_second"] = data["requests_per_second"]
    peers = Peers()
    peers.update(data)
    return Settings(
        crm=CrmSettings(**crm),
        bank=BankSettings(
            **bank.get("tbank", {}),
            **bank.get("yookassa", {}),
            shops=shops.told(bank),
            google_public_key=data.get("google", {}).get("public_key", ""),
            named=tuple(bank),
        ),
        shop=ShopSettings(**data.get("shop", {})),
        peers=peers,
        seed=int(data.get("seed", 7)),
    )
