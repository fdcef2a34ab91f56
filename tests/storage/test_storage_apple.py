"""Tags of Apple cards become visible in their order, and only one change of a card wins."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from storage import apple, apple_phones, members, outbox
from storage.db import Database
from storage.members import NewCard

NOW = datetime(2026, 3, 1, 9, 0, 0, 500_000, tzinfo=UTC)


@pytest.fixture
def ids(db: Database) -> list[int]:
    """Three members with cards."""
    made = []
    with db.begin() as tx:
        for number in range(3):
            card = NewCard(f"token{number}", f"serial{number}", "77", 10)
            member, _ = members.enrol(tx, contact_ref=None, name="Анна", card=card, now=NOW)
            apple.lock_tags(tx)
            apple.add(tx, member.id, person_id=member.id, key_name="k", digest="d0", now=NOW)
            made.append(member.id)
    return made


def change(tx: sa.Connection, member_id: int, digest: str, *, now: datetime = NOW) -> bool:
    apple.lock_tags(tx)
    return apple.change(tx, apple.cards(tx, [member_id])[member_id], digest, now=now)


def test_a_phone_never_sees_a_later_tag_before_an_earlier_one(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        apple_phones.register(tx, "phone", "aa", ids[0], told_tag=0, now=NOW)
        apple_phones.register(tx, "phone", "aa", ids[1], told_tag=0, now=NOW)
        since = max(row.tag for row in apple.cards(tx, ids).values())
    second = threading.Event()

    def later() -> None:
        with db.begin() as tx:
            change(tx, ids[1], "d1")
        second.set()

    with db.begin() as tx:
        change(tx, ids[0], "d1")
        thread = threading.Thread(target=later)
        thread.start()
        overtook = second.wait(0.5)
        with db.begin() as other:
            seen_meanwhile = apple_phones.updated(other, "phone", since=since)
    thread.join()
    with db.begin() as tx:
        seen = apple_phones.updated(tx, "phone", since=since)

    assert not overtook
    assert seen_meanwhile == []
    assert [serial for serial, _ in seen] == ["serial0", "serial1"]


def test_of_two_who_saw_the_same_row_one_changes_it(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        seen = apple.cards(tx, ids)[ids[0]]
        apple.lock_tags(tx)
        assert apple.change(tx, seen, "d1", now=NOW)
        assert not apple.change(tx, seen, "d2", now=NOW)
        assert apple.cards(tx, ids)[ids[0]].digest == "d1"


def test_tags_and_dates_grow_whatever_the_clock_does(db: Database, ids: list[int]) -> None:
    rows = []
    for seconds in (0, 0, -3_600, 5):
        with db.begin() as tx:
            change(tx, ids[0], f"d{len(rows)}x", now=NOW + timedelta(seconds=seconds))
            rows.append(apple.cards(tx, ids)[ids[0]])

    tags, dates = [row.tag for row in rows], [row.modified_at for row in rows]
    assert tags == sorted(set(tags))
    assert dates == sorted(set(dates))
    assert {date.microsecond for date in dates} == {0}
    assert rows[-1].tag >= int((NOW + timedelta(seconds=5)).timestamp() * 1000)


def test_only_people_with_a_card_are_marked(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        outbox.add(tx, "apple", [ids[0], 999_999], now=NOW)
        outbox.add_kinds(tx, ["apple", "crm"], [ids[1], 999_999], now=NOW)
        marked = tx.execute(sa.text("SELECT kind, target_id FROM outbox ORDER BY kind, target_id")).all()

    assert [tuple(row) for row in marked] == [
        ("apple", ids[0]),
        ("apple", ids[1]),
        ("crm", ids[1]),
        ("crm", 999_999),
    ]


def test_what_was_told_never_goes_back(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        apple_phones.register(tx, "phone", "aa", ids[0], told_tag=0, now=NOW)
        (old,) = apple_phones.untold(tx, ids)
        change(tx, ids[0], "d1")
        (new,) = apple_phones.untold(tx, ids)
        apple_phones.note_told(tx, [new])
        apple_phones.note_told(tx, [old])

        assert apple_phones.untold(tx, ids) == []


def test_a_phone_that_registers_while_it_takes_its_last_card_off_stays(db: Database, ids: list[int]) -> None:
    for _ in range(10):
        with db.begin() as tx:
            apple_phones.register(tx, "phone", "aa", ids[0], told_tag=0, now=NOW)
        at_once = threading.Barrier(2)

        def off(at_once: threading.Barrier = at_once) -> None:
            at_once.wait()
            db.run(lambda tx: apple_phones.unregister(tx, "phone", ids[0]))

        def on(at_once: threading.Barrier = at_once) -> None:
            at_once.wait()
            db.run(lambda tx: apple_phones.register(tx, "phone", "aa", ids[1], told_tag=0, now=NOW))

        threads = [threading.Thread(target=work) for work in (off, on)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        with db.begin() as tx:
            assert [serial for serial, _ in apple_phones.updated(tx, "phone", since=0)] == ["serial1"]
            apple_phones.unregister(tx, "phone", ids[1])
