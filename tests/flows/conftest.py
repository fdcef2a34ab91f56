"""What tests of sudden death share: a small process of the product that dies where it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kopilka_testing import ROOT, StandingClock

from flows import failpoints

DRIVER = Path(__file__).with_name("failpoint_driver.py")

Run = Callable[..., int]


@pytest.fixture
def run(environment: dict[str, str], clock: StandingClock, tmp_path: Path) -> Run:
    """Starts the driver as a process whose clock agrees with the test's; its exit code."""

    def start(work: str, source: str = "", *, failpoint: str | None, body: bytes = b"") -> int:
        clock_file = tmp_path / "clock.json"
        clock_file.write_text(json.dumps({"offset_s": (clock() - datetime.now(UTC)).total_seconds()}))
        settings = {**environment, "CLOCK_FILE": str(clock_file), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        if failpoint is not None:
            settings["FAILPOINT"] = failpoint
        command = [sys.executable, str(DRIVER), work, source]
        began = time.monotonic()
        finished = subprocess.run(command, input=body, env=settings, capture_output=True, timeout=30, check=False)
        clock.forward(seconds=time.monotonic() - began)
        assert finished.returncode in (0, failpoints.EXIT_CODE), finished.stderr.decode()
        return finished.returncode

    return start
