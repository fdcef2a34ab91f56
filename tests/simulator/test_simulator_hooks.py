"""Webhooks of the simulated amoCRM: amoCRM reference sections 3.1 to 3.4."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import pytest
import requests

HOOK = "/hook"
GOLDEN = Path(__file__).parent / "golden"


def subscribe(crm: Any, receiver: Any, *settings: str) -> None:
    crm.post("/sim/hook", {"destination": receiver.url + HOOK, "settings": list(settings) or None})


def actions(bodies: list[bytes]) -> list[str]:
    return sorted(unquote_plus(body.decode()).split("[0]")[0] for body in bodies)


@pytest.mark.parametrize("event", ["status", "update"])
def test_a_stage_change_is_told_in_the_golden_words(crm: Any, receiver: Any, event: str) -> None:
    crm.post("/sim/clock", {"at": "2026-03-01T12:00:00+00:00"})
    crm.post("/sim/reset")
    subscribe(crm, receiver, f"{event}_lead")

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})

    [body] = receiver.wait_for(HOOK, 1)
    told = "".join(f"{key}={value}\n" for key, value in parse_qsl(body.decode(), strict_parsing=True))
    told = re.sub(r"=17723664\d\d\n", "=NOW\n", told)
    assert told == (GOLDEN / f"leads_{event}.txt").read_text(encoding="utf-8")
    assert receiver.got[0][1]["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_stage_change_sends_update_and_status(crm: Any, receiver: Any) -> None:
    subscribe(crm, receiver)

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})

    assert actions(receiver.wait_for(HOOK, 2)) == ["leads[status]", "leads[update]"]


def test_an_api_write_of_several_records_echoes_as_one_body(crm: Any, receiver: Any, api: Any) -> None:
    subscribe(crm, receiver, "update_contact")

    api("PATCH", "/contacts", [{"id": 20_000_001, "name": "А"}, {"id": 20_000_002, "name": "Б"}])

    [body] = receiver.wait_for(HOOK, 1)
    told = dict(parse_qsl(body.decode()))
    assert (told["contacts[update][0][name]"], told["contacts[update][1][name]"]) == ("А", "Б")
    assert told["contacts[update][0][type]"] == "contact"
    assert told["contacts[update][0][linked_leads_id][10000001][ID]"] == "10000001"
    assert told["contacts[update][0][modified_user_id]"] == "9000001"


def test_date_values_come_without_the_value_level(crm: Any, receiver: Any, api: Any) -> None:
    subscribe(crm, receiver, "update_lead")
    fields = api("GET", "/leads/custom_fields").json()["_embedded"]["custom_fields"]
    date_id = next(row["id"] for row in fields if row["type"] == "date")

    values = [{"field_id": date_id, "values": [{"value": 1_772_312_400}]}]
    api("PATCH", "/leads/10000001", {"custom_fields_values": values})

    told = dict(parse_qsl(receiver.wait_for(HOOK, 1)[0].decode()))
    assert told["leads[update][0][custom_fields][0][values][0]"] == "1772312400"


def test_duplicates_and_the_missing_account_id_come_on_request(crm: Any, receiver: Any) -> None:
    subscribe(crm, receiver, "status_lead")
    crm.post("/sim/faults", {"hook_duplicates": [3, 3], "hook_without_account_id": True})

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})

    bodies = receiver.wait_for(HOOK, 3)
    assert len(set(bodies)) == 1
    assert b"account%5Bid%5D" not in bodies[0]
    assert b"account%5Bsubdomain%5D=testshop" in bodies[0]


def test_a_refused_hook_is_repeated_on_the_virtual_clock(
    crm: Any, receiver: Any, eventually: Callable[..., None]
) -> None:
    subscribe(crm, receiver, "status_lead")
    receiver.status = 500

    def log() -> dict[str, Any]:
        row: dict[str, Any] = crm.get("/sim/hooks")["deliveries"][0]
        return row

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})
    for tries, gap_s in ((1, 301), (2, 901), (3, 901), (4, 3601)):
        eventually(lambda tries=tries: log()["tries"] == tries)
        crm.post("/sim/clock", {"skip_s": gap_s})
    eventually(lambda: log()["state"] == "gave_up")

    assert log()["tries"] == 5


def test_a_3xx_answer_is_repeated_only_twice(crm: Any, receiver: Any, eventually: Callable[..., None]) -> None:
    subscribe(crm, receiver, "status_lead")
    receiver.status = 302

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})
    for tries in (1, 2):
        eventually(lambda tries=tries: crm.get("/sim/hooks")["deliveries"][0]["tries"] == tries)
        crm.post("/sim/clock", {"skip_s": 901})

    eventually(lambda: crm.get("/sim/hooks")["deliveries"][0]["state"] == "gave_up")
    assert crm.get("/sim/hooks")["deliveries"][0]["tries"] == 3


def test_a_hundred_failures_switch_the_hook_off_until_it_is_posted_again(
    crm: Any, receiver: Any, api: Any, eventually: Callable[..., None]
) -> None:
    subscribe(crm, receiver, "status_lead")
    receiver.status = 500
    crm.post("/sim/faults", {"hook_duplicates": [101, 101]})

    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})
    eventually(lambda: api("GET", "/webhooks").json()["_embedded"]["webhooks"][0]["disabled"])
    crm.post("/sim/deals/10000001/move", {"status": "Отправлен"})
    sent_while_off = crm.get("/sim/hooks?limit=1")["deliveries"][0]["entity_ids"]
    api("POST", "/webhooks", {"destination": receiver.url + HOOK, "settings": ["status_lead"]})

    assert sent_while_off == [10_000_001]
    assert len(crm.get("/sim/hooks?limit=500")["deliveries"]) == 101
    assert api("GET", "/webhooks").json()["_embedded"]["webhooks"][0]["disabled"] is False


def test_naughty_mode_repeats_a_refused_hook_within_seconds(
    crm: Any, receiver: Any, eventually: Callable[..., None]
) -> None:
    subscribe(crm, receiver, "status_lead")
    receiver.status = 503
    crm.post("/sim/faults", {"naughty": True, "hook_shuffle": False})
    crm.post("/sim/deals/10000001/move", {"status": "Оплачен", "hooks": 1})
    receiver.wait_for(HOOK, 1)

    receiver.status = 200

    eventually(lambda: crm.get("/sim/hooks")["deliveries"][0]["state"] == "accepted")


def test_subscriptions_are_listed_and_deleted_by_address(crm: Any, receiver: Any, api: Any) -> None:
    address = receiver.url + HOOK
    created = api("POST", "/webhooks", {"destination": address, "settings": ["status_lead"]})
    wrong = api("POST", "/webhooks", {"destination": address, "settings": ["nonsense"]})

    listed = api("GET", f"/webhooks?filter[destination]={address}").json()
    deleted = api("DELETE", "/webhooks", {"destination": address})

    assert (created.status_code, wrong.status_code, deleted.status_code) == (201, 400, 204)
    assert [row["settings"] for row in listed["_embedded"]["webhooks"]] == [["status_lead"]]
    assert listed["_total_items"] == 1
    assert api("GET", "/webhooks").status_code == 204


def test_a_note_hook_has_its_own_level_and_spelling(crm: Any, receiver: Any, api: Any) -> None:
    subscribe(crm, receiver, "note_lead")

    api("POST", "/leads/10000001/notes", [{"note_type": "common", "params": {"text": "привет"}}])

    told = dict(parse_qsl(receiver.wait_for(HOOK, 1)[0].decode(), keep_blank_values=True))
    assert told["leads[note][0][note][text]"] == "привет"
    assert told["leads[note][0][note][attachement]"] == ""
    assert told["leads[note][0][note][note_type]"] == "4"


def test_hooks_that_wait_survive_a_restart(
    start_server: Callable[..., Any], receiver: Any, eventually: Callable[..., None]
) -> None:
    crm = start_server("crm")
    crm.post("/sim/hook", {"destination": receiver.url + HOOK, "settings": ["status_lead"]})
    receiver.status = 500
    crm.post("/sim/deals/10000001/move", {"status": "Оплачен"})
    receiver.wait_for(HOOK, 1)
    eventually(lambda: crm.get("/sim/hooks")["deliveries"][0]["tries"] == 1)
    crm.stop()

    receiver.status = 200
    again = start_server("crm")
    again.post("/sim/clock", {"skip_s": 301})

    eventually(lambda: again.get("/sim/hooks")["deliveries"][0]["state"] == "accepted")
    assert requests.get(again.url, timeout=5).status_code == 200
