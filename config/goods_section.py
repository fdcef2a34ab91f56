"""Goods that take no part: the `exclude` section of accrual and of redemption."""

from __future__ import annotations

from collections.abc import Mapping

from config import fields
from config.lists import read_categories
from config.section import Keys, Section
from loyalty.rules import Exclusions, OnSale

EXCLUDE_KEYS = Keys(("categories", "items_on_sale", "discounted"))

_OUT_OR_IN: Mapping[str, OnSale] = {
    "no": "no",
    "yes": "yes",
    "нет": "no",
    "да": "yes",
    "false": "no",
    "true": "yes",
}
_ON_SALE: Mapping[str, OnSale] = {"no": "no", "yes_half": "yes_half", **_OUT_OR_IN}


def read_exclusions(owner: Section, *, half: bool) -> Exclusions:
    """`half`: goods on sale may also take half a part, which only accrual can do."""
    section = owner.sub("exclude", EXCLUDE_KEYS)
    if section is None:
        return Exclusions()
    return Exclusions(
        categories=read_categories(section),
        on_sale=section.get("items_on_sale", fields.one_of(_ON_SALE) if half else _only_out_or_in, "no"),
        discounted=section.get("discounted", fields.yes_no, default=False),
    )


def _only_out_or_in(text: str) -> OnSale:
    if text == "yes_half":
        message = "половины здесь не бывает: баллами товар либо оплачивают, либо нет"
        raise fields.FieldError("unknown-value", message, "напишите no или yes")
    return fields.one_of(_OUT_OR_IN)(text)
