"""Pushes to Apple over real HTTP/2, with the pass certificate: what each answer means, and the one connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from connector import apns as connector
from connector.apns import Apns, Push
from connector.errors import BadReply, NeedsReauth, NotConfigured, RateLimited, Refused, ServerFailed, TimedOut
from simulator.apns import FakeApns, PushFaults
from wallet.demo_chain import DemoChain, make_demo_chain
from wallet.signing import Signer

TYPE = "pass.demo.kopilka"
TOKEN = "ab" * 32
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def chain() -> DemoChain:
    return make_demo_chain(pass_type_id=TYPE, team_id="DEMO000000", now=NOW)


def signer_of(chain: DemoChain) -> Signer:
    return Signer.from_pem(chain.certificate_pem, chain.key_pem, chain.wwdr_pem, now=NOW)


@pytest.fixture
def server(chain: DemoChain, tmp_path: Path) -> Iterator[FakeApns]:
    (tmp_path / "ca.pem").write_bytes(chain.ca_pem)
    fake = FakeApns(tmp_path, tmp_path / "ca.pem")
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def connect(server: FakeApns, chain: DemoChain) -> Iterator[Callable[..., Apns]]:
    made: list[Apns] = []

    def start(signer: Signer | None = None, **changes: object) -> Apns:
        given = {"topic": TYPE, "url": server.url, "ca_file": server.ca_file, **changes}
        made.append(Apns((signer or signer_of(chain)).client_pem, **given))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.close()


def failure_of(pushes: list[Push]) -> Exception:
    assert len(pushes) == 1
    assert pushes[0].outcome in ("failed", "foreign")
    assert pushes[0].failure is not None
    return pushes[0].failure


def test_many_pushes_go_over_one_connection_and_are_answered_in_their_order(
    server: FakeApns, connect: Callable[..., Apns]
) -> None:
    apns = connect()
    tokens = [f"{number:064x}" for number in range(300)]
    server.faults.of_token[tokens[7]] = PushFaults(status=400)

    found = apns.push(tokens)
    apns.push([TOKEN])

    assert [number for number, push in enumerate(found) if push.outcome != "sent"] == [7]
    assert found[7].outcome == "bad"
    assert sorted(server.pushes) == sorted([*tokens, TOKEN])
    assert server.connections == 1


def test_nothing_to_push_opens_nothing(server: FakeApns, connect: Callable[..., Apns]) -> None:
    assert connect().push([]) == []
    assert server.connections == 0


def test_a_phone_that_is_gone_is_told_with_apples_time(server: FakeApns, connect: Callable[..., Apns]) -> None:
    server.faults = PushFaults(status=410, gone_at_ms=1_454_948_015_990)

    assert connect().push([TOKEN]) == [Push("gone", gone_at=datetime(2016, 2, 8, 16, 13, 35, 990000, tzinfo=UTC))]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"timestamp": "soon"}', b'{"timestamp": 1e30}', b'{"timestamp": true}']
)
def test_a_phone_that_is_gone_without_a_time_is_gone(
    server: FakeApns, connect: Callable[..., Apns], body: bytes
) -> None:
    server.faults = PushFaults(status=410, bodies=body)

    assert connect().push([TOKEN]) == [Push("gone")]


@pytest.mark.parametrize(
    ("faults", "kind", "retryable"),
    [
        (PushFaults(status=400, reason="DeviceTokenNotForTopic"), NeedsReauth, False),
        (PushFaults(status=400, reason="PayloadEmpty"), Refused, False),
        (PushFaults(status=403), NeedsReauth, False),
        (PushFaults(status=404, reason="BadPath"), Refused, False),
        (PushFaults(status=413, reason="PayloadTooLarge"), Refused, False),
        (PushFaults(status=429), RateLimited, True),
        (PushFaults(status=500), ServerFailed, True),
        (PushFaults(status=503), ServerFailed, True),
        (PushFaults(status=301), BadReply, True),
        (PushFaults(status=500, bodies=b"x" * 5_000), BadReply, True),
    ],
)
def test_what_apple_answers(
    server: FakeApns, connect: Callable[..., Apns], faults: PushFaults, kind: type, retryable: bool
) -> None:
    server.faults = faults

    failure = failure_of(connect().push([TOKEN]))

    assert type(failure) is kind
    assert failure.retryable is retryable  # type: ignore[attr-defined]
    assert len(server.pushes) == 1


def test_a_foreign_topic_is_the_set_ups_fault(server: FakeApns, connect: Callable[..., Apns]) -> None:
    assert isinstance(failure_of(connect(topic="pass.com.other").push([TOKEN])), NeedsReauth)


def test_a_certificate_that_apple_does_not_know_asks_for_a_person(
    server: FakeApns, connect: Callable[..., Apns]
) -> None:
    foreign = signer_of(make_demo_chain(pass_type_id=TYPE, team_id="DEMO000000", now=NOW))

    assert isinstance(failure_of(connect(foreign).push([TOKEN])), NeedsReauth)
    assert server.connections == 0


def test_a_server_that_nobody_vouches_for_is_told_nothing(server: FakeApns, connect: Callable[..., Apns]) -> None:
    failure = failure_of(connect(ca_file=None).push([TOKEN]))

    assert failure.retryable  # type: ignore[attr-defined]
    assert "not trusted" in str(failure)
    assert server.pushes == []


def test_a_connection_that_broke_is_opened_anew_once(server: FakeApns, connect: Callable[..., Apns]) -> None:
    apns = connect()
    server.faults = PushFaults(drop=1)
    assert apns.push([TOKEN]) == [Push("sent")]
    server.faults = PushFaults(goaway=1)
    assert {push.outcome for push in apns.push([f"{number:064x}" for number in range(20)])} == {"sent"}
    server.cut()
    time.sleep(0.05)
    assert apns.push([TOKEN]) == [Push("sent")]
    server.faults = PushFaults(drop=2)
    assert failure_of(apns.push([TOKEN])).retryable  # type: ignore[attr-defined]


def test_silence_ends_in_time(server: FakeApns, connect: Callable[..., Apns]) -> None:
    server.faults = PushFaults(delay_s=1.0)

    assert isinstance(failure_of(connect(answer_timeout_s=0.2).push([TOKEN])), TimedOut)


def test_nobody_listens(connect: Callable[..., Apns]) -> None:
    assert failure_of(connect(url="https://127.0.0.1:1").push([TOKEN])).retryable  # type: ignore[attr-defined]


def test_a_key_that_tls_refuses_is_a_matter_of_the_set_up(server: FakeApns, connect: Callable[..., Apns]) -> None:
    short = make_demo_chain(pass_type_id=TYPE, team_id="DEMO000000", now=NOW, rsa_bits=1024)

    with pytest.raises(NotConfigured):
        connect(signer_of(short)).push([TOKEN])


def test_no_key_stays_on_the_disk_and_no_token_in_the_log(
    server: FakeApns, connect: Callable[..., Apns], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    with structlog.testing.capture_logs() as logs:
        connect().push([TOKEN])

    assert list((tmp_path / "temporary").iterdir()) == []
    assert TOKEN not in repr(logs)
    assert [(entry["event"], entry["sent"]) for entry in logs] == [("apns_pushed", 1)]
