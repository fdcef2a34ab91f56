"""The difference of two programmes in Russian: no rule without a name, no change without its words and its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.vocabulary import every_key
from loyalty.basket import Basket, Line
from loyalty.change_table import FIELDS
from loyalty.change_words import Part, Word
from loyalty.changes import Change, Concerned, changes, concerned_text
from loyalty.orders import OrderFacts, PaymentTotals
from loyalty.programme import Programme
from loyalty.repricing import PastOrder, base_points, reprices
from loyalty.rules import (
    AccrualRules,
    ActionReward,
    BirthdayGift,
    Duration,
    Exclusions,
    GiftRules,
    HolidayGift,
    Limits,
    MethodRate,
    Multiplier,
    RateStep,
    RedeemRules,
    SegmentRule,
    WelcomeRules,
)

WEDNESDAY = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)
FULL = Programme(
    name="Клуб",
    timezone="Europe/Moscow",
    accrual=AccrualRules(
        rate_bps=1_000,
        exclude=Exclusions(categories=("Доставка",)),
        steps=(RateStep(500_000, 1_200),),
        by_method=(MethodRate("cash", 500),),
        multipliers=(Multiplier("Выходные", 20_000, weekdays=(5, 6), segments=("vip",)),),
    ),
    welcome=WelcomeRules(300),
    redeem=RedeemRules(3_000),
    gifts=GiftRules(
        birthday=BirthdayGift(500),
        holidays=(HolidayGift("8 Марта", "03-08", 200, segments=("regular", "vip")),),
        actions=(ActionReward("review", "Отзыв", 50),),
    ),
    segments=(
        SegmentRule("start", "Стартовый", 1),
        SegmentRule("regular", "Постоянный", 3),
        SegmentRule("vip", "VIP", 6, 6_000_000, rate_bps=1_200, max_share_bps=5_000),
    ),
)
"""A programme with at least one of everything."""


def texts(old: Programme, new: Programme) -> list[str]:
    return [change.text.replace("\u00a0", " ") for change in changes(old, new)]


def with_segment(programme: Programme, code: str, **changed: Any) -> Programme:
    rules = tuple(replace(one, **changed) if one.code == code else one for one in programme.segments)
    return replace(programme, segments=rules)


def dataclasses_under(kind: Any) -> Iterator[type]:
    """Every dataclass of the rules that can be reached from this annotation; spans are values."""
    if is_dataclass(kind) and isinstance(kind, type) and kind is not Duration:
        yield kind
        for hint in get_type_hints(kind).values():
            yield from dataclasses_under(hint)
    for inner in get_args(kind):
        yield from dataclasses_under(inner)


def other_than(value: Any, hint: Any) -> Any:
    """Another valid value of the same annotation."""
    options = [one for one in get_args(hint) if one is not NoneType] if _is_union(hint) else [hint]
    kind = options[0]
    if kind is bool or isinstance(value, bool):
        return not value
    if kind is int:
        return (value or 0) + 1
    if kind is str:
        return {"Europe/Moscow": "Asia/Omsk", None: "12:00"}.get(value, f"{value}!")
    if kind is Duration:
        return Duration((value.count if value else 0) + 1, "days")
    if get_origin(kind) is Literal:
        return next(one for one in get_args(kind) if one != value)
    if get_origin(kind) is tuple:
        return _other_tuple(value, get_args(kind)[0])
    raise AssertionError(f"no other value of {hint}")


def _other_tuple(value: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    if value:
        return value[:-1]
    return ({int: 3, str: "новое", Duration: Duration(3, "days")}.get(item, "payment"),)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (UnionType, Union)


def single_changes(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(field, the value with that one field changed) for every leaf below."""
    hints = get_type_hints(type(value))
    for one in fields(value):
        found, path = getattr(value, one.name), f"{place}{type(value).__name__}.{one.name}"
        entry = FIELDS[type(value)][one.name]
        if isinstance(entry, Word):
            yield path, replace(value, **{one.name: other_than(found, hints[one.name])})
        elif isinstance(entry, Part):
            for name, changed in single_changes(found, f"{place}{one.name}."):
                yield name, replace(value, **{one.name: changed})
        else:
            for number, item in enumerate(found):
                for name, changed in single_changes(item, f"{place}{one.name}[{number}]."):
                    if not name.endswith(f"{type(item).__name__}.{entry.by}"):
                        rest = (*found[:number], changed, *found[number + 1 :])
                        yield name, replace(value, **{one.name: rest})


