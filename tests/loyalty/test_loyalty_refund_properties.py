"""Refunds in any portions and any number of messages: only what came back in the end decides."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, Book, days
from loyalty_strategies import QUICK, SEGMENTS, baskets, programmes

from loyalty.basket import Basket, whole_sum
from loyalty.checkout import checkout
from loyalty.programme import Programme
from loyalty.rules import Limits, RedeemRules

EVERYTHING = 10**12
LATER = PAID_AT + days(3)
segment_codes = st.sampled_from([None, *SEGMENTS])
parts = st.lists(st.integers(0, 1_000), max_size=5).map(sorted)


def bought(programme: Programme, basket: Basket, spend: int) -> Book:
    """An order that a member with 5 000 points has paid for."""
    book = Book(replace(programme, redeem=RedeemRules(max_share_bps=5_000), limits=Limits()))
    book.open_lot("early", 2_000, expires_at=PAID_AT + days(10))
    book.open_lot("late", 3_000, expires_at=PAID_AT + days(90))
    book.buy(1, basket, at=PAID_AT, spend=spend)
    return book


def standing(book: Book) -> tuple[object, ...]:
    """Everything about an order that a refund changes. Lots differ by how often they were opened anew."""
    order = book.orders[1]
    sums = {name: points for name, points in book.accounts.items() if points and name not in ("issued", "reversed")}
    return sums, book.net, order.accrued, order.welcomed, order.restored, order.kept_kopecks, order.is_kept


@QUICK
@given(data=st.data(), programme=programmes, basket=baskets(), spend=st.integers(0, 6_000))
def test_units_returned_in_any_portions_end_as_returned_at_once(
    data: st.DataObject, programme: Programme, basket: Basket, spend: int
) -> None:
    at_once, bit_by_bit = bought(programme, basket, spend), bought(programme, basket, spend)
    final = tuple(data.draw(st.integers(0, line.qty)) for line in basket.lines)

    at_once.give_back(1, final, LATER)
    counts = [0] * len(final)
    for place in data.draw(st.permutations([place for place, count in enumerate(final) for _ in range(count)])):
        counts[place] += 1
        bit_by_bit.give_back(1, tuple(counts), LATER)
        assert list(bit_by_bit.faults()) == []

    bit_by_bit.give_back(1, final, LATER)
    assert standing(bit_by_bit) == standing(at_once)


@QUICK
@given(programme=programmes, basket=baskets(), spend=st.integers(0, 6_000), shares=parts, last=st.integers(0, 1_000))
def test_sums_refunded_in_any_portions_end_as_refunded_at_once(
    programme: Programme, basket: Basket, spend: int, shares: list[int], last: int
) -> None:
    at_once, bit_by_bit = bought(programme, basket, spend), bought(programme, basket, spend)
    paid = at_once.orders[1].shop_paid_kopecks or 0

    for book, steps in ((at_once, [last]), (bit_by_bit, [*(share for share in shares if share < last), last])):
        for share in steps:
            book.orders[1].shop_returned_kopecks = paid * share // 1_000
            book.converge(1, LATER)
            assert list(book.faults()) == []

    assert standing(bit_by_bit) == standing(at_once)


@QUICK
@given(programme=programmes, price=st.integers(1, 900_000), spend=st.integers(0, 9_000), segment=segment_codes)
def test_a_paid_deal_earns_what_it_was_quoted_and_its_full_refund_leaves_nothing(
    programme: Programme, price: int, spend: int, segment: str | None
) -> None:
    rules = replace(programme, redeem=RedeemRules(max_share_bps=10_000), welcome=None, limits=Limits())
    book = Book(rules, segment_code=segment)
    book.open_lot("own", 9_000, expires_at=None)
    answer = checkout(rules, whole_sum(price), segment_code=segment, balance=9_000, requested=spend, at=PAID_AT)

    book.hold(1, answer.spending.points, at=PAID_AT)
    book.stage(1, is_paid=True, price=answer.due_kopecks)
    book.converge(1)
    assert (book.orders[1].accrued, book.balance("redeemed")) == (answer.earned.total, answer.spending.points)

    book.stage(1, is_paid=False, price=answer.due_kopecks)
    book.converge(1, LATER)
    assert book.balances == {"available": 9_000}


@QUICK
@given(
    data=st.data(),
    programme=programmes,
    captured=st.integers(0, 900_000),
    shares=st.lists(st.integers(0, 1_000), min_size=1, max_size=5),
    spend=st.integers(0, 3_000),
)
def test_refund_messages_of_a_deal_in_any_order_and_number_end_in_the_same_points(
    data: st.DataObject, programme: Programme, captured: int, shares: list[int], spend: int
) -> None:
    """Each message tells a cumulative sum; a late one tells less than is known already."""
    told = [captured * share // 1_000 for share in shares]
    repeats = data.draw(st.lists(st.sampled_from(told), max_size=4))
    orders = [sorted(told), data.draw(st.permutations(told + repeats)), [max(told)]]
    ends = []
    for messages in orders:
        book = Book(replace(programme, limits=Limits()))
        book.open_lot("own", 3_000, expires_at=None)
        book.hold(1, spend, at=PAID_AT)
        book.pay(1, captured)
        book.converge(1)
        for refunded in messages:
            book.pay(1, captured, refunded)
            book.converge(1, LATER)
            assert list(book.faults()) == []
        ends.append(standing(book))

    assert ends[0] == ends[1] == ends[2]


@QUICK
@given(data=st.data(), programme=programmes, basket=baskets(), spend=st.integers(0, 6_000))
def test_everything_returned_brings_the_balance_before_the_purchase_whatever_the_way(
    data: st.DataObject, programme: Programme, basket: Basket, spend: int
) -> None:
    """nopCommerce #5595, erpnext PR 30242: closed loop."""
    book = bought(programme, basket, spend)
    order = book.orders[1]

    for way in data.draw(st.permutations(["units", "sum", "units"])):
        if way == "units":
            least = order.returned or (0,) * len(basket.lines)
            counts = [data.draw(st.integers(low, line.qty)) for low, line in zip(least, basket.lines, strict=True)]
            book.give_back(1, tuple(counts), LATER)
        else:
            order.shop_returned_kopecks = data.draw(st.integers(0, order.shop_paid_kopecks or 0))
            book.converge(1, LATER)
        assert list(book.faults()) == []
    book.give_back(1, tuple(line.qty for line in basket.lines), LATER)

    assert book.balances == {"available": 5_000}
    assert (book.balance("redeemed"), book.balance("shortfall")) == (0, 0)
    assert [order.accrued, order.welcomed, order.restored - order.redeemed] == [0, 0, 0]


@QUICK
@given(data=st.data(), programme=programmes, basket=baskets(), spend=st.integers(0, 6_000))
def test_deciding_again_on_the_same_facts_changes_nothing(
    data: st.DataObject, programme: Programme, basket: Basket, spend: int
) -> None:
    book = bought(programme, basket, spend)
    assert not book.converge(1, PAID_AT)

    book.give_back(1, tuple(data.draw(st.integers(0, line.qty)) for line in basket.lines), LATER)

    before = standing(book)
    assert not book.converge(1, LATER)
    assert standing(book) == before


@QUICK
@given(data=st.data(), programme=programmes, basket=baskets(), spend=st.integers(0, 6_000))
def test_a_refund_gives_back_no_more_than_was_spent_and_takes_no_more_than_was_earned(
    data: st.DataObject, programme: Programme, basket: Basket, spend: int
) -> None:
    book = bought(programme, basket, spend)
    order = book.orders[1]
    earned = order.accrued + order.welcomed

    book.give_back(1, tuple(data.draw(st.integers(0, line.qty)) for line in basket.lines), LATER)

    assert 0 <= order.restored <= order.redeemed <= spend
    assert order.reversed == earned - order.accrued - order.welcomed
    assert 0 <= order.accrued + order.welcomed <= earned
