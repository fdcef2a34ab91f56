"""Gifts reach everybody who is due one, once, and end on the same day whenever the night comes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from flow_points_world import at_once
from kopilka_testing import StandingClock
from night_world import SMALL, Night

from flows import nightly, people, planning
from flows.runtime import Runtime
from loyalty.rules import BirthdayGift, Duration, GiftRules, HolidayGift
from storage import members

BIRTHDAY = BirthdayGift(
    points=500, give_before=Duration(3, "days"), valid=Duration(7, "days"), known_for=Duration(7, "days")
)
MARCH_8 = HolidayGift("8 Марта", "03-08", 200, Duration(10, "days"))
LEAP_DAY = date(2000, 2, 29)


def moscow(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=3)


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    made = Night(rt, clock)
    made.apply(gifts=GiftRules(birthday=BIRTHDAY, holidays=(MARCH_8,)))
    return made


def gifts(night: Night, member_id: int) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in night.rows(
            "SELECT key, available, activates_at, expires_at, title FROM lot WHERE member_id = :id AND source = 'gift'"
            " ORDER BY id",
            id=member_id,
        )
    ]


def test_v21_a_birthday_on_29_february_is_given_for_28_february_2027_once(night: Night) -> None:
    anna = night.buyer(birthday=LEAP_DAY)
    boris = night.buyer(birthday=date(1990, 7, 1))
    night.clock.at = moscow(2027, 2, 24, 0, 10)
    assert night.run("gifts").text == "подарков: 0, баллов: 0"

    night.clock.at = moscow(2027, 2, 25, 0, 10)
    first, again = night.run("gifts"), night.run("gifts")

    key = f"gift:birthday:{anna}:2027"
    assert gifts(night, anna) == [(key, 500, night.clock(), moscow(2027, 3, 4), "День рождения")]
    assert gifts(night, boris) == []
    assert (first.text, again.text) == ("подарков: 1, баллов: 500", "подарков: 0, баллов: 0")
    moves = [(row.move, row.points, row.rule) for row in night.transfers(anna)]
    assert moves == [("gift", 500, "gifts.birthday"), ("activate", 500, "gifts")]


def test_v21_a_birthday_changed_five_days_before_is_given_next_year(night: Night) -> None:
    anna = night.buyer(birthday=LEAP_DAY, known_since=moscow(2027, 2, 23, 12))

    for day in range(7):
        night.clock.at = moscow(2027, 2, 25, 0, 10) + timedelta(days=day)
        night.run("gifts")
    assert gifts(night, anna) == []

    night.clock.at = moscow(2028, 2, 26, 0, 10)
    night.run("gifts")
    assert [row[0] for row in gifts(night, anna)] == [f"gift:birthday:{anna}:2028"]


def test_days_late_the_gift_is_the_same_and_after_its_window_there_is_none(night: Night) -> None:
    anna = night.buyer(birthday=LEAP_DAY)
    night.clock.at = moscow(2027, 2, 28, 15)
    night.run("gifts")
    vera = night.buyer(birthday=LEAP_DAY, known_since=moscow(2027, 1, 1))
    night.clock.at = moscow(2027, 3, 4, 0, 10)
    night.run("gifts")

    assert [row[3] for row in gifts(night, anna)] == [moscow(2027, 3, 4)]
    assert gifts(night, vera) == []


def test_through_two_years_of_nights_each_has_one_birthday_a_year_and_each_holiday_once(night: Night) -> None:
    anna = night.buyer(birthday=LEAP_DAY)
    night.clock.at = moscow(2026, 12, 31, 0, 10)
    while night.clock.at < moscow(2029, 1, 1):
        nearest = min(abs(night.clock.at - day) for day in _DAYS)
        if nearest < timedelta(days=13):  # the other nights have nothing to give
            night.run("gifts")
        night.clock.forward(days=1)

    assert [row[0] for row in gifts(night, anna)] == [
        f"gift:birthday:{anna}:2027",
        f"gift:holiday:2027-03-08:8 Марта:{anna}",
        f"gift:birthday:{anna}:2028",
        f"gift:holiday:2028-03-08:8 Марта:{anna}",
    ]


_DAYS = [moscow(year, month, day) for year in (2027, 2028) for month, day in ((2, 27), (3, 8))]


def test_a_holiday_is_for_those_who_had_joined_by_its_day_and_are_in_its_segments(night: Night) -> None:
    vip_only = HolidayGift("Для своих", "03-08", 300, Duration(5, "days"), ("vip",))
    night.apply(gifts=GiftRules(holidays=(MARCH_8, vip_only)))
    old, vip, merged = night.buyer(), night.buyer(), night.buyer()
    with night.rt.db.begin() as tx:
        members.set_segment(tx, vip, "vip")
    people.merge(night.rt, from_id=merged, into_id=old)
    night.clock.at = moscow(2026, 3, 8, 22)
    on_the_day = night.buyer()
    night.clock.at = moscow(2026, 3, 9, 0, 5)
    too_late = night.buyer()

    night.clock.at = moscow(2026, 3, 9, 0, 10)
    night.run("gifts")

    titles = {
        member_id: sorted(str(row[4]) for row in gifts(night, member_id))
        for member_id in (old, vip, merged, on_the_day, too_late)
    }
    assert titles == {
        old: ["8 Марта"],
        vip: ["8 Марта", "Для своих"],
        merged: [],
        on_the_day: ["8 Марта"],
        too_late: [],
    }
    assert [row.rule for row in night.transfers(old) if row.move == "gift"] == ["gifts.holidays.8 Марта"]


def test_two_members_who_turn_out_to_be_one_do_not_get_the_gift_twice(night: Night) -> None:
    anna, double = night.buyer(), night.buyer(birthday=LEAP_DAY)
    night.clock.at = moscow(2027, 2, 25, 0, 10)
    night.run("gifts")

    people.merge(night.rt, from_id=double, into_id=anna)  # the birthday goes with it
    night.clock.forward(days=1)
    night.run("gifts")

    assert [row[0] for row in gifts(night, anna)] == [f"gift:birthday:{double}:2027"]


def test_a_gift_pays_the_debt_first(night: Night) -> None:
    anna = night.buyer()
    with night.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET debt = 150 WHERE id = :id"), {"id": anna})
        tx.execute(
            sa.text(
                "INSERT INTO transfer (key, member_id, move, debit, credit, points, rules_version, occurred_at,"
                " recorded_at, rule)"
                " VALUES ('debt', :id, 'reverse', 'debt', 'reversed', 150, :version, :now, :now, 'x')"
            ),
            {"id": anna, "version": night.rt.rules_version, "now": night.clock()},
        )
    night.clock.at = moscow(2026, 3, 8, 0, 10)

    night.run("gifts")

    assert (night.balance(anna).available, night.balance(anna).debt) == (50, 0)


def test_two_nights_at_once_give_once(night: Night) -> None:
    buyers = [night.buyer() for _ in range(30)]
    night.clock.at = moscow(2026, 3, 8, 0, 10)

    found = at_once([lambda: nightly.run_due(night.rt, now=night.clock(), only="gifts", at_once=True)] * 3)

    assert sum(len(results) for results in found) == 1  # the others found it taken
    assert all(len(gifts(night, member_id)) == 1 for member_id in buyers)


def test_a_damaged_account_does_not_keep_the_others_from_their_gifts(night: Night) -> None:
    anna, boris, vera = night.buyer(), night.buyer(), night.buyer()
    night.clock.at = moscow(2026, 3, 8, 0, 10)
    with night.rt.db.begin() as tx:  # the key of Boris's activation is taken by a stranger
        night.rt.programme_of(tx, night.rt.rules_version)
    key = night.lot(anna, 1, None)
    with night.rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO transfer (key, member_id, lot_id, move, debit, credit, points, rules_version,"
                " occurred_at, recorded_at, rule) SELECT :key, :id, id, 'opening', 'opening', 'available', 1,"
                " rules_version, :now, :now, 'x' FROM lot WHERE key = :lot"
            ),
            {
                "key": f"gift:holiday:2026-03-08:8 Марта:{boris}",
                "id": anna,
                "lot": key,
                "now": night.clock(),
            },
        )
        tx.execute(sa.text("UPDATE lot SET available = 2, earned = 2 WHERE key = :lot"), {"lot": key})
        tx.execute(sa.text("UPDATE member SET available = 2 WHERE id = :id"), {"id": anna})

    result = night.run("gifts")

    assert (result.done, result.text) == (3, "подарков: 2, баллов: 400")
    assert [len(gifts(night, member_id)) for member_id in (anna, boris, vera)] == [1, 0, 1]


def test_a_night_that_was_stopped_goes_on_where_it_was(night: Night) -> None:
    buyers = [night.buyer() for _ in range(120)]
    night.clock.at = moscow(2026, 3, 8, 0, 10)

    first = night.run("gifts", work_for=timedelta(0, 0, 1))
    rest = nightly.run_due(night.rt, now=night.clock(), only="gifts", schedule=SMALL)

    assert first.is_over is False
    assert 0 < first.done < 120
    assert [(result.done, result.is_over) for result in rest] == [(120, True)]
    assert all(len(gifts(night, member_id)) == 1 for member_id in buyers)


def write_holiday(night: Night, name: str, date_of: str = "03-01") -> None:
    """The owner writes his one holiday into the rules file."""
    path = night.rt.file.path
    text = path.read_text(encoding="utf-8").split("\ngifts:\n")[0]
    holiday = f"{{name: {name}, date: {date_of}, points: 100, valid: 10 days}}"
    path.write_text(f"{text}\ngifts:\n  holidays:\n    - {holiday}\n", encoding="utf-8")


def test_the_plan_warns_of_a_holiday_whose_name_changes_while_its_gift_is_open(night: Night) -> None:
    write_holiday(night, "Первый день весны")
    planning.apply(night.rt, "Иванова")
    anna = night.buyer()
    night.run("gifts")
    write_holiday(night, "С первым днём весны")

    warned = planning.plan(night.rt).warnings
    night.clock.forward(days=10)
    after_its_end = planning.plan(night.rt).warnings

    [text] = [one for one in warned if "Подарок" in one]
    assert text.startswith(
        "Подарок «Первый день весны» ещё действует, а теперь называется «С первым днём весны»: его получат ещё раз"
    )
    assert [one for one in after_its_end if "Подарок" in one] == []
    assert len(gifts(night, anna)) == 1


def test_a_holiday_beside_another_on_the_same_day_is_no_new_name_of_it(night: Night) -> None:
    write_holiday(night, "Первый день весны")
    planning.apply(night.rt, "Иванова")
    path = night.rt.file.path
    more = "    - {name: Ещё повод, date: 03-01, points: 50, valid: 10 days}\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")

    assert [one for one in planning.plan(night.rt).warnings if "Подарок" in one] == []


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> object:
    yield
    assert night.verdict().faults == ()
