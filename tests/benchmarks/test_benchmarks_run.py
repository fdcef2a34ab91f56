"""The benchmarks run and say what they promise; no speed is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from connector.acquiring import ACQUIRERS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_intake_and_drain_measure_every_line_and_every_acknowledged_request_is_a_row() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.run",
        "--size",
        "tiny",
        "--only",
        "intake",
        "--only",
        "drain",
        "--json",
    ]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert run.returncode == 0, run.stderr  # 2 would mean: acknowledged and not stored, or done without points
    table, _, last_line = run.stdout.rstrip().rpartition("\n")
    lines = json.loads(last_line)
    assert set(lines) == {
        *(f"intake.{name}{part}" for name in ("hook", "callback") for part in ("", ".of_insert", ".cpu")),
        *(f"intake.{name}.{part}" for name in ("hook", "callback") for part in ("open_p50", "open_p99", "acked")),
        "intake.bare",
        "intake.insert",
        "drain.known",
        "drain.unknown",
        "drain.ceiling",
    }
    assert all(line["value"] > 0 for line in lines.values())
    assert lines["intake.hook.acked"]["value"] == lines["intake.callback.acked"]["value"] == 100
    for words in ("x bare Flask", "x INSERT + commit", "target >= 0.5 x", "target < 50 ms", "target >= 200/s"):
        assert words in table


def test_every_acquirer_is_measured_without_a_database_and_refuses_its_forgery() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--size", "tiny", "--only", "acquirers", "--json"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert run.returncode == 0, run.stderr  # 2 would mean: a genuine callback refused, or a forged one taken
    table, _, last_line = run.stdout.rstrip().rpartition("\n")
    lines = json.loads(last_line)
    assert set(lines) == {f"acquirers.{name}{part}" for name in ACQUIRERS for part in ("", ".forged")}
    assert all(line["value"] > 0 for line in lines.values())
    for words in ("x bare RSA-2048 verify", "x bare HMAC-SHA256", "target < 1000 us"):
        assert words in table


def test_an_incoming_call_is_measured_and_every_answer_names_the_right_person() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--size", "tiny", "--only", "calls", "--json"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert run.returncode == 0, run.stderr  # 2 would mean: somebody else's card was shown
    lines = json.loads(run.stdout.rstrip().rpartition("\n")[2])
    assert set(lines) == {f"calls.{name}" for name in ("p50", "p99", "stranger", "look_up", "bare")}
    assert all(line["value"] > 0 for line in lines.values())


def test_phones_are_told_once_and_get_the_present_card() -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--size", "tiny", "--only", "pushes", "--json"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)

    assert run.returncode == 0, run.stderr  # 2 would mean: a phone was not told, or twice, or given an old card
    lines = json.loads(run.stdout.rstrip().rpartition("\n")[2])
    assert {f"pushes.{name}" for name in ("told", "of_alone", "bare", "alone", "fetched", "unmodified")} == set(lines)
