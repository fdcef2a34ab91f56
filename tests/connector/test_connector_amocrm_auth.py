from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from connector.amocrm import auth
from connector.amocrm.auth import LongLivedToken, OAuthTokens
from connector.errors import Blocked, ConnectorError, NeedsReauth, RateLimited, ServerFailed, TimedOut, Unreachable
from connector.http import HttpClient
from connector.protocols import TokenPair

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REVOKED = {"hint": "Token has been revoked", "title": "Некорректный запрос", "status": 401, "detail": "…"}


class TokenEndpoint:
    """One-time refresh tokens: spending one twice answers 401, as amoCRM does."""

    def __init__(self) -> None:
        self.refresh_token = "refresh-0"
        self.spent = 0
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        grant = json.loads(body)
        with self._lock:
            if grant.get("refresh_token") != self.refresh_token and grant.get("code") != "good-code":
                return 401, {"Content-Type": "application/problem+json"}, json.dumps(REVOKED).encode()
            self.spent += 1
            self.refresh_token = f"refresh-{self.spent}"
            pair = {"access_token": f"access-{self.spent}", "refresh_token": self.refresh_token}
        time.sleep(0.02)
        content = {"token_type": "Bearer", "expires_in": 86400, "server_time": 1, **pair}
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


@pytest.fixture
def endpoint(local_server: Any) -> TokenEndpoint:
    local_server.answer = TokenEndpoint()
    return local_server.answer


@pytest.fixture
def make(local_server: Any, http: HttpClient, tokens: Any) -> Callable[..., OAuthTokens]:
    tokens.pair = TokenPair("access-0", "refresh-0", NOW + timedelta(minutes=1))

    def build(
        client: HttpClient = http, sleep: Callable[[float], None] = time.sleep, base_url: str = local_server.url
    ) -> OAuthTokens:
        return OAuthTokens(
            tokens,
            client,
            base_url,
            client_id="id",
            client_secret="s3cret",
            redirect_uri="https://app/cb",
            now=lambda: NOW,
            sleep=sleep,
        )

    return build


def test_a_token_with_time_left_is_used_without_a_call(local_server: Any, make: Any, tokens: Any) -> None:
    tokens.pair = TokenPair("access-0", "refresh-0", NOW + timedelta(minutes=6))

    assert make().access_token() == "access-0"
    assert local_server.seen == []


def test_a_token_about_to_expire_is_refreshed_and_saved_before_use(
    local_server: Any, make: Any, tokens: Any, endpoint: TokenEndpoint
) -> None:
    assert make().access_token() == "access-1"

    assert tokens.saved == [TokenPair("access-1", "refresh-1", NOW + timedelta(hours=24))]
    assert tokens.claim is None
    assert json.loads(local_server.seen[0][3]) == {
        "client_id": "id",
        "client_secret": "s3cret",
        "redirect_uri": "https://app/cb",
        "grant_type": "refresh_token",
        "refresh_token": "refresh-0",
    }


def test_many_threads_at_once_spend_one_refresh_token_once(make: Any, tokens: Any, endpoint: TokenEndpoint) -> None:
    oauth = make(sleep=lambda _: time.sleep(0.005))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: oauth.access_token(), range(64)))

    assert set(found) == {"access-1"}
    assert endpoint.spent == 1
    assert tokens.reauth_reason is None


def test_many_threads_with_a_rejected_token_refresh_it_once(make: Any, tokens: Any, endpoint: TokenEndpoint) -> None:
    tokens.pair = TokenPair("access-0", "refresh-0", NOW + timedelta(hours=5))
    oauth = make(sleep=lambda _: time.sleep(0.005))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: oauth.replacement("access-0"), range(32)))

    assert set(found) == {"access-1"}
    assert endpoint.spent == 1


def test_waiting_for_another_refresher_ends_in_a_retryable_error(make: Any, tokens: Any, local_server: Any) -> None:
    tokens.claim = "another process"
    slept: list[float] = []

    with pytest.raises(TimedOut) as caught:
        make(sleep=slept.append).access_token()

    assert caught.value.retryable
    assert sum(slept) == pytest.approx(auth.OTHERS_REFRESH_WAIT_S)
    assert local_server.seen == []


def test_a_waiter_learns_that_the_refresher_failed_for_good(make: Any, tokens: Any) -> None:
    tokens.claim = "another process"

    def other_fails(_: float) -> None:
        tokens.mark_needs_reauth("revoked", sha256(tokens.pair.refresh_token.encode()).hexdigest())

    with pytest.raises(NeedsReauth):
        make(sleep=other_fails).access_token()


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_refresh_is_final(local_server: Any, make: Any, tokens: Any, status: int) -> None:
    local_server.answer = lambda *_: (
        status,
        {"Content-Type": "application/problem+json"},
        json.dumps(REVOKED).encode(),
    )

    with pytest.raises(NeedsReauth, match="Token has been revoked") as caught:
        make().access_token()

    assert "Token has been revoked" in tokens.reauth_reason
    assert caught.value.retryable is False
    with pytest.raises(NeedsReauth):
        make().access_token()
    assert len(local_server.seen) == 1


