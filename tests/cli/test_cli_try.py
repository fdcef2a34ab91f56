"""`kopilka try`: the worked examples of the specification through the command line, and every mistake one can make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.basket_file import BYTES_MAX
from cli.trying import try_
from config.programme import check_programme
from loyalty.basket import KOPECKS_MAX

RULES = """version: 1
programme: {name: Клуб, timezone: Europe/Moscow}
accrual:
  rate: 10%
  activate_after: 14 days
  expire_after: 180 days
  exclude: {items_on_sale: yes}
welcome: {points: 300, expire_after: 60 days}
redeem:
  max_share: 30%
  exclude: {items_on_sale: yes, categories: [Подарочные сертификаты]}
segments:
  - {code: start, title: Стартовый, when: {orders: 1}}
  - {code: regular, title: Постоянный, rate: 12%, when: {orders: 3}}
  - {code: vip, title: VIP, rate: 15%, max_share: 50%, when: {orders: 6}}
acquirers:
  - {provider: yookassa, shop_id: env:YOOKASSA_SHOP_ID, secret: env:YOOKASSA_SECRET}
"""
ENVIRONMENT = {"YOOKASSA_SHOP_ID": "1", "YOOKASSA_SECRET": "secret"}
V05 = {
    "segment": None,
    "balance": 100_000,
    "redeem": 100_000,
    "promo_kopecks": 60_000,
    "delivery_kopecks": 35_000,
    "lines": [
        {
            "sku": "A",
            "category": "Палатки",
            "qty": 1,
            "gross_kopecks": 300_000,
            "discount_kopecks": 0,
            "on_sale": False,
        },
        {
            "sku": "B",
            "category": "Палатки",
            "qty": 1,
            "gross_kopecks": 200_000,
            "discount_kopecks": 0,
            "on_sale": False,
        },
        {
            "sku": "C",
            "category": "Обувь",
            "qty": 1,
            "gross_kopecks": 150_000,
            "discount_kopecks": 50_000,
            "on_sale": True,
        },
    ],
}

Try = Callable[..., Result]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "programme.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


@pytest.fixture
def kopilka_try(rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Runs the command with these rules; `stdin` is what it is fed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(try_, ["--file", str(rules), *arguments], env=ENVIRONMENT, input=stdin)

    return run


def answer(run: Try, basket: Any) -> Any:
    result = run("--basket", "-", "--json", stdin=json.dumps(basket))
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def basket_of(*gross_kopecks: int, **known: Any) -> dict[str, Any]:
    return {"lines": [{"gross_kopecks": one} for one in gross_kopecks], **known}


def test_the_answer_for_programs_has_exactly_these_keys(kopilka_try: Try) -> None:
    found = answer(kopilka_try, basket_of(100))

    assert list(found) == ["max_redeem", "redeemed", "due_kopecks", "earned", "lines", "explain"]
    assert list(found["lines"][0]) == ["net_kopecks", "points_spent", "due_kopecks", "earned"]
    assert list(found["explain"][0]) == ["text", "rule", "line"]


def test_v03_points_are_rounded_once_and_spread_over_the_lines(kopilka_try: Try) -> None:
    found = answer(kopilka_try, basket_of(3_333, 3_333, 3_334))

    assert found["earned"] == 10
    assert [line["earned"] for line in found["lines"]] == [3, 3, 4]


@pytest.mark.parametrize(("kopecks", "most"), [(499_000, 1_497), (33_350, 100), (99, 0)])
def test_v04_the_cap_is_the_floor_of_thirty_percent(kopilka_try: Try, kopecks: int, most: int) -> None:
    found = answer(kopilka_try, basket_of(kopecks, balance=10_000, redeem=10_000))

    assert (found["max_redeem"], found["redeemed"]) == (most, most)


def test_v05_the_cap_counts_goods_without_sale_and_delivery_after_the_promo(kopilka_try: Try) -> None:
    found = answer(kopilka_try, V05)

    assert [line["net_kopecks"] for line in found["lines"]] == [270_000, 180_000, 90_000]
    assert found["max_redeem"] == 1_350


def test_v06_the_points_lie_on_the_lines_and_the_rest_is_due(kopilka_try: Try) -> None:
    found = answer(kopilka_try, {**V05, "balance": 1_234, "redeem": 2_000})

    assert {name: found[name] for name in ("max_redeem", "redeemed", "due_kopecks", "earned")} == {
        "max_redeem": 1_234,
        "redeemed": 1_234,
        "due_kopecks": 451_600,
        "earned": 326,
    }
    assert found["lines"] == [
        {"net_kopecks": 270_000, "points_spent": 740, "due_kopecks": 196_000, "earned": 196},
        {"net_kopecks": 180_000, "points_spent": 494, "due_kopecks": 130_600, "earned": 130},
        {"net_kopecks": 90_000, "points_spent": 0, "due_kopecks": 90_000, "earned": 0},
    ]


def test_v06_before_points_earns_450(kopilka_try: Try, rules: Path) -> None:
    rules.write_text(RULES.replace("  rate: 10%\n", "  rate: 10%\n  base: order_total\n"), encoding="utf-8")

    assert answer(kopilka_try, {**V05, "balance": 1_234, "redeem": 2_000})["earned"] == 450


def test_a_segment_brings_its_rate_and_its_share(kopilka_try: Try) -> None:
    found = answer(kopilka_try, basket_of(100_000, segment="vip", balance=700, redeem=700))

    assert (found["max_redeem"], found["earned"]) == (500, 75)


def test_points_that_a_line_cannot_bear_go_to_the_lines_with_room(kopilka_try: Try, rules: Path) -> None:
    rules.write_text(RULES.replace("max_share: 30%", "max_share: 100%"), encoding="utf-8")

    found = answer(kopilka_try, basket_of(150, 150, 1_000, balance=13, redeem=12))

    assert [line["points_spent"] for line in found["lines"]] == [1, 1, 10]
    assert found["due_kopecks"] == 100


def test_what_is_left_out_has_its_default(kopilka_try: Try) -> None:
    found = answer(kopilka_try, basket_of(499_000))

    assert (found["max_redeem"], found["redeemed"], found["due_kopecks"], found["earned"]) == (0, 0, 499_000, 499)


def test_null_means_the_same_as_left_out_and_own_keys_do_no_harm(kopilka_try: Try) -> None:
    line = {"gross_kopecks": 499_000, "qty": None, "category": None, "name": "Палатка", "id": 7}

    assert answer(kopilka_try, {"lines": [line], "at": None, "method": None, "order": "A-7"})["earned"] == 499


def test_a_gift_card_neither_earns_nor_takes_points(kopilka_try: Try) -> None:
    lines = [{"gross_kopecks": 100_000, "gift_card": True}, {"gross_kopecks": 100_000}]

    found = answer(kopilka_try, {"lines": lines, "balance": 1_000, "redeem": 1_000})

    assert (found["max_redeem"], [line["earned"] for line in found["lines"]]) == (300, [0, 70])


def test_a_basket_may_be_empty(kopilka_try: Try) -> None:
    found = answer(kopilka_try, {"lines": []})

    assert (found["due_kopecks"], found["earned"], found["lines"]) == (0, 0, [])


def test_each_step_cites_a_rule_that_stands_on_the_named_line_of_the_file(kopilka_try: Try, rules: Path) -> None:
    found = answer(kopilka_try, {**V05, "segment": "vip", "balance": 90, "redeem": 50})

    written = rules.read_text(encoding="utf-8").splitlines()
    cited = {step["rule"]: step["line"] for step in found["explain"]}
    assert "vip" in written[cited["segments.vip.rate"] - 1]
    assert "activate_after" in written[cited["accrual.activate_after"] - 1]
    assert "items_on_sale" in written[cited["redeem.exclude.items_on_sale"] - 1]
    assert cited["accrual.base"] == 0, "the file does not write it"


def test_a_basket_may_come_from_a_file_with_a_byte_order_mark(kopilka_try: Try, tmp_path: Path) -> None:
    path = tmp_path / "basket.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(basket_of(499_000)).encode())

    assert json.loads(kopilka_try("--basket", str(path), "--json").output)["earned"] == 499


def test_a_basket_is_told_to_people_too(kopilka_try: Try) -> None:
    result = kopilka_try("--basket", "-", stdin=json.dumps({**V05, "at": "2026-03-14"}))

    text = result.output.replace("\u00a0", " ")
    assert result.exit_code == 0
    assert "Списать просили 100 000, можно 1 350 (30 % от 4 500 ₽)" in text
    assert "станут доступны 28 марта 2026" in text
    assert "redeem.max_share, строка 10" in text


BAD_LINES: list[tuple[Any, str]] = [
    ({"gross_kopecks": "540000"}, "lines[0].gross_kopecks"),
    ({"gross_kopecks": 5.5}, "lines[0].gross_kopecks"),
    ({"gross_kopecks": True}, "lines[0].gross_kopecks"),
    ({"gross_kopecks": -1}, "lines[0].gross_kopecks"),
    ({"gross_kopecks": KOPECKS_MAX + 1}, "lines[0].gross_kopecks"),
    ({"gross_kopecks": 10**30}, "lines[0].gross_kopecks"),
    ({}, "gross_kopecks"),
    ({"gross_kopecks": 100, "qty": 0}, "Количество"),
    ({"gross_kopecks": 100, "qty": 10**9}, "lines[0].qty"),
    ({"gross_kopecks": 100, "discount_kopecks": 101}, "Скидка"),
    ({"gross_kopecks": 100, "on_sale": "yes"}, "lines[0].on_sale"),
    ({"gross_kopecks": 100, "sku": 7}, "lines[0].sku"),
    ({"gross_kopecks": 100, "category": "x" * 201}, "lines[0].category"),
    ({"gross_kopecks": 100, "category": "a\nb"}, "lines[0].category"),
    ({"gross_kopecks": 100, "category": "\ud800"}, "lines[0].category"),
    ({"gross_kopecks": 100, "discount_kopeks": 5}, "discount_kopecks?"),
    ({"gross_kopecks": 100, "discount": 5}, "discount_kopecks?"),
    (7, "lines[0]"),
]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "JSON"),
        ("{", "строка 1"),
        ("[1, 2]", "объект"),
        ("null", "объект"),
        ("{}", "lines"),
        ('{"lines": 7}', "lines"),
        ('{"lines": {}}', "lines"),
        ("[" * 100_000, "JSON"),
        (f'{{"lines": [{{"gross_kopecks": {"9" * 5_000}}}]}}', "JSON"),
        ('{"lines": [{"gross_kopecks": NaN}]}', "gross_kopecks"),
        ('{"lines": [{"gross_kopecks": 1e400}]}', "gross_kopecks"),
        (json.dumps(basket_of(*[1] * 501)), "500"),
        (json.dumps(basket_of(100, segment="gold")), "start, regular, vip"),
        (json.dumps(basket_of(100, segment=7)), "segment"),
        (json.dumps(basket_of(100, balance=-1)), "balance"),
        (json.dumps(basket_of(100, redeem=10**20)), "redeem"),
        (json.dumps(basket_of(100, promo_kopecks=101)), "Промоскидка"),
        (json.dumps(basket_of(100, delivery_kopecks=-5)), "delivery_kopecks"),
        (json.dumps(basket_of(100, kept_orders="3")), "kept_orders"),
        (json.dumps(basket_of(100, at="вчера")), "дату"),
        (json.dumps(basket_of(100, at=20260314)), "at"),
        (json.dumps(basket_of(100, gift_card=True)), "lines"),
        (json.dumps(basket_of(100, promo_kopek=1)), "promo_kopecks?"),
        *[(json.dumps({"lines": [line]}), named) for line, named in BAD_LINES],
    ],
)
def test_a_basket_that_cannot_be_counted_is_refused_with_the_mend(kopilka_try: Try, text: str, named: str) -> None:
    result = kopilka_try("--basket", "-", "--json", stdin=text)

    assert result.exit_code == 2, result.output
    assert named in result.output
    assert "Как исправить: " in result.output.splitlines()[-1]
    assert "Traceback" not in result.output


@pytest.mark.parametrize("data", [b"\xff\xfe{}", b" " * (BYTES_MAX + 1)])
def test_bytes_that_are_no_basket_are_refused(kopilka_try: Try, data: bytes) -> None:
    result = kopilka_try("--basket", "-", "--json", stdin=data)

    assert result.exit_code == 2
    assert "Как исправить: " in result.output


@pytest.mark.parametrize("name", ["нет-такого.json", ".", "a\x00b"])
def test_a_file_that_does_not_open_is_named(kopilka_try: Try, name: str) -> None:
    result = kopilka_try("--basket", name, "--json")

    assert result.exit_code == 2
    assert "Как исправить: проверьте путь" in result.output


def test_the_example_of_the_specification_is_printed_with_its_lines(kopilka_try: Try) -> None:
    result = kopilka_try(
        "--order",
        "5400",
        "--segment",
        "regular",
        "--redeem",
        "2000",
        "--balance",
        "5000",
        "--category",
        "Подарочные сертификаты:2000",
        "--at",
        "2026-03-14",
    )

    lines = [" ".join(line.replace("\u00a0", " ").split()) for line in result.output.splitlines()]
    version = lines[-1].split()[-1]
    assert lines == [
        "Чек 5 400 ₽",
        "Баллами не оплатить: Подарочные сертификаты 2 000 ₽ "
        "redeem.exclude.categories.Подарочные сертификаты, строка 11",
        "Списать просили 2 000, можно 1 020 (30 % от 3 400 ₽) redeem.max_share, строка 10",
        "К оплате 4 380 ₽; база начисления 4 380 ₽ (только деньги) accrual.base, в файле не задано",
        "Начислим 525 баллов (12 %, сегмент «Постоянный») segments.regular.rate, строка 14",
        "станут доступны 28 марта 2026 accrual.activate_after, строка 5",
        "действуют по 24 сентября 2026 accrual.expire_after, строка 6",
        f"Всего 525 баллов правила версии {version}",
    ]


def test_promo_delivery_and_the_way_of_paying_count(kopilka_try: Try, rules: Path) -> None:
    by_method = "  rate: 10%\n  by_method: [{method: cash, rate: 20%}]\n"
    rules.write_text(RULES.replace("  rate: 10%\n", by_method), encoding="utf-8")

    result = kopilka_try(
        "--order", "1000", "--promo", "100", "--delivery", "350", "--method", "cash", "--kept-orders", "1"
    )

    text = result.output.replace("\u00a0", " ")
    assert "Чек 1 000 ₽, промоскидка 100 ₽, доставка 350 ₽ (без баллов)" in text
    assert "К оплате 1 250 ₽; база начисления 900 ₽" in text
    assert "Начислим 180 баллов (20 %, ставка способа оплаты)" in text
    assert "accrual.by_method.cash.rate, строка 5" in text


def test_the_segment_follows_from_the_orders_kept_before(kopilka_try: Try) -> None:
    before, reached = (
        kopilka_try("--order", "1000", "--kept-orders", count).output.replace("\u00a0", " ") for count in ("2", "3")
    )

    assert "Начислим 100 баллов (10 %, базовая ставка)" in before
    assert "Сегмент после заказа: «Постоянный»" in before, "V23: the order itself uses the tier before it"
    assert "Начислим 120 баллов (12 %, сегмент «Постоянный»)" in reached


def test_a_first_order_that_gets_only_the_welcome_says_so(kopilka_try: Try, rules: Path) -> None:
    rules.write_text(RULES.replace("points: 300,", "points: 300, with_base: no,"), encoding="utf-8")

    result = kopilka_try("--order", "4990", "--json")

    found = json.loads(result.output)
    assert found["earned"] == 300
    assert "Это первый заказ: вместо начисления приветственные" in [step["text"] for step in found["explain"]]


def test_an_order_of_nothing_earns_nothing(kopilka_try: Try) -> None:
    assert json.loads(kopilka_try("--order", "0", "--json").output)["earned"] == 0


def test_the_old_answer_for_programs_keeps_its_keys(kopilka_try: Try, rules: Path) -> None:
    found = json.loads(kopilka_try("--order", "4990", "--at", "2026-01-10T12:00", "--json").output)

    assert found["earned"] == 799
    assert found["rules_version"] == check_programme(rules, ENVIRONMENT).programme_file.version  # type: ignore[union-attr]
    assert {"text", "rule", "line"} == set(found["explain"][0])


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--order", "100", "--segment", "gold"),
        ("--order", "100", "--category", "Обувь"),
        ("--order", "100", "--category", ":50"),
        ("--order", "100", "--category", "Обувь:много"),
        ("--order", "100", "--category", "Обувь:101"),
        ("--order", "100", "--promo", "101"),
        ("--order", "100", "--delivery", "-1"),
        ("--order", "100", "--redeem", "-1"),
        ("--order", "100", "--balance", "1" * 40),
        ("--basket", "-", "--order", "100"),
        ("--basket", "-", "--redeem", "5"),
        ("--basket", "-", "--promo", "5"),
    ],
)
def test_what_a_person_mistypes_ends_with_code_2_and_no_traceback(kopilka_try: Try, arguments: tuple[str, ...]) -> None:
    result = kopilka_try(*arguments, stdin="{}")

    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)


def test_rules_with_errors_are_sent_to_check(kopilka_try: Try, rules: Path) -> None:
    rules.write_text(RULES.replace("10%", "10"), encoding="utf-8")

    result = kopilka_try("--order", "100")

    assert result.exit_code == 2
    assert "kopilka check" in result.output
