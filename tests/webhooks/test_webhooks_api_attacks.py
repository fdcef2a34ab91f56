"""What nobody well-meaning would send: it changes no point, fails on its own side and learns nothing."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from api_testing import ANNA, Program, entries, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask

from flows import codes, health
from flows.runtime import Runtime
from webhooks.api.fields import KOPECKS_MAX
from webhooks.app import create_app

pytestmark = pytest.mark.slow

ITEM = {"sku": "A", "gross_kopecks": 100_000}


@pytest.fixture
def app(rt: Runtime) -> Flask:
    use_rules(rt, plain_rules(rt))
    return create_app(rt)


@pytest.fixture
def site(app: Flask, rt: Runtime) -> Program:
    return program(app, rt)


@pytest.fixture
def anna(site: Program) -> int:
    return new_member(site)


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<xml/>",
    "half a document": b'{"member_id": 1',
    "two documents": b'{"code": "x"} {"code": "y"}',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "NaN": b'{"code": NaN}',
    "infinity": b'{"code": -Infinity}',
    "a bomb of lists": b"[" * 100_000,
    "a bomb of objects": b'{"code":' * 30_000,
    "a bomb inside a field": b'{"code": ' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "a number of 5000 digits": b'{"code": ' + b"9" * 5_000 + b"}",
    "an exponent": b'{"code": 1e999999}',
    "the same key twice": b'{"code": "a", "code": "b"}',
    "half a surrogate pair": b'{"code": "\\ud800"}',
    "NUL": b'{"code": "a\\u0000b"}',
    "a control character": b'{"code": "a\\u001bb"}',
    "bytes that are no text": b'{"code": "\xff\xfe"}',
    "UTF-16": '{"code": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"code": "x"}',
    "an unknown field": b'{"code": "x", "points": 1000000}',
    "a prototype": b'{"__proto__": {"code": "x"}}',
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_body_is_a_bad_request(site: Program, anna: int, what: str) -> None:
    reply = site.send("POST", f"/members/{anna}/rewards", BROKEN[what])

    problem = is_problem(reply, 400, "bad_request")
    assert problem["detail"]
    assert len(reply.data) < 2_000, "a refusal does not repeat what was sent"


def test_a_key_that_stands_twice_deep_inside_is_refused(site: Program, anna: int) -> None:
    body = f'{{"member_id": {anna}, "items": [{{"gross_kopecks": 100, "qty": 1, "qty": 2}}]}}'.encode()

    problem = is_problem(site.send("POST", "/orders/X/paid", body), 400, "bad_request")

    assert "qty" in problem["detail"]


NUMBERS = [2**63, 2**64, 10**30, -1, 1.5, 1.0, "1", True, [], {}, "1e3"]


@pytest.mark.parametrize("number", NUMBERS, ids=map(str, NUMBERS))
def test_numbers_are_whole_small_and_not_negative(site: Program, anna: int, rt: Runtime, number: Any) -> None:
    give(rt, anna, 100)
    before = entries(rt)
    asked = [
        ("/holds", {"member_id": anna, "order": "X", "items": [ITEM], "points": number}, "points"),
        ("/orders/X/paid", {"member_id": anna, "items": [{**ITEM, "gross_kopecks": number}]}, "items.0.gross_kopecks"),
        ("/orders/X/paid", {"member_id": anna, "items": [ITEM], "paid_kopecks": number}, "paid_kopecks"),
        ("/orders/X/paid", {"member_id": anna, "items": [ITEM], "delivery_kopecks": number}, "delivery_kopecks"),
        ("/orders/X/paid", {"member_id": number, "items": [ITEM]}, "member_id"),
        ("/orders/X/refunds", {"items": [{"line": number, "qty": 1}]}, "items.0.line"),
        ("/quotes", {"member_id": anna, "items": [ITEM], "redeem": number}, "redeem"),
    ]

    for path, body, field in asked:
        problem = is_problem(site.post(path, body), 400, "bad_request")
        assert problem["errors"][0]["path"] == field, problem
        assert any("а" <= letter <= "я" for letter in problem["errors"][0]["message"]), problem

    assert entries(rt) == before


def test_a_negative_or_boolean_correction_of_nonsense_is_refused(site: Program, anna: int) -> None:
    for points in (0, True, 10**10, -(10**10), 1.5, "5"):
        body = {"points": points, "reason": "gift", "comment": "x"}
        is_problem(site.post(f"/members/{anna}/adjustments", body), 400, "bad_request")
    is_problem(
        site.post(f"/members/{anna}/adjustments", {"points": 1, "reason": "bribe", "comment": "x"}), 400, "bad_request"
    )


def test_the_dearest_order_that_is_allowed_does_not_overflow(site: Program, anna: int, rt: Runtime) -> None:
    dear = {"gross_kopecks": KOPECKS_MAX}

    paid = site.ok("POST", "/orders/DEAR/paid", {"member_id": anna, "items": [dear]})
    too_dear = site.post("/orders/DEARER/paid", {"member_id": anna, "items": [dear, {"gross_kopecks": 1}]})
    by_units = site.post(
        "/orders/UNITS/paid", {"member_id": anna, "items": [{"price_kopecks": KOPECKS_MAX, "qty": 1_000_000}]}
    )

    assert paid["accrued"] == KOPECKS_MAX // 1_000
    is_problem(too_dear, 422, "bad_order")
    is_problem(by_units, 422, "bad_order")
    assert health.verify_ledger(rt).is_whole


ORDERS: dict[str, str] = {
    "an emoji": "заказ-🎁",
    "Cyrillic": "Заказ 12/2",
    "quotes": "'; DROP TABLE orders; --",
    "a template": "{{7*7}}${7*7}",
    "a percent sign": "100%",
    "a question mark": "a?b=c",
    "a hash": "a#b",
}


@pytest.mark.parametrize("what", ORDERS)
def test_any_printable_order_name_comes_back_as_it_was(site: Program, anna: int, what: str) -> None:
    from urllib.parse import quote

    name = ORDERS[what].replace("/", "-")
    paid = site.ok("POST", f"/orders/{quote(name, safe='')}/paid", {"member_id": anna, "items": [ITEM]})

    assert paid["order"] == name
    assert site.ok("GET", f"/orders/{quote(name, safe='')}")["order"] == name


IMPOSSIBLE_ORDERS = {
    "a line break": "A%0A1",
    "NUL": "A%001",
    "a zero-width space": "A%E2%80%8B1",
    "a right-to-left override": "A%E2%80%AE1",
    "a no-break space": "A%C2%A01",
    "bytes that are no text": "A%FF1",
    "too long": "A" * 65,
    "a space in front": "%20A",
    "a space behind": "A%20",
    "this folder": "%2E",
    "the folder above": "%2E%2E",
    "a soft hyphen": "A%C2%AD1",
    "a byte order mark": "A%EF%BB%BF1",
}


@pytest.mark.parametrize("what", IMPOSSIBLE_ORDERS)
def test_an_order_name_that_cannot_be_seen_is_refused(site: Program, anna: int, what: str) -> None:
    reply = site.post(f"/orders/{IMPOSSIBLE_ORDERS[what]}/paid", {"member_id": anna, "items": [ITEM]})

    if reply.status_code != 404 or (reply.json or {}).get("code") != "not_found":
        assert is_problem(reply, 400, "bad_request")["errors"][0]["path"] == "order"


def test_two_spellings_of_one_letter_are_one_order(site: Program, anna: int, rt: Runtime) -> None:
    from urllib.parse import quote

    whole, parts = unicodedata.normalize("NFC", "Заказ й-1"), unicodedata.normalize("NFD", "Заказ й-1")
    assert whole != parts
    body = {"member_id": anna, "items": [ITEM]}

    first = site.ok("POST", f"/orders/{quote(whole)}/paid", body)
    second = site.ok("POST", f"/orders/{quote(parts)}/paid", body)

    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert second["balance"]["pending"] == 100


def test_forged_names_of_members_and_holds_lead_nowhere(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 500)
    hold = site.ok("POST", "/holds", {"member_id": anna, "order": "F", "items": [ITEM], "points": 100})

    for forged in ("0", "-1", "1.0", "٣", "1;2", "%2e%2e", "1%20", "9" * 30, "0x1", "null"):
        reply = site.get(f"/members/{forged}")
        assert reply.status_code == 404, forged
        is_problem(reply, 404, "member_not_found")
    guesses = [hold["id"][:-1], hold["id"].upper(), f"{hold['id']}x", "hold_" + "a" * 22, "1", "hold_%27%20OR%201=1"]
    for guess in guesses:
        is_problem(site.post(f"/holds/{guess}/release"), 404, "hold_not_found")
    assert site.ok("GET", f"/holds/{hold['id']}")["state"] == "active"


def test_a_code_cannot_be_guessed_by_trying(app: Flask, rt: Runtime) -> None:
    from dataclasses import replace

    from pydantic import SecretStr

    from loyalty.rules import RedeemRules

    use_rules(rt, plain_rules(rt, redeem=RedeemRules(max_share_bps=3_000, confirm="pin")))
    rt.file = replace(rt.file, redeem_pin=SecretStr("2468"))
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 300)
    hold = site.ok("POST", "/holds", {"member_id": anna, "order": "P", "items": [ITEM], "points": 300})

    wrong = [site.post(f"/holds/{hold['id']}/confirm", {"code": f"{n:04}"}) for n in range(codes.TRIES_MAX)]
    late = site.post(f"/holds/{hold['id']}/confirm", {"code": "2468"})

    assert {reply.status_code for reply in wrong} == {422}
    is_problem(late, 409, "hold_closed")
    assert site.ok("GET", f"/members/{anna}")["balance"]["available"] == 300


def test_hostile_texts_are_stored_as_texts(site: Program, rt: Runtime) -> None:
    name = '<script>alert(1)</script> {{7*7}} "; DROP TABLE member; --'
    made = site.ok("POST", "/members", {"name": name, "phone": ANNA})
    comment = "<img src=x onerror=alert(1)>"
    site.ok("POST", f"/members/{made['id']}/adjustments", {"points": 1, "reason": "other", "comment": comment})

    reply = site.get(f"/members/{made['id']}/statement")

    assert reply.content_type == "application/json"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert comment in json.dumps(reply.json, ensure_ascii=False)


def test_a_huge_basket_is_refused_before_it_is_counted(site: Program, anna: int) -> None:
    many = {"member_id": anna, "items": [{"gross_kopecks": 1}] * 501}

    assert is_problem(site.post("/quotes", many), 400, "bad_request")["errors"][0]["path"] == "items"
    full = {"member_id": anna, "items": [{**ITEM, "sku": f"{n:064}"} for n in range(500)]}
    assert site.post("/quotes", full).status_code == 200


WRONG_QUERIES = (
    "phone=1&email=2",
    "",
    "phone=",
    "phone=%2B79161234567&phone=%2B79161234568",
    "contact=1.5",
    "contact=%D9%A1",
    "contact=1&x=1",
    "email=" + "a" * 300,
    "card=%00",
)


@pytest.mark.parametrize("query", WRONG_QUERIES)
def test_a_query_is_read_as_strictly_as_a_body(site: Program, query: str) -> None:
    is_problem(site.get(f"/members?{query}"), 400, "bad_request")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=ten", "before=0", "before=-1", "page=2", "limit="])
def test_a_page_has_its_limits(site: Program, anna: int, query: str) -> None:
    is_problem(site.get(f"/members/{anna}/statement?{query}"), 400, "bad_request")


def test_a_write_takes_nothing_from_its_query(site: Program, anna: int) -> None:
    is_problem(site.post(f"/members/{anna}/rewards?code=review", {"code": "review"}), 400, "bad_request")


@pytest.mark.parametrize("at", ["1700000000", "2026-03-01", "2026-03-01T09:00:00", "0001-01-01T00:00:00Z", "вчера"])
def test_a_moment_without_its_zone_or_sense_is_refused(site: Program, anna: int, at: str) -> None:
    is_problem(site.get(f"/members/{anna}/balance?at={at}"), 400, "bad_request")
    body = {"member_id": anna, "items": [ITEM], "paid_at": at}
    is_problem(site.post("/orders/T/paid", body), 400, "bad_request")


@pytest.mark.parametrize(
    "birthday", ["1990-02-30", "20.05.1990", "1990-05-20T00:00:00", "0001-01-01", 19900520, "1990-5-2"]
)
def test_a_birthday_is_a_day_of_a_calendar(site: Program, birthday: object) -> None:
    reply = site.post("/members", {"name": "Анна", "phone": ANNA, "birthday": birthday})

    assert is_problem(reply, 400, "bad_request")["errors"][0]["path"] == "birthday"


def test_words_around_the_token_are_not_the_token(site: Program) -> None:
    client = site.app.test_client()
    for given in (f"Basic {site.token}", site.token, f"Bearer {site.token} x", f"bearer  {site.token}x", "Bearer é"):
        is_problem(client.get("/api/v1/members/1", headers={"Authorization": given}), 401, "unauthorized")
