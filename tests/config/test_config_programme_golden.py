"""What mistakes in the rules file print, compared with golden texts. GOLDEN=write writes the texts anew, to be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from card_mistakes import CARD, pictures_in
from rules_mistakes import EVERY

from config.programme import CheckResult

GOLDEN = Path(__file__).parent / "golden"
SECRET = "live_" + "Kx9fQ2mZ7LpR4tVw8sYc3nBd"

ONE_MISTAKE = {
    "unknown_key": [("  rate: 10%", "  rat: 10%")],
    "unknown_section": [("refund:\n", "refnd:\n")],
    "percent_sign": [("rate: 10%", "rate: 10 ")],
    "percent_fraction_without_sign": [("rate: 10%", "rate: 0.1")],
    "percent_range": [("rate: 10%", "rate: 110%")],
    "percent_precision": [("rate: 10%", "rate: 10.005%")],
    "duration_unit": [("activate_after: 14 days ", "activate_after: 14 ")],
    "duration_unknown_unit": [("activate_after: 14 days", "activate_after: 14 dais")],
    "lifetime_zero": [("expire_after: 180 days", "expire_after: 0 days")],
    "money_unit": [("point_value: 1 RUB", "point_value: 1")],
    "timezone": [("Europe/Moscow", "Europe/Moskow")],
    "timezone_of_the_machine": [("Europe/Moscow", "localtime")],
    "timezone_copied": [("Europe/Moscow", "posix/Europe/Moscow")],
    "whole_number": [("points: 300", "points: 300.5")],
    "choice": [("base: paid_money", "base: order_sum")],
    "secret_in_file": [("secret: env:YOOKASSA_SECRET", f"secret: {SECRET}")],
    "env_name": [("secret: env:YOOKASSA_SECRET", f"secret: env:{SECRET}")],
    "env_missing": [("env:YOOKASSA_SHOP_ID", "env:YOOKASA_SHOP_ID")],
    "tab": [("  rate: 10%", "\trate: 10%")],
    "duplicate_key": [("refund:\n", "accrual:\n")],
    "duplicate_key_inside": [("  rounding: down", "  base: paid_money")],
    "colon_in_text": [('name: "Клуб «Спорт и горы»"', "name: Клуб: Спорт")],
    "colour_without_quotes": [('label: "#BFE3D0"', "label: #BFE3D0")],
    "missing_key": [("  points: 300\n", "")],
    "missing_section": [("version: 1\n", "")],
    "empty_section": [("  take_back_accrued: true\n  negative_balance: allow\n", "")],
    "section_expected": [("refund:\n  take_back_accrued: true\n  negative_balance: allow", "refund: allow")],
    "list_expected": [("earn_on: [payment, stage]", "earn_on: payment")],
    "repeated_source": [("earn_on: [payment, stage]", "earn_on: [payment, payment]")],
    "planned_section": [("segments:\n", "rfm: {window: 730 days}\nsegments:\n")],
    "card_number": [('prefix: "77", length: 10', 'prefix: "777777", length: 10')],
    "notify_text": [("Баланс: %@", "Баланс")],
    "image_missing": [("  barcode: qr", "  images: {logo: assets/logo.png}")],
    "apple_file_missing": [
        ("  barcode: qr", "  apple: {pass_type_id: pass.ru.x, team_id: A1B2C3D4E5, certificate: file:no.p12}")
    ],
    "apple_certificate_literal": [
        ("  barcode: qr", "  apple: {pass_type_id: pass.ru.x, team_id: A1B2C3D4E5, certificate: no.p12}")
    ],
    "amocrm_address": [("account: sportgory", "account: https://sportgory.amocrm.ru/leads")],
    "amocrm_foreign_host": [("account: sportgory", "account: sportgory.example.com")],
    "crm_field_twice": [('pending: "Бонусы: ожидают"', 'pending: "Бонусы: баланс"')],
    "two_accesses": [("  oauth:\n", "  token: env:AMOCRM_CLIENT_ID\n  oauth:\n")],
    "unknown_provider": [("provider: tbank", "provider: tbanc")],
    "tbank_secret": [("password: env:TBANK_PASSWORD", "secret: env:TBANK_PASSWORD")],
    "provider_twice": [
        (
            "{provider: tbank, terminal: env:TBANK_TERMINAL, password: env:TBANK_PASSWORD}",
            "{provider: yookassa, shop_id: env:YOOKASSA_SHOP_ID, secret: env:YOOKASSA_SECRET}",
        )
    ],
    "anchor": [('notify_text: "', 'notify_text: &text "')],
    "alias": [('notify_text: "Баланс: %@"', "notify_text: *text")],
    "merge": [("  barcode: qr", "  <<: {barcode: qr}")],
    "tag": [("barcode: qr", "barcode: !!str qr")],
    "second_document": [("acquirers:\n", "---\nacquirers:\n")],
    "bom": [("# Правила для испытаний.", "\ufeff# Правила для испытаний.")],
    "escape_in_text": [("title: Постоянный", 'title: "\\e[31mПостоянный"')],
}

SEVERAL_MISTAKES = {
    "contrast": [('"#16382C"', '"#F7D94C"')],
    "secret_under_misspelt_key": [("client_secret: env:AMOCRM_CLIENT_SECRET", f'client_secet: "{SECRET}"')],
    "several": [
        ("rate: 10%", "rate: 10 "),
        ("points: 300", "pointz: 0"),
        ("when: {orders: 3}", "when: {orders: 1}"),
        ('"#16382C"', '"#F7D94C"'),
        ("secret: env:YOOKASSA_SECRET", f"secret: {SECRET}"),
    ],
    "no_source_of_accrual": [
        ("acquirers:\n", "# "),
        ("  - {provider: yookassa,", "# "),
        ("  - {provider: tbank,", "# "),
        ("[payment, stage]", "[payment]"),
    ],
}


@pytest.mark.parametrize("name", ONE_MISTAKE)
def test_one_mistake_prints_one_problem(
    name: str, check: Callable[..., CheckResult], changed: Callable[..., str]
) -> None:
    result = check(changed(*ONE_MISTAKE[name]))

    assert result.errors + result.warnings == 1
    assert_golden(name, result.render())


@pytest.mark.parametrize("name", EVERY)
def test_one_mistake_in_the_rules_of_points_prints_one_problem(
    name: str, check: Callable[..., CheckResult], changed: Callable[..., str]
) -> None:
    result = check(changed(*EVERY[name]))

    assert_golden(name, result.render())
    assert result.errors + result.warnings == 1


@pytest.mark.parametrize("name", CARD)
def test_one_mistake_in_the_look_of_the_card_prints_one_problem(
    name: str, check: Callable[..., CheckResult], changed: Callable[..., str], tmp_path: Path
) -> None:
    pictures_in(tmp_path / "config")

    result = check(changed(*CARD[name]))

    assert_golden(name, result.render())
    assert result.errors + result.warnings == 1


@pytest.mark.parametrize("name", SEVERAL_MISTAKES)
def test_independent_mistakes_are_told_in_one_run(
    name: str, check: Callable[..., CheckResult], changed: Callable[..., str]
) -> None:
    result = check(changed(*SEVERAL_MISTAKES[name]))

    assert_golden(name, result.render())


def test_days_that_are_over_are_told_when_it_is_known_what_day_it_is(
    check: Callable[..., CheckResult], changed: Callable[..., str]
) -> None:
    text = changed(
        ("rate: 10%  ", "multipliers: [{title: Июнь, times: 2, last_day: 2026-02-28}]\n  rate: 10%  "),
        (
            "segments:\n",
            "gifts:\n  holidays:\n    - {name: Открытие, date: 2026-02-28, points: 5}\n"
            "    - {name: Сегодня, date: 2026-03-01, points: 5}\n    - {name: Ёлка, date: 01-01, points: 5}\n"
            "segments:\n",
        ),
    )

    result = check(text, now=datetime(2026, 2, 28, 21, 30, tzinfo=UTC))  # the first of March in Moscow

    assert_golden("days_are_over", result.render())
    assert (result.errors, result.warnings) == (0, 2)
    assert check(text).problems == ()


def test_a_file_in_another_encoding_is_named_with_its_first_bad_letter(
    check: Callable[..., CheckResult], shop_text: str
) -> None:
    text = shop_text.replace("«", '"').replace("»", '"')

    result = check(text.encode("cp1251"))

    assert_golden("encoding", result.render())


def test_an_empty_file_says_how_to_begin(check: Callable[..., CheckResult]) -> None:
    assert_golden("empty_file", check("# ещё ничего\n").render())


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text + "\n"
    assert SECRET not in text
