"""The contracts of `.importlinter` hold, and each of them would notice its own violation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kopilka_testing import ROOT

pytestmark = pytest.mark.slow

PACKAGES = ("cli", "config", "connector", "console", "flows", "loyalty", "simulator", "storage", "wallet", "webhooks")

VIOLATIONS = {
    "Arrows point down": ("storage/violation.py", "import flows.points\n"),
    "The rules know nothing of the world": ("loyalty/violation.py", "import os\n"),
    "The simulator imports nothing of ours": ("simulator/violation.py", "import loyalty.ledger\n"),
    "Nobody imports the simulator": ("flows/violation.py", "import simulator.world\n"),
    "Web handlers hold no SQL, no HTTP client, no queue": ("webhooks/violation.py", "import sqlalchemy\n"),
    "Only flows reach the database": ("cli/violation.py", "import storage.ledger\n"),
    "RQ and Redis live in one file": ("flows/violation.py", "import redis\n"),
    "Only the connector opens sockets outward": ("flows/violation.py", "import requests\n"),
    "The network never reaches the database's package": ("connector/violation.py", "import sqlalchemy\n"),
    "No cycles inside a package": ("wallet/violation.py", "import wallet.cards_violation\n"),
}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def test_every_import_follows_the_arrows() -> None:
    found = _lint(ROOT)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_violation_is_caught_by_the_contract_meant_for_it(contract: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "templates"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    place, line = VIOLATIONS[contract]
    (tmp_path / place).write_text(f'"""A deliberate violation."""\n\n{line}', encoding="utf-8")
    (tmp_path / "wallet" / "cards_violation.py").write_text(
        '"""Half of a cycle."""\n\nimport wallet.violation\n' if contract.startswith("No cycles") else '"""Empty."""\n',
        encoding="utf-8",
    )

    found = _lint(tmp_path)

    assert found.returncode != 0
    verdicts = [line for line in found.stdout.splitlines() if line.startswith(contract[:40])]
    assert any("BROKEN" in verdict for verdict in verdicts), found.stdout
