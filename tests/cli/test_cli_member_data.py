"""`kopilka member requests, data, done, erase`: from a buyer's wish on his card page to the shop's answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.doctor import examine
from cli.main import main
from flows import card_visits, people
from flows.people import Person
from flows.runtime import Runtime

Kopilka = Callable[..., Result]


@pytest.fixture
def kopilka(rt: Runtime, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    del rt
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **more: CliRunner().invoke(main, ["member", *arguments], env=environment, **more)


@pytest.fixture
def anna(rt: Runtime) -> int:
    made = people.create(rt, Person("Анна Петрова", phone="+79161234567"))
    for kind in ("export", "erase"):
        card_visits.ask_for_data(rt, made.card_token, kind)  # type: ignore[arg-type]
    return made.id


def test_a_wish_is_listed_answered_and_closed(kopilka: Kopilka, anna: int) -> None:
    listed = kopilka("requests")
    told = json.loads(kopilka("requests", "--json").output)["requests"]
    written = kopilka("data", "+79161234567", "--out", "anna.json")
    closed = kopilka("done", str(told[0]["number"]), "--note", "отправлено письмом", "--by", "Ирина")
    left = kopilka("requests")
    everything = kopilka("requests", "--all")

    assert [(one["kind"], one["member_id"]) for one in told] == [("export", anna), ("erase", anna)]
    assert "прислать данные" in listed.output
    assert "kopilka member done" in listed.output
    assert written.exit_code == closed.exit_code == 0
    assert Path("anna.json").stat().st_mode & 0o077 == 0
    assert json.loads(Path("anna.json").read_text())["addresses"][0]["value"] == "+79161234567"
    assert "прислать данные" not in left.output
    assert "Ирина" in everything.output


def test_a_file_that_was_there_is_not_left_open_to_others(kopilka: Kopilka, anna: int) -> None:
    Path("anna.json").write_text("x" * 100_000)
    Path("anna.json").chmod(0o644)

    kopilka("data", str(anna), "--out", "anna.json")

    assert Path("anna.json").stat().st_mode & 0o077 == 0
    assert json.loads(Path("anna.json").read_text())["person"][0]["member"] == anna


def test_erasing_asks_first(kopilka: Kopilka, anna: int) -> None:
    refused = kopilka("erase", str(anna), input="n\n")
    still = kopilka("data", str(anna))
    done = kopilka("erase", str(anna), "--yes")
    after = kopilka("data", str(anna))

    assert refused.exit_code == 2
    assert "Ничего не удалено" in refused.output
    assert "Анна Петрова" in still.output
    assert done.exit_code == 0
    assert "Удалите и контакт в amoCRM" in done.output
    assert "Анна Петрова" not in after.output


def test_what_is_not_there_is_said_in_words(kopilka: Kopilka, anna: int) -> None:
    number = kopilka("done", "999", "--note", "x")
    person = kopilka("erase", "+79990000000", "--yes")
    place = kopilka("data", str(anna), "--out", "/no/such/folder/x.json")

    assert [one.exit_code for one in (number, person, place)] == [2, 2, 2]
    assert "kopilka member requests" in number.output
    assert "не найден" in person.output
    assert "выберите другую папку" in place.output


def test_the_doctor_reminds_of_a_wish_that_waits_too_long(kopilka: Kopilka, anna: int, rt: Runtime) -> None:
    del kopilka, anna
    young = [one for one in examine(rt) if "о своих данных: 2" in one.text]
    rt.clock.forward(days=8)  # type: ignore[attr-defined]
    old = [one for one in examine(rt) if "о своих данных: 2" in one.text]

    assert [one.level for one in young + old] == ["ok", "warning"]
    assert "kopilka member requests" in str(old[0].mend)
