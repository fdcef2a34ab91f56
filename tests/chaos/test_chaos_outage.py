"""The CRM is away for six hours, compressed by the town's clock: the backlog stays small and is told once."""

from __future__ import annotations

import json
from collections import Counter

import chaos_checks as checks
import pytest
from chaos_load import BANKS
from chaos_town import Town

pytestmark = pytest.mark.chaos

MEMBERS = 10
DEALS_EACH = 4
HOURS = 6
PATIENCE_S = 40.0
PRICE_KOPECKS = 100_000
NOBODY = "http://127.0.0.1:9/"
"""Where the CRM tells of every written contact; that nobody listens is all right, its log is what we read."""


@pytest.mark.timeout(170)
def test_after_six_hours_without_the_crm_each_member_is_written_once(town: Town) -> None:
    deals = _regulars(town)
    town.crm("POST", "/sim/hook", {"destination": NOBODY, "settings": ["update_contact"]})

    town.crm("POST", "/sim/faults", {"error_500": 1.0})
    for hour in range(HOURS):
        for deal_id in deals[hour::HOURS]:
            _pay(town, deal_id)
        # Stripe signs the time: what is under way while the clock is moved would be refused as old, every hour anew.
        town.until(lambda: town.bank("GET", "/sim/callbacks?limit=1")["waiting"] == 0, patience_s=PATIENCE_S / HOURS)
        town.skip(3600)
        town.wait(1.0)
    paid = town.until(lambda: _captured(town) == 2 * len(deals), patience_s=PATIENCE_S)
    unheard = [one for one in town.bank("GET", "/sim/callbacks")["callbacks"] if not one["accepted"]]
    left = town.rows("SELECT kind FROM outbox WHERE state <> 'done' AND kind IN ('crm', 'note')")
    backlog = Counter(row.kind for row in left)
    writes_before = len(_writes(town))
    town.crm("POST", "/sim/faults", {"error_500": 0.0})
    for _ in range(3):
        town.skip(700)
        town.until(lambda: not checks.unfinished(town), patience_s=PATIENCE_S / 3)

    assert paid, f"payments were not counted while the CRM was away: {unheard}"
    assert backlog == {"crm": MEMBERS, "note": len(deals)}
    assert not checks.unfinished(town)
    assert writes_before == 0
    writes = Counter(_writes(town))
    assert len(writes) == MEMBERS
    assert set(writes.values()) == {1}
    truth = checks.Truth(town)
    checks.the_book_is_whole(town)
    checks.every_bank_is_heard(town, truth)
    checks.members_have_what_they_earned(town, truth)
    checks.points_of_every_order_are_right(town, truth, moved_back=set(deals))
    checks.the_crm_says_what_the_book_says(town, truth)
    checks.every_buyer_is_one_customer_in_the_right_segment(town, truth)
    checks.notes_tell_each_change_once(town, truth)
    print(f"CHAOS outage: {json.dumps(backlog)} waited, {sum(writes.values())} writes after the return")


def _regulars(town: Town) -> list[int]:
    """Deals of members who are known and settled before the trouble begins."""
    deals = []
    for number in range(MEMBERS):
        for _ in range(DEALS_EACH):
            contact = {"name": f"Покупатель {number}", "phone": f"+7900222{number:04}"}
            body = {"name": "Заказ", "price_roubles": PRICE_KOPECKS / 100, "contact": contact}
            deals.append(town.crm("POST", "/sim/deals", body)["deal_id"])
            _pay(town, deals[-1])
    assert town.until(lambda: _captured(town) == len(deals) and not checks.unfinished(town), patience_s=PATIENCE_S), (
        checks.unfinished(town)
    )
    return deals


def _pay(town: Town, deal_id: int) -> None:
    body = {"acquirer": BANKS[deal_id % len(BANKS)], "amount_kopecks": PRICE_KOPECKS, "callbacks": 2, "hooks": 1}
    town.crm("POST", f"/sim/deals/{deal_id}/pay", body)


def _captured(town: Town) -> int:
    """Payments that the book has counted."""
    counted = town.rows("SELECT COALESCE(sum(kept_kopecks), 0) FROM orders WHERE member_id IS NOT NULL")
    return int(counted[0][0]) // PRICE_KOPECKS


def _writes(town: Town) -> list[int]:
    """The contact of every write that the CRM carried out since it was asked to tell."""
    told = town.crm("GET", f"/sim/hooks?limit={checks.DELIVERIES}")["deliveries"]
    return [one for delivery in told if delivery["url"] == NOBODY for one in delivery["entity_ids"]]
