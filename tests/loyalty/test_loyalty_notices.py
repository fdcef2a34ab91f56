"""When a member must be told that his points end, and in which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty import notices
from loyalty.calendar import local_day
from loyalty.notices import Notice
from loyalty.programme import AccrualRules, PointWords, Programme
from loyalty.rules import BurnRules, Duration, RedeemRules

RULES = Programme(
    name="Клуб", timezone="Europe/Moscow", accrual=AccrualRules(rate_bps=1_000), redeem=RedeemRules(max_share_bps=3_000)
)


def moscow(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=3)


ENDS = moscow(3, 29)
"""28 March is the last valid day."""


def due(now: datetime, *ending: tuple[datetime, int], rules: Programme = RULES) -> list[tuple[date, int, int]]:
    return [(one.burn_on, one.step_days, one.points) for one in notices.due(ending, rules, now=now)]


@pytest.mark.parametrize(
    ("now", "step"),
    [
        (moscow(2, 26, 11, 59), None),
        (moscow(2, 26, 12), 30),
        (moscow(3, 21, 11, 59), 30),
        (moscow(3, 21, 12), 7),  # late by weeks: not three at once
        (moscow(3, 27, 12), 1),
        (moscow(3, 28, 23, 59), 1),
        (moscow(3, 29), None),
    ],
)
def test_only_the_closest_step_is_due_and_none_after_the_end(now: datetime, step: int | None) -> None:
    assert due(now, (ENDS, 340)) == ([] if step is None else [(date(2026, 3, 28), step, 340)])


def test_points_of_one_day_are_told_of_together_and_days_apart_separately() -> None:
    found = due(moscow(3, 22, 12), (ENDS, 300), (moscow(3, 28, 15), 40), (moscow(4, 1), 5), (ENDS, 0))

    assert found == [(date(2026, 3, 28), 7, 340), (date(2026, 3, 31), 30, 5)]


def test_the_end_of_points_told_of_together_is_that_of_the_first() -> None:
    found = notices.due([(ENDS, 300), (moscow(3, 28, 15), 40)], RULES, now=moscow(3, 22, 12))

    assert [one.burns_at for one in found] == [moscow(3, 28, 15)]


def test_a_few_points_are_not_worth_a_notice() -> None:
    rules = replace(RULES, burn=replace(BurnRules(), notify_from_points=50))

    assert due(moscow(3, 22, 12), (ENDS, 49), rules=rules) == []
    assert due(moscow(3, 22, 12), (ENDS, 50), rules=rules) == [(date(2026, 3, 28), 7, 50)]


def test_a_notice_counts_until_twelve_hours_before_the_end() -> None:
    assert notices.is_told(ENDS, sent_at=moscow(3, 28, 12))
    assert not notices.is_told(ENDS, sent_at=moscow(3, 28, 12, 1))


def test_a_notice_found_at_night_waits_for_the_owners_hour_unless_it_would_be_too_late() -> None:
    at_noon = Notice(date(2026, 3, 28), ENDS, 1, 340)
    at_evening = replace(RULES, burn=replace(BurnRules(), notify_at="18:00"))

    assert notices.send_at(at_noon, RULES, now=moscow(3, 27, 3)) == moscow(3, 27, 12)
    assert notices.send_at(at_noon, RULES, now=moscow(3, 27, 20)) == moscow(3, 27, 20)
    assert notices.send_at(at_noon, at_evening, now=moscow(3, 28, 3)) == moscow(3, 28, 3)


@given(
    hours=st.integers(0, 24 * 120),
    steps=st.sets(st.integers(1, 60), min_size=1, max_size=4),
    lead=st.integers(0, 24 * 70),
)
def test_points_that_a_notice_is_due_for_lie_within_the_horizon(hours: int, steps: set[int], lead: int) -> None:
    now = moscow(1, 10) + timedelta(hours=hours)
    rules = replace(RULES, burn=replace(BurnRules(), notify_before=tuple(Duration(step, "days") for step in steps)))
    ends = now + timedelta(hours=lead)

    if notices.due([(ends, 10)], rules, now=now):
        assert ends <= notices.horizon(rules, now=now)


@settings(deadline=None)
@given(hours=st.integers(0, 24 * 400), steps=st.sets(st.integers(1, 60), min_size=1, max_size=4))
def test_prolonged_points_have_every_notice_before_them_again(hours: int, steps: set[int]) -> None:
    night = moscow(1, 1, 0, 5) + timedelta(hours=hours)
    rules = replace(RULES, burn=replace(BurnRules(), notify_before=tuple(Duration(step, "days") for step in steps)))
    ends = notices.prolonged_until(rules, now=night)

    noon = datetime.combine(local_day(night, RULES.timezone), time(12), tzinfo=ZoneInfo(RULES.timezone))
    told = set()
    for day in range(64):  # notices go out at noon, and reach the buyer a little later
        sent_at = noon + timedelta(days=day, minutes=10)
        if sent_at - timedelta(minutes=10) >= night:
            found = notices.due([(ends, 10)], rules, now=sent_at)
            told |= {one.step_days for one in found if notices.is_told(ends, sent_at=sent_at)}
    assert told == steps


@pytest.mark.parametrize(("hour", "ends"), [((0, 5), moscow(4, 29)), ((12, 30), moscow(4, 30))])
def test_prolonged_points_live_for_the_longest_step_after_the_next_notices(
    hour: tuple[int, int], ends: datetime
) -> None:
    assert notices.prolonged_until(RULES, now=moscow(3, 29, *hour)) == ends


@pytest.mark.parametrize(
    ("points", "subject"),
    [
        (1, "1 балл сгорит 28 марта"),
        (2, "2 балла сгорят 28 марта"),
        (11, "11 баллов сгорят 28 марта"),
        (21, "21 балл сгорит 28 марта"),
        (340, "340 баллов сгорят 28 марта"),
        (12_340, "12 340 баллов сгорят 28 марта"),
    ],
)
def test_the_subject_is_in_right_russian(points: int, subject: str) -> None:
    letter = notices.letter(Notice(date(2026, 3, 28), ENDS, 7, points), RULES, card_url="https://x.test/c/1")

    assert letter.subject == subject


def test_the_letter_says_what_the_points_are_good_for_until_when_and_where_the_card_is() -> None:
    letter = notices.letter(Notice(date(2026, 3, 28), ENDS, 7, 340), RULES, card_url="https://x.test/c/1")

    assert letter.body.replace("\u00a0", " ") == (
        "340 баллов сгорят 28 марта. Хватит на скидку 340 ₽.\n"
        "Потратить их можно по 28 марта включительно.\n"
        "\n"
        "Карта и баланс: https://x.test/c/1\n"
        "\n"
        "Клуб\n"
    )


def test_a_point_has_the_owners_name_and_worth() -> None:
    stars = PointWords("звезда", "звезды", "звёзд")
    rules = replace(RULES, point_words=stars, point_value_kopecks=250)

    letter = notices.letter(Notice(date(2026, 3, 28), ENDS, 7, 3), rules, card_url="-")

    assert letter.body.replace("\u00a0", " ").startswith("3 звезды сгорят 28 марта. Хватит на скидку 7,50 ₽.")


def test_where_points_cannot_be_spent_no_discount_is_promised() -> None:
    letter = notices.letter(
        Notice(date(2026, 3, 28), ENDS, 7, 3), replace(RULES, redeem=None), card_url="https://x.test/c/1"
    )

    assert "скидку" not in letter.body
