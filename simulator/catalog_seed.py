"""The lists that a new account has: invoices, goods, and one of the shop's own; with the fields amoCRM gives them.

Implements the amoCRM reference section 6 (field codes). Does not speak HTTP and announces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator import fields
from simulator.fields import Account
from simulator.store import Record

INVOICES, PRODUCTS, REGULAR, SUPPLIERS = "invoices", "products", "regular", "suppliers"
TYPES = (REGULAR, INVOICES, PRODUCTS, SUPPLIERS)
STATUSES = (
    ("created", "Создан"),
    ("paid", "Оплачен"),
    ("paid_in_advance", "Оплачен в аванс"),
    ("partially_paid", "Частично оплачен"),
)
VAT_TYPES = (
    ("vat_included", "НДС включён в стоимость"),
    ("vat_not_included", "НДС начисляется поверх стоимости"),
    ("vat_exempt", "Не облагается"),
)
INVOICE_FIELDS = (
    ("BILL_STATUS", "Статус", "select"),
    ("LEGAL_ENTITY", "Юридическое лицо", "legal_entity"),
    ("PAYER", "Плательщик", "payer"),
    ("BILL_PAYMENT_DATE", "Дата оплаты", "date_time"),
    ("BILL_COMMENT", "Комментарий", "textarea"),
    ("ITEMS", "Позиции счёта", "items"),
    ("BILL_VAT_TYPE", "Тип НДС", "select"),
    ("BILL_PRICE", "Итоговая сумма к оплате", "numeric"),
    ("LINK_TO_LEAD", "Ссылка на сделку", "url"),
)
PRODUCT_FIELDS = (
    ("SKU", "Артикул", "text"),
    ("DESCRIPTION", "Описание", "textarea"),
    ("PRICE", "Цена", "price"),
    ("EXTERNAL_ID", "External ID", "text"),
)
ENUMS = {"BILL_STATUS": STATUSES, "BILL_VAT_TYPE": VAT_TYPES}


def seed(crm: Account, now_s: int, goods: Iterable[tuple[str, int]]) -> None:
    """Three lists, and the shop's goods in theirs."""
    invoices = add(crm, {"name": "Счета/покупки", "type": INVOICES}, now_s, user_id=0)
    _define(crm, invoices, INVOICE_FIELDS)
    products = add(crm, {"name": "Товары", "type": PRODUCTS}, now_s, user_id=0)
    _define(crm, products, PRODUCT_FIELDS)
    regular = add(crm, {"name": "Пункты выдачи", "type": REGULAR}, now_s, user_id=0)
    fields.define(crm, entity_of(regular["id"]), {"name": "Адрес", "type": "text"})
    price = fields.by_code(crm, entity_of(products["id"]), "PRICE")
    for name, roubles in goods:
        put(crm, products["id"], name, {str(price["id"]): [{"value": str(roubles)}]}, now_s, user_id=0)


def add(crm: Account, wanted: dict[str, Any], now_s: int, *, user_id: int) -> Record:
    """A new empty list from a checked request."""
    kind = wanted.get("type", REGULAR)
    catalog_id = crm.next_id("catalogs")
    row: Record = {
        "id": catalog_id,
        "name": wanted["name"],
        "created_by": user_id,
        "updated_by": user_id,
        "created_at": now_s,
        "updated_at": now_s,
        "sort": wanted.get("sort", catalog_id % 1000 * 10),
        "type": kind,
        "can_add_elements": bool(wanted.get("can_add_elements", True)),
        "can_show_in_cards": bool(wanted.get("can_show_in_cards", False)),
        "can_link_multiple": bool(wanted.get("can_link_multiple", True)),
        "can_be_deleted": kind == REGULAR,
        "sdk_widget_code": None,
        "account_id": crm.settings.crm.account_id,
    }
    return crm.store.put("catalogs", catalog_id, row)


def put(crm: Account, catalog_id: int, name: str, cf: dict[str, Any], now_s: int, *, user_id: int) -> Record:
    """A new element of a list, without any notification."""
    element_id = crm.next_id("elements")
    row: Record = {
        "id": element_id,
        "catalog_id": catalog_id,
        "name": name,
        "created_by": user_id,
        "updated_by": user_id,
        "created_at": now_s,
        "updated_at": now_s,
        "is_deleted": False,
        "cf": cf,
    }
    return crm.store.put("catalog_elements", element_id, row)


def entity_of(catalog_id: int) -> str:
    """How a list's fields are told from others."""
    return f"catalogs/{catalog_id}"


def _define(crm: Account, catalog: Record, wanted: Iterable[tuple[str, str, str]]) -> None:
    for code, name, kind in wanted:
        enums = [{"value": text, "code": word} for word, text in ENUMS.get(code, ())]
        row = fields.define(crm, entity_of(catalog["id"]), {"name": name, "type": kind, "code": code, "enums": enums})
        row.update(is_predefined=True, is_required=code == "BILL_STATUS")
