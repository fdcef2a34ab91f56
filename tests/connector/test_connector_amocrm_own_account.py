"""Ids of another account mean nothing here: whose account an access opens is seen before anything is done with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.amocrm.auth import LongLivedToken, OAuthTokens
from connector.amocrm.client import AmoCrm
from connector.amocrm.home import Home
from connector.errors import BadReply, ConnectorError, ForeignAccount, NeedsReauth, ServerFailed
from connector.http import HttpClient
from connector.protocols import TokenPair

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OURS, THEIRS = 31337, 666
EARLIER = TokenPair("access-0", "refresh-0", NOW + timedelta(minutes=1))


@dataclass
class MemoryHost:
    """HostMemory of an account that stays where it is."""

    known: int | None = OURS

    def account_id(self) -> int | None:
        return self.known

    def moved_to(self, base_url: str) -> str | None:
        del base_url
        return None

    def save_move(self, base_url: str, new_base_url: str) -> None:
        raise AssertionError(f"{base_url} has not moved to {new_base_url}")


class Account:
    """amoCRM that says which account it is, and gives tokens to whoever asks."""

    def __init__(self, account: object = OURS, status: int = 200) -> None:
        self.account = account
        self.status = status
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/oauth2/access_token":
            self.meanwhile()
            pair = {"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 86400}
            return 200, {"Content-Type": "application/json"}, json.dumps(pair).encode()
        told = {"id": self.account, "subdomain": "x", "customers_mode": "segments", "name": "x"}
        return self.status, {"Content-Type": "application/hal+json"}, json.dumps(told).encode()


@pytest.fixture
def account(local_server: Any) -> Account:
    local_server.answer = Account()
    return local_server.answer


@pytest.fixture
def memory() -> MemoryHost:
    return MemoryHost()


@pytest.fixture
def crm(local_server: Any, http: HttpClient, gate: Any, memory: MemoryHost) -> AmoCrm:
    return AmoCrm(Home(local_server.url, memory), LongLivedToken("token"), gate, http)


@pytest.fixture
def oauth(local_server: Any, http: HttpClient, tokens: Any, memory: MemoryHost) -> OAuthTokens:
    tokens.pair = EARLIER
    home = Home(local_server.url, memory)
    return OAuthTokens(
        tokens, http, home, client_id="id", client_secret="s", redirect_uri="https://app/cb", now=lambda: NOW
    )


def asked(local_server: Any) -> list[str]:
    return [f"{method} {path.partition('?')[0]}" for method, path, *_ in local_server.seen]


def test_the_account_is_looked_at_once_before_the_first_call(crm: AmoCrm, account: Account, local_server: Any) -> None:
    crm.request("GET", "/leads")
    crm.request("PATCH", "/leads", body=[])

    assert asked(local_server) == ["GET /api/v4/account", "GET /api/v4/leads", "PATCH /api/v4/leads"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_nothing_is_read_from_or_written_to_another_account(
    crm: AmoCrm, account: Account, local_server: Any, method: str
) -> None:
    account.account = THEIRS

    for _ in range(2):
        with pytest.raises(ForeignAccount, match=f"account {THEIRS}.*account {OURS}"):
            crm.request(method, "/leads")

    assert set(asked(local_server)) == {"GET /api/v4/account"}
    assert crm.account().id == THEIRS, "who explains the mismatch may ask whose it is"


def test_work_goes_on_once_the_right_account_answers(crm: AmoCrm, account: Account) -> None:
    account.account = THEIRS
    with pytest.raises(ForeignAccount):
        crm.request("GET", "/leads")
    account.account = OURS

    assert crm.request("GET", "/leads") is not None


@pytest.mark.parametrize("told", [None, "31337", True, 1.5])
def test_an_account_that_does_not_say_its_id_is_not_taken_for_ours(
    crm: AmoCrm, account: Account, local_server: Any, told: object
) -> None:
    account.account = told

    with pytest.raises(ConnectorError):
        crm.request("POST", "/leads", body=[])
    assert asked(local_server) == ["GET /api/v4/account"]


def test_before_the_first_link_any_account_will_do(
    crm: AmoCrm, account: Account, memory: MemoryHost, local_server: Any
) -> None:
    memory.known = None

    crm.request("GET", "/leads")

    assert asked(local_server) == ["GET /api/v4/leads"]


def test_a_granted_pair_of_our_account_is_stored(oauth: OAuthTokens, account: Account, tokens: Any) -> None:
    oauth.exchange_code("code")

    assert [pair.access_token for pair in tokens.saved] == ["access-1"]


def test_a_granted_pair_of_another_account_is_never_stored(oauth: OAuthTokens, account: Account, tokens: Any) -> None:
    account.account = THEIRS

    with pytest.raises(ForeignAccount):
        oauth.exchange_code("code")

    assert tokens.saved == []
    assert tokens.pair == EARLIER


@pytest.mark.parametrize(("status", "told", "error"), [(500, OURS, ServerFailed), (200, None, BadReply)])
def test_a_granted_pair_of_nobody_knows_whom_is_not_stored_and_its_code_counts_as_spent(
    oauth: OAuthTokens, account: Account, tokens: Any, status: int, told: object, error: type[ConnectorError]
) -> None:
    account.status, account.account = status, told

    with pytest.raises(error) as caught:
        oauth.exchange_code("code")

    assert caught.value.ambiguous
    assert tokens.saved == []


def test_a_refresh_in_flight_gives_way_to_what_a_person_grants_meanwhile(
    oauth: OAuthTokens, account: Account, tokens: Any
) -> None:
    granted = TokenPair("granted", "granted-refresh", NOW + timedelta(hours=24))
    account.meanwhile = lambda: tokens.save(granted)

    assert oauth.access_token() == "granted"
    assert tokens.pair == granted


def test_a_refresh_in_flight_gives_way_to_the_end_of_access(oauth: OAuthTokens, account: Account, tokens: Any) -> None:
    def shut_out() -> None:
        tokens.reauth_reason = "uninstalled"

    account.meanwhile = shut_out

    with pytest.raises(NeedsReauth):
        oauth.access_token()
    assert tokens.pair == EARLIER
