"""Days in the programme's zone: when points become spendable and when they end."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty import calendar
from loyalty.programme import Duration

ZONES = [
    "Europe/Moscow",
    "Asia/Kamchatka",
    "Asia/Yekaterinburg",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # summer time began at midnight: some days had none
    "Asia/Beirut",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",
    "UTC",
]
zones = st.sampled_from(ZONES)
instants = st.builds(
    datetime.fromtimestamp,
    st.integers(int(datetime(2015, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())),
    st.just(UTC),
)
calendar_delays = st.one_of(
    st.builds(Duration, st.integers(1, 400), st.just("days")),
    st.builds(Duration, st.integers(1, 24), st.just("months")),
)
SECOND = timedelta(seconds=1)


def local_day(instant: datetime, zone: str) -> date:
    return instant.astimezone(ZoneInfo(zone)).date()


@given(earned_at=instants, delay=calendar_delays, zone=zones)
def test_a_delay_in_days_ends_at_the_first_instant_of_a_local_day(
    earned_at: datetime, delay: Duration, zone: str
) -> None:
    active_from = calendar.activation_at(earned_at, delay, zone)

    assert local_day(active_from, zone) > local_day(active_from - SECOND, zone)
    assert active_from > earned_at
    assert active_from.utcoffset() == timedelta(0)


@given(earned_at=instants, days=st.integers(1, 400), zone=zones)
def test_n_days_are_n_local_dates_whatever_the_clocks_do(earned_at: datetime, days: int, zone: str) -> None:
    active_from = calendar.activation_at(earned_at, Duration(days, "days"), zone)

    assert local_day(active_from, zone) == local_day(earned_at, zone) + timedelta(days=days)


@given(earned_at=instants, months=st.integers(1, 36), zone=zones)
def test_months_keep_the_day_or_end_on_the_last_of_the_month(earned_at: datetime, months: int, zone: str) -> None:
    earned_on = local_day(earned_at, zone)

    active_on = local_day(calendar.activation_at(earned_at, Duration(months, "months"), zone), zone)

    assert (active_on.year - earned_on.year) * 12 + active_on.month - earned_on.month == months
    assert active_on.day == min(earned_on.day, monthrange(active_on.year, active_on.month)[1])


@given(active_from=instants, lifetime=calendar_delays, zone=zones)
def test_the_last_valid_day_is_valid_to_its_end_and_the_end_is_not(
    active_from: datetime, lifetime: Duration, zone: str
) -> None:
    ends = calendar.expiry_at(active_from, lifetime, zone)

    assert ends is not None
    last_valid_day = local_day(ends - SECOND, zone)
    assert local_day(ends, zone) > last_valid_day
    if lifetime.unit == "days":
        assert last_valid_day == local_day(active_from, zone) + timedelta(days=lifetime.count)


@given(earned_at=instants, hours=st.integers(1, 72), zone=zones)
def test_hours_and_minutes_are_real_time_in_every_zone(earned_at: datetime, hours: int, zone: str) -> None:
    real = earned_at + timedelta(hours=hours)

    assert calendar.activation_at(earned_at, Duration(hours, "hours"), zone) == real
    assert calendar.activation_at(earned_at, Duration(hours * 60, "minutes"), zone) == real
    assert calendar.expiry_at(earned_at, Duration(hours, "hours"), zone) == real


@given(earned_at=instants, zone=zones)
def test_no_delay_is_at_once_and_no_lifetime_is_for_ever(earned_at: datetime, zone: str) -> None:
    assert calendar.activation_at(earned_at, Duration(0, "days"), zone) == earned_at
    assert calendar.expiry_at(earned_at, None, zone) is None


@pytest.mark.parametrize(
    ("paid_at", "zone", "active_from"),
    [
        # One second before and at midnight in Moscow.
        ("2026-03-01T20:59:59Z", "Europe/Moscow", "2026-03-14T21:00:00Z"),
        ("2026-03-01T21:00:00Z", "Europe/Moscow", "2026-03-15T21:00:00Z"),
        # It is already tomorrow in Kamchatka.
        ("2026-03-01T20:59:59Z", "Asia/Kamchatka", "2026-03-15T12:00:00Z"),
        ("2026-03-01T11:59:59Z", "Asia/Kamchatka", "2026-03-14T12:00:00Z"),
        # Summer time begins on 29 March 2026 between the two days: the night is an hour shorter.
        ("2026-03-20T12:00:00Z", "Europe/Berlin", "2026-04-02T22:00:00Z"),
        ("2026-10-20T12:00:00Z", "Europe/Berlin", "2026-11-02T23:00:00Z"),
        # 4 November 2018 had no midnight in Sao Paulo: the day began at one o'clock.
        ("2018-10-21T12:00:00Z", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ],
)
def test_fourteen_days_at_the_edges_of_days(paid_at: str, zone: str, active_from: str) -> None:
    begins = calendar.activation_at(datetime.fromisoformat(paid_at), Duration(14, "days"), zone)

    assert begins == datetime.fromisoformat(active_from)


def test_the_first_instant_after_the_last_valid_day_is_the_end() -> None:
    ends = calendar.expiry_at(datetime(2026, 3, 1, 9, tzinfo=UTC), Duration(30, "days"), "Asia/Kamchatka")

    assert ends == datetime.combine(date(2026, 4, 1), time.min, tzinfo=ZoneInfo("Asia/Kamchatka"))


@given(instant=instants, zone=zones)
def test_a_local_day_begins_before_each_of_its_instants_and_ends_after_it(instant: datetime, zone: str) -> None:
    begins, ends = calendar.day_bounds(instant, zone)

    assert begins <= instant < ends
    assert local_day(begins, zone) == local_day(ends - SECOND, zone) == local_day(instant, zone)
    assert local_day(begins - SECOND, zone) < local_day(instant, zone) < local_day(ends, zone)


@given(instant=instants, window=calendar_delays, zone=zones)
def test_a_window_of_days_reaches_back_to_the_beginning_of_a_local_day(
    instant: datetime, window: Duration, zone: str
) -> None:
    begins = calendar.ago(instant, window, zone)

    assert begins == calendar.day_bounds(begins, zone)[0]
    if window.unit == "days":
        assert local_day(begins, zone) == local_day(instant, zone) - timedelta(days=window.count)
    else:
        assert calendar.add_to_day(local_day(begins, zone), window) <= local_day(instant, zone)


@pytest.mark.parametrize(
    ("day", "window", "first"),
    [
        ("2026-03-31", Duration(1, "months"), "2026-02-28"),
        ("2028-03-31", Duration(1, "months"), "2028-02-29"),
        ("2026-01-15", Duration(12, "months"), "2025-01-15"),
        ("2026-01-15", Duration(13, "months"), "2024-12-15"),
        ("2026-03-01", Duration(30, "days"), "2026-01-30"),
    ],
)
def test_days_and_months_back(day: str, window: Duration, first: str) -> None:
    noon = calendar.at_local(date.fromisoformat(day), time(12), "Europe/Moscow")

    assert calendar.local_day(calendar.ago(noon, window, "Europe/Moscow"), "Europe/Moscow") == date.fromisoformat(first)


def test_minutes_and_hours_back_are_real_time() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert calendar.ago(noon, Duration(90, "minutes"), "Europe/Moscow") == noon - timedelta(minutes=90)
    assert calendar.ago(noon, Duration(2, "hours"), "Europe/Moscow") == noon - timedelta(hours=2)


def test_a_local_time_is_that_of_the_zone() -> None:
    assert calendar.at_local(date(2026, 3, 1), time(12), "Europe/Moscow") == datetime(2026, 3, 1, 9, tzinfo=UTC)
