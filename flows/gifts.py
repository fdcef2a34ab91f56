"""The night's gifts: birthdays and holidays, each to everybody who is due one, once.

Members are locked in the order of their ids, a few at a time; who was given something already is asked under the lock.
Days and windows are `loyalty/gifts.py`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flows import book
from loyalty import calendar, gifts
from loyalty.account import Cause
from loyalty.granting import Grant, grant
from storage import gifts as candidates
from storage import members, outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from loyalty.gifts import Occasion
    from storage.gifts import Looked
    from storage.members import Member

LOOK_MEMBERS = 5_000
BATCH_MEMBERS = 50
"""Locked together: a batch takes about a tenth of a second."""


def give(run: Run) -> Iterator[None]:
    """The job: one occasion after the other, each member by member. Counts gifts and points."""
    for occasion in _occasions(run.rt, now=run.now):
        name = f"{occasion.day.isoformat()} {occasion.rule}"
        place = run.progress.place
        if name in place.get("over", ()):
            continue
        after: int | None = int(place["after"]) if place.get("name") == name else 0
        while after is not None:
            looked = _look(run.rt, occasion, after=after)
            found, after = looked.member_ids, looked.last_id
            for begin in range(0, len(found), BATCH_MEMBERS):
                batch = found[begin : begin + BATCH_MEMBERS]
                _piece(run, occasion, batch, {**place, "name": name})
                yield
            if after is not None:
                _go_on(run, {**place, "name": name, "after": after})
                yield
        _close(run, [*place.get("over", ()), name])


def summary(counts: Mapping[str, int]) -> str:
    return f"подарков: {counts.get('gifts', 0)}, баллов: {counts.get('points', 0)}"


def _occasions(rt: Runtime, *, now: datetime) -> Iterator[Occasion]:
    rules, zone = rt.programme.gifts, rt.programme.timezone
    if rules.birthday is not None:
        for day in gifts.birthdays_open(rules.birthday, timezone=zone, now=now):
            yield gifts.birthday_on(rules.birthday, day, zone)
    yield from gifts.holidays_open(rules.holidays, timezone=zone, now=now)


def _close(run: Run, over: Sequence[str]) -> None:
    """These occasions are through: a run that goes on later does not look at them again."""
    run.piece(lambda _tx: run.progress.plus(place={"over": over}))


def _go_on(run: Run, place: Mapping[str, object]) -> None:
    """Nobody else of those looked at is due it."""
    run.piece(lambda _tx: run.progress.plus(place=place))


def _look(rt: Runtime, occasion: Occasion, *, after: int) -> Looked:
    """Members who may be due this gift."""
    with rt.db.begin() as tx:
        if occasion.rule == gifts.BIRTHDAY_RULE:
            days = gifts.born_on(occasion.day)
            return candidates.born_on(tx, days, key_parts=occasion.key_parts, after=after, limit=LOOK_MEMBERS)
        next_day = calendar.start_of_day(occasion.day + timedelta(days=1), rt.programme.timezone)
        return candidates.everybody(
            tx,
            joined_before=next_day,
            segments=occasion.segments,
            key_parts=occasion.key_parts,
            after=after,
            limit=LOOK_MEMBERS,
        )


def _piece(run: Run, occasion: Occasion, batch: Sequence[int], place: Mapping[str, object]) -> None:
    """One batch; who is left out is looked at again by the next runs, while the gift is open."""

    def work(tx: sa.Connection, member_ids: Sequence[int]) -> Progress:
        given = _give(tx, run.rt, occasion, member_ids, now=run.now)
        through = {**place, "after": member_ids[-1]}
        return run.progress.plus(done=len(member_ids), place=through, gifts=given, points=given * occasion.points)

    def left_out(member_id: int, _failure: Exception) -> Progress:
        return run.progress.plus(done=1, place={**place, "after": member_id})

    run.members(batch, work, left_out)


def _give(tx: sa.Connection, rt: Runtime, occasion: Occasion, member_ids: Sequence[int], *, now: datetime) -> int:
    """Gives it to those of them who are due it. Returns how many were."""
    locked = [members.lock(tx, member_id) for member_id in sorted(member_ids)]
    outbox.lock_marks(tx, book.shown_by(rt), member_ids)
    names = candidates.names_of(tx, member_ids)
    given = candidates.given(tx, [occasion.key(name) for ids in names.values() for name in ids])
    count = 0
    for member in locked:
        has_it = any(occasion.key(name) in given for name in names[member.id])
        if not has_it and _is_due(rt, occasion, member, now=now):
            _give_one(tx, rt, occasion, member, now=now)
            count += 1
    return count


def _is_due(rt: Runtime, occasion: Occasion, member: Member, *, now: datetime) -> bool:
    """Asked of the locked row: he may have been merged, or his birthday or segment changed, since he was found."""
    if member.merged_into_id is not None:
        return False
    rules = rt.programme.gifts.birthday
    if occasion.rule == gifts.BIRTHDAY_RULE and rules is not None:
        if member.birthday is None:
            return False
        zone = rt.programme.timezone
        return gifts.birthday_of(rules, member.birthday, member.birthday_set_at, timezone=zone, now=now) == occasion
    return not occasion.segments or member.segment_code in occasion.segments


def _give_one(tx: sa.Connection, rt: Runtime, occasion: Occasion, member: Member, *, now: datetime) -> None:
    rt.programme_of(tx, rt.rules_version)  # the version is stored before the first lot that cites it
    account = book.open_account(tx, rt, member, now=now)
    plan = Grant(
        key=occasion.key(member.id),
        source="gift",
        move="gift",
        points=occasion.points,
        at=now,
        expires_at=occasion.ends_at,
        title=occasion.title,
    )
    cause = Cause(rule=occasion.rule)
    grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
    book.bring_up_to_date(account, rt, now=now)
    book.save(tx, rt, member.id, account, occurred_at=now)
