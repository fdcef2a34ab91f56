"""Looking for those who are due a gift reads a bounded number of members, however many have it already."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from storage_making import NOW, RULES, VERSION, make_member

from storage import gifts, members, rules
from storage.db import Database
from storage.gifts import Looked

KEY = ("gift:holiday:2026-03-08:8 Марта:", "")


@pytest.fixture
def ids(db: Database) -> list[int]:
    with db.begin() as tx:
        rules.remember(tx, VERSION, RULES, now=NOW)
        return [make_member(tx).id for _ in range(6)]


def look(db: Database, *, after: int, limit: int, segments: tuple[str, ...] = ()) -> Looked:
    with db.begin() as tx:
        return gifts.everybody(
            tx, joined_before=NOW + timedelta(1), segments=segments, key_parts=KEY, after=after, limit=limit
        )


def give(db: Database, *member_ids: int) -> None:
    with db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO lot (key, member_id, source, rules_version, activates_at, opened_at)"
                " SELECT :key || id, id, 'gift', :version, :now, :now FROM unnest(CAST(:ids AS bigint[])) AS id"
            ),
            {"key": KEY[0], "version": VERSION, "now": NOW, "ids": list(member_ids)},
        )


def test_a_look_ends_after_so_many_members_whether_they_are_due_or_not(db: Database, ids: list[int]) -> None:
    give(db, *ids[:4])

    assert look(db, after=0, limit=3) == Looked((), ids[2])
    assert look(db, after=ids[2], limit=2) == Looked([ids[4]], ids[4])
    assert look(db, after=ids[4], limit=3) == Looked([ids[5]], ids[5])
    assert look(db, after=ids[5], limit=3) == Looked((), None)


def test_those_of_other_segments_are_passed_over(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        members.set_segment(tx, ids[1], "vip")

    assert look(db, after=0, limit=4, segments=("vip",)) == Looked([ids[1]], ids[3])


def test_of_those_born_on_a_day_each_is_found_once(db: Database, ids: list[int]) -> None:
    with db.begin() as tx:
        for member_id in ids[1:4]:
            members.set_birthday(tx, member_id, NOW.date(), now=NOW)

        def look_on(after: int) -> Looked:
            return gifts.born_on(tx, [(3, 1)], key_parts=("gift:birthday:", ":2026"), after=after, limit=2)

        assert [look_on(0), look_on(ids[2]), look_on(ids[3])] == [
            Looked(ids[1:3], ids[2]),
            Looked([ids[3]], ids[3]),
            Looked([], None),
        ]
