"""amoCRM's hooks over HTTP: what is stored, what is refused, and that nothing that can be sent breaks the worker."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from kopilka_testing import Shop, hook_body, settle

from flows import connect, lookup
from flows.runtime import Runtime

LIMIT = 256 * 1024
FORM = "application/x-www-form-urlencoded"

Stored = Callable[[], list[Any]]
PaidDeal = Callable[[int], tuple[int, int]]


def test_a_hook_is_acknowledged_with_204_and_its_bytes_are_kept(
    client: FlaskClient, hook_path: str, stored: Stored
) -> None:
    body = hook_body(1234)

    reply = client.post(hook_path, data=body, content_type=FORM)

    assert (reply.status_code, reply.data) == (204, b"")
    assert [(row.source, bytes(row.body), row.state) for row in stored()] == [("amocrm", body, "waiting")]


def test_the_content_type_of_a_hook_changes_nothing(client: FlaskClient, hook_path: str, stored: Stored) -> None:
    types = ["application/json", "multipart/form-data; boundary=x", "nonsense", None]
    bodies = [hook_body(number) for number, _ in enumerate(types, 1)]

    replies = [client.post(hook_path, data=body, content_type=kind) for body, kind in zip(bodies, types, strict=True)]

    assert [reply.status_code for reply in replies] == [204] * len(types)
    assert [bytes(row.body) for row in stored()] == bodies


def test_an_unknown_key_is_not_found_and_nothing_is_stored(client: FlaskClient, rt: Runtime, stored: Stored) -> None:
    right = rt.keys.secret_path("amocrm hook")
    wrong = ["x", "../metrics", "\0", "é" * 20, "a" * 3000, right[:-1], right + "A", right.swapcase()]

    replies = [client.post(f"/webhooks/amocrm/{quote(key, safe='')}", data=hook_body(1)) for key in wrong]

    assert [reply.status_code for reply in replies] == [404] * len(wrong)
    assert len({reply.data for reply in replies}) == 1
    assert stored() == []


def test_a_key_of_another_purpose_opens_nothing(client: FlaskClient, rt: Runtime, stored: Stored) -> None:
    reply = client.post(f"/webhooks/amocrm/{rt.keys.secret_path('console')}", data=hook_body(1), content_type=FORM)

    assert reply.status_code == 404
    assert stored() == []


def test_a_hook_by_another_method_is_refused(client: FlaskClient, hook_path: str, stored: Stored) -> None:
    methods = ["GET", "PUT", "DELETE", "PATCH"]

    replies = [client.open(hook_path, method=method, data=hook_body(1234)) for method in methods]

    assert [reply.status_code for reply in replies] == [405] * len(methods)
    assert stored() == []


def test_a_body_of_exactly_the_limit_is_stored(client: FlaskClient, hook_path: str, stored: Stored) -> None:
    body = hook_body(1234).ljust(LIMIT, b"&")

    reply = client.post(hook_path, data=body, content_type=FORM)

    assert reply.status_code == 204
    assert bytes(stored()[0].body) == body


def test_a_body_over_the_limit_is_refused_and_nothing_is_stored(
    client: FlaskClient, hook_path: str, stored: Stored
) -> None:
    reply = client.post(hook_path, data=b"x" * (LIMIT + 1), content_type=FORM)

    assert reply.status_code == 413
    assert stored() == []


def test_the_same_hook_again_is_the_same_row(client: FlaskClient, hook_path: str, stored: Stored) -> None:
    for _ in range(3):
        client.post(hook_path, data=hook_body(1234), content_type=FORM)

    assert [row.arrivals for row in stored()] == [3]


HOSTILE = {
    "ten thousand keys": b"&".join(b"junk[%d]=1" % number for number in range(9_990)) + b"&{hook}",
    "depth of a thousand": b"{hook}&leads[status][0]" + b"[a]" * 1_000 + b"=1",
    "only brackets": b"[[[[]]]]=1&{hook}&]=[&[=]",
    "invalid utf-8": b"{hook}&leads[status][1][name]=\xff\xfe&x=%ff%fe%c0%80",
    "windows-1251": b"leads[status][0][name]=%C7%E0%EA%E0%E7&{hook}",
    "zero bytes": b"{hook}&leads[status][1][id]=\x00&leads[status][2][id]=%00&\x00=\x00",
    "duplicate keys": b"leads[status][0][id]=1&leads[status][0][id]=2&{hook}",
    "numbers that are none": b"{hook}&leads[status][5][id]=-1&leads[status][6][id]=1e9&leads[status][7][id]=\xd9\xa1",
    "a number without end": b"{hook}&leads[status][8][id]=" + b"9" * 5_000,
    "a broken escape": b"{hook}&x=%&y=%4&z=%zz&%=%",
    "a scalar and an array": b"leads=1&leads[status]=2&leads[status][0]=3&{hook}",
    "an unknown kind": b"{hook}&spaceships[add][0][id]=1",
    "a log line inside": b'{hook}&x=%0a{"level":"error"}%0d%0a%1b[31m',
}


SILENT = {
    "empty": b"",
    "zero": b"\x00",
    "json": b"{}",
    "brackets": b"[" * 1_000,
    "percent": b"%",
    "a gzip bomb": gzip.compress(b"0" * 10_000_000),
    "no utf-8": b"\xff" * LIMIT,
    "equals": b"=" * 100,
    "one long key": b"a" * LIMIT,
}


def test_hostile_bodies_settle_and_the_genuine_deal_in_each_survives(
    client: FlaskClient, hook_path: str, rt: Runtime, paid_deal: PaidDeal, stored: Stored
) -> None:
    made = {name: paid_deal(number) for number, name in enumerate(HOSTILE)}

    for name, body in HOSTILE.items():
        reply = client.post(hook_path, data=body.replace(b"{hook}", hook_body(made[name][0])), content_type=FORM)
        assert reply.status_code == 204, name
    settle(rt)

    rows = stored()
    assert {row.state for row in rows} == {"done"}
    hooks = [row for row in rows if row.source == "amocrm"]
    assert len(hooks) == len(HOSTILE)
    assert all(row.outcome.startswith("сделок к чтению: ") for row in hooks)
    assert all(row.outcome for row in rows)
    accounts = {name: lookup.by_contact(rt, contact_id) for name, (_, contact_id) in made.items()}
    assert {name: account and account.member.balance.pending for name, account in accounts.items()} == dict.fromkeys(
        HOSTILE, 499
    )


def test_bodies_that_say_nothing_are_done_with_an_outcome(
    client: FlaskClient, hook_path: str, rt: Runtime, stored: Stored
) -> None:
    replies = {
        name: client.post(hook_path, data=body, content_type=FORM, headers={"Content-Encoding": "gzip"})
        for name, body in SILENT.items()
    }
    settle(rt)

    assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(SILENT, 204)
    rows = stored()
    assert [bytes(row.body) for row in rows] == list(SILENT.values())
    assert {row.state for row in rows} == {"done"}
    assert all(row.outcome.startswith("сделок к чтению: 0") for row in rows)


@pytest.mark.parametrize(
    "claim", [{"subdomain": "somebodyelse", "account_id": 1}, {"account_id": 1}], ids=["subdomain", "account id"]
)
def test_a_hook_of_a_foreign_account_is_kept_and_leads_to_no_reading(
    client: FlaskClient, hook_path: str, rt: Runtime, shop: Shop, stored: Stored, claim: dict[str, Any]
) -> None:
    connect.set_up(rt)
    deal_id, contact_id = shop.deal(4_990, status="Оплачен")
    shop.faults(error_500=1.0)  # any reading would now fail and leave its trace

    reply = client.post(hook_path, data=hook_body(deal_id, **claim), content_type=FORM)
    settle(rt)

    assert reply.status_code == 204
    assert [(row.source, row.state, row.outcome) for row in stored()] == [
        ("amocrm", "done", "пропущено: хук чужого аккаунта")
    ]
    assert lookup.by_contact(rt, contact_id) is None


def test_a_hook_about_a_deal_that_does_not_exist_buys_one_reading_and_nothing_else(
    client: FlaskClient, hook_path: str, rt: Runtime, stored: Stored
) -> None:
    client.post(hook_path, data=hook_body(999_999_999), content_type=FORM)
    settle(rt)

    assert [(row.source, row.state, row.outcome) for row in stored()] == [
        ("amocrm", "done", "сделок к чтению: 1"),
        ("amocrm.deal", "done", "такой сделки в CRM нет"),
    ]


def test_one_hook_with_many_deals_brings_every_paid_one_to_its_buyer(
    client: FlaskClient, hook_path: str, rt: Runtime, paid_deal: PaidDeal, stored: Stored
) -> None:
    made = [paid_deal(number) for number in range(5)]

    client.post(hook_path, data=hook_body(*(deal_id for deal_id, _ in made), 999_999_999), content_type=FORM)
    settle(rt)

    assert all(row.state == "done" for row in stored())
    assert all(lookup.by_contact(rt, contact_id) is not None for _, contact_id in made)
