"""The path of one payment through the flows, with a real database and the simulated shop."""

from __future__ import annotations

from dataclasses import replace

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


def test_a_paid_stage_without_a_payment_stands_for_the_price_until_the_deal_goes_back(rt: Runtime, shop: Shop) -> None:
    """Cash: the stage is all we hear of. On to «Отправлен» it stays paid, to «Возврат» it does not."""
    deal_id, contact_id = shop.deal(4_990)
    seen = []

    for stage in ("Оплачен", "Отправлен", "Возврат", "Успешно реализовано", "Закрыто и не реализовано"):
        shop.move(deal_id, stage)
        inbox.accept_hook(rt, hook_body(deal_id))
        settle(rt)
        account = lookup.by_contact(rt, contact_id)
        assert account is not None
        seen.append(account.member.balance.net)

    assert seen == [799, 799, 0, 799, 0]


def test_a_stage_that_the_funnel_lacks_waits_and_names_those_it_has(rt: Runtime, shop: Shop) -> None:
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    assert rt.file.amocrm is not None
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, paid_status="Оплочен"))

    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    waiting, _ = lookup.events(rt, states=["waiting"], limit=10)
    assert "нет этапа «Оплочен»; есть: Неразобранное, " in waiting[0].outcome
    assert "Поправьте amocrm.paid_status" in waiting[0].outcome
