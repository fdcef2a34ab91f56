"""The simulated Apple as a process: it announces itself, says what it wants, and keeps phones in a drawer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from kopilka_testing import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def apple(tmp_path: Path, wallet_folder: Path) -> Iterator[dict[str, str]]:
    import json
    import sys

    command = [sys.executable, "-m", "simulator", "apns", "--ca", str(wallet_folder / "ca.pem")]
    with subprocess.Popen([*command, "--state", str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(10) == 0


def test_it_says_where_pushes_go_and_whom_to_trust(apple: dict[str, str]) -> None:
    assert apple["apns_url"].startswith("https://127.0.0.1:")
    assert Path(apple["apns_ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    with pytest.raises(requests.exceptions.ConnectionError):  # no certificate, no HTTP/1
        requests.post(f"{apple['apns_url']}/3/device/aa", verify=apple["apns_ca_file"], timeout=5)
    state = requests.get(f"{apple['url']}/sim/state", timeout=5).json()
    assert (state["pushes"], state["refused"]) == (0, 1)


def test_what_it_does_not_know_it_refuses_in_words(apple: dict[str, str]) -> None:
    replies = [
        requests.post(f"{apple['url']}/sim/faults", json={"statuss": 410}, timeout=5),
        requests.get(f"{apple['url']}/sim/phones/nobody", timeout=5),
        requests.post(f"{apple['url']}/sim/phones", json={"pass_url": f"{apple['url']}/sim/state"}, timeout=5),
    ]

    assert [reply.status_code for reply in replies] == [400, 404, 400]
    assert "Wallet не возьмёт" in replies[2].json()["error"]
