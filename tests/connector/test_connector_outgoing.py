"""Outgoing webhooks at the socket: the signature by an independent library, the guard against inner addresses."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs
from tls_testing import Authority, make_authority

from connector.errors import TimedOut, Unreachable
from connector.outgoing import TlsFailed, WebhookPoster, retry_after_s, secret_text, signature
from connector.public_address import AddressRefused, check_url, is_allowed

NAT64 = IPv6Network("64:ff9b::/96")
SECRET = secret_text(bytes(range(32)))
BODY = '{"type":"points.accrued","data":{"точек":1}}'.encode()
NAME = "hooks.shop.test"

Resolve = Callable[[str, int], Sequence[str]]


@contextmanager
def posting(resolver: Resolve | None = None, **how: Any) -> Iterator[Callable[..., Any]]:
    """Posts one event; to this machine unless told otherwise."""
    named = {} if resolver is None else {"resolver": resolver}
    poster = WebhookPoster(allow_private=how.pop("allow_private", True), **named, **how)
    yield lambda url, **more: poster.post(
        url, **{"event_id": "event-1", "secret": SECRET, "body": BODY, "now": datetime.now(UTC), **more}
    )
    poster.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[tuple[int, list[tuple[str | None, str | None]]]]:
    """A receiver on this machine: its port, and the names by which it was called (SNI, Host)."""
    seen: list[tuple[str | None, str | None]] = []
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)  # type: ignore[assignment]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((asked[-1], self.headers["Host"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_receiver_verifies_our_signature_with_the_library_of_standard_webhooks(local_server: Any) -> None:
    with posting() as post:
        answer = post(local_server.url + "/hook?token=1")

    method, path, headers, body = local_server.seen[0]
    assert (answer.status, method, path, body) == (200, "POST", "/hook?token=1", BODY)
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert Webhook(SECRET).verify(body, headers)["data"] == {"точек": 1}


def test_a_changed_body_or_another_secret_does_not_verify(local_server: Any) -> None:
    with posting() as post:
        post(local_server.url)
    headers, body = local_server.seen[0][2:]

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(bytes(32))).verify(body, headers)


@given(body=st.text(), timestamp_s=st.integers(0, 4_102_444_800), key=st.binary(min_size=24, max_size=64))
def test_we_sign_as_the_library_does(body: str, timestamp_s: int, key: bytes) -> None:
    moment = datetime.fromtimestamp(timestamp_s, UTC)
    text = body.encode("utf-8", "replace").decode()

    ours = signature(secret_text(key), event_id="e", timestamp_s=timestamp_s, body=text.encode())

    assert ours == Webhook(secret_text(key)).sign("e", moment, text)


def test_a_redirect_is_an_answer_and_is_not_followed(local_server: Any) -> None:
    local_server.answer = lambda *_: (307, {"Location": local_server.url + "/elsewhere"}, b"")

    with posting() as post:
        assert post(local_server.url).status == 307
    assert len(local_server.seen) == 1


def test_an_answer_of_any_size_costs_nothing(local_server: Any) -> None:
    local_server.answer = lambda *_: (200, {"Content-Length": str(2**40)}, b"x" * 4_000_000)

    with posting() as post:
        assert post(local_server.url).status == 200


def test_silence_times_out(local_server: Any) -> None:
    local_server.answer = lambda *_: (time.sleep(0.5), (200, {}, b""))[1]

    with posting(read_timeout_s=0.1) as post, pytest.raises(TimedOut):
        post(local_server.url)


@contextmanager
def dripping_receiver(context: ssl.SSLContext | None = None, *, well: int = 0) -> Iterator[int]:
    """A receiver whose answer begins at once and never ends; its port. It says «200» first, so a cut reads like it.
    The first `well` requests of a connection are answered as they should be, and it is left open."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) if context else connection as talk:
                for _ in range(well):
                    talk.recv(65_536)
                    talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                talk.recv(65_536)
                talk.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    talk.sendall(b"X")

    thread = threading.Thread(target=drip)
    thread.start()
    yield listener.getsockname()[1]
    over.set()
    listener.close()
    thread.join()


