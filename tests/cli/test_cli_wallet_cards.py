"""`kopilka wallet cards` and the line of `kopilka plan` about a new look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cli.main import main
from flows import apple_cards, people
from flows.people import Person
from flows.runtime import Runtime


@pytest.fixture
def out(rt: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Three cards on their way to phones."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        member = people.create(rt, Person(f"Участник {number}", phone=f"+7900400000{number}"))
        apple_cards.give_out(rt, member.id)
    with rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM outbox"))
    return 3


def run(environment: dict[str, str], *arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments), env=environment)
    assert done.exit_code == 0, done.output
    return done.output


def test_cards_are_counted_for_people_and_programs(out: int, environment: dict[str, str]) -> None:
    told = run(environment, "wallet", "cards", "--watch")
    data = json.loads(run(environment, "wallet", "cards", "--json"))

    assert f"Apple Wallet: выдано {out}, на телефонах 0, все обновлены" in told
    assert "Все карты говорят то, что есть." in told
    assert (data["apple"]["given_out"], data["apple"]["waiting"]) == (3, 0)


def test_a_plan_says_how_many_cards_a_new_look_will_refresh(rt: Runtime, out: int, environment: dict[str, str]) -> None:
    rt.directory.put("apple_design", {"digest": "another"})

    told = run(environment, "plan")

    assert "обновятся 3 карты" in told.replace("\u00a0", " ")
    assert "около 1 мин" in told
    assert "kopilka wallet cards --watch" in told
    assert "начнут обновляться после перезапуска" in run(environment, "wallet", "cards")
