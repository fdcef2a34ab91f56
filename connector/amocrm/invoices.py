"""Invoices («Счета»): elements of one special list, linked to deals; their status is what the acquirer's payment sets.

Owns their wire format. Fields are named by their codes, because an account may rename them. Implements section 6 of the
amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connector.amocrm.api import PAGE_ROWS, READ_BATCH, Api, in_write_batch
from connector.amocrm.reading import QueryValue, Row, embedded, optional_whole, text, whole

InvoiceStatus = Literal["created", "partially_paid", "paid"]
STATUS_CODE = "BILL_STATUS"
PAID_ON_CODE = "BILL_PAYMENT_DATE"
CATALOG_TYPE = "invoices"


@dataclass(frozen=True)
class InvoiceChange:
    """`paid_at` means something only with the status «paid»."""

    invoice_id: int
    status: InvoiceStatus
    paid_at: datetime | None = None


class InvoicesApi(Api):
    def invoices_catalog(self) -> int | None:
        """The id of the list of invoices; None where the account has none. Raises AccountUnpaid."""
        answer = self.request("GET", "/account", query={"with": "invoices_settings"}) or {}
        settings = answer.get("invoices_settings")
        found = optional_whole(settings, "invoices_catalog_id") if isinstance(settings, dict) else None
        if found is not None:
            return found
        rows = self.all_rows("/catalogs", "catalogs")
        return next((whole(row, "id") for row in rows if text(row, "type") == CATALOG_TYPE), None)

    def linked_invoices(self, deal_ids: Sequence[int], catalog_id: int) -> dict[int, tuple[int, ...]]:
        """Invoices of these deals, newest first."""
        rows = self.rows_by_ids("/leads", "leads", deal_ids, linked="catalog_elements")
        return {
            whole(row, "id"): tuple(
                sorted(
                    (
                        whole(one, "id")
                        for one in embedded(row, "catalog_elements")
                        if _catalog_of(one) == catalog_id and optional_whole(one, "id") is not None
                    ),
                    reverse=True,
                )
            )
            for row in rows
        }

    def invoice_statuses(self, catalog_id: int, invoice_ids: Sequence[int]) -> dict[int, str]:
        """The code of each invoice's status, "" where it has none; a deleted invoice is absent."""
        found: dict[int, str] = {}
        wanted = sorted(set(invoice_ids))
        for start in range(0, len(wanted), READ_BATCH):
            ids: QueryValue = {"id": wanted[start : start + READ_BATCH]}
            path = f"/catalogs/{catalog_id}/elements"
            rows = embedded(self.request("GET", path, query={"filter": ids, "limit": PAGE_ROWS}), "elements")
            found |= {whole(row, "id"): _status(row) for row in rows if row.get("is_deleted") is not True}
        return found

    def update_invoices(self, catalog_id: int, changes: Sequence[InvoiceChange]) -> None:
        """One PATCH of at most WRITE_BATCH invoices. It fires hooks back at us."""
        in_write_batch(len(changes))
        if changes:
            self.request("PATCH", f"/catalogs/{catalog_id}/elements", body=[_patch(change) for change in changes])


def _catalog_of(element: Row) -> int | None:
    metadata = element.get("metadata")
    return optional_whole(metadata, "catalog_id") if isinstance(metadata, dict) else None


def _status(row: Row) -> str:
    fields = row.get("custom_fields_values")
    for field in fields if isinstance(fields, list) else []:
        if isinstance(field, dict) and field.get("field_code") == STATUS_CODE:
            values = field.get("values")
            first = values[0] if isinstance(values, list) and values and isinstance(values[0], dict) else {}
            return text(first, "enum_code")
    return ""


def _patch(change: InvoiceChange) -> dict[str, object]:
    fields: list[dict[str, object]] = [{"field_code": STATUS_CODE, "values": [{"enum_code": change.status}]}]
    if change.status == "paid" and change.paid_at is not None:
        fields.append({"field_code": PAID_ON_CODE, "values": [{"value": int(change.paid_at.timestamp())}]})
    return {"id": change.invoice_id, "custom_fields_values": fields}
