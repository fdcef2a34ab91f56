"""Google's root keys: fetched seldom, kept while they count, never replaced by rubbish."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses

from connector.errors import BadReply, ConnectorError, NotConfigured, ServerFailed
from connector.google_keys import ANSWER_BYTES_MAX, KEYS_URL, RootKeys, root_keys
from connector.http import HttpClient

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def document(*keys: bytes, expires_at: datetime = NOW + timedelta(days=300), **changes: Any) -> dict[str, Any]:
    told = {"protocolVersion": "ECv2SigningOnly", "keyExpiration": str(int(expires_at.timestamp() * 1000)), **changes}
    return {"keys": [{"keyValue": base64.b64encode(key).decode(), **told} for key in keys]}


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def test_keys_are_asked_for_once_an_hour(http: HttpClient, web: Any) -> None:
    web.add("GET", KEYS_URL, json=document(b"one", b"two"))
    keys = RootKeys(http)

    assert keys.current(NOW) == [b"one", b"two"]
    assert keys.current(NOW + 59 * MINUTE) == [b"one", b"two"]
    assert len(web.calls) == 1
    keys.current(NOW + 60 * MINUTE)
    assert len(web.calls) == 2


def test_a_signature_of_an_unknown_key_asks_again_but_not_at_every_rubbish(http: HttpClient, web: Any) -> None:
    web.add("GET", KEYS_URL, json=document(b"old"))
    keys = RootKeys(http)
    keys.current(NOW)
    web.replace("GET", KEYS_URL, json=document(b"new"))

    assert [keys.refreshed(NOW) for _ in range(9)] == [[b"old"]] * 9
    assert keys.refreshed(NOW + MINUTE) == [b"new"]
    assert len(web.calls) == 2


@pytest.mark.parametrize("body", ["", "{}", "<html>", '{"keys": []}', '{"keys": [5]}', "[1]"])
def test_known_keys_outlive_an_address_that_answers_rubbish(http: HttpClient, web: Any, body: str) -> None:
    web.add("GET", KEYS_URL, json=document(b"old", expires_at=NOW + 90 * MINUTE))
    keys = RootKeys(http)
    keys.current(NOW)
    web.replace("GET", KEYS_URL, body=body)

    assert keys.current(NOW + 60 * MINUTE) == [b"old"]
    with pytest.raises(BadReply):
        keys.current(NOW + 90 * MINUTE)


def test_without_any_key_the_failure_is_told(http: HttpClient, web: Any) -> None:
    web.add("GET", KEYS_URL, status=503)

    with pytest.raises(ServerFailed):
        RootKeys(http).current(NOW)


def test_rubbish_asks_an_address_that_is_away_no_oftener_than_every_ten_seconds(http: HttpClient, web: Any) -> None:
    web.add("GET", KEYS_URL, status=503)
    keys = RootKeys(http)

    for _ in range(9):
        with pytest.raises(ServerFailed):
            keys.current(NOW)
    assert len(web.calls) == 1
    web.replace("GET", KEYS_URL, json=document(b"one", expires_at=NOW + 600 * MINUTE))
    assert keys.current(NOW + timedelta(seconds=10)) == [b"one"]
    web.replace("GET", KEYS_URL, status=503)
    later = NOW + 120 * MINUTE
    assert [keys.current(later) for _ in range(9)] + [keys.refreshed(later)] == [[b"one"]] * 10
    assert len(web.calls) == 3


def test_a_clock_that_went_back_asks_again(http: HttpClient, web: Any) -> None:
    web.add("GET", KEYS_URL, json=document(b"one"))
    keys = RootKeys(http)
    keys.current(NOW)

    keys.current(NOW - timedelta(days=1))

    assert len(web.calls) == 2


def test_keys_of_another_protocol_and_those_that_ended_do_not_count(http: HttpClient, web: Any) -> None:
    ended = document(b"ended", expires_at=NOW)["keys"]
    web.add("GET", KEYS_URL, json={"keys": [*document(b"v1", protocolVersion="ECv1")["keys"], *ended]})

    assert RootKeys(http).current(NOW) == []


def test_a_file_stands_in_for_the_address(http: HttpClient, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(document(b"one", keyExpiration=None)))

    assert RootKeys(http, file=path).current(NOW) == [b"one"]
    with pytest.raises(NotConfigured):
        RootKeys(http, file=tmp_path / "none.json").current(NOW)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(document(b"x", keyExpiration="soon")),
        json.dumps(document(b"x", keyExpiration="9" * 40)),
        json.dumps({"keys": [{"protocolVersion": "ECv2SigningOnly", "keyValue": "!!"}]}),
        json.dumps({**document(b"x"), "more": "x" * ANSWER_BYTES_MAX}),
    ],
)
def test_a_document_that_cannot_be_right_is_refused(body: str) -> None:
    with pytest.raises(ConnectorError):
        root_keys(body.encode())
