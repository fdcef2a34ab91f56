"""`kopilka night`: what a person sees of the night."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import StandingClock
from night_world import Night

from cli.night import ProgressLine, night, progress_text
from flows.jobs import Progress
from flows.runtime import Runtime

ENDED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def world(rt: Runtime, clock: StandingClock) -> Night:
    return Night(rt, clock)


@pytest.fixture
def run(
    world: Night, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(night, list(arguments), env=environment)


def test_one_job_at_once_says_what_it_did(world: Night, run: Callable[..., Result]) -> None:
    world.lot(world.buyer(), 120, ENDED, told=True)
    world.lot(world.buyer(), 30, ENDED)

    result = run("--job", "burn", "--now")

    assert result.exit_code == 0
    assert result.stdout == "Сгорание: сгорело: 1 партия, 120 баллов; продлено: 1 партия, 30 баллов\n"


def test_for_programs_the_results_are_json(world: Night, run: Callable[..., Result]) -> None:
    result = run("--now", "--json")

    found = json.loads(result.stdout)
    assert [one["name"] for one in found] == [
        "holds",
        "activate",
        "catch_up",
        "apple_design",
        "google",
        "burn",
        "gifts",
        "held",
        "links",
        "reconcile",
        "drift",
        "segments",
        "certificates",
        "notices",
    ]
    assert all(one["is_over"] and one["error"] is None for one in found)


def test_without_a_reason_nothing_is_run_and_the_way_is_told(run: Callable[..., Result]) -> None:
    run()

    result = run("--job", "gifts")

    assert (result.exit_code, result.stdout) == (0, "Сейчас делать нечего. Не дожидаясь срока: kopilka night --now\n")


def test_a_job_that_another_process_does_is_left_to_it(world: Night, run: Callable[..., Result]) -> None:
    run()
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET leased_until = now() + interval '1 minute' WHERE name = 'burn'"))

    result = run("--job", "burn", "--now")

    assert result.stdout == "Это уже делает другой процесс. Как идёт: kopilka night --list\n"
    [burn] = [line for line in run("--list").stdout.splitlines() if line.startswith("burn ")]
    assert "идёт: 0" in burn


def test_the_list_shows_terms_and_results(run: Callable[..., Result]) -> None:
    run("--job", "burn", "--now")

    lines = run("--list").stdout.splitlines()
    states = json.loads(run("--list", "--json").stdout)

    assert [line.split()[0] for line in lines] == [
        "holds",
        "activate",
        "catch_up",
        "apple_design",
        "google",
        "burn",
        "gifts",
        "held",
        "links",
        "reconcile",
        "drift",
        "segments",
        "certificates",
        "notices",
    ]
    [burn] = [line for line in lines if line.startswith("burn ")]
    [state] = [one for one in states if one["name"] == "burn"]
    assert "00:05" in burn
    assert "сгорело: 0 партий, 0 баллов" in burn
    assert state["last_result"] == "сгорело: 0 партий, 0 баллов; продлено: 0 партий, 0 баллов"


def test_an_unknown_job_is_refused_with_the_names_there_are(run: Callable[..., Result]) -> None:
    result = run("--job", "brun")

    assert result.exit_code == 2
    names = (
        "holds, activate, catch_up, apple_design, google, burn, gifts, held, links, reconcile, drift, segments, "
        "certificates, notices"
    )
    assert f"Как исправить: выберите из: {names}" in result.stderr


@pytest.mark.parametrize(
    ("done", "total", "rate", "expected"),
    [
        (12_000, 200_000, 9_400.0, "[█·······················] 12000 из 200000, 9400 в секунду, осталось 0:20"),
        (200_000, 200_000, 9_400.0, "[████████████████████████] 200000 из 200000, 9400 в секунду, осталось 0:00"),
        (0, 0, 0.0, "[████████████████████████] 0 из 0"),
        (50, None, 10.0, "50, 10 в секунду"),
    ],
)
def test_progress_is_a_count_a_rate_and_what_is_left(done: int, total: int | None, rate: float, expected: str) -> None:
    assert progress_text(done, total, rate) == expected


def test_a_long_run_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine({"burn": "Сгорание"}, is_terminal=True)

    line("burn", Progress(done=1_000, total=200_000))
    line("burn", Progress(done=2_000, total=200_000))  # too soon to be shown again
    line.end()

    shown = capsys.readouterr().err
    assert shown.count("\r") == 1
    assert "Сгорание: [························] 1000 из 200000" in shown