def keys_of(change: Change) -> str:
    """The path with the names of list items as `[]`, as the vocabulary of the file writes them."""
    path = change.rule
    for section in ("accrual.steps", "accrual.by_method", "accrual.multipliers", "gifts.holidays", "gifts.actions"):
        path = re.sub(rf"^{section}\.[^.]+", f"{section}[]", path)
    return re.sub(r"^segments\.[^.]+", "segments[]", path)


def test_no_rule_is_nameless() -> None:
    for kind in dataclasses_under(Programme):
        assert set(FIELDS[kind]) == {one.name for one in fields(kind)}, kind


@pytest.mark.parametrize(("name", "changed"), list(single_changes(FULL)), ids=lambda value: str(value)[:60])
def test_each_rule_that_changes_is_told_once_with_its_place_in_the_file(name: str, changed: Programme) -> None:
    [change] = changes(FULL, changed)

    assert change.text.startswith("Изменится ")
    assert " → " in change.text
    assert "None" not in change.text
    assert "(" not in change.text.replace("Duration(", "!"), "a raw value is no text"
    assert keys_of(change) in set(every_key()), name


def test_the_change_of_the_issue_is_said_in_its_words() -> None:
    changed = with_segment(FULL, "vip", rate_bps=1_500)

    [change] = changes(FULL, changed)

    assert change.text.replace("\u00a0", " ") == "Изменится ставка сегмента vip: 12 % → 15 %"
    assert change.rule == "segments.vip.rate"
    assert change.concerned == Concerned("segments", frozenset({"vip"}))
    assert concerned_text(change.concerned, 84).replace("\u00a0", " ") == "затронет 84 участника"


def test_what_is_added_and_what_leaves_is_told_with_what_it_holds() -> None:
    gold = SegmentRule("gold", "Золотой", 20, rate_bps=2_000)
    grown = replace(
        FULL,
        segments=(*FULL.segments, gold),
        gifts=replace(FULL.gifts, holidays=(*FULL.gifts.holidays, HolidayGift("Новый год", "12-25", 300))),
        accrual=replace(FULL.accrual, multipliers=(), steps=(RateStep(900_000, 1_500),)),
        welcome=None,
    )

    assert texts(FULL, grown) == [
        "Уберётся ступень от 5 000 ₽",
        "Добавится ступень от 9 000 ₽: ставка 15 %",
        "Уберётся множитель «Выходные»",
        "Уберётся раздел welcome (приветственные баллы)",
        "Добавится подарок «Новый год»: дата 12-25, число баллов 300",
        "Добавится сегмент gold «Золотой»: порог по числу заказов 20, ставка 20 %",
    ]
    assert "Добавится раздел welcome (приветственные баллы): число приветственных баллов 300" in texts(grown, FULL)


def test_equal_programmes_do_not_differ() -> None:
    assert changes(FULL, replace(FULL)) == ()


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        (replace(FULL, accrual=replace(FULL.accrual, rate_bps=5)), {None, "start", "regular"}),
        (replace(FULL, redeem=RedeemRules(4_000)), {None, "start", "regular"}),
        (replace(FULL, gifts=replace(FULL.gifts, holidays=())), {"regular", "vip"}),
        (replace(FULL, accrual=replace(FULL.accrual, multipliers=())), {"vip"}),
    ],
)
def test_only_those_are_counted_whom_a_rule_concerns(changed: Programme, concerned: set[str | None]) -> None:
    [change] = changes(FULL, changed)

    assert change.concerned == Concerned("segments", frozenset(concerned))


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (WelcomeRules(300), WelcomeRules(500), "unbought"),
        (WelcomeRules(300), None, "unbought"),
        (None, WelcomeRules(300), "unbought"),
        (WelcomeRules(300, on="signup"), WelcomeRules(300), "unbought"),
        (WelcomeRules(300, on="signup"), WelcomeRules(500, on="signup"), "new"),
        (None, WelcomeRules(300, on="signup"), "new"),
    ],
)
def test_welcome_points_concern_whoever_can_still_get_them(
    before: WelcomeRules | None, after: WelcomeRules | None, kind: str
) -> None:
    [change] = changes(replace(FULL, welcome=before), replace(FULL, welcome=after))

    assert change.concerned.kind == kind


