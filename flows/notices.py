"""The day's notices: who must be told that his points end, planned as messages.

Plans only; `messages.py` delivers, and looks again then whether the notice is still true. A message is planned also for
a member whom no channel reaches: it is skipped with its reason, and his points are prolonged. Consent, quiet hours and
caps belong to the gate in front of the channels, which comes with campaigns; until then the owner's hour decides.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flows import outgoing
from loyalty import calendar, notices
from storage import burning, google, members, messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from loyalty.notices import Notice
    from storage.members import Member

CHUNK_MEMBERS = 1_000


def plan(run: Run) -> Iterator[None]:
    """The job. Counts the notices planned."""
    run.begin_on(_day_of_notices(run.rt, now=run.now))
    while True:
        after = int(run.progress.place.get("after", 0))
        until = notices.horizon(run.rt.programme, now=run.now)
        with run.rt.db.begin() as tx:
            chunk = messages.members_ending(tx, after=after, now=run.now, until=until, limit=CHUNK_MEMBERS)
        if not chunk:
            return
        _piece(run, chunk)
        yield


def _day_of_notices(rt: Runtime, *, now: datetime) -> date:
    """It begins at the owner's hour: before it, what is due is what was due yesterday."""
    programme = rt.programme
    today = calendar.local_day(now, programme.timezone)
    has_begun = calendar.at_local(today, notices.notify_at(programme), programme.timezone) <= now
    return today if has_begun else today - timedelta(days=1)


def summary(counts: Mapping[str, int]) -> str:
    return f"предупреждений: {counts.get('planned', 0)}"


def plan_for(tx: sa.Connection, rt: Runtime, member_ids: Sequence[int], *, now: datetime) -> int:
    """Plans what these members must be told by now and were not yet. Returns how many notices are new."""
    told_of = due(tx, rt, member_ids, now=now)
    known = messages.known_keys(tx, [notice.key(member_id) for member_id, notice in told_of])
    fresh = {notice.key(member_id): (member_id, notice) for member_id, notice in told_of}
    for key in known:
        del fresh[key]
    people = members.by_ids(tx, {member_id for member_id, _ in fresh.values()})
    letters = [_planned(rt, people[member_id], notice, now=now) for member_id, notice in fresh.values()]
    added = messages.add_notices(tx, letters, now=now)
    events = {f"evt_{key}": _event(*fresh[key]) for key in sorted(added)}
    outgoing.emit_all(tx, rt, "points.burn_soon", events, now=now)
    _let_cards_tell(tx, rt, {fresh[key][0] for key in added}, now=now)
    return len(added)


def _let_cards_tell(tx: sa.Connection, rt: Runtime, member_ids: Iterable[int], *, now: datetime) -> None:
    """Google cards that are on a phone say it too, whoever else does."""
    if rt.google is not None:
        saved = [one.member_id for one in google.cards(tx, member_ids).values() if one.is_saved]
        burning.mark_out_of_date(tx, ["google"], sorted(saved), now=now)


def due(tx: sa.Connection, rt: Runtime, member_ids: Sequence[int], *, now: datetime) -> Sequence[tuple[int, Notice]]:
    """The notices that these members should have by now, sent or not."""
    until = notices.horizon(rt.programme, now=now)
    by_member: dict[int, list[tuple[datetime, int]]] = {}
    for one in messages.ending(tx, member_ids, now=now, until=until):
        by_member.setdefault(one.member_id, []).append((one.expires_at, one.points))
    return [
        (member_id, notice)
        for member_id, ending in by_member.items()
        for notice in notices.due(ending, rt.programme, now=now)
    ]


def _piece(run: Run, chunk: Sequence[int]) -> None:
    def work(tx: sa.Connection, member_ids: Sequence[int]) -> Progress:
        planned = plan_for(tx, run.rt, member_ids, now=run.now)
        return through(member_ids[-1], done=len(member_ids), planned=planned)

    def through(member_id: int, **counts: int) -> Progress:
        return run.progress.plus(place={**run.progress.place, "after": member_id}, **counts)

    run.members(chunk, work, lambda member_id, _failure: through(member_id, done=1))


def _planned(rt: Runtime, member: Member, notice: Notice, *, now: datetime) -> messages.NewNotice:
    letter = notices.letter(notice, rt.programme, card_url=rt.card_url(member.card_token))
    return messages.NewNotice(
        key=notice.key(member.id),
        member_id=member.id,
        burn_on=notice.burn_on,
        burns_at=notice.burns_at,
        step_days=notice.step_days,
        points=notice.points,
        subject=letter.subject,
        body=letter.body,
        due_at=notices.send_at(notice, rt.programme, now=now),
    )


def _event(member_id: int, notice: Notice) -> Mapping[str, object]:
    return {"member_id": member_id, "points": notice.points, "burn_on": notice.burn_on}
