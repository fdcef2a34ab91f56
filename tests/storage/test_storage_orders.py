"""Facts of orders and payments: sums only grow, a payment stays with its order, an order with its member."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from storage_making import NOW, RULES, VERSION, counted, make_account, make_member, post, transfer

from loyalty.basket import Basket, Line
from loyalty.events import PaymentFacts
from loyalty.ledger import Decision
from loyalty.orders import PaymentTotals
from storage import deal_marks, ledger, members, orders, payments, rules
from storage.db import Database, sqlstate

CAPTURED = PaymentFacts(
    acquirer="tbank",
    payment_ref="p1",
    deal_ref=None,
    captured_kopecks=0,
    refunded_kopecks=0,
    status="captured",
    occurred_at=None,
    is_test=False,
)


def facts(captured: int, refunded: int = 0, *, is_total: bool = False, hours: int = 0, ref: str = "p1") -> PaymentFacts:
    return replace(
        CAPTURED,
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        refund_is_total=is_total,
        occurred_at=NOW + timedelta(hours=hours),
        payment_ref=ref,
    )


@pytest.mark.parametrize("seed", range(5))
def test_messages_of_a_payment_merge_to_the_same_sums_in_any_order(db: Database, seed: int) -> None:
    deal_ref = 200 + seed
    told = [
        facts(499_000, hours=2, ref=f"m{seed}"),
        facts(499_000, 100_000, hours=5, ref=f"m{seed}"),
        facts(0, 300_000, hours=6, ref=f"m{seed}"),
        facts(499_000, hours=1, ref=f"m{seed}"),
    ] * 2
    random.Random(seed).shuffle(told)

    with db.begin() as tx:
        order = orders.open_order(tx, deal_ref, now=NOW)
        for message in told:
            payments.save(tx, order.id, message, now=NOW)
        totals, first_captured_at = payments.totals(tx, order.id)

    assert totals == (PaymentTotals(499_000, 300_000),)
    assert first_captured_at == NOW + timedelta(hours=1)


def test_a_total_refund_is_never_forgotten(db: Database) -> None:
    with db.begin() as tx:
        order = orders.open_order(tx, 300, now=NOW)
        payments.save(tx, order.id, facts(0, is_total=True, ref="total"), now=NOW)
        payments.save(tx, order.id, facts(499_000, ref="total"), now=NOW)

        assert payments.totals(tx, order.id)[0] == (PaymentTotals(499_000, 0, is_refund_total=True),)


def test_a_payment_without_a_captured_sum_has_no_moment_of_payment(db: Database) -> None:
    with db.begin() as tx:
        order = orders.open_order(tx, 301, now=NOW)
        payments.save(tx, order.id, facts(0, ref="authorised"), now=NOW)

        assert payments.totals(tx, order.id) == ((PaymentTotals(0, 0),), None)


def test_an_acquirer_that_tells_no_time_gives_the_moment_of_the_message(db: Database) -> None:
    with db.begin() as tx:
        order = orders.open_order(tx, 302, now=NOW)
        payments.save(tx, order.id, replace(facts(100, ref="timeless"), occurred_at=None), now=NOW)

        assert payments.totals(tx, order.id)[1] == NOW


def test_payments_of_two_acquirers_under_one_name_are_two(db: Database) -> None:
    with db.begin() as tx:
        order = orders.open_order(tx, 303, now=NOW)
        payments.save(tx, order.id, facts(100, ref="same"), now=NOW)
        payments.save(tx, order.id, replace(facts(200, ref="same"), acquirer="yookassa"), now=NOW)

        totals, _ = payments.totals(tx, order.id)
        assert sorted(total.captured_kopecks for total in totals) == [100, 200]


def test_a_payment_stays_with_the_order_it_was_matched_to(db: Database) -> None:
    with db.begin() as tx:
        first, second = orders.open_order(tx, 304, now=NOW), orders.open_order(tx, 305, now=NOW)
        payments.save(tx, first.id, facts(100, ref="stays"), now=NOW)
        payments.save(tx, second.id, facts(100, 50, ref="stays"), now=NOW)

        assert payments.deal_of(tx, "tbank", "stays") == 304
        assert payments.deal_of(tx, "tbank", "unknown") is None
        assert payments.totals(tx, first.id)[0] == (PaymentTotals(100, 50),)
        assert payments.totals(tx, second.id)[0] == ()


def test_an_order_is_opened_once_and_stays_with_the_member_it_was_counted_for(db: Database) -> None:
    with db.begin() as tx:
        assert orders.find(tx, 306) is None
        order = orders.open_order(tx, 306, now=NOW)
        anna, boris = make_member(tx, 70_001), make_member(tx, 70_002)
        orders.save_deal(tx, order.id, member_id=boris.id, price_kopecks=100, is_stage_paid=False)
        orders.save_deal(tx, order.id, member_id=anna.id, price_kopecks=100, is_stage_paid=True)
        orders.save_result(tx, order.id, counted(rules_version=None))
        orders.save_deal(tx, order.id, member_id=boris.id, price_kopecks=200, is_stage_paid=False)

        again = orders.open_order(tx, 306, now=NOW)
        assert (again.id, again.member_id, again.price_kopecks, again.is_stage_paid) == (order.id, anna.id, 200, False)
        assert orders.find(tx, 306) == again == orders.by_ids(tx, [order.id])[order.id]


@pytest.mark.parametrize("way", ["open", "find"])
def test_posting_about_an_order_does_not_wait_for_whoever_works_that_order(db: Database, way: str) -> None:
    """Or two orders of one member would wait for each other: each holds its order and needs the member."""
    account = make_account(db)
    deal_ref = 10_000 + account.member.id
    activation = transfer(
        f"a{account.lot_key}",
        account.lot_key,
        100,
        debit="pending",
        credit="available",
        move="activate",
        order_id=account.order_id,
    )

    with db.begin() as worker:
        if way == "open":
            orders.open_order(worker, deal_ref, now=NOW)
        else:
            orders.find(worker, deal_ref)
        with db.begin() as sweep:
            sweep.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
            members.lock(sweep, account.member.id)
            ledger.post(sweep, account.member.id, Decision((activation,)), occurred_at=NOW, now=NOW)


@pytest.mark.parametrize("first", ["open", "find"])
@pytest.mark.parametrize("second", ["open", "find"])
def test_an_order_is_worked_by_one_at_a_time(db: Database, first: str, second: str) -> None:
    deal_ref = 10_000 + make_account(db).member.id

    def take(tx: sa.Connection, way: str) -> object:
        tx.execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
        return orders.open_order(tx, deal_ref, now=NOW) if way == "open" else orders.find(tx, deal_ref)

    with db.begin() as one, db.begin() as other:
        assert take(one, first) is not None
        with pytest.raises(OperationalError) as failure:
            take(other, second)
    assert sqlstate(failure.value) == "55P03"


def test_other_orders_are_counted_if_they_are_kept_and_by_the_day(db: Database) -> None:
    day = (NOW - timedelta(hours=9), NOW + timedelta(hours=15))
    lived = [
        counted(kept_kopecks=100, accrued=10, redeemed=7, restored=2),
        counted(kept_kopecks=0, accrued=0, redeemed=9, is_kept=False),
        counted(kept_kopecks=0, redeemed=6),
        counted(kept_kopecks=30, accrued=3, paid_at=NOW - timedelta(days=2), counted_at=NOW - timedelta(days=2)),
        counted(kept_kopecks=500, accrued=50, paid_at=NOW - timedelta(days=60), counted_at=NOW - timedelta(days=60)),
    ]
    with db.begin() as tx:
        rules.remember(tx, VERSION, RULES, now=NOW)
        member = make_member(tx, 70_003)
        ids = []
        for deal_ref, result in enumerate(lived, start=310):
            order = orders.open_order(tx, deal_ref, now=NOW)
            orders.save_deal(tx, order.id, member_id=member.id, price_kopecks=0, is_stage_paid=False)
            orders.save_result(tx, order.id, result)
            ids.append(order.id)

        def others(except_order: int) -> orders.Others:
            return orders.others(
                tx,
                member.id,
                except_order=except_order,
                day=day,
                period_from=NOW - timedelta(days=30),
            )

        assert others(0) == orders.Others(4, 11, 1, 10, 13)
        assert others(ids[0]) == orders.Others(3, 6, 0, 0, 3)
        assert others(ids[4]).kept == 3


def test_a_statement_tells_the_newest_first_with_its_order_and_lot(db: Database) -> None:
    account = make_account(db, points=100)
    post(
        db,
        account,
        transfer(f"r{account.lot_key}", account.lot_key, 30, debit="pending", credit="reversed", move="reverse"),
    )

    with db.begin() as tx:
        lines = ledger.statement(tx, account.member.id, limit=9)
        assert [(line.move, line.points, line.lot_source) for line in lines] == [
            ("reverse", 30, "accrual"),
            ("accrue", 100, "accrual"),
        ]
        assert lines[1].deal_ref == 10_000 + account.member.id
        assert len(ledger.statement(tx, account.member.id, limit=1)) == 1
        assert [line.move for line in ledger.history(tx, account.member.id)] == ["accrue", "reverse"]
        orders.save_result(tx, account.order_id, counted(accrued=70, welcomed=5, redeemed=9, restored=4))
        assert ledger.points_of_orders(tx, [account.order_id, 0]) == {
            account.order_id: {"accrual": 70, "welcome": 5, "spent": 5}
        }


def test_a_shop_order_has_one_row_whatever_channel_speaks_of_it(db: Database) -> None:
    basket = Basket((Line(100, sku="A"),), delivery_kopecks=5)
    with db.begin() as tx:
        member = make_member(tx)
        first = orders.open_shop_order(tx, "web-1", channel="site", now=NOW)
        again = orders.open_shop_order(tx, "web-1", channel="till", now=NOW)
        assert (again.id, again.channel, again.deal_ref) == (first.id, "site", None)
        assert orders.find_shop_order(tx, "web-2") is None

        orders.save_shop_sale(tx, first.id, member_id=member.id, basket=basket, channel="bot")
        orders.save_shop_paid(tx, first.id, kopecks=105, paid_channel="till", at=NOW)
        orders.save_shop_sale(tx, first.id, member_id=member.id, basket=Basket(()), channel="site")
        orders.save_shop_paid(tx, first.id, kopecks=7, paid_channel="site", at=NOW + timedelta(days=1))
        orders.save_returns(tx, first.id, returned=(1,), returned_kopecks=3)

        paid = orders.lock(tx, first.id)
        assert paid.basket is not None
        assert (Basket.from_data(paid.basket), paid.channel, paid.paid_channel) == (basket, "bot", "till")
        assert (paid.shop_paid_kopecks, paid.shop_paid_at) == (105, NOW)
        assert (paid.returned, paid.shop_returned_kopecks) == ((1,), 3)
        with pytest.raises(LookupError):
            _ = paid.deal


def test_only_the_deals_of_a_member_are_his_deals(db: Database) -> None:
    with db.begin() as tx:
        member = make_member(tx)
        for deal_ref in (401, 402, 403):
            order = orders.open_order(tx, deal_ref, now=NOW)
            orders.save_deal(tx, order.id, member_id=member.id, price_kopecks=0, is_stage_paid=False)
        shop_order = orders.open_shop_order(tx, "not a deal", channel="site", now=NOW)
        orders.save_shop_sale(tx, shop_order.id, member_id=member.id, basket=Basket(()), channel="site")

        assert deal_marks.deals_of(tx, member.id, limit=2) == [403, 402]


def test_what_the_deal_was_told_is_remembered_and_forgotten(db: Database) -> None:
    with db.begin() as tx:
        order = orders.open_order(tx, 410, now=NOW)
        deal_marks.save_pushed(tx, order.id, {"7": 500, "8": "4490.50", "9": None})
        deal_marks.save_noted_hold(tx, order.id, "Зарезервировано 500 баллов")
        deal_marks.save_noted(tx, order.id, 449)
        deal_marks.save_noting(tx, [orders.lock(tx, order.id)])
        orders.save_asked(tx, order.id, asked=500, answer="да")
        known = orders.lock(tx, order.id)
        assert known.pushed_fields == {"7": 500, "8": "4490.50", "9": None}
        assert (known.noted_hold, known.noted_points, known.noting_revision) == ("Зарезервировано 500 баллов", 449, 0)
        assert (known.redeem_asked, known.redeem_answer) == (500, "да")

        deal_marks.save_pushed(tx, order.id, None)
        deal_marks.save_noted_hold(tx, order.id, None)
        orders.save_asked(tx, order.id, asked=None, answer=None)

        forgotten = orders.lock(tx, order.id)
        assert (forgotten.pushed_fields, forgotten.noted_hold, forgotten.redeem_answer) == (None, None, None)
