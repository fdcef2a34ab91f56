"""Each request with a key is carried out once: repeated, contradicted, at the same time, after a sudden death."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from api_testing import Program, entries, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask
from kopilka_testing import StandingClock
from pydantic import SecretStr
from web_testing import StartServer

from flows import failpoints, health, idempotency
from flows.runtime import Runtime
from loyalty.rules import ActionReward, GiftRules, RedeemRules
from webhooks.app import create_app

pytestmark = pytest.mark.slow

PIN = "2468"
TENT = {"items": [{"sku": "TENT", "gross_kopecks": 499_000}]}


@pytest.fixture
def app(rt: Runtime) -> Flask:
    gifts = GiftRules(actions=(ActionReward("review", "Отзыв", 50),))
    use_rules(rt, plain_rules(rt, gifts=gifts))
    return create_app(rt)


@pytest.fixture
def site(app: Flask, rt: Runtime) -> Program:
    return program(app, rt)


@pytest.fixture
def anna(site: Program) -> int:
    return new_member(site)


def test_a_repeated_request_gets_the_same_bytes_and_says_so(site: Program, anna: int, rt: Runtime) -> None:
    body = {"points": 100, "reason": "gift", "comment": "за терпение"}
    first = site.post(f"/members/{anna}/adjustments", body, key="k-1")
    again = site.post(f"/members/{anna}/adjustments", body, key="k-1")

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.data == again.data
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content_type == first.content_type
    assert site.ok("GET", f"/members/{anna}")["balance"]["available"] == 100


def test_a_refusal_is_forgotten_so_that_its_cure_works_under_the_same_key(
    site: Program, anna: int, rt: Runtime
) -> None:
    stranger = {"phone": "+79167654321", **TENT}
    debit = {"points": -100, "reason": "mistake", "comment": "x"}
    is_problem(site.post("/orders/B-1/paid", stranger, key="B-1-paid"), 404, "member_not_found")
    is_problem(site.post(f"/members/{anna}/adjustments", debit, key="k-2"), 422, "not_enough_points")

    new_member(site, "+79167654321")
    give(rt, anna, 100)
    paid = site.post("/orders/B-1/paid", stranger, key="B-1-paid")
    taken = site.post(f"/members/{anna}/adjustments", debit, key="k-2")
    again = site.post(f"/members/{anna}/adjustments", debit, key="k-2")

    assert (paid.status_code, taken.status_code) == (200, 200)
    assert "Idempotent-Replayed" not in taken.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_an_order_that_waited_for_the_buyers_confirmation_is_paid_under_the_same_key(
    site: Program, anna: int, rt: Runtime
) -> None:
    hold = held_with_pin(site, anna, rt)

    early = site.post("/orders/P-1/paid", {"member_id": anna}, key="P-1-paid")
    site.ok("POST", f"/holds/{hold}/confirm", {"code": PIN})
    paid = site.post("/orders/P-1/paid", {"member_id": anna}, key="P-1-paid")

    is_problem(early, 409, "hold_unconfirmed")
    assert (paid.status_code, (paid.json or {})["redeemed"]) == (200, 300)


def test_a_wrong_code_is_answered_alike_and_counted_once(site: Program, anna: int, rt: Runtime) -> None:
    hold = held_with_pin(site, anna, rt)

    replies = [site.post(f"/holds/{hold}/confirm", {"code": "0000"}, key="try-1") for _ in range(3)]
    other = site.post(f"/holds/{hold}/confirm", {"code": "0000"}, key="try-2")

    assert is_problem(replies[0], 422, "wrong_code")["tries_left"] == 4
    assert {reply.data for reply in replies} == {replies[0].data}
    assert replies[2].headers["Idempotent-Replayed"] == "true"
    assert replies[2].content_type == "application/problem+json"
    assert is_problem(other, 422, "wrong_code")["tries_left"] == 3


def test_another_body_or_another_address_under_the_same_key_is_a_conflict(site: Program, anna: int) -> None:
    site.ok("POST", f"/members/{anna}/rewards", {"code": "review"})
    site.post(f"/members/{anna}/rewards", {"code": "review"}, key="k-3")

    other_body = site.post(f"/members/{anna}/rewards", {"code": "form"}, key="k-3")
    other_place = site.post("/members/999/rewards", {"code": "review"}, key="k-3")

    is_problem(other_body, 409, "idempotency_conflict")
    is_problem(other_place, 409, "idempotency_conflict")


def test_another_programs_key_is_another_key(app: Flask, rt: Runtime, site: Program, anna: int) -> None:
    till = program(app, rt, name="till", channel="till")
    body = {"points": 100, "reason": "gift", "comment": "x"}
    replies = [caller.post(f"/members/{anna}/adjustments", body, key="same") for caller in (site, till)]

    assert ["Idempotent-Replayed" in reply.headers for reply in replies] == [False, False]
    assert site.ok("GET", f"/members/{anna}")["balance"]["available"] == 200


def test_a_malformed_request_leaves_nothing_under_its_key(site: Program, anna: int) -> None:
    is_problem(site.post(f"/members/{anna}/rewards", {"kode": "review"}, key="k-4"), 400, "bad_request")

    assert site.post(f"/members/{anna}/rewards", {"code": "review"}, key="k-4").status_code == 200


def test_a_failure_of_ours_leaves_nothing_under_its_key(site: Program, anna: int, rt: Runtime) -> None:
    with rt.db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE lot RENAME TO hidden"))
    try:
        failed = site.post(f"/members/{anna}/rewards", {"code": "review"}, key="k-5")
    finally:
        with rt.db.begin() as tx:
            tx.execute(sa.text("ALTER TABLE hidden RENAME TO lot"))

    is_problem(failed, 500, "internal_error")
    again = site.post(f"/members/{anna}/rewards", {"code": "review"}, key="k-5")
    assert again.status_code == 200
    assert "Idempotent-Replayed" not in again.headers


def test_a_key_at_work_is_not_taken_before_its_lease_is_over(
    site: Program, anna: int, rt: Runtime, clock: StandingClock
) -> None:
    body = {"points": 100, "reason": "gift", "comment": "x"}
    site.post(f"/members/{anna}/adjustments", body, key="k-6")
    with rt.db.begin() as tx:  # what a process leaves behind that dies before it has stored its answer
        tx.execute(sa.text("UPDATE idempotency SET status = NULL, body = NULL WHERE key = 'k-6'"))

    at_work = site.post(f"/members/{anna}/adjustments", body, key="k-6")
    clock.forward(seconds=idempotency.LEASE.total_seconds())
    taken_over = site.post(f"/members/{anna}/adjustments", body, key="k-6")

    is_problem(at_work, 409, "idempotency_in_progress")
    assert at_work.headers["Retry-After"] == "1"
    assert taken_over.status_code == 200
    assert site.ok("GET", f"/members/{anna}")["balance"]["available"] == 100


@pytest.mark.parametrize("what", ["reward", "refund", "hold", "create"])
def test_of_requests_with_one_key_at_the_same_time_one_is_carried_out(
    site: Program, anna: int, rt: Runtime, what: str
) -> None:
    give(rt, anna, 1_000)
    site.ok("POST", "/orders/R-1/paid", {"member_id": anna, **TENT})
    path, body = {
        "reward": (f"/members/{anna}/rewards", {"code": "review"}),
        "refund": ("/orders/R-1/refunds", {"amount_kopecks": 100_000}),
        "hold": ("/holds", {"member_id": anna, "order": "R-2", **TENT, "points": 500}),
        "create": ("/members", {"name": "Борис", "phone": "+79160000002"}),
    }[what]
    before = len(entries(rt))

    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: site.post(path, body, key="same-time"), range(6)))
    after = len(entries(rt))
    final = site.post(path, body, key="same-time")

    done = [reply for reply in replies if reply.status_code < 300]
    assert done
    assert {reply.data for reply in done} == {final.data}
    assert {reply.status_code for reply in replies if reply not in done} <= {409}
    assert final.headers["Idempotent-Replayed"] == "true"
    assert after - before == {"reward": 2, "refund": 1, "hold": 1, "create": 0}[what]


def test_keys_are_forgotten_after_a_day(site: Program, anna: int, rt: Runtime, clock: StandingClock) -> None:
    site.post(f"/members/{anna}/rewards", {"code": "review"}, key="k-7")
    clock.forward(hours=23)
    assert idempotency.prune(rt) == 0
    clock.forward(hours=2)

    assert idempotency.prune(rt) == 2
    assert idempotency.prune(rt) == 0


def test_who_wakes_up_after_his_lease_cannot_return_an_order_a_second_time(
    site: Program, anna: int, rt: Runtime, clock: StandingClock
) -> None:
    """A process that slept between its claim and its work finds the claim taken, and its transaction is undone."""
    from flows import shop
    from flows.idempotency import Answer, Claimed

    site.ok("POST", "/orders/S-1/paid", {"member_id": anna, **TENT})

    def slow(claimed: Claimed) -> Answer:
        clock.forward(seconds=idempotency.LEASE.total_seconds())
        quick = idempotency.once(rt, token_id=_token_id(rt), key="slow", digest=b"d", work=give_back)
        assert quick.status == 200
        return give_back(claimed)

    def give_back(claimed: Claimed) -> Answer:
        answer = Answer(200, b"{}")
        shop.give_back(rt, "S-1", units={}, amount_kopecks=100_000, seal=lambda tx, _: claimed.seal(tx, answer))
        return answer

    with pytest.raises(idempotency.KeyInProgress):
        idempotency.once(rt, token_id=_token_id(rt), key="slow", digest=b"d", work=slow)

    rest = site.ok("POST", "/orders/S-1/refunds", {"everything": True})
    assert rest["money_back_kopecks"] == 399_000


DEATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "refund": ("/orders/D-1/refunds", {"amount_kopecks": 100_000}),
    "adjust": ("/members/{anna}/adjustments", {"points": 100, "reason": "gift", "comment": "x"}),
    "reward": ("/members/{anna}/rewards", {"code": "review"}),
    "paid": ("/orders/D-2/paid", {"member_id": "{anna}", **TENT}),
    "hold": ("/holds", {"member_id": "{anna}", "order": "D-3", **TENT, "points": 500}),
    "create": ("/members", {"name": "Борис", "phone": "+79160000002"}),
}
SEALED = ("refund", "hold", "create")
"""Done twice, these would do harm or refuse for ever: their answers are stored with the work."""


@pytest.mark.parametrize("what", DEATHS)
def test_a_death_between_the_work_and_its_answer_doubles_nothing(
    rt: Runtime,
    clock: StandingClock,
    server: StartServer,
    http: requests.Session,
    tmp_path: Path,
    app: Flask,
    what: str,
) -> None:
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 1_000)
    site.ok("POST", "/orders/D-1/paid", {"member_id": anna, **TENT})
    path, body = DEATHS[what][0].format(anna=anna), dict(DEATHS[what][1])
    if "member_id" in body:
        body["member_id"] = anna
    offset = {"offset_s": (clock() - datetime.now(UTC)).total_seconds()}
    (tmp_path / "clock.json").write_text(json.dumps(offset))
    dying = server(FAILPOINT="api.after_commit", CLOCK_FILE=str(tmp_path / "clock.json"))

    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {**site.headers(), "Content-Type": "application/json", "Idempotency-Key": "death"}
    with pytest.raises(requests.ConnectionError):
        http.post(f"{dying.url}/api/v1{path}", data=data, headers=headers, timeout=10)
    assert dying.process.wait(10) == failpoints.EXIT_CODE
    done = _balance(site, anna)
    clock.forward(minutes=5)
    reply = site.post(path, body, key="death")

    assert reply.status_code < 300, reply.text
    assert _balance(site, anna) == done
    if what in SEALED:
        assert reply.headers["Idempotent-Replayed"] == "true"
    if what == "refund":
        assert (reply.json or {})["money_back_kopecks"] == 100_000
    if what == "create":
        made = dict(reply.json or {})
        assert made == site.ok("GET", f"/members/{made['id']}")
    assert health.verify_ledger(rt).is_whole


def held_with_pin(site: Program, member_id: int, rt: Runtime) -> str:
    """A hold of 300 points on order P-1 that waits for the senior's PIN."""
    use_rules(rt, replace(rt.programme, redeem=RedeemRules(max_share_bps=3_000, confirm="pin")))
    rt.file = replace(rt.file, redeem_pin=SecretStr(PIN))
    give(rt, member_id, 300)
    made = site.ok("POST", "/holds", {"member_id": member_id, "order": "P-1", **TENT, "points": 300})
    return str(made["id"])


def _balance(site: Program, member_id: int) -> dict[str, int]:
    return dict(site.ok("GET", f"/members/{member_id}")["balance"])


def _token_id(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return int(tx.execute(sa.text("SELECT id FROM api_token WHERE name = 'tests'")).scalar_one())
