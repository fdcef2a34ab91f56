"""`kopilka calls` as its user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import Shop, StandingClock, settle

from cli.calls import calls
from flows import people, segmenting
from flows.people import Person
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

Calls = Callable[..., Result]
DUE = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
PLAN = ("plan", "--segment", "vip", "--title", "Весна", "--text", "{имя}: {баланс}", "--due", DUE)


@pytest.fixture
def clock() -> StandingClock:
    """The commands have the real one."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(calls, list(arguments), env=environment)


@pytest.fixture
def vip(rt: Runtime, shop: Shop) -> int:
    _, contact_id = shop.deal()
    made = people.create(rt, Person("Анна Петрова", phone="+79000000001", contact_ref=contact_id)).id
    people.create(rt, Person("Без контакта", phone="+79160000002"))
    segmenting.put_by_hand(rt, made, "vip")
    other = people.create(rt, Person("Пётр", phone="+79160000003")).id
    segmenting.put_by_hand(rt, other, "vip")
    return made


def test_a_list_is_shown_made_reported_and_stopped(
    rt: Runtime, shop: Shop, clock: StandingClock, run: Calls, vip: int, tmp_path: Path
) -> None:
    shown = run(*PLAN, "--dry-run")
    assert "Звонить: 1\n  Анна Петрова, баланс 0\n" in shown.output
    assert "Не звонить, нет контакта в CRM: 1 (Пётр)" in shown.output
    assert "Ничего не создано" in shown.output
    assert "Списков ещё не было" in run("report").output

    made = run(*PLAN, "--yes")
    assert "создан: задач 1" in made.output, made.output
    clock.forward(minutes=1)
    settle(rt)
    [task] = shop.crm("GET", "/sim/tasks")["tasks"]
    shop.crm("POST", f"/sim/tasks/{task['id']}/close", {"result": "=5+5 нет"})
    (listed,) = json.loads(run("report", "--json").output)
    number = str(listed["id"])
    assert (listed["people"], listed["open"], listed["results"]) == (1, 1, {})
    text = run("report", number, "--csv", "итоги.csv")
    assert "закрыто 0 (0 %), открыто 1" in text.output
    assert "Весна" in (tmp_path / "итоги.csv").read_text(encoding="utf-8-sig")

    stopped = run("stop", number)
    assert "остаётся открытых задач 1" in stopped.output
    assert json.loads(run("stop", number, "--json").output) == {"id": int(number), "dropped": 0, "open": 1}
    assert "остановлен" in run("report").output


def test_the_table_has_the_day_of_the_programmes_zone(rt: Runtime, run: Calls, vip: int, tmp_path: Path) -> None:
    number = json.loads(run(*PLAN, "--json").output)["list"]
    settle(rt)
    with rt.db.begin() as tx:  # half past one in Moscow, the day before in UTC
        tx.execute(sa.text("UPDATE call_task SET state = 'closed', task_ref = 7, closed_at = '2026-03-10 22:30+00'"))

    run("report", str(number), "--csv", "итоги.csv")

    assert ";11.03.2026;" in (tmp_path / "итоги.csv").read_text(encoding="utf-8-sig")
    assert vip


def test_a_program_makes_a_list_without_a_question(run: Calls, vip: int) -> None:
    told = json.loads(run(*PLAN, "--json").output)

    assert told["chosen"] == [vip]
    assert isinstance(told["list"], int)
    assert json.loads(run(*PLAN, "--json").output)["list"] is None, "he is on a list already"


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--segment", "нет", "--title", "x", "--text", "x", "--due", DUE),
        ("plan", "--segment", "vip", "--title", "x", "--text", "{кто}", "--due", DUE),
        ("plan", "--segment", "vip", "--title", "x", "--text", "x", "--due", "2020-01-01"),
        PLAN,
        ("report", "999"),
        ("stop", "999"),
        ("report", "--csv", "итоги.pdf"),
    ],
)
def test_a_refusal_ends_with_its_mend(run: Calls, vip: int, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2, result.output
    assert "Как исправить: " in result.output
