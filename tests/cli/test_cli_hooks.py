"""`kopilka hooks` as its user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.hooks import hooks
from flows import endpoints, outgoing
from flows.runtime import Runtime

URL = "https://93.184.216.34/hook"


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(hooks, list(arguments), env=environment)


def test_an_address_is_added_listed_switched_off_and_on(rt: Runtime, run: Callable[..., Result]) -> None:
    added = json.loads(run("add", URL, "--event", "segment.changed", "--json").output)
    number = str(added["id"])

    assert added["secret"].startswith("whsec_")
    assert "включён" in run("list").output
    assert "segment.changed" in run("list").output
    assert run("off", number).output == f"Адрес {number} выключен.\n"
    assert "и так выключен" in run("off", number).output
    assert "выключен: выключен вручную" in run("list").output
    assert run("on", number).output == f"Адрес {number} включён.\n"
    (listed,) = json.loads(run("list", "--json").output)
    assert (listed["url"], listed["events"], listed["is_on"]) == (URL, ["segment.changed"], True)
    assert "secret" not in listed


def test_the_secret_is_shown_once(rt: Runtime, run: Callable[..., Result]) -> None:
    shown = run("add", URL)

    assert shown.exit_code == 0
    assert "whsec_" in shown.output
    assert "whsec_" not in run("list").output + run("list", "--json").output


def test_deliveries_are_listed_and_sent_again(rt: Runtime, run: Callable[..., Result]) -> None:
    assert "ещё не было" in run("deliveries").output
    run("add", URL)
    with rt.db.begin() as tx:
        outgoing.emit(tx, rt, "points.accrued", event_id="e1", data={}, now=rt.now())
    (made,) = endpoints.deliveries(rt, limit=10)

    assert "points.accrued e1, попыток 0; следующая 01.03.2026 09:00 UTC" in run("deliveries").output
    assert json.loads(run("deliveries", "--endpoint", str(made.endpoint_id), "--json").output)[0]["id"] == made.id
    assert run("redeliver", str(made.id)).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "https://10.0.0.1/"),
        ("add", URL, "--event", "points.lost"),
        ("off", "999"),
        ("redeliver", "999"),
    ],
)
def test_a_refusal_ends_with_its_mend(rt: Runtime, run: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Как исправить: " in result.output