def test_an_answer_that_drips_is_cut_when_the_whole_attempt_takes_too_long() -> None:
    began = time.monotonic()

    with dripping_receiver() as port, posting(whole_attempt_s=0.4) as post, pytest.raises(TimedOut):
        post(f"http://127.0.0.1:{port}/")

    assert time.monotonic() - began < 3.0


def test_a_connection_that_was_left_open_is_cut_as_well() -> None:
    with dripping_receiver(well=1) as port, posting(whole_attempt_s=0.4, read_timeout_s=2.0) as post:
        assert post(f"http://127.0.0.1:{port}/").status == 200
        began = time.monotonic()
        with pytest.raises((TimedOut, Unreachable)):
            post(f"http://127.0.0.1:{port}/")

    assert time.monotonic() - began < 1.5


def test_an_encrypted_answer_that_drips_is_cut_too(authority: Authority) -> None:
    began = time.monotonic()

    with (
        dripping_receiver(authority.server(NAME)) as port,
        posting(lambda *_: ["127.0.0.1"], ca_bundle=authority.bundle, whole_attempt_s=0.6) as post,
        pytest.raises(TimedOut),
    ):
        post(f"https://{NAME}:{port}/hook")

    assert time.monotonic() - began < 3.0


def test_an_attempt_that_ends_in_time_leaves_no_timer_behind(local_server: Any) -> None:
    with posting(whole_attempt_s=30.0) as post:
        assert post(local_server.url).status == 200

    left = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for thread in left:  # a cancelled one still has to wake up and end
        thread.join(1.0)
    assert not any(thread.is_alive() for thread in left)


def test_a_dropped_and_a_refused_connection_are_unreachable(local_server: Any) -> None:
    local_server.answer = lambda *_: None
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    with posting() as post:
        for url in (local_server.url, f"http://127.0.0.1:{port}/"):
            with pytest.raises(Unreachable):
                post(url)


def test_proxies_of_the_environment_are_not_used(local_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with posting() as post:
        assert post(local_server.url).status == 200


def test_the_log_names_the_host_and_nothing_secret(local_server: Any) -> None:
    url = local_server.url + "/path-secret?token=query-secret"
    with capture_logs() as logs, posting() as post:
        post(url)
        local_server.answer = lambda *_: None
        with pytest.raises(Unreachable) as caught:
            post(url)

    told = str(logs) + str(caught.value) + repr(caught.value.__context__)
    assert "127.0.0.1" in told
    assert not [secret for secret in ("path-secret", "query-secret", SECRET, SECRET[6:]) if secret in told]


NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("", None),
        ("30", 30.0),
        ("86400", 3_600.0),
        ("99999999999999999999", 3_600.0),
        ("-5", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 09:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 08:00:00 GMT", 0.0),
        ("9" * 50, None),
        ("1 Jan 99999999999999999999 0:0:0 +0000", None),
        ("Jan 1 2026 00:00:00 99999999999999999999", None),
        ("+0000   Jan 00:00:00 +0000 9999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_within_an_hour(told: str, seconds: float | None) -> None:
    assert retry_after_s(told, now=NOW) == seconds


_DATE_WORDS = st.sampled_from(
    ["1", "Jan", "2026", "00:00:00", "+0000", "GMT", ",", "-", "9" * 20, ":", "Mon,", "0", "+-1", "1:", "(", "EST", "."]
)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(_DATE_WORDS, max_size=7).map(" ".join)))
def test_no_retry_after_of_a_hostile_receiver_breaks_the_reader(told: str) -> None:
    assert 0.0 <= (retry_after_s(told, now=NOW) or 0.0) <= 3_600.0


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "198.18.0.1",
    "198.19.255.255",
    "192.0.0.192",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:a00:1::",
    "2002:7f00:1::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "100::1",
    "5f00::1",
]
OUTSIDE = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", INSIDE)
def test_no_inner_address_is_allowed_in_any_disguise(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_whatever_python_knows_to_be_special_is_refused(ip: IPv4Address | IPv6Address) -> None:
    carries_another = isinstance(ip, IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip in NAT64)

    if not carries_another and (not ip.is_global or ip.is_multicast or ip.is_reserved):
        assert not is_allowed(str(ip))


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "100.64.0.1"])
def test_even_an_installation_that_allows_its_own_network_does_not_reach_the_clouds_metadata(address: str) -> None:
    assert is_allowed("10.0.0.1", allow_private=True)
    assert is_allowed("127.0.0.1", allow_private=True)
    assert not is_allowed(address, allow_private=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://shop.ru/", "scheme"),
        ("ftp://shop.ru/", "scheme"),
        ("//shop.ru/", "scheme"),
        ("https://user@shop.ru/", "userinfo"),
        ("https://user:password@shop.ru/", "userinfo"),
        ("https://shop.ru@10.0.0.1/", "userinfo"),
        ("https://@shop.ru/", "userinfo"),
        ("https://shop.ru:22/", "port"),
        ("https://shop.ru:0/", "port"),
        ("https://shop.ru:99999/", "malformed"),
        ("https://shop.ru:x/", "malformed"),
        ("https://shop.ru/#part", "malformed"),
        ("https:///path", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://shop.ru/a b", "malformed"),
        ("https://shop.ru/\r\nHost: other", "malformed"),
        ("https://shop.ru\\@10.0.0.1/", "malformed"),
        ("https://shop.ru/" + "a" * 2_000, "malformed"),
        ("", "malformed"),
    ],
)
def test_an_address_of_a_wrong_shape_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_url(url)

    assert caught.value.reason == reason


