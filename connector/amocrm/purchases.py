"""A customer's purchases («транзакции»): added and deleted, never changed.

Owns their wire format. amoCRM is told not to accrue points of its own for them. Implements section 5.6 of the amoCRM
reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from connector.amocrm.api import Api
from connector.amocrm.reading import ids_in_order, text, whole
from connector.errors import NotFound


@dataclass(frozen=True)
class Purchase:
    """`price_roubles`: amoCRM takes whole ones. `comment` carries our mark, because nothing else can be searched by."""

    price_roubles: int
    comment: str = field(repr=False)
    completed_at: datetime


@dataclass(frozen=True)
class KnownPurchase:
    id: int
    comment: str = field(repr=False)


class PurchasesApi(Api):
    def purchases(self, customer_id: int) -> list[KnownPurchase]:
        rows = self.all_rows(f"/customers/{customer_id}/transactions", "transactions")
        return [KnownPurchase(whole(row, "id"), text(row, "comment")) for row in rows]

    def add_purchase(self, customer_id: int, purchase: Purchase) -> int:
        """Its id. Not idempotent: after an ambiguous failure look before adding again."""
        body = [
            {
                "price": purchase.price_roubles,
                "comment": purchase.comment,
                "completed_at": int(purchase.completed_at.timestamp()),
                "request_id": "0",
            }
        ]
        path, query = f"/customers/{customer_id}/transactions", {"accrue_bonus": "false"}
        return ids_in_order(self.request("POST", path, query=query, body=body), ["0"], "transactions", "customers")[0]

    def delete_purchase(self, purchase_id: int) -> None:
        """One that is gone already is gone."""
        try:
            self.request("DELETE", f"/customers/transactions/{purchase_id}")
        except NotFound:
            return