@pytest.mark.parametrize(
    ("concerned", "members", "text"),
    [
        (Concerned("all"), 1_204, "затронет всех участников: 1 204"),
        (Concerned("segments"), 1, "затронет 1 участника"),
        (Concerned("birthday"), 5, "затронет 5 участников"),
        (Concerned("segments"), 0, "сейчас никого не затронет"),
        (Concerned("new"), 0, "затронет только новых участников"),
        (Concerned("unbought"), 1_204, "затронет тех, кто ещё не покупал: 1 204"),
        (Concerned("unbought"), 0, "затронет только новых участников"),
        (Concerned("staff"), 9, "участников не затронет"),
    ],
)
def test_whom_it_concerns_is_said_in_russian(concerned: Concerned, members: int, text: str) -> None:
    assert concerned_text(concerned, members).replace("\u00a0", " ") == text


def past(kept_kopecks: int, **known: Any) -> PastOrder:
    facts = OrderFacts((PaymentTotals(kept_kopecks, 0),), is_stage_paid=False, price_kopecks=0)
    return PastOrder(facts, WEDNESDAY, known.pop("segment_code", None), False, None, **known)


def test_an_order_is_priced_anew_by_the_other_rules_and_nothing_else_changes() -> None:
    dearer = with_segment(FULL, "vip", rate_bps=1_500)

    assert [base_points(past(100_000, segment_code=code), dearer) for code in (None, "vip")] == [100, 150]
    assert [base_points(past(100_000, segment_code=code), FULL) for code in (None, "vip")] == [100, 120]


def test_points_spent_and_goods_returned_stay_as_they_were() -> None:
    basket = Basket((Line(300_000, qty=3), Line(200_000)))
    facts = OrderFacts((), False, 0, shop_paid_kopecks=500_000 - 120_000, returned=(1, 0))
    order = PastOrder(facts, WEDNESDAY, None, False, None, basket=basket, spent=1_200, spread=(720, 480))

    assert base_points(order, replace(FULL, accrual=AccrualRules(1_000))) == 380 - 228 // 3


@pytest.mark.parametrize(
    ("changed", "can_reprice"),
    [
        (with_segment(FULL, "vip", rate_bps=1_500), True),
        (with_segment(FULL, "vip", title="Особый"), False),
        (replace(FULL, accrual=replace(FULL.accrual, expire_after=Duration(9, "days"))), False),
        (replace(FULL, accrual=replace(FULL.accrual, base="order_total")), True),
        (replace(FULL, limits=Limits(points_per_order=5)), True),
        (replace(FULL, limits=Limits(accruals_per_day=5)), False),
        (replace(FULL, welcome=WelcomeRules(300, with_base=False)), True),
        (replace(FULL, welcome=WelcomeRules(500)), False),
        (replace(FULL, point_value_kopecks=300), True),
    ],
)
def test_an_estimate_is_made_only_where_an_order_could_earn_otherwise(changed: Programme, can_reprice: bool) -> None:
    assert reprices(FULL, changed) is can_reprice


@settings(max_examples=60, deadline=None)
@given(
    kopecks=st.integers(0, 10**7),
    segment=st.sampled_from([None, "start", "vip"]),
    name=st.sampled_from([name for name, _ in single_changes(FULL)]),
)
def test_what_cannot_reprice_prices_every_order_the_same(kopecks: int, segment: str | None, name: str) -> None:
    changed = dict(single_changes(FULL))[name]
    order = past(kopecks, segment_code=segment)

    if not reprices(FULL, changed):
        assert base_points(order, FULL) == base_points(order, changed)