@pytest.mark.parametrize("url", ["https://shop.ru", "https://shop.ru:8443/hook?a=1", "https://магазин.рф/п"])
def test_an_ordinary_address_is_accepted(url: str) -> None:
    assert check_url(url).scheme == "https"


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_inside_is_refused_before_any_connection(addresses: list[str]) -> None:
    with posting(lambda *_: addresses, allow_private=False) as post, pytest.raises(AddressRefused) as caught:
        post(f"https://{NAME}/")

    assert (caught.value.reason, caught.value.retryable) == ("not_public", False)


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f000001", "2130706433", "127.1", "[::1]", "[::ffff:7f00:1]"])
def test_a_number_in_any_spelling_is_looked_at_as_the_address_it_is(host: str) -> None:
    with posting(allow_private=False) as post, pytest.raises(AddressRefused):
        post(f"https://{host}/")


def test_a_name_without_an_address_is_unreachable() -> None:
    def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror

    with posting(nowhere) as post, pytest.raises(Unreachable):
        post(f"https://{NAME}/")
    with posting(lambda *_: []) as post, pytest.raises(Unreachable):
        post(f"https://{NAME}/")


def test_the_connection_goes_to_the_checked_address_under_the_hosts_own_name(authority: Authority) -> None:
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        """The first answer is this machine; whoever asked again would be sent elsewhere."""
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    with tls_server(authority.server(NAME)) as (port, seen), posting(rebinding, ca_bundle=authority.bundle) as post:
        assert post(f"https://{NAME}:{port}/hook").status == 204

    assert asked == [(NAME, port)]
    assert seen == [(NAME, f"{NAME}:{port}")]


def test_a_certificate_of_another_host_is_not_accepted(authority: Authority) -> None:
    with (
        tls_server(authority.server("other.test", "127.0.0.1")) as (port, seen),
        posting(lambda *_: ["127.0.0.1"], ca_bundle=authority.bundle) as post,
        pytest.raises(TlsFailed),
    ):
        post(f"https://{NAME}:{port}/hook")

    assert seen == []


def test_a_certificate_of_an_unknown_authority_is_not_accepted(authority: Authority, tmp_path: Path) -> None:
    stranger = make_authority(tmp_path)

    with (
        tls_server(stranger.server(NAME)) as (port, seen),
        posting(lambda *_: ["127.0.0.1"], ca_bundle=authority.bundle) as post,
        pytest.raises(TlsFailed),
    ):
        post(f"https://{NAME}:{port}/hook")

    assert seen == []


def test_an_event_older_than_five_minutes_would_be_refused_by_the_receiver(local_server: Any) -> None:
    """The time in the signature is that of the attempt, so a late retry is not taken for a replay."""
    with posting() as post:
        post(local_server.url, now=datetime.now(UTC) - timedelta(minutes=6))

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, local_server.seen[0][2])
