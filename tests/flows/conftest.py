"""What tests of sudden death share: processes of the product that die where they are told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kopilka_testing import ROOT, StandingClock

from flows import failpoints

DRIVER = Path(__file__).with_name("failpoint_driver.py")

Run = Callable[..., int]


@pytest.fixture(scope="session")
def driver() -> Iterator[subprocess.Popen[str]]:
    """Waits for orders, has everything imported."""
    process = subprocess.Popen(
        [sys.executable, str(DRIVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run(driver: subprocess.Popen[str], environment: dict[str, str], clock: StandingClock, tmp_path: Path) -> Run:
    """Has work done by a process whose clock agrees with the test's; its exit code."""

    def start(work: str, source: str = "", *, failpoint: str | None, body: bytes = b"") -> int:
        clock_file = tmp_path / "clock.json"
        clock_file.write_text(json.dumps({"offset_s": (clock() - datetime.now(UTC)).total_seconds()}))
        settings = {**environment, "CLOCK_FILE": str(clock_file)}
        if failpoint is not None:
            settings["FAILPOINT"] = failpoint
        assert driver.stdin is not None
        assert driver.stdout is not None
        began = time.monotonic()
        order = {"settings": settings, "work": work, "source": source, "body": body.hex()}
        driver.stdin.write(json.dumps(order) + "\n")
        driver.stdin.flush()
        code = int(driver.stdout.readline())
        clock.forward(seconds=time.monotonic() - began)
        assert code in (0, failpoints.EXIT_CODE), "the process failed, its traceback is in the captured stderr"
        return code

    return start
