"""The account itself and our hook subscriptions in it.

Owns their wire format. Implements sections 3.4 and 4.8 of the amoCRM reference. A hook's address contains our secret
key: it is kept out of reprs and logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.amocrm.api import Api
from connector.amocrm.reading import Row, embedded, optional_whole, text, whole
from connector.errors import BadReply


@dataclass(frozen=True)
class Account:
    """`customers_mode`: unavailable, disabled, segments, dynamic or periodicity."""

    id: int
    subdomain: str
    customers_mode: str


@dataclass(frozen=True)
class Subscription:
    id: int | None
    destination: str = field(repr=False)
    is_disabled: bool
    settings: tuple[str, ...]


class AccountApi(Api):
    def account(self) -> Account:
        row = self.request("GET", "/account")
        if row is None:
            raise BadReply("amoCRM: the account came back empty", retryable=True)
        return Account(whole(row, "id"), text(row, "subdomain"), text(row, "customers_mode"))

    def webhooks(self) -> list[Subscription]:
        return [_subscription(row) for row in embedded(self.request("GET", "/webhooks"), "webhooks")]

    def subscribe(self, destination: str, settings: Sequence[str]) -> None:
        """Send the full list of settings: whether amoCRM merges or replaces is unknown."""
        self.request("POST", "/webhooks", body={"destination": destination, "settings": list(settings)})

    def unsubscribe(self, destination: str) -> None:
        """Raises NotFound when there is no such subscription."""
        self.request("DELETE", "/webhooks", body={"destination": destination})


def _subscription(row: Row) -> Subscription:
    settings = row.get("settings")
    return Subscription(
        id=optional_whole(row, "id"),
        destination=text(row, "destination"),
        is_disabled=row.get("disabled") is True,
        settings=tuple(one for one in settings if isinstance(one, str)) if isinstance(settings, list) else (),
    )
