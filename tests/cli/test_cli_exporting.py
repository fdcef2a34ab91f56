"""`kopilka export members`: files that a program which has never heard of us opens, and that we can import again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import StandingClock
from python_calamine import load_workbook

from cli.exporting import HEADERS, export
from cli.exporting_file import TooLong, harmless, write
from cli.importing import import_
from flows import exporting, people
from flows.people import Person
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

Kopilka = Callable[..., Result]


@pytest.fixture
def clock() -> StandingClock:
    """The commands have clocks of their own."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def kopilka(rt: Runtime, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    monkeypatch.chdir(tmp_path)
    Path("o.csv").write_text(
        "Имя;Телефон;Почта;Баланс;Сгорание\n"
        "=HYPERLINK(1);+79161234567;anna@example.ru;500;31.12.2030\n"
        "Борис;89037654321;;0;\n"
    )
    done = CliRunner().invoke(import_, ["balances", "o.csv", "--yes"], env=environment)
    assert done.exit_code == 0, done.output
    return lambda *arguments: CliRunner().invoke(export, ["members", *arguments], env=environment)


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text("utf-8-sig").splitlines(), delimiter=";"))


def test_everybody_is_written_and_no_cell_is_a_formula(kopilka: Kopilka, rt: Runtime) -> None:
    table, book = kopilka("e.csv", "--json"), kopilka("e.xlsx")

    assert json.loads(table.stdout) == {"file": "e.csv", "members": 2, "masked": False}
    assert "Выгружено участников: 2" in book.output
    anna, boris = rows_of("e.csv")
    assert (anna["Имя"], anna["Телефон"], anna["Баланс"]) == ("'=HYPERLINK(1)", "'+79161234567", "500")
    assert (anna["Сгорит раньше всех"], anna["Последний день этих баллов"]) == ("500", "31.12.2030")
    assert anna["Ссылка на карту"].startswith("https://bonus.sportgory.ru/c/")
    assert (boris["Баланс"], boris["Сгорит раньше всех"]) == ("0", "")
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in (anna, boris) for cell in row.values())
    heads, first, _ = load_workbook("e.xlsx").get_sheet_by_index(0).to_python()
    assert tuple(heads) == HEADERS
    assert (first[1], first[2], first[6]) == ("=HYPERLINK(1)", "+79161234567", 500.0)


def test_masked_tables_show_no_phone_and_no_address(kopilka: Kopilka) -> None:
    kopilka("e.csv", "--masked")

    text = Path("e.csv").read_text("utf-8-sig")

    assert "+7 916 ···-··-67" in text
    assert "a···@example.ru" in text
    assert "1234567" not in text
    assert "anna@" not in text


def test_an_exported_table_is_an_import_for_another_shop(kopilka: Kopilka, environment: dict[str, str]) -> None:
    for name in ("e.csv", "e.xlsx"):
        kopilka(name)
        told = balances(name, environment)
        assert set(told["columns"]) == {"name", "phone", "email", "card", "segment", "balance", "contact"}
        assert (told["credited"], told["same"], told["elsewhere"]) == (1, 1, {"o": 1})
        assert balances(name, environment, "--also-credited")["update"] == 1


def balances(name: str, environment: dict[str, str], *options: str) -> dict[str, Any]:
    """What the plan of such an import says."""
    result = CliRunner().invoke(import_, ["balances", name, "--json", *options], env=environment)
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_pages_hold_everybody_once_and_nobody_who_was_merged(
    kopilka: Kopilka, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        people.create(rt, Person(f"П{number}", phone=f"+7999000000{number}"))
    with rt.db.begin() as tx:
        ids = list(tx.execute(sa.text("SELECT id FROM member ORDER BY id")).scalars())
    people.merge(rt, from_id=ids[-1], into_id=ids[0])
    monkeypatch.setattr(exporting, "PAGE", 2)

    found = [one.member.id for page in exporting.members(rt) for one in page]

    assert found == ids[:-1]


@pytest.mark.parametrize(("file", "mend"), [("e.doc", ".csv или .xlsx"), ("/нет/такой/e.csv", "проверьте путь")])
def test_a_mistake_is_named_with_its_mend(kopilka: Kopilka, file: str, mend: str) -> None:
    result = kopilka(file)

    assert result.exit_code == 2
    assert mend in result.output


@pytest.mark.parametrize("text", ["=1+1", "+7 900", "-5", "@SUM(A1)", "\tx", "\rx", "\nx"])
def test_no_text_from_outside_becomes_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_a_table_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.xlsx"
    path.write_text("old")
    monkeypatch.setattr("cli.exporting_file.XLSX_ROWS_MAX", 1)

    with pytest.raises(TooLong):
        write(path, ["a"], [["1"], ["2"]])

    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("e.xlsx", "old")]
