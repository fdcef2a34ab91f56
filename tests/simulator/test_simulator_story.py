"""The demo's story over the control API: deals, payments, refunds, the clock, restarts, pages."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.slow


def test_a_new_deal_finds_its_buyer_by_phone(crm: Any) -> None:
    known = crm.post("/sim/deals", {"name": "А", "price_roubles": 10, "contact": {"name": "X", "phone": "89161234567"}})
    fresh = crm.post("/sim/deals", {"name": "Б", "price_roubles": 10.5, "contact": {"name": "Новый", "phone": "+7900"}})

    deals = {deal["id"]: deal for deal in crm.get("/sim/state")["deals"]}

    assert known["contact_id"] == 20_000_001
    assert deals[fresh["id"]]["contact_name"] == "Новый"
    assert (deals[fresh["id"]]["price_roubles"], deals[fresh["id"]]["status"]) == (10.5, "Новый заказ")


@pytest.mark.parametrize("shuffle", [False, True])
def test_paying_takes_the_money_and_moves_the_deal(crm: Any, receiver: Any, shuffle: bool) -> None:
    crm.post("/sim/hook", {"destination": f"{receiver.url}/hook", "settings": ["status_lead"]})

    paid = crm.post("/sim/deals/10000001/pay", {"acquirer": "tbank", "callbacks": 2, "hooks": 3, "shuffle": shuffle})

    assert paid["payment"]["captured"] == 549_000
    receiver.wait_for("/pay/tbank", 4)
    receiver.wait_for("/hook", 3)
    [deal] = crm.get("/sim/state?deal=10000001")["deals"]
    assert (deal["status"], deal["paid"], deal["refundable"]) == ("Оплачен", True, True)


def test_a_refund_goes_over_all_payments_of_the_deal(crm: Any, bank: Any) -> None:
    for acquirer in ("tbank", "yookassa"):
        crm.post("/sim/deals/10000001/pay", {"acquirer": acquirer, "amount_kopecks": 10_000})

    part = crm.post("/sim/deals/10000001/refund", {"amount_kopecks": 12_000})
    rest = crm.post("/sim/deals/10000001/refund", {"amount_kopecks": None, "status": "Возврат"})
    nothing = requests.post(f"{crm.url}/sim/deals/10000001/refund", json={}, timeout=5)

    assert [(row["acquirer"], row["refunded"]) for row in part["payments"]] == [("yookassa", 10_000), ("tbank", 2_000)]
    assert [(row["acquirer"], row["refunded"]) for row in rest["payments"]] == [("tbank", 10_000)]
    assert nothing.status_code == 400
    assert crm.get("/sim/state?deal=10000001")["deals"][0]["status"] == "Возврат"
    assert [row["order_id"] for row in bank.get("/sim/state")["payments"]] == ["L10000001-1", "L10000001-2"]


def test_a_refund_in_the_banks_cabinet_reaches_the_board(crm: Any, bank: Any, eventually: Callable[..., None]) -> None:
    payment = crm.post("/sim/deals/10000001/pay", {"acquirer": "tbank"})["payment"]

    bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 100})

    eventually(lambda: crm.get("/sim/state?deal=10000001")["deals"][0]["payments"][0]["refunded"] == 100)


def test_the_clock_moves_for_both_servers_and_for_the_file(crm: Any, bank: Any) -> None:
    before = datetime.fromisoformat(crm.get("/sim/clock")["now"])

    crm.post("/sim/clock", {"skip_s": 86_400})

    after = datetime.fromisoformat(bank.get("/sim/clock")["now"])
    assert 86_400 <= (after - before).total_seconds() < 86_420
    kept = json.loads((crm.folder / "clock.json").read_text(encoding="utf-8"))
    assert kept == {"offset_s": pytest.approx(86_400, abs=1)}
    set_to = crm.post("/sim/clock", {"at": "2030-01-01T00:00:00+03:00"})["now"]
    assert set_to.startswith("2029-12-31T21:00:0")


def test_a_restart_keeps_the_world(start_server: Callable[..., Any]) -> None:
    crm = start_server("crm")
    ids = crm.post(
        "/sim/deals", {"name": "Сделка", "price_roubles": 100, "contact": {"name": "Я", "phone": "+79990001122"}}
    )
    code = crm.post("/sim/grant")["code"]
    body = {
        "client_id": "c-id",
        "client_secret": "c-secret",
        "redirect_uri": "http://127.0.0.1/cb",
        "grant_type": "authorization_code",
        "code": code,
    }
    token = requests.post(f"{crm.url}/oauth2/access_token", json=body, timeout=5).json()["access_token"]
    before = crm.get("/sim/state")
    assert crm.stop() == 0

    again = start_server("crm")

    after = again.get("/sim/state")
    assert after["deals"] == before["deals"]
    assert after["contacts"] == before["contacts"]
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{again.url}/api/v4/account", headers=headers, timeout=5).status_code == 200
    more = again.post("/sim/deals", {"name": "Ещё", "contact": {"name": "Я", "phone": "+79990001122"}})
    assert (more["id"], more["contact_id"]) == (ids["id"] + 1, ids["contact_id"])


def test_a_killed_server_loses_at_most_a_second(start_server: Callable[..., Any]) -> None:
    bank = start_server("bank")
    bank.post("/sim/pay", {"acquirer": "tbank", "deal_id": 1, "amount_kopecks": 100})
    time.sleep(1.1)
    os.kill(bank.ready["pid"], signal.SIGKILL)
    bank.stop()

    again = start_server("bank")

    assert [row["captured"] for row in again.get("/sim/state")["payments"]] == [100]


def test_a_server_dies_with_its_parent(start_server: Callable[..., Any]) -> None:
    crm = start_server("crm")

    crm.process.stdin.close()

    assert crm.process.wait(timeout=5) == 0
    crm.process.stdout.close()


def test_pages_show_the_story_in_russian_and_load_nothing_foreign(crm: Any, bank: Any, api: Any) -> None:
    api("PATCH", "/contacts/20000001", {"name": "<script>alert(1)</script>"})
    crm.post("/sim/deals/10000001/pay", {"acquirer": "yookassa"})

    pages = {
        "board": requests.get(crm.url, timeout=5),
        "deal": requests.get(f"{crm.url}/deals/10000001", timeout=5),
        "hooks": requests.get(f"{crm.url}/hooks", timeout=5),
        "bank": requests.get(bank.url, timeout=5),
    }

    for page in pages.values():
        assert page.status_code == 200
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "<script>alert" not in page.text
        assert "https://" not in page.text
    assert "Новая сделка" in pages["board"].text
    assert "ЮKassa: оплачено" in pages["board"].text
    assert "&lt;script&gt;" in pages["deal"].text
    assert "Послать ещё раз" in pages["bank"].text
    for asset in ("sim.css", "sim.js"):
        assert requests.get(f"{crm.url}/static/{asset}", timeout=5).status_code == 200


def test_commands_that_make_no_sense_are_explained(crm: Any) -> None:
    def answer(path: str, body: Any) -> tuple[int, str]:
        got = requests.post(crm.url + path, json=body, timeout=5)
        return got.status_code, got.json()["error"]

    assert answer("/sim/deals/1/move", {"status": "Оплачен"}) == (404, "нет сделки 1")
    assert answer("/sim/deals/10000001/move", {"status": "Нигде"}) == (404, "нет этапа «Нигде»")
    assert answer("/sim/deals/10000001/pay", {"amount_kopecks": -5}) == (400, "сумма должна быть больше нуля")
    assert answer("/sim/clock", {"go": 1})[0] == 400
