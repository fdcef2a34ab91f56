"""A clock that a demo can move."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.clock import CHECK_EVERY_S, FileClock, system_clock

NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)


class Elapsed:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


def later(elapsed: Elapsed) -> None:
    elapsed.seconds += CHECK_EVERY_S * 1.5


def test_the_system_clock_is_in_utc() -> None:
    assert system_clock().utcoffset() == timedelta()


def test_an_absent_file_is_no_offset(path: Path) -> None:
    assert FileClock(path, lambda: NOON)() == NOON


def test_a_written_offset_moves_the_clock(path: Path, elapsed: Elapsed) -> None:
    clock = FileClock(path, lambda: NOON, elapsed)
    assert clock() == NOON

    path.write_text('{"offset_s": 15552000}')
    too_soon = clock()
    later(elapsed)

    assert too_soon == NOON
    assert clock() == NOON + timedelta(days=180)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"offset_s": ',
        "[]",
        '{"offset_s": "1"}',
        '{"offset_s": NaN}',
        '{"offset_s": 1e300}',
        '{"offset_s": true}',
        "[" * 900,
        '{"offset_s": 1' + "0" * 400 + "}",
    ],
)
def test_a_broken_file_keeps_the_last_offset(path: Path, elapsed: Elapsed, content: str) -> None:
    path.write_text('{"offset_s": 60}')
    clock = FileClock(path, lambda: NOON, elapsed)
    clock()

    path.write_text(content)
    later(elapsed)

    assert clock() == NOON + timedelta(minutes=1)


def test_a_removed_file_keeps_the_last_offset_and_a_new_one_is_seen(path: Path, elapsed: Elapsed) -> None:
    path.write_text('{"offset_s": 60}')
    clock = FileClock(path, lambda: NOON, elapsed)
    clock()

    path.unlink()
    later(elapsed)
    kept = clock()
    path.write_text(json.dumps({"offset_s": -3600.5}))
    later(elapsed)

    assert kept == NOON + timedelta(minutes=1)
    assert clock() == NOON - timedelta(seconds=3600.5)
