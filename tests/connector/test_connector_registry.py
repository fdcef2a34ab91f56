"""Two registries describe the acquirers, because config and connector may not import each other: they must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from acquirer_vectors import ALL
from kopilka_testing import ROOT

from config.acquirers import ACQUIRERS as KNOWN
from config.model import Provider
from connector.acquiring import ACQUIRERS
from connector.errors import NotConfigured
from flows.payment_check import SECRETS

URL = "https://127.0.0.1"
LINES_MAX = 150


def test_both_registries_and_the_examples_name_the_same_acquirers() -> None:
    assert set(ACQUIRERS) == set(KNOWN) == set(get_args(Provider)) == set(SECRETS)
    assert {vector["provider"] for vector in ALL} == set(ACQUIRERS)
    assert {name: adapter.name for name, adapter in ACQUIRERS.items()} == {name: name for name in ACQUIRERS}


@pytest.mark.parametrize("name", sorted(ACQUIRERS))
def test_both_registries_agree_on_titles_addresses_and_credentials(name: str) -> None:
    adapter, known = ACQUIRERS[name], KNOWN[name]
    optional = {one.name for one in known.credentials if one.is_optional}

    assert (adapter.title_ru, adapter.api_url) == (known.title_ru, known.api_url)
    assert (set(adapter.credentials), set(adapter.optional_credentials)) == (set(known.required), optional)
    assert all(one.where_ru for one in known.credentials)
    assert all(set(group) <= optional for group in known.needs_any)
    assert SECRETS[name] in {one.name for one in known.credentials}


@pytest.mark.parametrize("name", sorted(ACQUIRERS))
def test_a_missing_credential_is_named(name: str, http: Any) -> None:
    with pytest.raises(NotConfigured, match=name):
        ACQUIRERS[name].from_credentials({}, api_url=URL, http=http, check_ip=False)


@pytest.mark.parametrize("name", sorted(ACQUIRERS))
def test_no_secret_is_in_the_repr_of_an_acquirer(name: str, http: Any) -> None:
    needed = {key: "canary" for group in (*KNOWN[name].needs_any[:1], KNOWN[name].required) for key in group}

    adapter = ACQUIRERS[name].from_credentials(needed, api_url=URL, http=http, check_ip=False)

    assert "canary" not in repr(adapter)


def test_no_acquirer_is_longer_than_agreed() -> None:
    files = (ROOT / "connector" / "acquiring").glob("*.py")
    long = {path.name: len(path.read_text("utf-8").splitlines()) for path in map(Path, files) if path.name != "base.py"}

    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}
