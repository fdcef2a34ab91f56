"""Where the API meets its limits: locks that others hold, numbers beyond their columns, long histories, odd paths."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from api_testing import ANNA, Program, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask
from kopilka_testing import StandingClock, hook_body, until
from werkzeug.test import TestResponse

from flows import explaining, health
from flows.runtime import Runtime
from loyalty.rules import WelcomeRules
from storage import addresses
from webhooks.app import create_app

TENT = {"items": [{"sku": "TENT", "gross_kopecks": 499_000}]}
DEAREST = {"items": [{"sku": "YACHT", "gross_kopecks": 10**10}]}


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


@contextmanager
def locked(rt: Runtime, *statements: str) -> Iterator[None]:
    """Somebody else works on these rows."""
    with rt.db.engine.connect() as other, other.begin():
        for statement in statements:
            other.execute(sa.text(statement))
        yield


def cancel_who_waits(rt: Runtime) -> None:
    """As the server does when a statement has waited too long."""
    waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def cancelled() -> bool:
        with rt.db.begin() as tx:
            return bool(tx.execute(sa.text(waiting)).all())

    until(cancelled, "somebody who waits for a lock")


def test_whoever_waits_too_long_for_a_row_is_asked_to_come_again(site: Program, anna: int, rt: Runtime) -> None:
    body = {"points": 100, "reason": "gift", "comment": "за терпение"}
    replies: list[TestResponse] = []

    with locked(rt, f"SELECT 1 FROM member WHERE id = {anna} FOR UPDATE"):
        caller = threading.Thread(
            target=lambda: replies.append(site.post(f"/members/{anna}/adjustments", body, key="busy"))
        )
        caller.start()
        cancel_who_waits(rt)
        caller.join()
    again = site.post(f"/members/{anna}/adjustments", body, key="busy")

    is_problem(replies[0], 503, "unavailable")
    assert replies[0].headers["Retry-After"] == "5"
    assert again.status_code == 200


def test_a_webhook_that_meets_a_busy_database_is_asked_to_come_again(app: Flask, rt: Runtime, hook_path: str) -> None:
    replies: list[TestResponse] = []
    with locked(rt, "LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE"):
        caller = threading.Thread(
            target=lambda: replies.append(
                app.test_client().post(hook_path, data=hook_body(1), content_type="application/x-www-form-urlencoded")
            )
        )
        caller.start()
        cancel_who_waits(rt)
        caller.join()

    assert (replies[0].status_code, replies[0].headers["Retry-After"]) == (503, "5")


def test_looking_waits_for_nobody(site: Program, anna: int, rt: Runtime) -> None:
    site.ok("POST", "/orders/L-1/paid", {"member_id": anna, **TENT})
    began = time.monotonic()

    with locked(rt, "SELECT 1 FROM orders FOR UPDATE", "SELECT 1 FROM member FOR UPDATE"):
        shown = site.get("/orders/L-1")
        quoted = site.post("/quotes", {"member_id": anna, **TENT, "order": "L-1"})

    assert (shown.status_code, quoted.status_code) == (200, 200)
    assert time.monotonic() - began < 2.0


def test_points_beyond_an_accounts_column_are_refused_and_never_a_failure_of_ours(app: Flask, rt: Runtime) -> None:
    tiny = plain_rules(rt, point_value_kopecks=1, accrual=replace(rt.programme.accrual, rate_bps=3_000))
    use_rules(rt, tiny)
    site = program(app, rt)
    anna, boris = new_member(site), new_member(site, "+79161234568")
    half = {"items": [{"sku": "BOAT", "gross_kopecks": 5 * 10**9}]}

    too_dear = site.post("/orders/Y-1/paid", {"member_id": anna, **DEAREST})
    refused_quote = site.post("/quotes", {"member_id": anna, **DEAREST})
    first = site.ok("POST", "/orders/Y-2/paid", {"member_id": anna, **half})
    quote_of_second = site.post("/quotes", {"member_id": anna, **half})
    second = site.post("/orders/Y-3/paid", {"member_id": anna, **half}, key="second")
    site.ok("POST", "/orders/Y-4/paid", {"member_id": boris, **half})
    merged = site.post(f"/members/{boris}/merge", {"into": anna})

    for reply in (too_dear, refused_quote, quote_of_second, second, merged):
        is_problem(reply, 422, "points_out_of_range")
    assert first["balance"]["pending"] == 1_500_000_000
    assert site.ok("POST", "/orders/Y-5/paid", {"member_id": anna, **TENT})["accrued"] == 149_700
    assert health.verify_ledger(rt).is_whole


def test_a_quote_of_a_first_order_without_base_points_contradicts_itself_nowhere(app: Flask, rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt, welcome=WelcomeRules(points=300, with_base=False)))
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 100)

    quote = site.ok("POST", "/quotes", {"member_id": anna, **TENT, "redeem": 50})
    site.ok("POST", "/holds", {"member_id": anna, "order": "W-1", **TENT, "points": 50})
    paid = site.ok("POST", "/orders/W-1/paid", {"member_id": anna})

    assert (quote["will_accrue"], quote["welcome"], quote["limit_reason"]) == (0, 300, None)
    assert (paid["accrued"], paid["welcome"]) == (0, 300)
    assert [line["earned"] for line in quote["lines"]] == [0]
    told = {line["rule"]: (line["text"], line["points"]) for line in quote["explain"]}
    assert told["welcome.with_base"] == ("Это первый заказ: вместо начисления приветственные", -494)
    assert sum(line["points"] for line in quote["explain"]) == 300 - quote["will_redeem"]


def test_a_balance_is_told_without_reading_the_history_it_is_made_of(
    site: Program, anna: int, rt: Runtime, clock: StandingClock
) -> None:
    site.ok("POST", "/orders/H-1/paid", {"member_id": anna, **TENT})
    give(rt, anna, 100)
    was = clock()
    clock.forward(hours=1)
    give(rt, anna, 7)
    # The rules of those lines cannot be read any more: whoever words them fails.
    use_rules(rt, plain_rules(rt, name="Другой клуб"))
    rt._programmes.clear()
    with rt.db.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        tx.execute(sa.text("UPDATE rule_version SET rules = '{}'"))

    with pytest.raises((KeyError, TypeError)):
        explaining.balance_at(rt, anna)
    now = site.ok("GET", f"/members/{anna}/balance")
    past = site.ok("GET", f"/members/{anna}/balance?at={was.isoformat().replace('+00:00', 'Z')}")

    assert now["balance"] == {"available": 107, "pending": 499, "reserved": 0, "debt": 0}
    assert past["balance"] == {"available": 100, "pending": 499, "reserved": 0, "debt": 0}
    assert sum(part["points"] for part in now["parts"]) == 606
    assert (past["parts"], past["burns"]) == ([], [])


def test_of_a_phone_that_everybody_has_twenty_owners_are_named(site: Program, anna: int, rt: Runtime) -> None:
    with rt.db.begin() as tx:
        for number in range(30):
            made = tx.execute(
                sa.text(
                    "INSERT INTO member (name, card_token, card_serial, card_number, created_at) "
                    "VALUES ('x', :token, :token, :token, now()) RETURNING id"
                ),
                {"token": f"99{number}"},
            ).scalar_one()
            addresses.add(tx, made, "phone", [ANNA], now=rt.now())

    found = is_problem(site.get("/members?phone=%2B79161234567"), 409, "several_members")
    shown = site.ok("GET", f"/members/{anna}")

    assert len(found["members"]) == 20
    assert found["members"][0] == anna
    assert len(shown["duplicates"]) <= 20


@pytest.mark.parametrize("path", ["", "/", "//members/1", "/members//1", "/nothing"])
def test_an_address_that_is_none_is_a_problem_document_and_no_redirect(site: Program, path: str) -> None:
    is_problem(site.get(path), 404, "not_found")


def test_a_payment_of_the_future_is_refused_and_a_fast_clock_forgiven(
    site: Program, anna: int, clock: StandingClock
) -> None:
    def paid(order: str, **ahead: float) -> TestResponse:
        at = (clock() + timedelta(**ahead)).isoformat().replace("+00:00", "Z")
        return site.post(f"/orders/{order}/paid", {"member_id": anna, **TENT, "paid_at": at})

    is_problem(paid("F-1", days=1), 422, "paid_in_future")
    is_problem(paid("F-2", minutes=6), 422, "paid_in_future")
    assert paid("F-3", minutes=4).status_code == 200
    is_problem(site.get("/orders/F-1"), 404, "order_not_found")


UNREADABLE = ["   ", "\u00a0\u2003", "\u202egnp.\u2028\u0085x", "a\u200bb"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_name_or_a_comment_that_nobody_can_read_is_refused(site: Program, anna: int, text: str) -> None:
    named = site.post("/members", {"name": text, "phone": "+79161234500"})
    why = site.post(f"/members/{anna}/adjustments", {"points": 1, "reason": "gift", "comment": text})

    assert is_problem(named, 400, "bad_request")["errors"][0]["path"] == "name"
    assert is_problem(why, 400, "bad_request")["errors"][0]["path"] == "comment"


@pytest.mark.parametrize(("path", "body"), [("rewards", {"code": "  "}), ("segment", {"code": " "})])
def test_a_code_of_spaces_is_refused(site: Program, anna: int, path: str, body: dict[str, str]) -> None:
    reply = site.post(f"/members/{anna}/{path}", body, method="PUT" if path == "segment" else "POST")

    assert is_problem(reply, 400, "bad_request")["errors"][0]["path"] == "code"


def test_a_name_may_hold_a_no_break_space(site: Program) -> None:
    assert site.post("/members", {"name": "Анна\u00a0Мария", "phone": "+79161234500"}).status_code == 201


def test_nobody_is_born_tomorrow_by_the_programmes_day(site: Program, clock: StandingClock) -> None:
    clock.at = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)  # the second of March in Moscow

    tomorrow = site.post("/members", {"name": "Анна", "phone": "+79161234500", "birthday": "2026-03-03"})
    today = site.post("/members", {"name": "Анна", "phone": "+79161234501", "birthday": "2026-03-02"})

    is_problem(tomorrow, 422, "bad_birthday")
    assert today.status_code == 201


def test_a_price_that_is_too_high_is_not_blamed_on_the_discount(site: Program, anna: int) -> None:
    dear = {"items": [{"price_kopecks": 10**10, "qty": 10**6}]}

    told = is_problem(site.post("/quotes", {"member_id": anna, **dear}), 422, "bad_order")

    assert told["detail"].startswith("Цена строки без артикула")
