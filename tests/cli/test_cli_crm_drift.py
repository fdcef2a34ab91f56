"""`kopilka amocrm drift`: what was moved past the ledger, for a person, a program and Excel."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import StandingClock

from cli.crm import amocrm
from flows import people
from flows.people import Person
from flows.runtime import Runtime
from storage import crm_bonus

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
Kopilka = Callable[..., Result]


@pytest.fixture
def clock() -> StandingClock:
    """The commands have clocks of their own."""
    return StandingClock(NOW)


@pytest.fixture
def kopilka(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(amocrm, ["drift", *arguments], env=environment)


def switch_on(environment: dict[str, str]) -> None:
    path = Path(environment["PROGRAMME"])
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("customers: yes", "customers: yes\n  bonus_points: yes"), encoding="utf-8")


def moved(rt: Runtime, *found: tuple[int | None, int, int]) -> int:
    """Expected, found, days ago."""
    member = people.create(rt, Person("=Анна()", phone="+79000000001", contact_ref=77))
    with rt.db.begin() as tx:
        for expected, points, days in found:
            at = NOW - timedelta(days=days)
            crm_bonus.add_drift(tx, customer_ref=501, member_id=member.id, found_at=at, expected=expected, found=points)
    return member.id


def test_nothing_found_and_nothing_switched_on_is_said(kopilka: Kopilka, rt: Runtime) -> None:
    done = kopilka()

    assert done.exit_code == 0, done.output
    assert "нет amocrm.bonus_points: yes" in done.output
    assert "Движений мимо нас не найдено, дней: 30." in done.output


def test_the_newest_come_first_and_old_ones_only_when_asked(
    kopilka: Kopilka, rt: Runtime, environment: dict[str, str]
) -> None:
    switch_on(environment)
    moved(rt, (300, 250, 3), (None, 200, 2), (100, 130, 60))

    month, year = kopilka().output, kopilka("--days", "365").output

    assert month.splitlines()[0] == "Движений мимо нас: 2, дней: 30."
    assert "покупатель 501: не знали, нашли 200" in month.splitlines()[1]
    assert month.splitlines()[2].endswith("ждали 300, нашли 250 (-50)")
    assert len(year.splitlines()) == 4
    assert "(+30)" in year


def test_a_program_gets_every_number(kopilka: Kopilka, rt: Runtime, environment: dict[str, str]) -> None:
    switch_on(environment)
    member = moved(rt, (300, 250, 3))

    told = json.loads(kopilka("--json").stdout)

    assert (told["on"], told["days"], told["total"]) == (True, 30, 1)
    [one] = told["drifts"]
    assert (one["member"], one["customer"], one["contact"]) == (member, 501, 77)
    assert (one["expected"], one["found"], one["shift"]) == (300, 250, -50)
    assert datetime.fromisoformat(one["found_at"]) == NOW - timedelta(days=3)


@pytest.mark.parametrize("name", ["d.csv", "d.xlsx"])
def test_a_table_is_written_and_no_cell_is_a_formula(kopilka: Kopilka, rt: Runtime, name: str) -> None:
    moved(rt, (300, 250, 3), (None, 200, 2))

    done = kopilka("--csv", name)

    assert done.exit_code == 0, done.output
    assert f"Отчёт: {name}" in done.output
    if name.endswith("csv"):
        rows = list(csv.DictReader(Path(name).read_text("utf-8-sig").splitlines(), delimiter=";"))
        assert [(row["Ждали баллов"], row["Нашли баллов"], row["Сдвиг"]) for row in rows] == [
            ("", "200", "200"),
            ("300", "250", "-50"),
        ]
        assert rows[0]["Имя"] == "'=Анна()"


def test_a_file_that_cannot_be_written_says_how_to_mend_it(kopilka: Kopilka, rt: Runtime) -> None:
    unknown, nowhere = kopilka("--csv", "d.txt"), kopilka("--csv", "нет/d.csv")

    assert (unknown.exit_code, nowhere.exit_code) == (2, 2)
    assert "Как исправить: назовите файл с окончанием" in unknown.output
    assert "Как исправить: проверьте путь" in nowhere.output


def test_a_person_who_was_merged_since_is_still_in_the_report(kopilka: Kopilka, rt: Runtime) -> None:
    gone = moved(rt, (300, 250, 3))
    kept = people.create(rt, Person("Анна", phone="+79000000002")).id
    people.merge(rt, from_id=gone, into_id=kept)

    [one] = json.loads(kopilka("--json").stdout)["drifts"]

    assert one["member"] == gone
    with rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM crm_bonus_drift")).scalar_one() == 1
