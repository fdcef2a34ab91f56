"""Where a rule stands in the file, and that the order of the file never changes the rules."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.model import ProgrammeFile
from config.programme import CheckResult
from config.segment_order import rising_key
from loyalty import segments
from loyalty.rules import (
    SegmentPolicy,
    SegmentRule,
)

pytestmark = pytest.mark.slow

Check = Callable[..., CheckResult]
Read = Callable[..., ProgrammeFile]
FULL = (Path(__file__).parent / "golden/full.yaml").read_text(encoding="utf-8")
ORDERED = frozenset({"back"})
"""Lists whose order the buyer sees."""
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("redeem.max_share", "max_share: 30%"),
        ("segments.vip", "code: vip"),
        ("segments.vip.rate", "rate: 9%"),
        ("segments.regular.max_share", "max_share: 40%"),
        ("segments.vip.when.spent", "60000 RUB"),
        ("segments[0]", "code: start"),
        ("segments[2].rate", "rate: 9%"),
        ("accrual.steps", "steps:"),
        ("accrual.steps.500000", "from: 5000 RUB"),
        ("accrual.steps[0].rate", "rate: 4%"),
        ("accrual.by_method.cash.rate", "method: cash"),
        ("accrual.multipliers.Выходные", "title: Выходные"),
        ("accrual.multipliers.Летняя палатка.times", "times: 1.25"),
        ("accrual.multipliers[1].times", "times: 1.25"),
        ("accrual.exclude.categories.Алкоголь", "Алкоголь"),
        ("gifts.birthday.points", "birthday:"),
        ("gifts.holidays.Новый год", "name: Новый год"),
        ("gifts.holidays[0]", "name: Високосный день"),
        ("gifts.actions.review", "code: review"),
        ("limits.accruals_per_day", "accruals_per_day: 3"),
        ("segment_rules.window", "window: 365 days"),
    ],
)
def test_a_rule_is_found_on_its_line_by_place_and_by_name(read: Read, rule: str, text: str) -> None:
    assert text in FULL.splitlines()[read().line_of(rule) - 1]


def test_a_rule_that_is_not_written_has_no_line(read: Read) -> None:
    assert read().line_of("segments.start.rate") == 0


def shuffled(value: Any, chance: random.Random, key: str = "") -> Any:
    """The same file with its keys, and its lists without order, in another order."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance, name) for name in names}
    if isinstance(value, list):
        items = [shuffled(item, chance) for item in value]
        if key not in ORDERED:
            chance.shuffle(items)
        return items
    return value


@MANY
@given(chance=st.randoms(use_true_random=False))
def test_the_order_of_keys_and_of_lists_never_changes_the_rules(read: Read, chance: random.Random) -> None:
    first = read()

    text = yaml.safe_dump(shuffled(yaml.load(FULL, yaml.BaseLoader), chance), allow_unicode=True, sort_keys=False)
    other = read(text)

    assert other.version == first.version
    assert other.programme == first.programme
    rows = text.splitlines()
    assert rows[other.line_of("segments.vip.rate") - 1].strip().endswith("rate: 9%")
    assert rows[other.line_of("segments[1].rate") - 1].strip().endswith("rate: 5%")
    assert rows[other.line_of("accrual.steps.500000.rate") - 1].strip().endswith("rate: 5%")


RULES = st.builds(
    SegmentRule,
    code=st.sampled_from(["a", "b", "c", "d", "e"]),
    title=st.just(""),
    min_orders=st.none() | st.integers(1, 4),
    min_spent_kopecks=st.none() | st.integers(1, 4),
).filter(lambda rule: rule.min_orders or rule.min_spent_kopecks)


@settings(max_examples=300, deadline=None)
@given(
    rules=st.lists(RULES, min_size=1, max_size=4, unique_by=lambda rule: rule.code),
    match=st.sampled_from(["any", "all"]),
)
def test_the_file_is_sorted_as_the_rules_choose(rules: list[SegmentRule], match: Any) -> None:
    """Who meets every condition is in the last segment of the sorted list, whichever segments are left of it."""
    everything = segments.Purchases(10, 10)
    ordered = sorted(rules, key=rising_key)

    for end in range(1, len(ordered) + 1):
        assert segments.segment_for(everything, ordered[:end], SegmentPolicy(match=match)) == ordered[end - 1]


@settings(MANY, max_examples=150)
@given(data=st.data())
def test_any_change_of_the_full_file_gives_a_result_and_never_an_exception(check: Check, data: st.DataObject) -> None:
    parts = re.findall(r"\w+|\W", FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place] = data.draw(
            st.sampled_from(["", "0", "yes", "[]", "{}", "vip", "1 day", "never"]) | st.sampled_from(parts)
        )

    result = check("".join(parts), {})

    assert result.errors
    assert result.render()


def segment_codes(check: Check, changed: Callable[..., str], first: str, second: str, match: str = "any") -> list[str]:
    """Codes of what is wrong when the two segments of the right file have these conditions."""
    text = changed(("card:\n", f"segment_rules: {{any_or_all: {match}}}\ncard:\n"))
    text = re.sub("when: {orders: [13]}", "{}", text).replace("{}", first, 1).replace("{}", second, 1)
    return [problem.code for problem in check(text).problems]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("when: {orders: 1}", "when: {spent: 15000 RUB}"),
        ("when: {orders: 1}", "when: {orders: 3, spent: 15000 RUB}"),
        ("when: {orders: 3}", "when: {orders: 1}"),
        ("when: {orders: 1}", "manual: yes"),
        ("manual: yes", "when: {orders: 1}"),
        ("manual: no, when: {orders: 1}", "rate: 12%, when: {spent: 1000000000 RUB}"),
    ],
)
@pytest.mark.parametrize("match", ["any", "all"])
def test_segments_that_rise_are_right_in_any_order_and_of_any_kind(
    check: Check, changed: Callable[..., str], first: str, second: str, match: str
) -> None:
    assert segment_codes(check, changed, first, second, match) == []


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ("when: {spent: 100 RUB}", "when: {spent: 200 RUB}", "any"),
        ("when: {orders: 1, spent: 100 RUB}", "when: {orders: 2, spent: 200 RUB}", "all"),
        ("when: {orders: 1, spent: 200 RUB}", "when: {orders: 2, spent: 100 RUB}", "any"),
        ("when: {orders: 1}", "when: {orders: 1, spent: 100 RUB}", "any"),
    ],
)
def test_segments_that_nobody_could_tell_apart_are_refused(
    check: Check, changed: Callable[..., str], first: str, second: str, match: str
) -> None:
    assert segment_codes(check, changed, first, second, match) == ["segment-orders"]


def test_one_more_condition_makes_a_segment_higher_when_all_must_be_met(
    check: Check, changed: Callable[..., str]
) -> None:
    assert segment_codes(check, changed, "when: {orders: 1}", "when: {orders: 1, spent: 100 RUB}", "all") == []
