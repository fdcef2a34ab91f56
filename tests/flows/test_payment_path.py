"""The path of one payment through the flows, with a real database and the simulated shop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, hook_body, posted, settle, tbank_body

from flows import health, inbox, lookup
from flows.runtime import Runtime


def test_a_payment_and_a_hook_become_points_fields_a_customer_and_a_note(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990)

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
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

    ack = inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, Amount="1.5")))
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


def test_a_refund_that_overtook_its_payment_leaves_no_points_in_a_paid_stage(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990, status="Оплачен")

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, "REFUNDED")))
    settle(rt)

    assert _net(rt, contact_id) == 0


def test_a_second_payment_of_an_order_has_its_own_activation_and_expiry(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, contact_id = shop.deal(5_000)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=100_000, payment_id=1)))
    settle(rt)
    clock.forward(days=200)

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=400_000, payment_id=2)))
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    newest = next(line for line in account.lines if line.move == "accrue")
    assert newest.points == 400
    assert newest.activates_at > clock()


def test_a_payment_that_later_names_another_deal_waits_for_a_person(rt: Runtime, shop: Shop) -> None:
    first, contact_id = shop.deal(4_990)
    second, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(first)))
    settle(rt)
    before = _net(rt, contact_id)

    inbox.accept_payment(rt, "tbank", posted(tbank_body(second, "REFUNDED")))
    settle(rt)

    parked, _ = lookup.events(rt, states=["parked"], limit=10)
    assert "уже отнесён к другой сделке" in parked[0].outcome
    assert _net(rt, contact_id) == before


def test_the_buyer_may_be_corrected_until_something_was_counted(rt: Runtime, shop: Shop) -> None:
    deal_id, wrong = shop.deal(4_990, buyer="Не тот")
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, "AUTHORIZED")))
    settle(rt)
    right = shop.crm(
        "POST", "/sim/deals", {"name": "x", "price_roubles": 1, "contact": {"name": "Та", "phone": "+79005550000"}}
    )
    _change_contact(shop, deal_id, wrong, right["contact_id"])
    inbox.accept_hook(rt, hook_body(deal_id, action="update"))
    settle(rt)

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)

    assert _net(rt, right["contact_id"]) == 799
    assert _net(rt, wrong) == 0


def test_a_contact_field_that_the_rules_name_later_is_filled_for_old_members_too(rt: Runtime, shop: Shop) -> None:
    assert rt.file.amocrm is not None
    every = rt.file.amocrm.contact_fields
    fewer = {role: name for role, name in every.items() if role != "card_link"}
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, contact_fields=fewer))
    deal_id, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=100_000, payment_id=1)))
    settle(rt)
    assert "Ссылка на карту" not in shop.fields(deal_id)
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, contact_fields=every))

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=100_000, payment_id=2)))
    settle(rt)

    assert shop.fields(deal_id)["Ссылка на карту"].startswith("https://bonus.sportgory.ru/c/")


@pytest.mark.parametrize("buyers", [1, 3])
@pytest.mark.parametrize("entry", ["contact_fields", "segments"])
def test_a_field_or_segment_deleted_in_the_crm_is_found_or_made_again(
    rt: Runtime, shop: Shop, clock: StandingClock, entry: str, buyers: int
) -> None:
    first, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(first)))
    settle(rt)
    known = rt.directory.get(entry)
    assert known is not None
    gone = {key: {**one, "id": 999_999} if isinstance(one, dict) else 999_999 for key, one in known.items()}
    rt.directory.put(entry, gone)
    deals = []
    for number in range(buyers):
        person = {"name": f"Покупатель {number}", "phone": f"+7900777000{number}"}
        made = shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 1_000, "contact": person})
        deals.append(made["deal_id"])
        body = tbank_body(made["deal_id"], kopecks=100_000, payment_id=100 + number)
        inbox.accept_payment(rt, "tbank", posted(body))

    settle(rt)
    clock.forward(seconds=10)
    settle(rt)

    for deal_id in deals:
        assert shop.fields(deal_id)["Бонусы: баланс"] == "300"
        assert shop.state(deal_id)["customers"][0]["segments"] == ["Стартовый"]
    assert lookup.events(rt, states=["parked", "waiting"], limit=10) == ([], [])


def _net(rt: Runtime, contact_id: int) -> int:
    account = lookup.by_contact(rt, contact_id)
    return 0 if account is None else account.member.balance.net


def _change_contact(shop: Shop, deal_id: int, old: int, new: int) -> None:
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    for verb, contact_id in (("unlink", old), ("link", new)):
        url = f"{shop.crm_url}/api/v4/leads/{deal_id}/{verb}"
        link = {"to_entity_id": contact_id, "to_entity_type": "contacts", "metadata": {"is_main": True}}
        assert shop.session.post(url, json=[link], headers=headers, timeout=10).status_code < 300
