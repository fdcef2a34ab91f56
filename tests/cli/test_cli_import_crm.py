"""`kopilka import amocrm` as its user types it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result
from kopilka_testing import Shop

from cli.importing_crm import _Line
from cli.main import main
from flows import crm_import
from flows.crm_import import Asked, Step
from flows.runtime import Runtime
from storage import members

pytestmark = pytest.mark.slow

Kopilka = Callable[..., Result]


@pytest.fixture
def kopilka(environment: dict[str, str], tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    """The command in a folder of its own; the clock is a real one, a little ahead of the simulator's."""
    monkeypatch.chdir(tmp_path)
    clock = tmp_path / "clock.json"
    clock.write_text(json.dumps({"offset_s": 300}))

    def run(*arguments: str, say: str = "") -> Result:
        env = {**environment, "CLOCK_FILE": str(clock)}
        return CliRunner().invoke(main, ["import", "amocrm", *arguments], env=env, input=say)

    return run


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its process; here that process is everybody's."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def _years(shop: Shop, **more: int) -> None:
    shop.crm("POST", "/sim/bulk", {"contacts": 40, "deals": 120, "same_phone": 10, "without_phone": 10, **more})


def test_the_owner_sees_what_will_change_and_says_no(kopilka: Kopilka, shop: Shop, rt: Runtime) -> None:
    _years(shop)

    result = kopilka(say="n\n")

    assert result.exit_code == 0, result.output
    for words in ("выигранных сделок 120", "по годам: ", "Станут участниками: ", "Сегмент", "Баллы за прошлое: нет"):
        assert words in result.output
    assert "Ничего не изменено" in result.output
    with rt.db.begin() as tx:
        assert members.count(tx) == 0


def test_yes_imports_and_a_second_time_changes_nothing(kopilka: Kopilka, shop: Shop, tmp_path: Path) -> None:
    _years(shop)

    first, second = kopilka("--yes"), kopilka("--yes", "--json")

    assert first.exit_code == 0, first.output
    assert "покупок в истории 120" in first.output
    counts = json.loads(second.stdout)["counts"]
    assert counts.get("members", 0) == counts.get("orders", 0) == 0
    lines = (tmp_path / "amocrm-import-rejects.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "что;номер в amoCRM;почему"
    assert any("это разные участники" in line for line in lines)


def test_a_dry_run_for_a_program_gives_the_numbers(kopilka: Kopilka, shop: Shop) -> None:
    _years(shop)

    told: dict[str, Any] = json.loads(kopilka("--dry-run", "--json").stdout)

    assert told["is_dry_run"] is True
    assert told["totals"]["deals"] == 120
    assert sum(line["after"] for line in told["segments"]) == told["new_members"]


def test_the_progress_says_that_a_total_is_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    line = _Line({"deals": "Сделки", "contacts": "Контакты"}, is_terminal=True)

    line("deals", Step("deals", 250, 1000, is_guess=True))
    line("contacts", Step("contacts", 150, 900, is_guess=False))
    line.end()

    told = capsys.readouterr().err
    assert "250 из примерно 1000" in told
    assert "150 из 900" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pipeline", "Нет такой"), "нет воронки «Нет такой»"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    kopilka: Kopilka, shop: Shop, arguments: tuple[str, ...], words: str
) -> None:
    result = kopilka(*arguments, "--yes")

    assert result.exit_code == 2
    assert words in result.output
    assert "Как исправить: " in result.output


def test_while_another_process_imports_one_is_told_so(kopilka: Kopilka, shop: Shop, rt: Runtime) -> None:
    rt.clock = lambda: datetime.now(UTC) + timedelta(minutes=5)
    crm_import.begin(rt, Asked())

    result = kopilka("--yes")

    assert result.exit_code == 2
    assert "уже идёт в другом процессе" in result.output


def test_a_crm_that_does_not_answer_stops_it_and_the_same_command_goes_on(kopilka: Kopilka, shop: Shop) -> None:
    _years(shop)
    shop.faults(unauthorized=100)

    stopped = kopilka("--yes")
    shop.faults(reset=True)
    again = kopilka("--yes")

    assert stopped.exit_code == 2
    assert "повторите ту же команду" in stopped.output
    assert again.exit_code == 0, again.output
    assert "покупок в истории 120" in again.output
