"""Members through the API: enrolled, found by every name, told, corrected, rewarded, merged, put into a segment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from api_testing import ANNA, Program, entries, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask
from kopilka_testing import StandingClock

from flows import health, sheets
from flows.people import Names
from flows.runtime import Runtime
from loyalty.rules import ActionReward, GiftRules, SegmentRule, WelcomeRules
from webhooks.app import create_app

TENT = {"items": [{"sku": "TENT", "gross_kopecks": 499_000}]}
SEGMENTS = (
    SegmentRule("start", "Стартовый", min_orders=1),
    SegmentRule("vip", "VIP", min_orders=100, rate_bps=1_500),
)


@pytest.fixture
def app(rt: Runtime) -> Flask:
    reviews = ActionReward("review", "Отзыв", 50, per_day=2)
    form = ActionReward("form", "Анкета", 100, once=True)
    use_rules(rt, replace(plain_rules(rt, gifts=GiftRules(actions=(reviews, form))), segments=SEGMENTS))
    return create_app(rt)


@pytest.fixture
def site(app: Flask, rt: Runtime) -> Program:
    return program(app, rt)


def test_a_new_member_is_found_by_every_name_he_has(site: Program) -> None:
    made = site.ok(
        "POST",
        "/members",
        {
            "name": "Анна Петрова",
            "phone": "8 (916) 123-45-67",
            "email": "Anna@Example.RU",
            "birthday": "1990-05-20",
            "contact": 77,
        },
    )

    card = made["card"]["number"]
    names = ("phone=%2B79161234567", "phone=+79161234567", "phone=89161234567", "email=anna@example.ru", "contact=77")
    found = [
        site.ok("GET", f"/members?{name}")["id"] for name in (*names, f"card={card}", f"card={card[:2]}+{card[2:]}")
    ]
    assert found == [made["id"]] * 7
    assert (made["name"], made["phones"]) == ("Анна П.", ["+7 916 ···-··-67"])
    assert made["balance"] == {"available": 0, "pending": 0, "reserved": 0, "debt": 0}
    assert "1990" not in str(made)


def test_no_answer_shows_a_whole_phone_or_a_surname(site: Program, app: Flask) -> None:
    anna = new_member(site)

    text = "".join(site.get(path).text for path in (f"/members/{anna}", f"/members/{anna}/statement"))

    assert "9161234567" not in text
    assert "Петрова" not in text


def test_the_same_person_is_not_enrolled_twice(site: Program) -> None:
    site.ok("POST", "/members", {"name": "Анна", "phone": ANNA, "email": "a@b.ru", "contact": 5})

    by_phone = site.post("/members", {"name": "Анна", "phone": "89161234567"})
    by_email = site.post("/members", {"name": "Анна", "email": "A@B.ru"})
    by_contact = site.post("/members", {"name": "Анна", "contact": 5})

    kinds = [is_problem(reply, 409, "member_exists")["kind"] for reply in (by_phone, by_email, by_contact)]
    assert kinds == ["phone", "email", "contact"]


def test_a_phone_of_no_person_is_refused_in_words(site: Program) -> None:
    problems = [
        is_problem(site.post("/members", {"name": "Анна", "phone": phone}), 422, "bad_phone")
        for phone in ("8 800 555-35-35", "12345", "916 123 45", "телефон")
    ]

    assert all("+7 916" in problem["hint"] for problem in problems)
    is_problem(site.post("/members", {"name": "Анна", "email": "не адрес"}), 422, "bad_email")


UNREACHABLE = ["a..b@shop.ru", ".a@shop.ru", "(a)@shop.ru", "вася@shop.ru", "a@-shop.ru", "a@shop_x.ru", "a@sh..op.ru"]


@pytest.mark.parametrize("address", [*UNREACHABLE, "a@" + "b" * 70 + ".ru", "a\u200b@shop.ru"])
def test_an_address_that_no_letter_can_reach_is_refused(site: Program, address: str) -> None:
    made = site.post("/members", {"name": "Анна", "email": address})
    found = site.get(f"/members?email={quote(address)}")

    is_problem(made, 422, "bad_email")
    is_problem(found, 422, "bad_email")


def test_joining_earns_the_welcome_points_if_the_rules_say_so(app: Flask, rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt, welcome=WelcomeRules(points=300, on="signup")))
    site = program(app, rt)

    made = site.ok("POST", "/members", {"name": "Анна", "phone": ANNA})

    assert made["balance"]["available"] == 300
    assert made["statement"][-1]["text"].startswith("+300 приветственных")


def test_the_burn_schedule_sums_to_what_can_be_spent(site: Program, rt: Runtime, clock: StandingClock) -> None:
    anna = new_member(site)
    for points in (100, 250):
        give(rt, anna, points)
        clock.forward(days=3)

    told = site.ok("GET", f"/members/{anna}")

    assert sum(one["points"] for one in told["burns"]) == told["balance"]["available"] == 350
    assert told["next_burn"] == told["burns"][0] == {"points": 100, "on": "2026-08-29"}


def test_the_statement_explains_each_line_and_its_pages_sum_to_the_balance(site: Program, rt: Runtime) -> None:
    anna = new_member(site)
    give(rt, anna, 1_000)
    for number in range(3):
        site.ok("POST", "/holds", {"member_id": anna, "order": f"A-{number}", **TENT, "points": 200})
        site.ok("POST", f"/orders/A-{number}/paid", {"member_id": anna})
    site.ok("POST", "/orders/A-1/refunds", {"everything": True})

    pages, before = [], None
    while True:
        cursor = "" if before is None else f"&before={before}"
        pages.append(site.ok("GET", f"/members/{anna}/statement?limit=4{cursor}"))
        before = pages[-1]["next_before"]
        if before is None:
            break

    lines = [line for page in pages for line in page["lines"]]
    balance = site.ok("GET", f"/members/{anna}/balance")["balance"]
    assert len(pages) > 2
    assert {name: sum(page["sums"][name] for page in pages) for name in balance} == balance
    assert sum(line["points"] for line in lines) == balance["available"] + balance["pending"]
    assert [line["id"] for line in lines] == sorted((line["id"] for line in lines), reverse=True)
    assert all(line["text"] and line["event"] and line["rule"] and line["rules_version"] for line in lines)


def test_the_balance_of_a_moment_is_what_it_was_then(site: Program, rt: Runtime, clock: StandingClock) -> None:
    anna = new_member(site)
    give(rt, anna, 100)
    then = clock.at.isoformat()
    clock.forward(hours=1)
    give(rt, anna, 900)

    was = site.ok("GET", f"/members/{anna}/balance?at={then}")
    now = site.ok("GET", f"/members/{anna}/balance")

    assert (was["balance"]["available"], was["at"]) == (100, "2026-03-01T09:00:00Z")
    assert now["balance"]["available"] == 1_000
    assert sum(part["points"] for part in now["parts"]) == sum(burn["points"] for burn in now["burns"]) == 1_000
    is_problem(site.get(f"/members/{anna}/balance?at=2030-01-01T00:00:00Z"), 422, "not_yet")


def test_an_order_paid_in_the_past_is_dated_by_its_payment(site: Program) -> None:
    anna = new_member(site)
    site.ok("POST", "/orders/OLD/paid", {"member_id": anna, **TENT, "paid_at": "2026-02-20T12:00:00+03:00"})

    line = site.ok("GET", f"/members/{anna}")["statement"][0]

    assert line["occurred_at"] == "2026-02-20T09:00:00Z"
    assert line["activates_at"] == "2026-03-05T21:00:00Z"


def test_a_correction_names_who_made_it_and_why_and_keeps_to_its_limit(site: Program, rt: Runtime) -> None:
    anna = new_member(site)
    path = f"/members/{anna}/adjustments"

    given = site.ok("POST", path, {"points": 500, "reason": "complaint", "comment": "не пришли баллы"})
    taken = site.ok("POST", path, {"points": -200, "reason": "mistake", "comment": "лишнее"})
    too_much = site.post(path, {"points": 5_001, "reason": "gift", "comment": "x"})
    too_many = site.post(path, {"points": -301, "reason": "mistake", "comment": "x"})

    assert (given["balance"]["available"], taken["balance"]["available"]) == (500, 300)
    is_problem(too_much, 403, "adjustment_limit")
    is_problem(too_many, 422, "not_enough_points")
    line = site.ok("GET", f"/members/{anna}/statement")["lines"][0]
    assert "исправление ошибки: лишнее" in line["event"]
    assert "API: tests" in line["event"]


def test_a_reward_is_given_as_often_as_its_rule_allows(site: Program) -> None:
    anna = new_member(site)
    path = f"/members/{anna}/rewards"

    twice = [site.ok("POST", path, {"code": "review"})["balance"]["available"] for _ in range(2)]
    third = site.post(path, {"code": "review"})
    once = site.ok("POST", path, {"code": "form"})
    again = site.post(path, {"code": "form"})

    assert (twice, once["balance"]["available"]) == ([50, 100], 200)
    is_problem(third, 409, "action_limit")
    is_problem(again, 409, "action_limit")
    assert "review, form" in is_problem(site.post(path, {"code": "like"}), 422, "action_unknown")["detail"]


def test_two_members_become_one_and_both_names_lead_to_him(site: Program, rt: Runtime) -> None:
    anna, twin = new_member(site), new_member(site, phone="+79169999999")
    give(rt, anna, 100)
    give(rt, twin, 700)

    merged = site.ok("POST", f"/members/{twin}/merge", {"into": anna})
    again = site.ok("POST", f"/members/{twin}/merge", {"into": anna})

    assert merged["balance"]["available"] == again["balance"]["available"] == 800
    assert site.ok("GET", "/members?phone=+79169999999")["id"] == anna
    assert site.ok("GET", f"/members/{twin}")["id"] == anna
    assert site.ok("POST", f"/members/{twin}/rewards", {"code": "review"})["member_id"] == anna
    is_problem(site.post(f"/members/{anna}/merge", {"into": anna}), 409, "merge_refused")
    is_problem(site.post(f"/members/{anna}/merge", {"into": 999_999}), 404, "member_not_found")
    assert health.verify_ledger(rt).is_whole


def test_two_members_with_one_phone_are_told_as_duplicates(site: Program, rt: Runtime) -> None:
    from storage import addresses

    anna, twin = new_member(site), new_member(site, phone="+79169999999")
    with rt.db.begin() as tx:
        addresses.add(tx, twin, "phone", [ANNA], now=rt.now())

    several = is_problem(site.get(f"/members?phone={ANNA}"), 409, "several_members")

    assert sorted(several["members"]) == sorted([anna, twin])
    assert site.ok("GET", f"/members/{anna}")["duplicates"] == [twin]


def test_a_segment_given_by_hand_holds_until_it_is_taken_away(site: Program, rt: Runtime) -> None:
    anna = new_member(site)
    path = f"/members/{anna}/segment"

    given = site.put(path, {"code": "vip"})
    told = site.ok("GET", f"/members/{anna}")
    paid = site.ok("POST", "/orders/V-1/paid", {"member_id": anna, **TENT})
    after_order = site.ok("GET", f"/members/{anna}")["segment"]
    taken = site.put(path, {"code": None})

    assert (given.json or {})["segment"] == "vip"
    assert (told["segment"], told["segment_title"]) == ("vip", "VIP")
    assert paid["accrued"] == 748
    assert after_order == "vip"
    assert (taken.json or {})["segment"] == "start"
    assert sheets.member(rt, Names(member_id=anna)).member.manual_segment_code is None
    assert "start, vip" in is_problem(site.put(path, {"code": "gold"}), 422, "segment_unknown")["detail"]


UNKNOWN: list[tuple[str, str, Any]] = [
    ("GET", "/members/999999", None),
    ("GET", "/members/999999/statement", None),
    ("GET", "/members/999999/balance", None),
    ("GET", "/members?card=1", None),
    ("POST", "/quotes", {"member_id": 999_999, **TENT}),
    ("POST", "/holds", {"phone": ANNA, "order": "X", **TENT, "points": 1}),
    ("POST", "/orders/X/paid", {"card": "0", **TENT}),
    ("POST", "/members/999999/adjustments", {"points": 1, "reason": "gift", "comment": "x"}),
    ("POST", "/members/999999/rewards", {"code": "review"}),
    ("POST", "/members/999999/merge", {"into": 1}),
    ("PUT", "/members/999999/segment", {"code": None}),
]


@pytest.mark.parametrize(("method", "path", "body"), UNKNOWN)
def test_nobody_is_nobody_everywhere(site: Program, rt: Runtime, method: str, path: str, body: Any) -> None:
    reply = site.get(path) if method == "GET" else site.post(path, body, method=method)

    is_problem(reply, 404, "member_not_found")
    assert entries(rt) == []
