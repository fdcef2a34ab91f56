"""Properties of the calculation at checkout, whatever the programme and the basket."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT
from loyalty_strategies import SEGMENTS, THOROUGH, baskets, instants, kopecks, programmes, redemptions

from loyalty import earning
from loyalty.basket import Basket, Line
from loyalty.checkout import Checkout, checkout, priced, spend
from loyalty.checkout import given as given_spread
from loyalty.programme import Programme
from loyalty.rules import AccrualRules, RedeemRules

balances = st.integers(0, 30_000)
asked = st.integers(0, 40_000)
segment_codes = st.sampled_from([None, *SEGMENTS])


@THOROUGH
@given(programme=programmes, basket=baskets(), balance=balances, requested=asked, segment=segment_codes, at=instants)
def test_points_and_money_of_every_line_make_its_price(
    programme: Programme, basket: Basket, balance: int, requested: int, segment: str | None, at: datetime
) -> None:
    answer = quote(programme, basket, balance=balance, requested=requested, segment=segment, at=at)

    value = programme.point_value_kopecks
    net = basket.net_kopecks()
    assert [line.net_kopecks for line in answer.lines] == list(net)
    for line in answer.lines:
        assert line.due_kopecks + line.points_spent * value == line.net_kopecks
        assert line.due_kopecks >= 0
        assert line.points_spent >= 0
        assert line.earned >= 0
    spent_kopecks = answer.spending.points * value
    assert answer.due_kopecks + spent_kopecks == sum(net) + basket.delivery_kopecks == basket.total_kopecks
    assert answer.delivery_kopecks == basket.delivery_kopecks


@THOROUGH
@given(programme=programmes, basket=baskets(), balance=balances, requested=asked, segment=segment_codes)
def test_no_more_is_spent_than_asked_owned_and_allowed_and_a_refusal_says_why(
    programme: Programme, basket: Basket, balance: int, requested: int, segment: str | None
) -> None:
    answer = spend(programme, basket, segment_code=segment, balance=balance, requested=requested)

    assert sum(answer.spread) == answer.points <= answer.max_points <= min(balance, answer.cap_points)
    assert answer.points <= requested
    assert answer.cap_points * programme.point_value_kopecks * 10_000 <= answer.base_kopecks * answer.share_bps
    if programme.redeem is not None:
        assert answer.points == 0 or answer.points >= programme.redeem.min_points
        for line, points in zip(basket.lines, answer.spread, strict=True):
            assert points == 0 or earning.takes_part(programme.redeem.exclude, line)
    assert (answer.refusal is not None) == (requested > 0 and answer.points == 0)
    is_small_change = any(net % programme.point_value_kopecks for net in basket.net_kopecks())
    if answer.refusal is None and not is_small_change:
        assert answer.points == min(requested, answer.max_points)


@THOROUGH
@given(programme=programmes, rules=redemptions, basket=baskets(), balance=balances, segment=segment_codes)
def test_the_most_is_the_balance_or_the_floor_of_the_share_whichever_is_less(
    programme: Programme, rules: RedeemRules, basket: Basket, balance: int, segment: str | None
) -> None:
    answer = spend(replace(programme, redeem=rules), basket, segment_code=segment, balance=balance, requested=0)

    own = next((one for one in programme.segments if one.code == segment), None)
    share = rules.max_share_bps if own is None or own.max_share_bps is None else own.max_share_bps
    eligible = sum(
        net
        for line, net in zip(basket.lines, basket.net_kopecks(), strict=True)
        if earning.takes_part(rules.exclude, line)
    )
    floor = eligible * share // (10_000 * programme.point_value_kopecks)
    assert answer.max_points == min(balance, floor if rules.max_points is None else min(floor, rules.max_points))


@THOROUGH
@given(programme=programmes, basket=baskets(), requested=asked, segment=segment_codes, at=instants)
def test_points_of_the_lines_sum_to_the_points_of_the_order_and_excluded_lines_have_none(
    programme: Programme, basket: Basket, requested: int, segment: str | None, at: datetime
) -> None:
    answer = quote(programme, basket, balance=30_000, requested=requested, segment=segment, at=at)

    earned = answer.earned
    assert sum(earned.points) == sum(line.earned for line in answer.lines) == earned.total <= earned.uncapped
    assert (earned.limit is not None) == (earned.total < earned.uncapped)
    for goods, line in zip(basket.lines, answer.lines, strict=True):
        if not earning.earns(programme.accrual, goods):
            assert (line.earn_base_kopecks, line.earned) == (0, 0)
        if programme.accrual.base == "paid_money":
            assert line.earn_base_kopecks <= line.due_kopecks
        else:
            assert line.earn_base_kopecks <= line.net_kopecks
    assert answer.earn_base_kopecks == sum(line.earn_base_kopecks for line in answer.lines)


@THOROUGH
@given(programme=programmes, basket=baskets(), segment=segment_codes, at=instants)
def test_without_multipliers_points_are_the_greatest_whole_number_that_is_not_too_much(
    programme: Programme, basket: Basket, segment: str | None, at: datetime
) -> None:
    rules = programme.accrual
    plain = replace(
        programme,
        accrual=replace(rules, multipliers=(), min_order_kopecks=0, exclude=replace(rules.exclude, on_sale="no")),
    )

    answer = quote(plain, basket, balance=0, requested=0, segment=segment, at=at)

    exact = answer.earn_base_kopecks * answer.earned.rate.bps
    worth = 10_000 * plain.point_value_kopecks
    assert answer.earned.uncapped * worth <= exact < (answer.earned.uncapped + 1) * worth


@THOROUGH
@given(programme=programmes, basket=baskets(), requested=asked, more=st.integers(1, 500_000), at=instants)
def test_more_money_never_earns_less(
    programme: Programme, basket: Basket, requested: int, more: int, at: datetime
) -> None:
    """With steps that rise, as any shop means them. A promo moves between lines, so it is left out."""
    rules = programme.accrual
    rising = replace(programme, accrual=replace(rules, steps=(), by_method=(), min_order_kopecks=0), segments=())
    plain = replace(basket, promo_kopecks=0)
    dearer = replace(plain, lines=(add_to_price(plain.lines[0], more), *plain.lines[1:]))

    before = quote(rising, plain, balance=0, requested=requested, segment=None, at=at)
    after = quote(rising, dearer, balance=0, requested=requested, segment=None, at=at)

    assert after.earned.total >= before.earned.total


@THOROUGH
@given(programme=programmes, basket=baskets(), balance=balances, requested=asked, more=st.integers(1, 500_000))
def test_a_dearer_line_or_a_greater_balance_never_lets_one_spend_less(
    programme: Programme, basket: Basket, balance: int, requested: int, more: int
) -> None:
    plain = replace(basket, promo_kopecks=0)
    dearer = replace(plain, lines=(add_to_price(plain.lines[0], more), *plain.lines[1:]))

    before = spend(programme, plain, segment_code=None, balance=balance, requested=requested)

    assert spend(programme, dearer, segment_code=None, balance=balance, requested=requested).points >= before.points
    assert spend(programme, plain, segment_code=None, balance=balance + more, requested=requested).points >= (
        before.points
    )


@THOROUGH
@given(price=kopecks, requested=asked, share=st.sampled_from([3_000, 10_000]), rate=st.sampled_from([500, 10_000]))
def test_points_spent_never_earn_points(price: int, requested: int, share: int, rate: int) -> None:
    """The endless loop of RepairDesk #1050: whoever pays with points earns on the rest alone."""
    programme = Programme(
        name="Клуб",
        timezone="UTC",
        accrual=AccrualRules(rate_bps=rate),
        redeem=RedeemRules(max_share_bps=share),
    )

    answer = quote(programme, Basket((Line(price),)), balance=10**9, requested=requested)

    assert answer.earned.total == answer.due_kopecks * rate // 1_000_000


