"""The acquirers of the rules file: each has its own keys, hints where to find them, and what is enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.acquirers import ACQUIRERS
from config.programme import CheckResult
from config.settings import SettingsInvalid, load_settings

Check = Callable[..., CheckResult]
HEAD = "version: 1\nprogramme: {name: Клуб, timezone: Europe/Moscow}\naccrual: {rate: 10%, earn_on: [payment]}\n"
ENV = {"WORD": "a-word"}


def _text(provider: str, **keys: str) -> str:
    pairs = ", ".join(f"{name}: {value}" for name, value in {"provider": provider, **keys}.items())
    return f"{HEAD}acquirers:\n  - {{{pairs}}}\n"


def _needed(provider: str) -> dict[str, str]:
    known = ACQUIRERS[provider]
    return dict.fromkeys((*known.required, *(known.needs_any or ((),))[0]), "env:WORD")


@pytest.mark.parametrize("provider", sorted(ACQUIRERS))
def test_what_is_needed_is_enough(check: Check, provider: str) -> None:
    result = check(_text(provider, **_needed(provider)), ENV)

    assert result.errors == 0, result.render()
    assert result.programme_file is not None
    (acquirer,) = result.programme_file.acquirers
    assert acquirer.provider == provider
    assert {value.get_secret_value() for value in acquirer.credentials.values()} == {"a-word"}
    assert set(acquirer.credentials) == set(_needed(provider))


@pytest.mark.parametrize("provider", sorted(name for name, known in ACQUIRERS.items() if known.required))
def test_a_missing_credential_is_told_with_the_place_where_it_is_found(check: Check, provider: str) -> None:
    result = check(_text(provider), ENV)

    assert result.errors == len(ACQUIRERS[provider].required)
    for one in ACQUIRERS[provider].credentials:
        hint = f"env:{provider.upper()}_{one.name.upper()}; где взять: {one.where_ru}"
        assert (hint in result.render()) is not one.is_optional


@pytest.mark.parametrize("provider", ["sber", "alfabank"])
def test_one_way_into_the_banks_gateway_must_be_there_as_a_whole(check: Check, provider: str) -> None:
    nothing = check(_text(provider), ENV)
    half = check(_text(provider, login="env:WORD", callback_key="env:WORD"), ENV)
    whole = check(_text(provider, login="env:WORD", password="env:WORD"), ENV)

    assert (nothing.errors, half.errors, whole.errors) == (1, 1, 0)
    assert "нужно: token или login и password" in nothing.render()


def test_an_optional_secret_that_is_named_must_be_there(check: Check) -> None:
    text = _text("robokassa", login="env:WORD", password2="env:WORD", test_password2="env:AWAY")

    checked, loaded = check(text, ENV, secrets_required=False), check(text, ENV)

    assert (checked.errors, checked.warnings, loaded.errors) == (0, 1, 1)
    assert "впишите AWAY в .env; где взять: там же" in loaded.render()


def test_without_its_secrets_an_acquirer_is_left_out_of_a_mere_check(check: Check) -> None:
    for provider in ACQUIRERS:
        result = check(_text(provider, **_needed(provider)), {}, secrets_required=False)

        assert result.programme_file is not None
        assert result.programme_file.acquirers == ()


def test_what_is_no_secret_may_be_written_as_it_is_or_referred_to(check: Check) -> None:
    for value in ("shop.server.paykeeper.ru", "env:WORD"):
        result = check(_text("paykeeper", secret="env:WORD", server=value), ENV)

        assert result.errors == 0, result.render()
        assert result.programme_file is not None
        server = result.programme_file.acquirers[0].credentials["server"].get_secret_value()
        assert server == ("a-word" if value == "env:WORD" else value)


@pytest.mark.parametrize("value", ["", '""', "[a]", '"a\\u0007"', "a" * 300])
def test_an_open_value_that_is_no_value_is_one_mistake(check: Check, value: str) -> None:
    assert check(_text("prodamus", secret="env:WORD", demo=value), ENV).errors == 1


@pytest.mark.parametrize("provider", sorted(ACQUIRERS))
def test_a_literal_secret_is_refused_and_never_shown(check: Check, provider: str) -> None:
    for one in ACQUIRERS[provider].credentials:
        if one.is_open:
            continue
        result = check(_text(provider, **{**_needed(provider), one.name: "zebra-canary"}), ENV)

        assert result.errors == 1
        assert "secret-in-file" in result.render()
        assert "zebra-canary" not in result.render()


@pytest.mark.parametrize("provider", sorted(ACQUIRERS))
def test_the_key_of_another_acquirer_is_refused(check: Check, provider: str) -> None:
    foreign = "terminal" if provider != "tbank" else "shop_id"

    result = check(_text(provider, **_needed(provider), **{foreign: "env:WORD"}), ENV)

    assert result.errors >= 1
    assert "неизвестный ключ" in result.render()


@pytest.mark.parametrize("provider", sorted(ACQUIRERS))
def test_an_api_may_be_replaced_by_this_machine_only(provider: str, tmp_path: Path) -> None:
    name = f"{provider.upper()}_API_URL"
    right = {
        "DATABASE_URL": "postgresql://k:p@127.0.0.1/k",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "PUBLIC_URL": "https://bonus.sportgory.ru",
        "SECRET_KEY": "dGVzdHMtc2VjcmV0LWtleS10aGF0LWlzLWxvbmctZW5vdWdoLTMy",
    }

    assert load_settings(right, dotenv=None).acquirer_api_urls[provider] == ACQUIRERS[provider].api_url
    moved = load_settings({**right, name: "http://127.0.0.1:8002/"}, dotenv=None).acquirer_api_urls
    assert moved == {**{key: known.api_url for key, known in ACQUIRERS.items()}, provider: "http://127.0.0.1:8002"}
    with pytest.raises(SettingsInvalid, match=name):
        load_settings({**right, name: "https://evil.example"}, dotenv=None)
