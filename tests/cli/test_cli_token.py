"""`kopilka token`: keys are made, listed without themselves, and revoked."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from cli.main import main
from flows import access
from flows.access import Admission
from flows.runtime import Runtime


@pytest.fixture
def kopilka(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env=environment)

    return run


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_token_is_shown_once_and_opens_the_api(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    first = kopilka("token", "create", "--name", "site").output.strip()
    second = kopilka(
        "token", "create", "--name", "site", "--scope", "quote, hold,read", "--channel", "site"
    ).output.strip()

    assert access.admit(rt, first) is None, "a second token of the same name replaces the first"
    caller = _admitted(rt, second).caller
    assert (caller.name, caller.scopes, caller.channel) == ("site", ("hold", "quote", "read"), "site")


def test_a_token_made_without_rights_may_only_read(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    token = kopilka("token", "create", "--name", "till").output.strip()

    assert _admitted(rt, token).caller.scopes == ("read",)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--name", "x", "--scope", "read,write"), "write"),
        (("--name", "x", "--scope", ","), "ни одного"),
        (("--name", "x", "--channel", "crm"), "crm"),
        (("--name", "x", "--channel", "Касса"), "Канал"),
        (("--name", ""), "Имя"),
        (("--name", "a\nb"), "Имя"),
    ],
)
def test_a_wrong_wish_is_explained_and_mended(
    rt: Runtime, kopilka: Callable[..., Result], arguments: tuple[str, ...], word: str
) -> None:
    result = kopilka("token", "create", *arguments)

    assert result.exit_code == 2
    assert word in result.output
    assert "Как исправить: kopilka token create" in result.output
    assert access.tokens(rt) == []


def test_the_list_names_everything_but_the_tokens(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    empty = kopilka("token", "list").output
    secret = access.create_token(rt, "site", ["read", "quote"], "site")
    _admitted(rt, secret)
    access.create_token(rt, "old")
    access.revoke_token(rt, "old")

    shown = kopilka("token", "list").output
    told = json.loads(kopilka("token", "list", "--json").output)

    assert "kopilka token create" in empty
    assert "quote,read" in shown
    assert "отозван" in shown
    assert [(one["name"], one["scopes"], one["channel"]) for one in told] == [
        ("old", ["read"], "api"),
        ("site", ["quote", "read"], "site"),
    ]
    assert secret not in shown + str(told)


def test_a_revoked_token_no_longer_opens_anything(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    token = access.create_token(rt, "site")

    first, second = kopilka("token", "revoke", "site"), kopilka("token", "revoke", "site")

    assert (first.exit_code, second.exit_code) == (0, 2)
    assert "kopilka token list" in second.output
    assert access.admit(rt, token) is None


def _admitted(rt: Runtime, token: str) -> Admission:
    found = access.admit(rt, token)
    assert found is not None
    return found
