"""What was bought before we came counts as bought and moves no point, whatever the CRM says of it later."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from crm_import_world import facts, hooks_of, import_all, one_value, real_time, rows, years_of
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, hook_body, posted, settle, tbank_body

from flows import health, inbox, lookup
from flows.crm_import import Asked
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
    clock.at -= timedelta(hours=1)
    deal_id, contact_id = shop.deal(4_990, status="Успешно реализовано")

    done = import_all(rt)
    settle(rt)

    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert (done.preview.totals.fresh, done.counts.get("orders", 0), done.counts["living"]) == (1, 0, 1)
    assert account.member.balance.net == 799
    assert deal_id == one_value(rt, "SELECT deal_ref FROM orders")


def test_an_order_that_earned_already_stays_as_it_is(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990)
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


def test_accrue_from_gives_points_for_purchases_since_that_day_and_for_no_others(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    years_of(shop, contacts=10, deals=100, years=2)
    since = clock.at - timedelta(days=90)

    done = import_all(rt, Asked(accrue_from=since))

    due = one_value(rt, "SELECT count(*) FROM orders WHERE paid_at >= :since", since=since)
    assert due > 0
    assert done.counts["accrued"] == due
    assert one_value(rt, "SELECT count(*) FROM orders WHERE accrued > 0 AND paid_at < :since", since=since) == 0
    assert one_value(rt, "SELECT count(*) FROM orders WHERE counted_at IS NULL") == 0
    assert one_value(rt, "SELECT min(occurred_at) FROM transfer WHERE move = 'accrue'") >= since
    assert health.verify_ledger(rt).is_whole


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
