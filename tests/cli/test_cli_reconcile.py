"""`kopilka reconcile` as the owner types it; its files are opened by a program that has never heard of us."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import Shop, StandingClock, settle
from python_calamine import load_workbook

from cli.reconcile import reconcile
from cli.reconcile_file import _csv_cell, write
from flows.reconciled import Line
from flows.reconciling_walk import KNOWN_MAX
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

Kopilka = Callable[..., Result]


@pytest.fixture
def clock() -> StandingClock:
    """The bank's own."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def kopilka(rt: Runtime, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, command: click.Command = reconcile) -> Result:
        return CliRunner().invoke(command, list(arguments), env=environment)

    return run


def today(rt: Runtime) -> str:
    from loyalty import calendar

    return calendar.local_day(rt.now(), rt.programme.timezone).isoformat()


def test_a_lost_payment_is_found_shown_and_written(
    kopilka: Kopilka, rt: Runtime, shop: Shop, clock: StandingClock, tmp_path: Path
) -> None:
    deal_id, _ = shop.deal(4_990)
    payment_id = shop.pay(deal_id, 499_000)
    xlsx, table = tmp_path / "сверка.xlsx", tmp_path / "сверка.csv"

    tried = kopilka("--day", today(rt), "--dry-run", "--out", str(table))
    done = kopilka("--day", today(rt), "--out", str(xlsx))
    clock.forward(minutes=1)  # the command has a clock of its own
    settle(rt)
    again = kopilka("--day", today(rt), "--json")

    assert (tried.exit_code, done.exit_code, again.exit_code) == (0, 0, 0), done.output
    assert "будет учтено" in tried.output
    assert "о платеже не сообщали: учитывается" in done.output
    told = json.loads(again.output)
    assert [one["verdict"] for one in told["payments"]] == ["agrees"]
    assert told["totals"][0]["bank_kopecks"] == told["totals"][0]["our_kopecks"] == 499_000
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert (rows[0]["Платёж"], rows[0]["Списано у банка"], rows[0]["Итог"]) == (
        payment_id,
        "4990,00",
        "будет исправлено",
    )
    book = load_workbook(xlsx)
    assert book.sheet_names == ["Сверка", "Итоги"]
    [heads, row] = book.get_sheet_by_name("Сверка").to_python()
    assert dict(zip(heads, row, strict=True))["Списано у банка"] == 4990.0
    assert book.get_sheet_by_name("Итоги").to_python()[1][:4] == ["ЮKassa", 4990.0, 0.0, 4990.0]


def test_what_is_left_to_a_person_is_code_1_only_if_asked(
    kopilka: Kopilka, rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    made = shop.bank("POST", "/sim/pay", {"acquirer": "yookassa", "amount_kopecks": 100_000})
    assert kopilka("--day", today(rt)).exit_code == 0
    clock.forward(minutes=1)
    settle(rt)

    assert kopilka("--day", today(rt)).exit_code == 0
    strict = kopilka("--day", today(rt), "--strict")

    assert strict.exit_code == 1
    assert f"kopilka payments match yookassa:{made.get('payment_id') or made['id']}" in strict.output


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("--day", "вчера"), "пишите 2026-03-01"),
        (("--day", "2199-01-01"), "прошедшие"),
        (("--acquirer", "сбер"), "настроены: tbank, yookassa"),
        (("--out", "отчёт.doc"), ".xlsx или .csv"),
        (("--out", "/нет/такой/папки/отчёт.csv"), "проверьте путь"),
    ],
)
def test_a_mistake_is_named_with_its_mend(kopilka: Kopilka, arguments: tuple[str, ...], mend: str) -> None:
    result = kopilka(*arguments)

    assert result.exit_code == 2
    assert mend in result.output


@pytest.mark.parametrize("text", ["=1+1", "+7 900", "-5", "@SUM(A1)", "\tx"])
def test_no_text_from_outside_becomes_a_formula(text: str, tmp_path: Path) -> None:
    assert _csv_cell(text) == f"'{text}"
    path = tmp_path / "f.xlsx"
    write(path, [Line("yookassa", text, "person", notes=(text,))], "Europe/Moscow")

    row = load_workbook(path).get_sheet_by_index(0).to_python()[1]

    assert row[1].strip() == text.strip()


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        write(tmp_path / "f.csv", [Line("yookassa", "1", "agrees", notes=()), None], "Europe/Moscow")  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_what_is_unasked_or_untold_is_no_difference_in_the_totals(tmp_path: Path) -> None:
    lines = [
        Line("stripe", "pi_1", "agrees", bank_refunded_kopecks=100, our_captured_kopecks=900, our_refunded_kopecks=100),
        Line("stripe", "pi_2", "repaired", bank_captured_kopecks=500, bank_refunded_kopecks=0),
        Line("stripe", "", "unchecked", payments=7),
        Line("prodamus", "1", "unasked", our_captured_kopecks=300, our_refunded_kopecks=0),
    ]
    write(tmp_path / "f.xlsx", lines, "Europe/Moscow")

    heads, *rows = load_workbook(tmp_path / "f.xlsx").get_sheet_by_name("Итоги").to_python()
    told = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}

    assert (told["Stripe"]["Осталось у банка"], told["Stripe"]["Осталось в книге"]) == (4.0, -1.0)
    assert (told["Stripe"]["Разница"], told["Stripe"]["Ещё в книге, банк не говорит"]) == (5.0, 9.0)
    assert told["Stripe"]["не проверено"] == 7.0
    assert (told["Prodamus"]["Разница"], told["Prodamus"]["Ещё в книге, банк не говорит"]) == (0.0, 3.0)


def test_payments_that_were_left_out_are_code_1_if_asked(
    kopilka: Kopilka, rt: Runtime, environment: dict[str, str], shop: Shop
) -> None:
    """More payments of one bank than a run asks for; this bank answers nothing about any of them."""
    with rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO payment (acquirer, payment_ref, captured_kopecks, refunded_kopecks, is_refund_total,"
                " status, captured_at, created_at) SELECT 'prodamus', n::text, 100, 0, false, 'captured', :at, :at"
                " FROM generate_series(1, :count) n"
            ),
            {"at": rt.now() - timedelta(days=2), "count": KNOWN_MAX + 1},
        )
    rules = Path(environment["PROGRAMME"])
    text = rules.read_text(encoding="utf-8").rstrip()
    rules.write_text(f"{text}\n  - {{provider: prodamus, secret: env:PRODAMUS_SECRET}}\n", encoding="utf-8")
    environment["PRODAMUS_SECRET"] = "tests-prodamus-secret"
    del shop

    told = kopilka("--days", "3", "--day", (rt.now() - timedelta(days=3)).date().isoformat(), "--strict")

    assert told.exit_code == 1, told.output
    assert "не проверено платежей: 1" in told.output
