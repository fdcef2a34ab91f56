"""What a running program does not read again is found by its meaning, whatever the file looks like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.programme import ROOT_KEYS
from config.read_at_start import READ_AT_START, changed_parts

PIN = ("segments:\n", "redeem: {max_share: 30%, pin: env:CASHIER_CODE}\nsegments:\n")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("rate: 10%  ", "rate: 12%  "), ()),
        (PIN, ("redeem.pin",)),
        (("acquirers:\n", "mail: {host: smtp.shop.ru, from: a@b.ru}\nacquirers:\n"), ("mail",)),
        (("barcode: qr", "barcode: pdf417"), ("card",)),
        (("paid_status: Оплачен", "paid_status: Отгружен"), ("amocrm",)),
        (("password: env:TBANK_PASSWORD", "password: env:OTHER"), ("acquirers",)),
        (("barcode: qr", 'barcode: "qr"   # тот же'), ()),
        (("card:\n", "\n\n\ncard:   # ниже\n"), ()),
    ],
)
def test_a_part_is_changed_when_it_says_something_else(
    change: tuple[str, str], parts: tuple[str, ...], shop_text: str, changed: Callable[..., str]
) -> None:
    assert changed_parts(shop_text, changed(change)) == parts
    assert changed_parts(changed(change), shop_text) == parts


def test_a_text_that_cannot_be_read_has_none_of_the_parts(shop_text: str) -> None:
    assert changed_parts("", "") == ()
    assert "mail" not in changed_parts("[", shop_text)
    assert set(changed_parts("", shop_text)) == {"card", "amocrm", "acquirers"}


def test_every_part_is_a_place_of_the_rules_file() -> None:
    assert {path.partition(".")[0] for path in READ_AT_START} <= set(ROOT_KEYS.known)
