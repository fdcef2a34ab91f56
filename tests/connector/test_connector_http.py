from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

import connector.http as http_module
from connector.errors import BadReply, ConnectorError, TimedOut, Unreachable
from connector.http import HttpClient


def _get(http: HttpClient, url: str) -> Any:
    return http.send("GET", url, route="/x")


def test_a_whole_answer_comes_back_with_lower_case_headers(local_server: Any, http: HttpClient) -> None:
    local_server.answer = lambda *_: (
        201,
        {"X-Request-Id": "r1", "Content-Type": "application/hal+json"},
        b'{"a":1.10}',
    )

    reply = http.send("POST", local_server.url + "/x", route="/x", headers={"A": "b"}, body=b"hi")

    method, path, headers, body = local_server.seen[0]
    assert (method, path, body) == ("POST", "/x", b"hi")
    assert headers["User-Agent"].startswith("Kopilka/")
    assert (reply.status, reply.is_json, reply.headers["x-request-id"]) == (201, True, "r1")
    assert str(reply.json()["a"]) == "1.10"


def test_a_redirect_is_an_answer_and_is_not_followed(local_server: Any, http: HttpClient) -> None:
    local_server.answer = lambda *_: (302, {"Location": local_server.url + "/elsewhere"}, b"")

    reply = _get(http, local_server.url)

    assert reply.status == 302
    assert len(local_server.seen) == 1


def test_cookies_are_not_kept_between_calls(local_server: Any, http: HttpClient) -> None:
    local_server.answer = lambda *_: (200, {"Set-Cookie": "session=1"}, b"")

    _get(http, local_server.url)
    _get(http, local_server.url)

    assert "Cookie" not in local_server.seen[1][2]


def test_proxies_of_the_environment_are_not_used(
    local_server: Any, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert _get(http, local_server.url).status == 200


def test_an_answer_over_the_cap_is_cut_off(
    local_server: Any, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "MAX_ANSWER_BYTES", 100_000)
    local_server.answer = lambda *_: (200, {}, b"x" * 300_000)

    with pytest.raises(BadReply):
        _get(http, local_server.url)


def test_a_refused_connection_is_unreachable_and_never_ambiguous(http: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(Unreachable) as caught:
        http.send("POST", f"http://127.0.0.1:{port}/x", route="/x", body=b"{}")

    assert (caught.value.retryable, caught.value.ambiguous) == (True, False)


@pytest.mark.parametrize(("method", "is_ambiguous"), [("GET", False), ("POST", True), ("PATCH", True)])
def test_a_connection_dropped_after_sending_leaves_a_write_ambiguous(
    local_server: Any, http: HttpClient, method: str, is_ambiguous: bool
) -> None:
    local_server.answer = lambda *_: None

    with pytest.raises(Unreachable) as caught:
        http.send(method, local_server.url, route="/x", body=b"{}")

    assert caught.value.ambiguous is is_ambiguous


@pytest.mark.parametrize(("method", "is_ambiguous"), [("GET", False), ("POST", True)])
def test_silence_times_out_and_leaves_a_write_ambiguous(
    local_server: Any, impatient_http: HttpClient, method: str, is_ambiguous: bool
) -> None:
    def slow(*_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 200, {}, b""

    local_server.answer = slow

    with pytest.raises(TimedOut) as caught:
        impatient_http.send(method, local_server.url, route="/x", body=b"{}")

    assert caught.value.ambiguous is is_ambiguous


@contextmanager
def _raw_server(answer: bytes) -> Iterator[str]:
    """Accepts one connection, sends bytes and keeps silent until the client goes away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.settimeout(0.4)
                with suppress(TimeoutError):
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def test_a_body_that_stalls_times_out(impatient_http: HttpClient) -> None:
    with _raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as url, pytest.raises(TimedOut):
        _get(impatient_http, url)


def test_a_body_that_drips_is_given_up_after_the_whole_answer_timeout(
    local_server: Any, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "WHOLE_ANSWER_TIMEOUT_S", -1.0)

    with pytest.raises(TimedOut) as caught:
        http.send("POST", local_server.url, route="/x", body=b"")

    assert caught.value.ambiguous is True


@pytest.mark.parametrize(
    "answer",
    [b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"],
)
def test_nonsense_on_the_wire_is_one_of_our_errors(impatient_http: HttpClient, answer: bytes) -> None:
    with _raw_server(answer) as url, pytest.raises(ConnectorError):
        _get(impatient_http, url)


@pytest.mark.parametrize("url", ["http://", "http://a b/", "ftp://127.0.0.1/", "http://[::1/", "no url"])
def test_an_impossible_address_is_one_of_our_errors(http: HttpClient, url: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        _get(http, url)

    assert caught.value.retryable is False


def test_a_token_with_a_line_break_is_neither_sent_nor_quoted(local_server: Any, http: HttpClient) -> None:
    with pytest.raises(ConnectorError) as caught:
        http.send("GET", local_server.url, route="/x", headers={"Authorization": "Bearer secret\r\nX: y"})

    assert "secret" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert local_server.seen == []


def test_the_log_names_the_call_and_nothing_personal(local_server: Any, http: HttpClient) -> None:
    local_server.answer = lambda *_: (200, {"X-Request-Id": "r" * 500}, b"answer-secret")

    with capture_logs() as logs:
        http.send(
            "POST",
            local_server.url + "/contacts/17",
            route="/contacts/{id}",
            query=[("query", "+79990000000")],
            headers={"Authorization": "Bearer token-secret"},
            body=b"body-secret",
        )

    assert [(line["event"], line["method"], line["route"], line["status"]) for line in logs] == [
        ("http_call", "POST", "/contacts/{id}", 200)
    ]
    assert logs[0]["request_id"] == "r" * 64
    assert not any(word in repr(logs) for word in ("secret", "79990000000", "/contacts/17"))


def test_a_failed_call_is_logged_and_its_error_quotes_no_query(local_server: Any, http: HttpClient) -> None:
    local_server.answer = lambda *_: None

    with capture_logs() as logs, pytest.raises(Unreachable) as caught:
        http.send("GET", local_server.url, route="/x", query=[("query", "+79990000000")])

    assert logs[0]["error"] == "unreachable"
    assert "7999" not in f"{caught.value!r} {caught.value.__context__!r} {logs!r}"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b'{"a":NaN}', b"\xff"])
def test_a_body_that_is_not_json_is_a_bad_reply(body: bytes) -> None:
    with pytest.raises(BadReply):
        http_module.Reply(200, {}, body).json()
