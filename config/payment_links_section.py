"""The `payment_links` section: through which acquirer we make payments ourselves, and what their receipts say (54-FZ).

Owns its keys, words and defaults. Which of these words is right for a shop is its accountant's decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import get_args

from config import fields
from config.links_sections import read_address
from config.model import AcquirerConfig, Ffd, LinkProvider, PaymentLinksConfig, ReceiptConfig
from config.section import Keys, Section
from loyalty.receipts import NAME_CHARS_MAX, PaymentMethod, TaxSystem, Vat

PAYMENT_LINKS_KEYS = Keys(("acquirer", "return_url", "receipt"))
RECEIPT_KEYS = Keys(("tax_system", "vat", "method", "ffd", "item"))
DEFAULT_ITEM = "Заказ"

_PROVIDERS: Mapping[str, LinkProvider] = {name: name for name in get_args(LinkProvider)}
_TAX_SYSTEMS: Mapping[str, TaxSystem] = {name: name for name in get_args(TaxSystem)}
_VATS: Mapping[str, Vat] = {name: name for name in get_args(Vat)}
_METHODS: Mapping[str, PaymentMethod] = {name: name for name in get_args(PaymentMethod)}
_FFDS: Mapping[str, Ffd] = {name: name for name in get_args(Ffd)}


def read_payment_links(root: Section, acquirers: Collection[AcquirerConfig]) -> PaymentLinksConfig | None:
    section = root.sub("payment_links", PAYMENT_LINKS_KEYS)
    if section is None:
        return None
    acquirer = section.need("acquirer", fields.one_of(_PROVIDERS), "yookassa")
    return_url = section.need("return_url", read_address, "https://sportgory.ru/spasibo")
    receipt = _receipt(section)
    if acquirer not in {one.provider for one in acquirers}:
        path = section.at("acquirer")
        if section.notes.intact(path, "acquirers"):
            fix = f"добавьте в acquirers запись с provider: {acquirer} или назовите здесь другой банк"
            section.notes.error_at_path(path, "links-acquirer", f"банк {acquirer} не описан в разделе acquirers", fix)
        return None
    return PaymentLinksConfig(acquirer, return_url, receipt)


def _receipt(section: Section) -> ReceiptConfig | None:
    receipt = section.sub("receipt", RECEIPT_KEYS)
    if receipt is None:
        return None
    return ReceiptConfig(
        tax_system=receipt.need("tax_system", fields.one_of(_TAX_SYSTEMS), "usn_income"),
        vat=receipt.need("vat", fields.one_of(_VATS), "none"),
        method=receipt.get("method", fields.one_of(_METHODS), "full_prepayment"),
        ffd=receipt.get("ffd", fields.one_of(_FFDS), "1.2"),
        item=receipt.get("item", fields.words(NAME_CHARS_MAX), DEFAULT_ITEM),
    )
