"""Points put aside through the API: races, limits, replacement, release, the code that must be told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests
from api_testing import Program, give, is_problem, new_member, plain_rules, program, use_rules
from flask import Flask
from pydantic import SecretStr
from web_testing import StartServer

from flows import codes
from flows.runtime import Runtime
from loyalty.rules import Limits, RedeemRules
from webhooks.app import create_app

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


def test_v19_of_two_spends_at_once_one_succeeds_and_one_is_refused(
    site: Program, anna: int, rt: Runtime, server: StartServer
) -> None:
    give(rt, anna, 700)
    web = server()

    def spend(number: int) -> requests.Response:
        body = {"member_id": anna, "order": f"V19-{number}", **TENT, "points": 500}
        headers = {**site.headers(), "Idempotency-Key": f"V19-{number}"}
        return requests.post(f"{web.url}/api/v1/holds", json=body, headers=headers, timeout=10)

    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(spend, (1, 2)))

    won, lost = sorted(replies, key=lambda reply: reply.status_code)
    assert won.status_code == 201, won.text
    assert (lost.status_code, lost.json()["code"], lost.json()["max_redeem"]) == (422, "over_maximum", 200)
    balance = site.ok("GET", f"/members/{anna}")["balance"]
    assert balance == {"available": 200, "pending": 0, "reserved": 500, "debt": 0}


def test_v22_the_third_redemption_of_a_day_is_refused(app: Flask, rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt, limits=Limits(accruals_per_day=3, redemptions_per_day=2)))
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 900)

    def hold(number: int) -> Any:
        return site.post("/holds", {"member_id": anna, "order": f"R-{number}", **TENT, "points": 100})

    statuses = [hold(number).status_code for number in (1, 2)]

    assert statuses == [201, 201]
    is_problem(hold(3), 422, "daily_limit")


def test_a_hold_is_shown_released_and_cancelled(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 1_000)
    body = {"member_id": anna, **TENT, "points": 400}
    first = site.ok("POST", "/holds", {**body, "order": "H-1"})
    second = site.ok("POST", "/holds", {**body, "order": "H-2"})

    shown = site.ok("GET", f"/holds/{first['id']}")
    released = site.ok("POST", f"/holds/{first['id']}/release")
    again = site.ok("POST", f"/holds/{first['id']}/release")
    cancelled = site.ok("POST", f"/holds/{second['id']}/cancel")

    assert shown == first
    assert (first["state"], first["confirm"], first["order"]) == ("active", "none", "H-1")
    assert (first["due_kopecks"], first["expires_at"]) == (459_000, "2026-03-01T09:30:00Z")
    assert [one["state"] for one in (released, again, cancelled)] == ["released"] * 3
    assert site.ok("GET", f"/members/{anna}")["balance"]["available"] == 1_000
    is_problem(site.post(f"/holds/{first['id']}/confirm", {"code": "1"}), 409, "hold_closed")


def test_a_hold_replaces_the_earlier_one_of_its_order(site: Program, anna: int, rt: Runtime) -> None:
    give(rt, anna, 1_000)
    first = site.ok("POST", "/holds", {"member_id": anna, "order": "H-3", **TENT, "points": 1_000})
    second = site.ok("POST", "/holds", {"member_id": anna, "order": "H-3", **TENT, "points": 300})

    assert site.ok("GET", f"/holds/{first['id']}")["state"] == "released"
    assert site.ok("GET", "/orders/H-3")["hold"] == second["id"]
    assert site.ok("GET", f"/members/{anna}")["balance"]["reserved"] == 300


def test_a_pin_must_be_told_before_held_points_are_spent(app: Flask, rt: Runtime) -> None:
    use_rules(rt, plain_rules(rt, redeem=RedeemRules(max_share_bps=3_000, confirm="pin")))
    rt.file = replace(rt.file, redeem_pin=SecretStr("2468"))
    site = program(app, rt)
    anna = new_member(site)
    give(rt, anna, 500)

    hold = site.ok("POST", "/holds", {"member_id": anna, "order": "P-1", **TENT, "points": 500})
    unpaid = site.post("/orders/P-1/paid", {"member_id": anna})
    wrong = site.post(f"/holds/{hold['id']}/confirm", {"code": "1111"})
    right = site.ok("POST", f"/holds/{hold['id']}/confirm", {"code": "2468"})
    paid = site.ok("POST", "/orders/P-1/paid", {"member_id": anna})

    assert (hold["state"], hold["confirm"]) == ("unconfirmed", "pin")
    is_problem(unpaid, 409, "hold_unconfirmed")
    assert is_problem(wrong, 422, "wrong_code")["tries_left"] == codes.TRIES_MAX - 1
    assert (right["state"], right["confirm"], paid["redeemed"]) == ("active", "none", 500)
