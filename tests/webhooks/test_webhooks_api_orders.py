"""Orders through the API: the worked examples to the kopeck, every channel alike, races, limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from api_testing import ANNA, Program, entries, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask
from kopilka_testing import SilentBell

from flows import endpoints, health
from flows.runtime import Runtime
from loyalty.rules import Exclusions, Limits, RedeemRules
from webhooks.app import create_app

V05 = {
    "items": [
        {"sku": "A", "category": "Палатки", "gross_kopecks": 300_000},
        {"sku": "B", "category": "Палатки", "gross_kopecks": 200_000},
        {"sku": "C", "category": "Распродажа", "gross_kopecks": 150_000, "discount_kopecks": 50_000},
    ],
    "promo_kopecks": 60_000,
    "delivery_kopecks": 35_000,
}
"""Example V05 of the specification: C neither earns nor takes points."""
TENT = {"items": [{"sku": "TENT", "gross_kopecks": 499_000}]}


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


@pytest.fixture
def v05_rules(rt: Runtime) -> None:
    left_out = Exclusions(categories=("Распродажа",))
    accrual = replace(rt.programme.accrual, exclude=left_out)
    redeem = RedeemRules(max_share_bps=3_000, exclude=left_out)
    use_rules(rt, plain_rules(rt, accrual=accrual, redeem=redeem))


def test_a_quote_says_what_can_be_spent_and_earned_and_changes_nothing(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 2_000)
    before = entries(rt)

    told = site.ok("POST", "/quotes", {"phone": "8 (916) 123-45-67", **TENT, "redeem": 2_000})

    assert (told["max_redeem"], told["will_redeem"], told["due_kopecks"]) == (1_497, 1_497, 349_300)
    assert told["will_accrue"] == 349
    assert told["available_at"] == "2026-03-14T21:00:00Z"
    assert told["lines"] == [
        {"line": 1, "net_kopecks": 499_000, "points_spent": 1_497, "due_kopecks": 349_300, "earned": 349}
    ]
    assert told["refusal"] is None
    texts = [step["text"].replace("\u00a0", " ") for step in told["explain"]]
    assert any("Списать просили 2 000, можно 1 497" in text for text in texts)
    assert sum(step["points"] for step in told["explain"]) == 349 - 1_497
    assert entries(rt) == before


def test_a_quote_promises_the_welcome_points_of_a_first_order(app: Flask, rt: Runtime) -> None:
    use_rules(rt, replace(plain_rules(rt), welcome=rt.file.programme.welcome))
    site = program(app, rt)
    anna = new_member(site)

    promised = site.ok("POST", "/quotes", {"member_id": anna, **TENT})
    paid = site.ok("POST", "/orders/1/paid", {"member_id": anna, **TENT})
    after = site.ok("POST", "/quotes", {"member_id": anna, **TENT})

    assert (promised["will_accrue"], promised["welcome"]) == (paid["accrued"], paid["welcome"]) == (499, 300)
    assert after["welcome"] == 0


def test_a_quote_counts_points_reserved_on_the_same_order_as_free(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 1_000)
    site.ok("POST", "/holds", {"member_id": anna, "order": "A-1", **TENT, "points": 1_000})

    same = site.ok("POST", "/quotes", {"member_id": anna, **TENT, "redeem": 1_000, "order": "A-1"})
    other = site.ok("POST", "/quotes", {"member_id": anna, **TENT, "redeem": 1_000})

    assert (same["will_redeem"], other["will_redeem"]) == (1_000, 0)
    assert other["refusal"] == "no_points"


@pytest.mark.usefixtures("v05_rules")
def test_v06_spends_1234_over_the_lines_and_earns_326(app: Flask, rt: Runtime) -> None:
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 1_234)

    quote = site.ok("POST", "/quotes", {"member_id": anna, **V05, "redeem": 2_000})
    hold = site.ok("POST", "/holds", {"member_id": anna, "order": "V06", **V05, "points": 1_234})
    paid = site.ok("POST", "/orders/V06/paid", {"member_id": anna})

    assert [line["points_spent"] for line in quote["lines"]] == [740, 494, 0]
    assert [line["due_kopecks"] for line in quote["lines"]] == [196_000, 130_600, 90_000]
    assert [line["earned"] for line in quote["lines"]] == [196, 130, 0]
    assert quote["due_kopecks"] == hold["due_kopecks"] == 451_600
    assert (paid["accrued"], paid["redeemed"]) == (326, 1_234)
    assert paid["balance"] == {"available": 0, "pending": 326, "reserved": 0, "debt": 0}


@pytest.mark.usefixtures("v05_rules")
def test_v07_returns_b_then_a_to_the_kopeck(app: Flask, rt: Runtime) -> None:
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 1_234)
    site.ok("POST", "/holds", {"member_id": anna, "order": "V07", **V05, "points": 1_234})
    site.ok("POST", "/orders/V07/paid", {"member_id": anna})

    of_b = site.ok("POST", "/orders/V07/refunds", {"items": [{"line": 2, "qty": 1}]})
    of_a = site.ok("POST", "/orders/V07/refunds", {"items": [{"line": 1, "qty": 1}]})

    assert _returned(of_b) == (130_600, 494, 130)
    assert _returned(of_a) == (196_000, 740, 196)
    assert (of_b["status"], of_a["status"]) == ("partly_returned", "partly_returned")
    assert of_a["balance"] == {"available": 1_234, "pending": 0, "reserved": 0, "debt": 0}
    rest = site.ok("POST", "/orders/V07/refunds", {"everything": True})
    assert (rest["money_back_kopecks"], rest["status"]) == (90_000 + 35_000, "returned")
    assert health.verify_ledger(rt).is_whole


def test_v08_three_units_returned_one_by_one_give_back_every_point(site: Program, anna: int) -> None:
    three = {"items": [{"sku": "CUP", "qty": 3, "gross_kopecks": 100_000}]}
    site.ok("POST", "/orders/V08/paid", {"member_id": anna, **three})

    returns = [site.ok("POST", "/orders/V08/refunds", {"items": [{"line": 1, "qty": 1}]}) for _ in range(3)]

    assert [one["points_taken_back"] for one in returns] == [33, 33, 34]
    assert sum(one["money_back_kopecks"] for one in returns) == 100_000
    is_problem(site.post("/orders/V08/refunds", {"items": [{"line": 1, "qty": 1}]}), 422, "bad_return")


def test_a_return_of_a_sum_takes_its_share_and_never_more_than_was_paid(site: Program, anna: int) -> None:
    site.ok("POST", "/orders/S-1/paid", {"member_id": anna, **TENT})

    half = site.ok("POST", "/orders/S-1/refunds", {"amount_kopecks": 249_500})
    too_much = site.post("/orders/S-1/refunds", {"amount_kopecks": 249_501})
    rest = site.ok("POST", "/orders/S-1/refunds", {"amount_kopecks": 249_500})

    assert (half["money_back_kopecks"], half["points_taken_back"]) == (249_500, 250)
    is_problem(too_much, 422, "bad_return")
    assert (rest["points_taken_back"], rest["status"]) == (249, "returned")


def test_v22_the_fourth_order_of_a_day_earns_nothing_and_says_why(app: Flask, rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt, limits=Limits(accruals_per_day=3, redemptions_per_day=2)))
    site = program(app, rt)
    anna = new_member(site)

    paid = [site.ok("POST", f"/orders/D-{n}/paid", {"member_id": anna, **TENT}) for n in range(3)]
    quote = site.ok("POST", "/quotes", {"member_id": anna, **TENT})
    fourth = site.ok("POST", "/orders/D-4/paid", {"member_id": anna, **TENT})

    assert [one["accrued"] for one in paid] == [499, 499, 499]
    assert (quote["will_accrue"], quote["limit_reason"]) == (0, "daily_limit")
    assert (fourth["accrued"], fourth["limit_reason"]) == (0, "daily_limit")


def test_the_same_order_through_site_till_and_bot_leaves_the_same_entries(rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt))
    app = create_app(rt)
    left = {}
    for channel in ("site", "till", "telegram"):
        caller = program(app, rt, name=channel, channel=channel)
        anna = new_member(caller, phone=f"+7916000000{len(left)}")
        give(rt, anna, 800)
        known = len(entries(rt))
        name = f"ORDER-{channel}"
        caller.ok("POST", "/holds", {"member_id": anna, "order": name, **TENT, "points": 700})
        caller.ok("POST", f"/orders/{name}/paid", {"member_id": anna})
        caller.ok("POST", f"/orders/{name}/refunds", {"amount_kopecks": 100_000})
        left[channel] = entries(rt)[known:]
        order = caller.ok("GET", f"/orders/{name}")
        assert (order["channel"], order["paid_channel"]) == (channel, channel)

    assert len(left["site"]) > 4
    assert left["site"] == left["till"] == left["telegram"]


def test_an_order_made_on_the_site_and_paid_at_the_till_remembers_both(app: Flask, rt: Runtime) -> None:
    site, till = program(app, rt), program(app, rt, name="till", channel="till")
    anna = new_member(site)
    give(rt, anna, 500)

    site.ok("POST", "/holds", {"phone": ANNA, "order": "A-2", **TENT, "points": 500})
    paid = till.ok("POST", "/orders/A-2/paid", {"phone": ANNA, "paid_kopecks": 449_000})

    assert (paid["redeemed"], paid["accrued"]) == (500, 449)
    order = site.ok("GET", "/orders/A-2")
    assert (order["channel"], order["paid_channel"]) == ("site", "till")


def test_an_order_told_five_times_earns_once_and_names_the_first_event(site: Program, anna: int, rt: Runtime) -> None:
    _subscribe(rt)
    replies = [site.ok("POST", "/orders/A-5/paid", {"member_id": anna, **TENT}) for _ in range(5)]

    assert [one["duplicate"] for one in replies] == [False, True, True, True, True]
    assert {one["accrued"] for one in replies} == {499}
    assert replies[-1]["balance"]["pending"] == 499
    with rt.db.begin() as tx:
        sent = tx.execute(sa.text("SELECT event_id FROM webhook_delivery WHERE event_type = 'points.accrued'"))
        assert {one["duplicate_of"] for one in replies[1:]} == set(sent.scalars())


def test_the_same_order_with_other_goods_or_another_buyer_is_refused(site: Program, anna: int) -> None:
    boris = new_member(site, phone="+79161112233")
    site.ok("POST", "/orders/A-6/paid", {"member_id": anna, **TENT})

    other_goods = site.post("/orders/A-6/paid", {"member_id": anna, "items": [{"gross_kopecks": 1}]})
    other_sum = site.post("/orders/A-6/paid", {"member_id": anna, **TENT, "paid_kopecks": 1})
    other_buyer = site.post("/orders/A-6/paid", {"member_id": boris, **TENT})

    is_problem(other_goods, 409, "order_differs")
    is_problem(other_sum, 409, "order_differs")
    is_problem(other_buyer, 409, "order_of_another_member")


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/holds", {**TENT, "order": "X", "points": 501}, 422, "over_maximum"),
    ("/holds", {"items": [{"gross_kopecks": 0}], "order": "X", "points": 1}, 422, "nothing_eligible"),
    ("/orders/X/paid", {}, 404, "order_not_found"),
    ("/orders/X/paid", {"items": [{"gross_kopecks": 1, "discount_kopecks": 2}]}, 422, "bad_order"),
    ("/orders/X/paid", {"items": [{"gross_kopecks": 1}], "promo_kopecks": 2}, 422, "bad_order"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), REFUSED)
def test_a_refusal_has_its_code_and_changes_nothing(
    site: Program, anna: int, rt: Runtime, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    give(rt, anna, 500)
    before = entries(rt)

    reply = site.post(path, {"member_id": anna, **body})

    problem = is_problem(reply, status, code)
    assert problem["hint"]
    assert entries(rt) == before
    is_problem(site.get("/orders/X"), 404, "order_not_found")


def test_of_two_returns_of_the_last_unit_at_once_one_is_refused(site: Program, anna: int, rt: Runtime) -> None:
    site.ok("POST", "/orders/LAST/paid", {"member_id": anna, **TENT})

    with ThreadPoolExecutor(2) as pool:
        one_unit = {"items": [{"line": 1, "qty": 1}]}
        replies = list(pool.map(lambda _: site.post("/orders/LAST/refunds", one_unit), range(2)))

    done, refused = sorted(replies, key=lambda reply: reply.status_code)
    assert (done.json or {})["money_back_kopecks"] == 499_000
    is_problem(refused, 422, "bad_return")
    assert health.verify_ledger(rt).is_whole


def test_a_write_wakes_the_workers_that_tell_the_crm(site: Program, rt: Runtime) -> None:
    assert isinstance(rt.bell, SilentBell)
    anna = new_member(site, contact=77)
    rt.bell.rings.clear()

    site.ok("POST", "/quotes", {"member_id": anna, **TENT})
    quiet = list(rt.bell.rings)
    site.ok("POST", "/orders/BELL/paid", {"member_id": anna, **TENT})

    assert (quiet, rt.bell.rings) == ([], [("outbox", 0)])
    with rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT target_id FROM outbox WHERE kind = 'crm'")).scalars().all() == [anna]


def test_an_order_that_is_not_paid_cannot_be_returned(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 500)
    site.ok("POST", "/holds", {"member_id": anna, "order": "U-1", **TENT, "points": 500})

    is_problem(site.post("/orders/U-1/refunds", {"everything": True}), 409, "order_not_paid")
    is_problem(site.post("/orders/U-2/refunds", {"everything": True}), 404, "order_not_found")
    assert site.ok("GET", "/orders/U-1")["status"] == "open"


def _returned(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["money_back_kopecks"], told["points_returned"], told["points_taken_back"]


def _subscribe(rt: Runtime) -> None:
    endpoints.add_endpoint(rt, "https://93.184.216.34/hooks", ["points.accrued"])
