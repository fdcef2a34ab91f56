"""The path of one payment through the flows, with a real database and the simulated shop."""

from __future__ import annotations

from kopilka_testing import Shop, hook_body, settle, tbank_body

from flows import health, inbox, lookup
from flows.runtime import Runtime


def test_a_payment_and_a_hook_become_points_fields_a_customer_and_a_note(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990)

    inbox.accept_payment(rt, "tbank", {}, tbank_body(deal_id), None)
    shop.move(deal_id, "Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert (account.member.balance.available, account.member.balance.pending) == (300, 499)
    fields = shop.fields(deal_id)
    assert (fields["Бонусы: баланс"], fields["Бонусы: ожидают"]) == ("300", "499")
    assert fields["Сегмент карты"] == "Стартовый"
    assert len(shop.state(deal_id)["notes"]) == 1
    assert health.verify_ledger(rt).is_whole


def test_a_genuine_callback_that_cannot_be_read_is_kept_for_a_person(rt: Runtime, shop: Shop) -> None:
    deal_id, _ = shop.deal(4_990)

    ack = inbox.accept_payment(rt, "tbank", {}, tbank_body(deal_id, Amount="1.5"), None)
    settle(rt)

    parked, _ = lookup.events(rt, states=["parked"], limit=10)
    assert ack.body == b"OK"
    assert len(parked) == 1
    assert "не читается" in parked[0].outcome
