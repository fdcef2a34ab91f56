"""The account itself and our hook subscriptions in it.

Owns their wire format. Implements sections 3.4 and 4.8 of the amoCRM reference. A hook's address contains our secret
key: it is kept out of reprs and logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.amocrm.api import Api
from connector.amocrm.reading import Row, optional_whole, text, whole
from connector.errors import BadReply


@dataclass(frozen=True)
class Account:
    """`customers_mode`: unavailable, disabled, segments, dynamic or periodicity. `current_user_id`: whose token it
    is."""

    id: int
    subdomain: str
    customers_mode: str
    name: str = ""
    current_user_id: int | None = None


@dataclass(frozen=True)
class Subscription:
    id: int | None
    destination: str = field(repr=False)
    is_disabled: bool
    settings: tuple[str, ...]


class AccountApi(Api):
    def account(self) -> Account:
        """Whichever account our access opens: the one answer that is not preceded by a comparison."""
        row = self._answer("GET", "/account")
        if row is None:
            raise BadReply("amoCRM: the account came back empty", retryable=True)
        return Account(
            id=whole(row, "id"),
            subdomain=text(row, "subdomain"),
            customers_mode=text(row, "customers_mode"),
            name=text(row, "name"),
            current_user_id=optional_whole(row, "current_user_id"),
        )

    def webhooks(self) -> list[Subscription]:
        """All subscriptions of the account, other programs' too."""
        return [_subscription(row) for row in self.all_rows("/webhooks", "webhooks")]

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