def test_a_lost_answer_is_never_repeated_and_asks_for_a_person(local_server: Any, make: Any, tokens: Any) -> None:
    local_server.answer = lambda *_: None

    with pytest.raises(NeedsReauth):
        make().access_token()

    assert "lost" in tokens.reauth_reason
    assert tokens.claim is not None
    assert len(local_server.seen) == 1


def test_a_late_answer_counts_as_lost(local_server: Any, make: Any, tokens: Any, impatient_http: HttpClient) -> None:
    def slow(*_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 200, {}, b""

    local_server.answer = slow

    with pytest.raises(NeedsReauth):
        make(impatient_http).access_token()

    assert "lost" in tokens.reauth_reason


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"{}",
        b"[]",
        b'{"access_token":"a","refresh_token":"b","expires_in":"86400"}',
        b'{"access_token":"a","refresh_token":"b","expires_in":true}',
        b'{"access_token":"a","refresh_token":"b","expires_in":-1}',
        b'{"access_token":"a","refresh_token":"b","expires_in":1e99}',
        b'{"access_token":"a\\r\\nX: y","refresh_token":"b","expires_in":60}',
        b'{"access_token":"\xd0\xb0","refresh_token":"b","expires_in":60}',
        b'{"access_token":"a","refresh_token":null,"expires_in":60}',
    ],
)
def test_a_success_without_usable_tokens_counts_as_lost(
    local_server: Any, make: Any, tokens: Any, content: bytes
) -> None:
    local_server.answer = lambda *_: (200, {"Content-Type": "application/json"}, content)

    with pytest.raises(NeedsReauth):
        make().access_token()

    assert tokens.saved == []


@pytest.mark.parametrize(
    ("status", "content_type", "error"),
    [
        (429, "text/html", RateLimited),
        (500, "text/html", ServerFailed),
        (504, "text/html", ServerFailed),
        (403, "text/html", Blocked),
    ],
)
def test_an_answer_that_did_not_spend_the_token_gives_the_claim_back(
    local_server: Any, make: Any, tokens: Any, status: int, content_type: str, error: type[ConnectorError]
) -> None:
    local_server.answer = lambda *_: (status, {"Content-Type": content_type}, b"<html>")

    with pytest.raises(error) as caught:
        make().access_token()

    assert caught.value.retryable
    assert (tokens.claim, tokens.reauth_reason) == (None, None)
    local_server.answer = TokenEndpoint()
    assert make().access_token() == "access-1"


def test_a_refresh_that_was_never_sent_gives_the_claim_back(make: Any, tokens: Any, local_server: Any) -> None:
    with pytest.raises(Unreachable):
        make(base_url="http://127.0.0.1:1").access_token()

    assert (tokens.claim, tokens.reauth_reason) == (None, None)


def test_an_access_token_without_a_refresh_token_ends_with_a_person(make: Any, tokens: Any) -> None:
    tokens.pair = TokenPair("access-0", None, NOW)

    with pytest.raises(NeedsReauth):
        make().access_token()

    assert tokens.reauth_reason is not None


def test_a_code_of_the_grant_screen_becomes_the_first_pair(make: Any, tokens: Any, endpoint: TokenEndpoint) -> None:
    tokens.pair = None

    make().exchange_code("good-code")

    assert tokens.pair == TokenPair("access-1", "refresh-1", NOW + timedelta(hours=24))


def test_a_bad_code_is_refused_and_nothing_is_stored(make: Any, tokens: Any, endpoint: TokenEndpoint) -> None:
    tokens.pair = None

    with pytest.raises(NeedsReauth):
        make().exchange_code("old-code")

    assert tokens.saved == []


def test_an_unconnected_account_says_so(make: Any, tokens: Any) -> None:
    tokens.pair = None

    with pytest.raises(NeedsReauth, match="not connected"):
        make().access_token()


def test_a_rejected_long_lived_token_is_final() -> None:
    token = LongLivedToken("secret-token")

    assert token.access_token() == "secret-token"
    with pytest.raises(NeedsReauth) as caught:
        token.replacement("secret-token")
    assert "secret-token" not in str(caught.value)


def test_tokens_are_not_in_the_repr_of_a_pair() -> None:
    assert "secret" not in repr(TokenPair("secret-a", "secret-b", NOW))


def test_errors_of_the_token_endpoint_quote_no_secret(local_server: Any, make: Any, tokens: Any) -> None:
    echo = {"hint": "refresh-0 is bad, so is s3cret", "status": 400}
    local_server.answer = lambda *_: (400, {"Content-Type": "application/problem+json"}, json.dumps(echo).encode())

    with pytest.raises(NeedsReauth) as caught:
        make().access_token()

    assert not any(word in f"{caught.value!r}{tokens.reauth_reason}" for word in ("s3cret", "refresh-0"))
