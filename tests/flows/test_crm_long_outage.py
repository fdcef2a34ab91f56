"""Six hours without the CRM: afterwards it shows what the ledger says, and nobody was written to more than once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from kopilka_testing import Shop, StandingClock, posted, settle, tbank_body

from flows import inbox, lookup, people
from flows.people import Names
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

BUYERS = 12
HOURS = 6
NOBODY = "http://127.0.0.1:9/hook"


def test_after_six_hours_each_member_is_written_once_and_the_crm_is_the_ledger(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    assert rt.file.amocrm is not None
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, customers=False))
    rt.google = None
    deals = [deal(shop, number) for number in range(BUYERS)]
    for number, (deal_id, _) in enumerate(deals):
        inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=10_000, payment_id=number + 1)))
    settle(rt)
    shop.crm("POST", "/sim/hook", {"destination": NOBODY})
    before = len(deliveries(shop))
    shop.faults(error_500=1.0)

    for hour in range(HOURS):
        for number, (deal_id, _) in enumerate(deals):
            payment = 1_000 + hour * BUYERS + number
            inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=15_000, payment_id=payment)))
        for _ in range(6):
            settle(rt)
            clock.forward(minutes=10)
    shop.faults(error_500=0.0)
    clock.forward(minutes=15)
    settle(rt)

    told = deliveries(shop)[: len(deliveries(shop)) - before]
    writes = Counter(entity for one in told if one["event"] == "update_contact" for entity in one["entity_ids"])
    assert set(writes.values()) == {1}, "six hours of changes are one write"
    assert len(writes) == BUYERS
    for deal_id, contact_id in deals:
        with rt.db.begin() as tx:
            member = people.find(tx, Names(contact=contact_id))
        fields = shop.fields(deal_id)
        assert int(fields["Бонусы: баланс"]) == member.balance.available > 0, fields
    assert lookup.events(rt, states=["parked", "waiting", "working"], limit=10) == ([], [])


def deal(shop: Shop, number: int) -> tuple[int, int]:
    """A deal of a buyer of its own."""
    contact = {"name": f"Покупатель {number}", "phone": f"+7900111{number:04}"}
    made = shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 1_000, "contact": contact})
    return made["deal_id"], made["contact_id"]


def deliveries(shop: Shop) -> list[dict[str, object]]:
    """Newest first."""
    return list(shop.crm("GET", "/sim/hooks?limit=5000")["deliveries"])