@THOROUGH
@given(programme=programmes, basket=baskets(), requested=asked, segment=segment_codes, at=instants)
def test_the_order_that_happened_is_counted_as_it_was_quoted(
    programme: Programme, basket: Basket, requested: int, segment: str | None, at: datetime
) -> None:
    quoted = quote(programme, basket, balance=30_000, requested=requested, segment=segment, at=at)

    counted = priced(programme, basket, given_spread(quoted.spending.spread), segment_code=segment, at=at)

    assert (counted.lines, counted.due_kopecks, counted.earned) == (quoted.lines, quoted.due_kopecks, quoted.earned)


@THOROUGH
@given(basket=baskets())
def test_the_promo_discount_lies_on_the_goods_alone_and_a_basket_survives_its_json_form(basket: Basket) -> None:
    net = basket.net_kopecks()
    prices = [line.gross_kopecks - line.discount_kopecks for line in basket.lines]

    assert sum(prices) - sum(net) == basket.promo_kopecks
    assert all(0 <= now <= before for now, before in zip(net, prices, strict=True))
    assert Basket.from_data(basket.to_data()) == basket


def quote(
    programme: Programme,
    basket: Basket,
    *,
    balance: int,
    requested: int,
    segment: str | None = None,
    at: datetime = PAID_AT,
) -> Checkout:
    return checkout(programme, basket, segment_code=segment, balance=balance, requested=requested, at=at)


def add_to_price(line: Line, kopecks: int) -> Line:
    return replace(line, gross_kopecks=line.gross_kopecks + kopecks)
