"""What people type into the command line: text that is none, lines that break out, refusals in its own words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from kopilka_testing import ROOT

from cli.main import main
from flows import people
from flows.people import Person
from flows.refusals import Denied
from flows.runtime import Runtime
from webhooks.api.problems import every_refusal

Kopilka = Callable[..., Result]


@pytest.fixture
def kopilka(
    rt: Runtime, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kopilka]:
    import logging

    import structlog

    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield lambda *arguments: CliRunner().invoke(main, list(arguments), env=environment)
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.fixture
def anna(rt: Runtime) -> str:
    return str(people.create(rt, Person("Анна", phone="+79161234567")).id)


def adjust(*more: str) -> list[str]:
    return ["member", "adjust", *more, "--reason", "gift"]


def test_bytes_that_are_no_text_are_refused_before_anything_is_done(environment: dict[str, str], rt: Runtime) -> None:
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "cli.main", "token", "revoke", b"\xff\xfe"]

    env = {**own, **environment, "LANG": "C.UTF-8"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=env, capture_output=True)

    assert done.returncode == 2
    assert "не текст в UTF-8" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("comment", ["   ", "a\x1b[31mb", "две\nстроки", "a\u202eb", "x" * 501])
def test_a_comment_that_would_break_out_of_its_line_is_refused(kopilka: Kopilka, anna: str, comment: str) -> None:
    result = kopilka(*adjust(anna, "5"), "--comment", comment)

    assert result.exit_code == 2
    assert "--comment не годится" in result.output
    assert "Как исправить: " in result.output


@pytest.mark.parametrize(("option", "value"), [("--by", "A" * 101), ("--by", "a\nb"), ("--key", "K" * 201)])
def test_a_signature_and_a_name_of_a_request_are_short_and_readable(
    kopilka: Kopilka, anna: str, option: str, value: str
) -> None:
    result = kopilka(*adjust(anna, "5"), "--comment", "x", option, value)

    assert result.exit_code == 2
    assert f"{option} не годится" in result.output


def test_who_applies_rules_signs_in_one_line(kopilka: Kopilka) -> None:
    assert "--by не годится" in kopilka("apply", "--yes", "--by", "a\x1b[2Jb").output


def test_a_good_correction_is_signed_and_explained(kopilka: Kopilka, anna: str, rt: Runtime) -> None:
    result = kopilka(*adjust(anna, "5"), "--comment", " за терпение ", "--by", "Иванова")

    assert result.exit_code == 0
    with rt.db.begin() as tx:
        row = tx.execute(sa.text("SELECT actor, reason FROM transfer WHERE move = 'adjust'")).one()
    assert tuple(row) == ("kopilka: Иванова", "подарок: за терпение")


@pytest.mark.parametrize(
    "command",
    [
        ("member", "merge", "{anna}", "999"),
        ("member", "adjust", "nobody@shop.ru", "5", "--reason", "gift", "--comment", "x"),
        ("member", "adjust", "(a)@shop.ru", "5", "--reason", "gift", "--comment", "x"),
        ("member", "reward", "{anna}", "nothing"),
        ("member", "adjust", "{anna}", "1000000", "--reason", "gift", "--comment", "x"),
        ("balance", "999"),
    ],
)
def test_a_refusal_is_mended_by_what_can_be_typed_here(kopilka: Kopilka, anna: str, command: tuple[str, ...]) -> None:
    result = kopilka(*(word.format(anna=anna) for word in command))

    assert result.exit_code == 2
    assert "Как исправить: " in result.output
    assert "/api/" not in result.output


def test_no_refusal_that_a_command_may_meet_sends_its_user_to_the_api() -> None:
    from cli.refused import mend_of

    met = {"member_not_found", "several_members", "bad_email", "bad_phone", "adjustment_limit", "not_enough_points"}
    met |= {"action_unknown", "action_limit", "merge_refused", "not_yet"}
    known: dict[str, type[Denied]] = {one.code: one for one in every_refusal()}

    assert [code for code in met if "/api/" in mend_of(known[code]())] == []


def test_a_right_that_is_none_is_named(kopilka: Kopilka) -> None:
    unknown = kopilka("token", "create", "--name", "x", "--scope", "read,rule").output
    empty = kopilka("token", "create", "--name", "x", "--scope", "").output

    assert "нет права rule" in unknown
    assert "не названо ни одного" in empty


def test_a_doubled_key_of_a_basket_is_refused_because_nobody_knows_which_price_is_meant(
    kopilka: Kopilka, tmp_path: Path
) -> None:
    basket = tmp_path / "basket.json"
    basket.write_text('{"lines": [{"gross_kopecks": 100, "gross_kopecks": 99999900}]}')

    result = kopilka("try", "--basket", str(basket))

    assert result.exit_code == 2
    assert "Ключ 'gross_kopecks' стоит дважды" in result.output
