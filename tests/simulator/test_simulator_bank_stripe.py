"""The simulated Stripe: acquirers reference section 9, checked by the test's own arithmetic."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from bank_testing import DEAL, KOPECKS, PAYER, Call, calls, genuine, log, pay, wait_for

from simulator.stripe import signature

NAME = "stripe"
KEY = "sk_live_test"
Eventually = Callable[..., None]


def api(bank: Any, method: str, path: str, key: str = KEY, headers: Any = None, **params: Any) -> Any:
    carried = {"params" if method == "GET" else "data": params}
    all_headers = {"Authorization": f"Bearer {key}", **(headers or {})}
    return requests.request(method, f"{bank.url}/v1/{path}", headers=all_headers, timeout=5, **carried)


def parts_of(call: Call) -> list[tuple[str, str]]:
    return [tuple(part.split("=", 1)) for part in call.headers["Stripe-Signature"].split(",")]  # type: ignore[misc]


def is_genuine(call: Call, secret: str = "whsec_test") -> bool:
    parts = parts_of(call)
    stamp = dict(parts)["t"]
    right = hmac.new(secret.encode(), f"{stamp}.".encode() + call.body, hashlib.sha256).hexdigest()
    return ("v1", right) in parts


def kinds(receiver: Any) -> list[str]:
    return sorted(call.json["type"] for call in calls(receiver, NAME))


@pytest.mark.parametrize("vector", genuine(NAME), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_signed_just_so(vector: dict[str, Any]) -> None:
    told = signature(vector["body"], [vector["secret"]], vector["now"])

    assert told.startswith(f"t={vector['now']},v1={vector['expected']},v0=")


def test_a_one_stage_payment_sends_one_event_that_shows_the_same_object(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    payment = pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    event = call.json
    assert is_genuine(call)
    assert abs(int(dict(parts_of(call))["t"]) - datetime.now(UTC).timestamp()) < 10
    assert (event["type"], event["object"], event["livemode"]) == ("payment_intent.succeeded", "event", True)
    intent = event["data"]["object"]
    assert (intent["id"], intent["amount_received"], intent["currency"]) == (payment["id"], KOPECKS, "rub")
    assert (intent["metadata"], intent["receipt_email"]) == ({"lead_id": str(DEAL), "attempt": "1"}, PAYER["email"])
    assert intent == api(bank, "GET", f"payment_intents/{payment['id']}").json()
    eventually(lambda: log(bank)[0]["state"] == "accepted")


def test_every_try_is_stamped_anew_and_copies_are_the_same_event(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    receiver.status = 500
    pay(bank, NAME, callbacks=2)
    wait_for(eventually, receiver, NAME, 2)
    eventually(lambda: all(row["tries"] == 1 for row in log(bank)))

    receiver.status = 204
    bank.post("/sim/clock", {"skip_s": 301})
    came = wait_for(eventually, receiver, NAME, 4)

    assert len({call.body for call in came}) == 1
    stamps = [int(dict(parts_of(call))["t"]) for call in came]
    assert max(stamps) - min(stamps) >= 300
    assert all(is_genuine(call) for call in came)


def test_while_secrets_are_rotated_both_sign(bank: Any, receiver: Any, eventually: Eventually) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"webhook_secret": "whsec_new", "old_webhook_secret": "whsec_test"})
    pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    assert [name for name, _value in parts_of(call)] == ["t", "v1", "v1", "v0"]
    assert is_genuine(call)
    assert is_genuine(call, "whsec_new")


def test_a_hold_is_capturable_then_captured_in_part_or_canceled(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    held, dropped = pay(bank, NAME, two_stage=True), pay(bank, NAME, two_stage=True)
    shown = api(bank, "GET", f"payment_intents/{held['id']}").json()

    captured = api(bank, "POST", f"payment_intents/{held['id']}/capture", amount_to_capture=200_000).json()
    canceled = api(bank, "POST", f"payment_intents/{dropped['id']}/cancel").json()

    assert (shown["status"], shown["amount_capturable"]) == ("requires_capture", KOPECKS)
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 200_000)
    assert canceled["status"] == "canceled"
    wait_for(eventually, receiver, NAME, 4)
    hold = "payment_intent.amount_capturable_updated"
    assert kinds(receiver) == [hold, hold, "payment_intent.canceled", "payment_intent.succeeded"]


def test_two_equal_refunds_have_ids_and_a_total(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, NAME)
    order = {"payment_intent": payment["id"], "amount": 49_000}

    first, again = (api(bank, "POST", "refunds", headers={"Idempotency-Key": "a"}, **order).json() for _ in range(2))
    second = api(bank, "POST", "refunds", **order).json()
    too_much = api(bank, "POST", "refunds", **{**order, "amount": 201_001})

    assert first == again
    assert too_much.status_code == 400
    expanded = {"expand[]": "latest_charge.refunds"}
    charge = api(bank, "GET", f"payment_intents/{payment['id']}", **expanded).json()["latest_charge"]
    assert (charge["amount_refunded"], charge["refunded"]) == (98_000, False)
    assert [row["id"] for row in charge["refunds"]["data"]] == [second["id"], first["id"]]
    listed = api(bank, "GET", "refunds", payment_intent=payment["id"], limit=1).json()
    assert ([row["id"] for row in listed["data"]], listed["has_more"]) == ([second["id"]], True)
    rest = api(bank, "GET", "refunds", payment_intent=payment["id"], starting_after=second["id"]).json()
    assert [row["id"] for row in rest["data"]] == [first["id"]]
    assert api(bank, "GET", f"refunds/{first['id']}").json()["amount"] == 49_000
    wait_for(eventually, receiver, NAME, 5)
    assert kinds(receiver) == ["charge.refunded"] * 2 + ["payment_intent.succeeded"] + ["refund.created"] * 2
    totals = [call.json["data"]["object"] for call in calls(receiver, NAME) if call.json["type"] == "charge.refunded"]
    assert sorted(row["amount_refunded"] for row in totals) == [49_000, 98_000]


def test_a_charge_is_an_id_until_somebody_asks_for_more(bank: Any) -> None:
    payment = pay(bank, NAME)

    plain = api(bank, "GET", f"payment_intents/{payment['id']}").json()
    half = api(bank, "GET", f"payment_intents/{payment['id']}", **{"expand[]": "latest_charge"}).json()

    assert plain["latest_charge"] == half["latest_charge"]["id"]
    assert "refunds" not in half["latest_charge"]


def test_a_dispute_takes_the_money_and_may_be_won(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, NAME)
    bank.post(f"/sim/payments/{payment['id']}/chargeback", {"amount_kopecks": 100_000})
    bank.post(f"/sim/payments/{payment['id']}/chargeback_won")

    wait_for(eventually, receiver, NAME, 5)

    disputes = {call.json["type"]: call.json["data"]["object"] for call in calls(receiver, NAME)}
    disputes.pop("payment_intent.succeeded")
    assert {kind: row["status"] for kind, row in disputes.items()} == {
        "charge.dispute.created": "needs_response",
        "charge.dispute.funds_withdrawn": "needs_response",
        "charge.dispute.funds_reinstated": "won",
        "charge.dispute.closed": "won",
    }
    assert {(row["amount"], row["payment_intent"]) for row in disputes.values()} == {(100_000, payment["id"])}


def test_a_checkout_session_tells_the_same_money_a_second_time(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"checkout": True, "currency": "eur"})
    payment = pay(bank, NAME)

    wait_for(eventually, receiver, NAME, 2)

    assert kinds(receiver) == ["checkout.session.completed", "payment_intent.succeeded"]
    [session] = [call.json["data"]["object"] for call in calls(receiver, NAME) if "session" in call.json["type"]]
    assert (session["payment_intent"], session["currency"]) == (payment["id"], "eur")
    assert session["customer_details"]["phone"] == PAYER["phone"]


def test_a_refused_card_is_told_and_no_charge_is_left(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, NAME, reject=True)

    [call] = wait_for(eventually, receiver, NAME, 1)

    assert call.json["type"] == "payment_intent.payment_failed"
    assert api(bank, "GET", f"payment_intents/{payment['id']}").json()["latest_charge"] is None


def test_the_api_wants_the_key_and_knows_its_own(bank: Any) -> None:
    payment = pay(bank, NAME)
    as_user = requests.get(f"{bank.url}/v1/payment_intents/{payment['id']}", auth=(KEY, ""), timeout=5)
    stranger = api(bank, "GET", f"payment_intents/{payment['id']}", "sk_live_no")
    unknown = api(bank, "GET", "payment_intents/pi_nobody")
    listed = api(bank, "GET", "payment_intents", **{"created[gte]": 1, "expand[]": "data.latest_charge"}).json()

    assert (as_user.status_code, stranger.status_code, unknown.status_code) == (200, 401, 404)
    assert unknown.json()["error"]["code"] == "resource_missing"
    assert [row["latest_charge"]["amount_captured"] for row in listed["data"]] == [KOPECKS]
