"""«Списать бонусов» from the manager's hand to the buyer's points and back, over HTTP: the simulated CRM tells its own
hooks, the product reads deals and writes fields and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flow_desk import ACCRUED, ALLOWED, REDEEM, TOTAL, Desk, make_desk
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, hook_body, posted, settle, tbank_body

from connector.amocrm.leads import Deal
from flows import cards, deal_redemption, failpoints, holds, inbox, outbox, people, sweep
from flows import settle as settling
from flows.runtime import Runtime
from loyalty.ledger import Balance
from loyalty.rules import Limits
from storage import members

pytestmark = pytest.mark.slow

Run = Callable[..., int]


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    return make_desk(rt, shop, clock)


def test_the_story_of_a_deal_from_the_managers_number_to_the_refund(desk: Desk) -> None:
    desk.opens()
    assert desk.fields == {ALLOWED: "1497", TOTAL: "4990", ACCRUED: "0"}
    assert desk.feed == []

    desk.types(500)
    assert desk.holds == [("active", 500)]
    assert desk.balance == Balance(available=1_500, reserved=500)
    assert desk.fields == {REDEEM: "500", ALLOWED: "1497", TOTAL: "4490", ACCRUED: "0"}
    assert desk.feed == ["Зарезервировано 500 баллов. К оплате 4 490 ₽."]
    assert desk.shop.fields(desk.deal_id)["Бонусы: баланс"] == "1500"

    desk.types(2_000)
    assert desk.holds == [("released", 500), ("active", 1_497)]
    assert desk.fields[TOTAL] == "3493"
    assert desk.feed[-1] == "Зарезервировано 1 497 баллов из 2 000 (больше нельзя: 30 % от 4 990 ₽). К оплате 3 493 ₽."

    desk.types("")
    assert desk.holds[-1] == ("released", 1_497)
    assert desk.balance == Balance(available=2_000)
    assert desk.fields[TOTAL] == "4990"
    assert desk.feed[-1] == "Резерв снят: баллы вернулись покупателю"

    desk.types(500)
    desk.bank_says(kopecks=449_000)
    assert desk.holds[-1] == ("captured", 500)
    assert desk.balance == Balance(available=1_500 + 300, pending=449)
    assert desk.fields == {
        REDEEM: "500",
        ACCRUED: "749",
        "Оплата": "оплачено",
        "Оплачено": "4490",
        "Возвращено": "0",
        "Эквайринг": "Т-Банк",
        "Дата оплаты": "01.03.2026",
    }
    assert desk.feed[-2:] == [
        "Зарезервировано 500 баллов. К оплате 4 490 ₽.",
        "Начислено 749 баллов. Всего за сделку: 749 баллов (300 приветственные + 449 за покупку).",
    ]
    told = len(desk.feed)
    desk.moves("Оплачен")
    desk.moves("Отправлен")
    assert desk.balance == Balance(available=1_800, pending=449)
    assert len(desk.feed) == told

    desk.bank_says("REFUNDED", kopecks=449_000)
    desk.moves("Возврат")
    assert desk.balance == Balance(available=2_000), "the number still stands in the field, the points are not reserved"
    assert desk.holds[-1] == ("captured", 500)
    assert desk.fields[ACCRUED] == "0"
    assert desk.feed[told:] == ["Снято 749 баллов. Всего за сделку: 0 баллов."]
    desk.check()


def test_refunded_in_part_a_part_of_the_points_comes_back(desk: Desk) -> None:
    desk.opens()
    desk.types(500)
    payment_id = desk.shop.pay(desk.deal_id, 449_000)
    desk.notice(payment_id)

    desk.shop.refund(payment_id, 224_500)
    desk.notice(payment_id, "refund.succeeded")

    order = desk.world.order(desk.deal_id)
    assert (order.redeemed, order.restored, order.accrued) == (500, 250, 224)
    assert desk.balance == Balance(available=1_800 + 250, pending=224)
    desk.check()


def test_paid_in_cash_the_stage_stands_for_the_lower_price_and_a_mistake_costs_nothing(desk: Desk) -> None:
    desk.opens()
    desk.types(500)

    seen = []
    for stage in ("Оплачен", "Новый заказ", "Оплачен"):
        desk.moves(stage)
        seen.append((desk.balance, desk.fields[ACCRUED]))

    assert seen == [
        (Balance(available=1_800, pending=449), "749"),
        (Balance(available=2_000), "0"),
        (Balance(available=1_800, pending=449), "749"),
    ]
    assert desk.holds == [("captured", 500)]
    order = desk.world.order(desk.deal_id)
    assert (order.redeemed, order.restored) == (1_000, 500)
    desk.check()


def test_a_deal_that_comes_to_nothing_gives_the_points_back_until_it_is_taken_up_again(desk: Desk) -> None:
    desk.opens()
    desk.types(500)

    desk.moves("Закрыто и не реализовано")
    assert desk.balance == Balance(available=2_000)
    assert desk.feed[-1] == "Резерв снят: баллы вернулись покупателю"

    desk.moves("Новый заказ")
    assert desk.holds == [("released", 500), ("active", 500)]
    assert desk.fields[TOTAL] == "4490"

    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/delete", {})
    desk.listen()
    assert desk.holds == [("released", 500), ("released", 500)]
    assert desk.balance == Balance(available=2_000)
    assert desk.world.is_whole()


def test_another_price_is_another_hold_within_its_cap(desk: Desk) -> None:
    desk.opens(0)
    desk.types(500)
    assert desk.holds == []
    assert desk.feed == ["Списать нельзя: у сделки нет бюджета или её товары не участвуют"]

    for roubles, points, total in ((4_990, 500, "4490"), (1_000, 300, "700"), (5_990, 500, "5490")):
        desk.changes_price(roubles)
        assert desk.holds[-1] == ("active", points)
        assert desk.balance == Balance(available=2_000 - points, reserved=points)
        assert desk.fields[TOTAL] == total

    assert "Зарезервировано 300 баллов из 500 (больше нельзя: 30 % от 1 000 ₽). К оплате 700 ₽." in desk.feed
    desk.check()


def test_kopecks_of_a_price_are_told_and_never_spent(desk: Desk) -> None:
    desk.opens(999.5)

    desk.types(500)

    assert desk.holds == [("active", 299)]
    assert (desk.fields[ALLOWED], desk.fields[TOTAL]) == ("299", "700.50")
    assert desk.feed == ["Зарезервировано 299 баллов из 500 (больше нельзя: 30 % от 999,50 ₽). К оплате 700,50 ₽."]


def test_a_manager_who_took_the_points_off_the_price_himself_has_taken_them_off_once(desk: Desk) -> None:
    desk.opens()
    desk.types(500)
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    url = f"{desk.shop.crm_url}/api/v4/leads/{desk.deal_id}"
    assert desk.shop.session.patch(url, json={"price": 4_490}, headers=headers, timeout=10).status_code == 200

    desk.moves("Оплачен")

    assert desk.holds == [("captured", 500)]
    assert desk.balance == Balance(available=1_800, pending=449)
    desk.check()


def test_the_same_hook_five_times_is_one_hold_and_one_note_and_writes_nothing_more(desk: Desk) -> None:
    desk.opens()
    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/fields", {REDEEM: 500})
    assert desk.listen() <= 3, "the echo of our own writes ends at once"
    before = desk.shop.crm("GET", "/sim/state?brief")["version"]

    for _ in range(3):
        inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
        settle(desk.rt)
    for _ in range(5):
        inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    settle(desk.rt)

    assert desk.shop.crm("GET", "/sim/state?brief")["version"] == before
    assert desk.holds == [("active", 500)]
    assert len(desk.feed) == 1
    desk.check()


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (500, 500),
        ("500", 500),
        ("500.0", 500),
        ("500,9", 500),
        ("1 500", 1_500),
        ("1\u00a0500", 1_500),
        (None, None),
        ("", None),
        ("все", None),
        ("500 руб", None),
        ("-500", None),
        ("+500", None),
        ("5e2", None),
        ("٥٠٠", None),
        (".5", None),
        ("0", 0),
        ("9" * 10, 1_000_000_000),
        ("9" * 400, None),
        (["500"], None),
    ],
)
def test_what_people_type_is_a_number_or_nothing(typed: object, asked: int | None) -> None:
    deal = Deal(1, "Заказ", 7, 142, 499_000, 5, is_deleted=False, updated_at=None, field_values={9: typed, 8: " 12 "})

    wish = deal_redemption.wish_of(deal, {"redeem": 9, "redeem_code": 8})

    assert (wish.points, wish.code, wish.is_lost) == (asked, "12", False)


def test_garbage_in_the_field_reserves_nothing_and_stops_nothing(desk: Desk) -> None:
    desk.opens()
    desk.types(500)

    for typed in ("-5", "0.4", 10**15):
        desk.types(typed)
        assert desk.balance == Balance(available=2_000), typed

    assert desk.fields[ALLOWED] == "1497"
    assert desk.holds == [("released", 500)]
    desk.check()


def test_a_buyer_without_points_is_told_so_and_reserved_for_once_he_has_them(desk: Desk) -> None:
    desk.opens(points=0)
    assert desk.fields == {ALLOWED: "0", TOTAL: "4990", ACCRUED: "0"}

    desk.types(500)
    assert desk.holds == []
    assert desk.feed == ["У покупателя нет доступных баллов"]

    desk.world.give(desk.buyer, 120)
    inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    desk.listen()
    assert desk.holds == [("active", 120)]
    assert desk.feed[1:] == ["Зарезервировано 120 баллов из 500 (больше нельзя: столько на счету). К оплате 4 870 ₽."]
    desk.check()


def test_the_deal_of_a_stranger_is_left_alone_until_it_is_paid(desk: Desk) -> None:
    desk.opens(points=None)
    desk.types(500)

    assert desk.fields == {REDEEM: "500"}
    assert desk.feed == []
    with desk.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one() == 0

    desk.moves("Оплачен")
    with desk.rt.db.begin() as tx:
        member = members.by_contact(tx, desk.contact_id)
    assert member is not None
    assert member.balance == Balance(available=300, pending=499)
    desk.check()


def test_the_daily_limit_is_told_to_the_manager(desk: Desk) -> None:
    desk.world.use(replace(desk.rt.programme, limits=Limits(redemptions_per_day=1)))
    desk.opens()
    desk.types(500)
    first = desk.deal_id

    desk.deal_id, _ = desk.shop.deal(1_000)
    desk.listen()
    desk.types(100)

    assert desk.feed == [
        "Сегодня баллы уже списывали столько раз, сколько разрешено: попробуйте завтра",
    ]
    assert desk.holds == [("active", 500)]
    desk.deal_id = first
    desk.types(400)
    assert desk.holds == [("released", 500), ("active", 400)]
    desk.check()


def test_a_hold_that_ran_out_is_free_for_others_and_its_price_still_stands(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    desk.types(500)
    clock.forward(days=3, minutes=1)
    assert holds.release_expired(desk.rt, now=clock()) == 1
    assert desk.balance == Balance(available=2_000)

    desk.bank_says(kopecks=449_000)

    assert desk.holds == [("expired", 500), ("captured", 500)]
    assert desk.balance == Balance(available=1_800, pending=449)
    desk.check()


# Contacts merged in the CRM


def test_contacts_merged_in_the_crm_are_one_member_with_all_lots_and_dates(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    desk.moves("Оплачен")
    twin = desk.shop.crm(
        "POST",
        "/sim/deals",
        {
            "name": "Ещё",
            "price_roubles": 1_000,
            "contact": {"name": "Анна П.", "phone": "+79005550000"},
            "status": "Оплачен",
        },
    )
    desk.listen()
    with desk.rt.db.begin() as tx:
        gone = members.by_contact(tx, twin["contact_id"])
    assert gone is not None
    dates = sorted((lot.key, lot.expires_at) for one in (desk.buyer, gone.id) for lot in desk.world.lots(one))

    desk.shop.crm("POST", "/sim/contacts/merge", {"from": twin["contact_id"], "into": desk.contact_id})
    desk.listen()

    assert desk.balance == Balance(available=2_000 + 300 + 300, pending=499 + 100)
    assert sorted((lot.key, lot.expires_at) for lot in desk.world.lots(desk.buyer)) == dates
    with desk.rt.db.begin() as tx:
        for found in (
            members.by_card_token(tx, gone.card_token),
            members.by_contact(tx, twin["contact_id"]),
            people.find(tx, people.Names(phone="+79005550000")),
        ):
            assert found is not None
            assert found.id == desk.buyer
    page = cards.page(desk.rt, gone.card_token)
    assert page is not None
    assert page.member.id == desk.buyer, "the old link leads to the living card"
    assert desk.shop.fields(desk.deal_id)["Бонусы: баланс"] == "2600"
    inbox.accept_payment(
        desk.rt, "tbank", posted(tbank_body(twin["deal_id"], "REFUNDED", kopecks=100_000, payment_id=77))
    )
    desk.listen()
    assert desk.balance == Balance(available=2_300, pending=499)
    desk.check()


def test_a_contact_merged_into_one_who_is_no_member_takes_his_points_along(desk: Desk) -> None:
    desk.opens()
    desk.types(500)
    person = {"name": "А. П.", "phone": "+79005550000"}
    stranger = desk.shop.crm("POST", "/sim/deals", {"name": "Ещё", "price_roubles": 1_000, "contact": person})

    desk.shop.crm("POST", "/sim/contacts/merge", {"from": desk.contact_id, "into": stranger["contact_id"]})
    desk.listen()

    with desk.rt.db.begin() as tx:
        member = members.by_contact(tx, stranger["contact_id"])
        assert member is not None
        assert people.find(tx, people.Names(phone=person["phone"])) == member
    assert (member.id, member.balance) == (desk.buyer, Balance(available=1_500, reserved=500))
    told = desk.shop.fields(desk.deal_id)
    assert (told["Бонусы: баланс"], told["Ссылка на карту"]) == ("1500", desk.rt.card_url(member.card_token))
    desk.types(100)
    assert desk.holds[-1] == ("active", 100)
    desk.check()


def test_a_contact_that_was_deleted_keeps_his_points_in_the_programme(desk: Desk) -> None:
    desk.opens()

    desk.shop.crm("POST", f"/sim/contacts/{desk.contact_id}/delete", {})
    desk.listen()

    assert desk.balance == Balance(available=2_000)
    assert desk.world.is_whole()


# Sudden deaths and lost answers


def test_fields_written_by_a_process_that_died_are_corrected_even_if_the_manager_changed_his_mind(
    desk: Desk, clock: StandingClock, run: Run
) -> None:
    desk.opens()
    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/fields", {REDEEM: 500})
    inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    inbox.drain(desk.rt)

    died = run("outbox", failpoint="deal.after_fields")
    told_by_the_dead = desk.fields[TOTAL]
    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/fields", {REDEEM: ""})
    inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    clock.forward(seconds=desk.rt.settings.lease_s + 1)
    sweep.sweep_once(desk.rt)
    desk.listen()

    assert died == failpoints.EXIT_CODE
    assert told_by_the_dead == "4490"
    assert desk.fields[TOTAL] == "4990"
    assert desk.balance == Balance(available=2_000)
    assert len(desk.feed) <= 1, "at most once: the fields say the same"
    desk.check()


def test_fields_whose_answer_was_lost_are_written_once_more_when_they_cannot_land_any_more(
    desk: Desk, clock: StandingClock
) -> None:
    desk.opens()
    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/fields", {REDEEM: 500})
    inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    inbox.drain(desk.rt)
    desk.shop.faults(apply_then_drop=1.0)
    outbox.drain(desk.rt)
    desk.shop.faults(apply_then_drop=0.0)
    with desk.rt.db.begin() as tx:
        row = tx.execute(sa.text("SELECT * FROM outbox WHERE kind = 'deal'")).one()
    assert row.state == "waiting"
    assert row.due_at - clock() == settling.UNSURE_FOR

    clock.forward(seconds=settling.UNSURE_FOR.total_seconds())
    desk.listen()

    assert desk.fields[TOTAL] == "4490"
    assert desk.feed == ["Зарезервировано 500 баллов. К оплате 4 490 ₽."]
    desk.check()


def test_a_field_deleted_in_the_crm_is_made_again(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    known = desk.rt.directory.get("lead_fields")
    assert known is not None
    desk.rt.directory.put("lead_fields", {key: {**one, "id": 999_999} for key, one in known.items()})

    desk.types(500)
    clock.forward(seconds=60)
    inbox.accept_hook(desk.rt, hook_body(desk.deal_id, action="update"))
    desk.listen()

    assert desk.fields[TOTAL] == "4490"
    desk.check()
