"""The benchmark runs and prints what it promises; its speed is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "passes.py"


def test_the_benchmark_prints_medians_ratios_and_targets() -> None:
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--rounds", "1", "--seconds", "0.02"],
        cwd=BENCHMARK.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    for name in (
        "ours ",
        "bare RSA-2048 sign",
        "py-pkpass",
        "ours / bare RSA-2048",
        "ours / py-pkpass",
        "target >= 40",
    ):
        assert name in run.stdout
