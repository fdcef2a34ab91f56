"""Acquirers' callbacks over HTTP: exact replies, forgeries, repeats, senders' addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from kopilka_testing import Shop, StandingClock, settle, tbank_body, yookassa_body
from web_testing import metric

from flows import health, lookup
from flows.runtime import Runtime
from webhooks.app import create_app

YOOKASSA = "/webhooks/payments/yookassa"
TBANK = "/webhooks/payments/tbank"
YOOKASSA_IP = "77.75.156.11"
FOREIGN_IP = "203.0.113.9"

Stored = Callable[[], list[Any]]


def test_t_bank_gets_its_ok_and_the_bytes_are_kept(client: FlaskClient, stored: Stored) -> None:
    body = tbank_body(1234)

    reply = client.post(TBANK, data=body, content_type="application/json")

    assert (reply.status_code, reply.mimetype, reply.data) == (200, "text/plain", b"OK")
    assert [(row.source, bytes(row.body)) for row in stored()] == [("tbank", body)]


def test_yookassa_gets_an_empty_200(client: FlaskClient, stored: Stored) -> None:
    body = yookassa_body("22d6d597-000f-5000-9000-145f6df21d6f")

    reply = client.post(YOOKASSA, data=body, content_type="application/json")

    assert (reply.status_code, reply.data) == (200, b"")
    assert [(row.source, bytes(row.body)) for row in stored()] == [("yookassa", body)]


def test_the_same_callback_five_times_is_one_row_and_one_accrual(
    client: FlaskClient, rt: Runtime, shop: Shop, stored: Stored
) -> None:
    deal_id, contact_id = shop.deal(4_990)

    replies = [client.post(TBANK, data=tbank_body(deal_id)) for _ in range(3)]
    settle(rt)
    replies += [client.post(TBANK, data=tbank_body(deal_id)) for _ in range(2)]
    settle(rt)

    assert [(reply.status_code, reply.data) for reply in replies] == [(200, b"OK")] * 5
    assert [row.arrivals for row in stored() if row.source == "tbank"] == [5]
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert [line.points for line in account.lines if line.move == "accrue"] == [499]
    assert health.verify_ledger(rt).is_whole


def test_a_forged_t_bank_callback_is_refused_counted_and_not_stored(client: FlaskClient, stored: Stored) -> None:
    body = json.loads(tbank_body(1234))
    forged = {
        "another sum": {**body, "Amount": 1},
        "another terminal": {**body, "TerminalKey": "1700000000001DEMO"},
        "no token": {key: value for key, value in body.items() if key != "Token"},
        "empty token": {**body, "Token": ""},
        "a token of another kind": {**body, "Token": 7},
        "a lone surrogate": {**body, "Token": "\ud800"},
    }

    replies = {name: client.post(TBANK, data=json.dumps(sent)) for name, sent in forged.items()}

    assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(forged, 403)
    assert stored() == []
    assert metric(client.get("/metrics").text, "kopilka_forged_total") == len(forged)


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 1_000,
    b'{"type":"notification"}',
    b'{"type":"notification","event":"payment.succeeded","object":{"id":7,"status":"succeeded"}}',
    b'{"type":"notification","event":"payment.succeeded","object":{"id":"../../v3/refunds","status":"succeeded"}}',
    b'{"type":"notification","event":"\\ud800","object":{"id":"1","status":"succeeded"}}',
    b'{"type":"notification","event":NaN,"object":{}}',
    b'{"type":"notification","event":1e999999999,"object":{}}',
    b'{"a":1,"a":2}',
    b"type=notification&event=payment.succeeded",
]


@pytest.mark.parametrize("path", [YOOKASSA, TBANK])
def test_garbage_gets_a_clear_refusal_and_is_not_stored(client: FlaskClient, stored: Stored, path: str) -> None:
    replies = {body[:40]: client.post(path, data=body, content_type="application/json") for body in GARBAGE}

    assert {body: reply.status_code for body, reply in replies.items() if reply.status_code != 403} == {}
    assert stored() == []


def test_a_callback_over_the_limit_is_refused(client: FlaskClient, stored: Stored) -> None:
    reply = client.post(TBANK, data=b" " * (256 * 1024 + 1))

    assert reply.status_code == 413
    assert stored() == []


def test_another_method_stores_nothing(client: FlaskClient, stored: Stored) -> None:
    statuses = {
        (path, method): client.open(f"{path}?Status=CONFIRMED", method=method).status_code
        for path in (YOOKASSA, TBANK)
        for method in ("PUT", "DELETE", "GET", "HEAD")
    }

    assert statuses == {(path, method): 405 if method in ("PUT", "DELETE") else 403 for path, method in statuses}
    assert stored() == []


def test_an_unknown_acquirer_is_not_found(client: FlaskClient, stored: Stored) -> None:
    names = ["stripe", "TBANK", "tbank.deal", "%00", "amocrm"]

    replies = [client.post(f"/webhooks/payments/{name}", data=tbank_body(1234)) for name in names]

    assert [reply.status_code for reply in replies] == [404] * len(names)
    assert stored() == []


def test_a_payment_dated_in_the_future_earns_as_of_today(
    client: FlaskClient, rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, contact_id = shop.deal(4_990)
    payment_id = shop.pay(deal_id, 499_000)  # the bank's clock is ahead of the product's, which stands in March
    assert _bank_clock(shop) > clock.at + timedelta(days=30)

    reply = client.post(YOOKASSA, data=yookassa_body(payment_id))
    settle(rt)

    assert reply.status_code == 200
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    accrual = next(line for line in account.lines if line.move == "accrue")
    assert accrual.occurred_at == clock.at
    assert clock.at + timedelta(days=13) < accrual.activates_at <= clock.at + timedelta(days=15)


def test_a_yookassa_notice_of_a_payment_that_is_not_ours_is_dropped_with_a_reason(
    client: FlaskClient, rt: Runtime, stored: Stored
) -> None:
    client.post(YOOKASSA, data=yookassa_body("22d6d597-000f-5000-9000-145f6df21d6f"))
    settle(rt)

    assert [(row.state, row.outcome) for row in stored()] == [
        ("done", "пропущено: у эквайринга нет такого платежа нашего магазина")
    ]


def test_a_payment_without_a_deal_waits_for_a_person_with_the_reason(
    client: FlaskClient, rt: Runtime, stored: Stored
) -> None:
    reply = client.post(TBANK, data=tbank_body(1234, OrderId="счёт 7"))
    settle(rt)

    assert reply.data == b"OK"
    row = stored()[0]
    assert row.state == "parked"
    assert "неясно, к какой сделке" in row.outcome


SENDERS = [
    # (trusted proxies, who connected, X-Forwarded-For, the answer)
    (0, FOREIGN_IP, None, 403),
    (0, YOOKASSA_IP, None, 200),
    (0, f"::ffff:{YOOKASSA_IP}", None, 200),
    (0, "2a02:5180:0:1509::7", None, 200),
    (0, FOREIGN_IP, YOOKASSA_IP, 403),
    (0, YOOKASSA_IP, FOREIGN_IP, 200),
    (1, "127.0.0.1", YOOKASSA_IP, 200),
    (1, "127.0.0.1", f"{YOOKASSA_IP}, {FOREIGN_IP}", 403),
    (1, "127.0.0.1", f"{FOREIGN_IP}, {YOOKASSA_IP}", 200),
    (1, "127.0.0.1", None, 403),
    (1, "127.0.0.1", "nonsense", 403),
    (2, "127.0.0.1", f"{YOOKASSA_IP}, 10.0.0.2", 200),
    (2, "127.0.0.1", f"{YOOKASSA_IP}, {FOREIGN_IP}, 10.0.0.2", 403),
    (2, "127.0.0.1", YOOKASSA_IP, 403),
]


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_yookassas_sender_is_the_one_that_the_trusted_proxies_saw(
    another_runtime: Callable[..., Runtime], rt: Runtime, stored: Stored, proxies: int
) -> None:
    cases = [case[1:] for case in SENDERS if case[0] == proxies]
    client = create_app(another_runtime(YOOKASSA_CHECK_IP="yes", TRUSTED_PROXIES=str(proxies))).test_client()

    answers = []
    for number, (peer, forwarded, _) in enumerate(cases):
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        body = yookassa_body(f"22d6d597-000f-5000-9000-{number:012d}")
        reply = client.post(YOOKASSA, data=body, headers=headers, environ_base={"REMOTE_ADDR": peer})
        answers.append((peer, forwarded, reply.status_code))

    assert answers == cases
    assert len(stored()) == sum(status == 200 for _, _, status in answers)


def _bank_clock(shop: Shop) -> datetime:
    return datetime.fromisoformat(shop.bank("GET", "/sim/state?brief=1")["now"]).astimezone(UTC)
