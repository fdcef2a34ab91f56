"""What was bought before we came counts as bought and moves no point, whatever the CRM says of it later."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from crm_import_world import began_long_ago, facts, hooks_of, import_all, one_value, real_time, rows, years_of
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, hook_body, posted, settle, tbank_body

from connector.amocrm.exports import SoldDeal
from flows import crm_import, crm_import_reading, health, inbox, lookup
from flows.crm_import import Asked, ReadLongAgo
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

NO_POINTS = "SELECT count(*) FROM transfer"
STANDING = "SELECT contact_ref, segment_code FROM member ORDER BY contact_ref"


@pytest.fixture(autouse=True)
def today(clock: StandingClock) -> None:
    real_time(clock)


def test_old_deals_told_again_moved_back_and_refunded_move_no_points(rt: Runtime, shop: Shop) -> None:
    made = years_of(shop, contacts=20, deals=60)
    first, last = made["deal_ids"]
    deal_ids = list(range(first, last + 1))
    done = import_all(rt)
    before = rows(rt, STANDING)

    hooks_of(rt, deal_ids)
    settle(rt)

    assert done.counts["orders"] == 60
    assert one_value(rt, NO_POINTS) == 0
    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept AND counted_at IS NOT NULL AND is_imported") == 60
    assert rows(rt, STANDING) == before, "a repeated hook does not change what was bought"

    for deal_id in deal_ids[:20]:
        shop.move(deal_id, "Возврат")
    hooks_of(rt, deal_ids)
    settle(rt)

    assert one_value(rt, NO_POINTS) == 0
    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept") == 40

    for deal_id in deal_ids[:20]:
        shop.move(deal_id, "Успешно реализовано")
    hooks_of(rt, deal_ids)
    settle(rt)

    assert one_value(rt, NO_POINTS) == 0
    assert rows(rt, STANDING) == before
    assert health.verify_ledger(rt).is_whole


def test_a_payment_and_its_refund_told_late_for_an_old_deal_move_no_points(rt: Runtime, shop: Shop) -> None:
    made = years_of(shop, contacts=1, deals=1)
    deal_id = made["deal_ids"][0]
    import_all(rt)

    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    kept = one_value(rt, "SELECT kept_kopecks FROM orders")
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, "REFUNDED")))
    settle(rt)

    assert kept == 499_000
    assert rows(rt, "SELECT kept_kopecks, is_kept, accrued FROM orders") == [(0, False, 0)]
    assert one_value(rt, NO_POINTS) == 0
    assert health.verify_ledger(rt).is_whole


def test_history_keeps_where_rules_earn_on_payments_only(rt: Runtime, shop: Shop) -> None:
    """No stage makes an order paid there, so the import itself is the word that it was."""
    programme = replace(rt.programme, accrual=replace(rt.programme.accrual, earn_on=("payment",)))
    rt.active = replace(rt.active, version="payments-only", programme=programme)
    made = years_of(shop, contacts=3, deals=9)
    first, last = made["deal_ids"]
    import_all(rt)

    hooks_of(rt, list(range(first, last + 1)))
    settle(rt)

    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept AND shop_paid_kopecks IS NOT NULL") == 9
    assert one_value(rt, NO_POINTS) == 0
    assert health.verify_ledger(rt).is_whole


def test_a_deal_without_a_contact_is_told_and_earns_nothing_when_a_buyer_is_put_into_it(
    rt: Runtime, shop: Shop
) -> None:
    deal_id, contact_id = shop.deal(4_990, status="Успешно реализовано")
    link = f"/api/v4/leads/{deal_id}/unlink"
    _api(shop, "POST", link, [{"to_entity_id": contact_id, "to_entity_type": "contacts"}])
    done = import_all(rt)

    _api(shop, "POST", link.replace("unlink", "link"), [{"to_entity_id": contact_id, "to_entity_type": "contacts"}])
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    assert [(one.kind, one.ref) for one in done.rejects] == [("deal", deal_id)]
    assert "нет контакта" in done.rejects[0].reason
    assert one_value(rt, NO_POINTS) == 0
    assert rows(rt, "SELECT is_kept, kept_kopecks FROM orders") == [(True, 499_000)]


def test_a_new_purchase_after_the_import_earns_at_the_rate_of_the_segment_history_gave(rt: Runtime, shop: Shop) -> None:
    made = years_of(shop, contacts=1, deals=30)
    contact_id = made["contact_ids"][0]
    import_all(rt)
    segment = one_value(rt, "SELECT segment_code FROM member")

    deal_id = shop.crm("POST", "/sim/deals", {"name": "Новый", "price_roubles": 1000, "contact_id": contact_id})["id"]
    shop.move(deal_id, "Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert segment is not None
    rate = next(rule.rate_bps for rule in rt.programme.segments if rule.code == segment) or 1000
    assert account.member.balance.pending == 1000 * rate // 10_000
    assert one_value(rt, "SELECT count(*) FROM transfer WHERE move = 'welcome'") == 0, "he has bought before"
    assert health.verify_ledger(rt).is_whole


def test_a_deal_won_while_we_import_goes_the_ordinary_way_and_earns(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    began_long_ago(rt)
    clock.at -= timedelta(hours=1)
    deal_id, contact_id = shop.deal(4_990, status="Успешно реализовано")

    done = import_all(rt)
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert (done.preview.totals.fresh, done.counts.get("orders", 0), done.counts["living"]) == (1, 0, 1)
    assert account.member.balance.net == 799
    assert deal_id == one_value(rt, "SELECT deal_ref FROM orders")


def test_what_was_refunded_between_reading_and_writing_is_not_bought_and_earns_nothing_later(
    rt: Runtime, shop: Shop
) -> None:
    began_long_ago(rt)
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    one = crm_import.begin(rt, Asked())
    list(one.read())
    shop.move(deal_id, "Возврат")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    list(one.write())
    one.finish()
    settle(rt)

    assert rows(rt, "SELECT is_kept, kept_kopecks FROM orders") == [(False, 0)]
    assert rows(rt, STANDING)[0][1] is None, "nobody is in a segment by what he has given back"

    shop.move(deal_id, "Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    assert rows(rt, "SELECT is_kept, kept_kopecks FROM orders") == [(True, 499_000)]
    assert one_value(rt, NO_POINTS) == 0
    assert health.verify_ledger(rt).is_whole


def test_a_deal_touched_and_still_paid_stays_in_history_without_points(rt: Runtime, shop: Shop) -> None:
    deal_id, _ = shop.deal(4_990, status="Успешно реализовано")
    one = crm_import.begin(rt, Asked())
    list(one.read())
    inbox.accept_hook(rt, hook_body(deal_id, action="update"))
    settle(rt)

    list(one.write())
    one.finish()
    settle(rt)

    assert rows(rt, "SELECT is_kept, kept_kopecks FROM orders") == [(True, 499_000)]
    assert one_value(rt, NO_POINTS) == 0


def test_what_was_read_long_ago_is_not_written(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    shop.deal(4_990, status="Успешно реализовано")
    one = crm_import.begin(rt, Asked())
    list(one.read())
    clock.forward(hours=13)  # the question stood on the screen overnight

    with pytest.raises(ReadLongAgo):
        list(one.write())

    one.pause()
    assert one_value(rt, "SELECT count(*) FROM member") == 0
    assert crm_import.begin(rt, Asked()).phase == crm_import.READING[0]


def test_an_open_paid_deal_edited_while_we_read_is_of_the_past(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    time.sleep(1.1)  # the simulator counts whole seconds
    clock.at = datetime.now(UTC)
    one = crm_import.begin(rt, Asked())
    time.sleep(1.1)
    _api(shop, "PATCH", "/api/v4/leads", [{"id": deal_id, "name": "Правка"}])

    list(one.read())
    fresh = one.preview().totals.fresh
    list(one.write())
    one.finish()
    settle(rt)

    assert fresh == 0
    assert rows(rt, "SELECT is_kept, kept_kopecks FROM orders") == [(True, 499_000)]
    assert one_value(rt, NO_POINTS) == 0


def test_a_deal_of_a_further_funnel_won_while_we_read_is_history_and_no_points_are_promised(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    clock.at -= timedelta(hours=1)
    deal_id, _ = shop.deal(1_000)
    wholesale = next(one.id for one in rt.crm.pipelines() if one.name == "Опт") if rt.crm else 0
    _api(shop, "PATCH", "/api/v4/leads", [{"id": deal_id, "pipeline_id": wholesale, "status_id": 142}])
    inbox.accept_hook(rt, hook_body(deal_id))

    done = import_all(rt, Asked(pipelines=("Опт",)))
    settle(rt)

    assert done.preview.totals.fresh == 0
    assert rows(rt, "SELECT deal_ref, is_kept, kept_kopecks FROM orders") == [(deal_id, True, 100_000)]
    assert one_value(rt, NO_POINTS) == 0


def test_a_deal_in_the_bin_is_remembered_without_a_buyer_and_a_price() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    gone = SoldDeal(7, 1, 142, 499_000, 5, is_deleted=True, sold_at=now, made_at=now, is_closed=True)

    read = crm_import_reading.read_deal(gone, {(1, 142)}, now)

    assert (read.deal_ref, read.contact_ref, read.price_kopecks) == (7, None, 0)
    assert read.bought_at < now, "it is of the past, so an order that earns nothing waits for its return"


def test_an_order_that_earned_already_stays_as_it_is(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990)
    began_long_ago(rt)
    shop.move(deal_id, "Успешно реализовано")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)
    before = facts(rt)

    done = import_all(rt)
    settle(rt)

    after = facts(rt)
    assert (done.preview.totals.old_orders, done.preview.new_members) == (1, 0)
    assert contact_id == after["members"][0][1]
    assert {name: after[name] for name in ("members", "orders", "transfers")} == {
        name: before[name] for name in ("members", "orders", "transfers")
    }


def _api(shop: Shop, method: str, path: str, body: object) -> None:
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    reply = shop.session.request(method, shop.crm_url + path, json=body, headers=headers, timeout=10)
    assert reply.status_code < 300, reply.text


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_to_old_deals_in_whatever_order_no_point_moves(rt: Runtime, shop: Shop, seed: int) -> None:
    """Stages, prices, buyers, payments, refunds, hooks and further imports, at random."""
    dice = random.Random(seed)
    made = years_of(shop, contacts=4, deals=8, seed=seed)
    deal_ids = list(range(made["deal_ids"][0], made["deal_ids"][1] + 1))
    contact_ids = list(range(made["contact_ids"][0], made["contact_ids"][1] + 1))
    import_all(rt)
    stages = ("Новый заказ", "Оплачен", "Отправлен", "Возврат", "Успешно реализовано", "Закрыто и не реализовано")

    for number in range(25):
        deal_id = dice.choice(deal_ids)
        match dice.randrange(7):
            case 0 | 1:
                shop.move(deal_id, dice.choice(stages))
            case 2:
                _api(shop, "PATCH", "/api/v4/leads", [{"id": deal_id, "price": dice.choice((0, 500, 90_000))}])
            case 3:
                main = {"to_entity_id": dice.choice(contact_ids), "to_entity_type": "contacts"}
                _api(shop, "POST", f"/api/v4/leads/{deal_id}/link", [{**main, "metadata": {"is_main": True}}])
            case 4 | 5:
                status = dice.choice(("CONFIRMED", "REFUNDED", "PARTIAL_REFUNDED"))
                body = tbank_body(deal_id, status, kopecks=dice.choice((100_00, 499_000)), payment_id=number)
                inbox.accept_payment(rt, "tbank", posted(body))
            case _:
                import_all(rt)
        hooks_of(rt, dice.sample(deal_ids, 3))
        settle(rt)

    assert one_value(rt, NO_POINTS) == 0
    assert health.verify_ledger(rt).is_whole
