"""A Salesbot for a member who has come into a segment: run once per coming, after his fields say so.

At most once: the run is remembered before it is asked for, because a bot that runs twice writes to the buyer twice.
Only a clear refusal is taken back and tried again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from connector.amocrm.bots import BotRun
from connector.errors import ConnectorError, Refused
from flows.settle import NotYet, SetupIncomplete
from storage import bots, members, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.members import Member

FIELDS_COME_FIRST = timedelta(seconds=20)
FIELDS_FIRST = "сначала поля контакта"
NOBODY = "-"
"""In place of a segment's code: the member is in none."""


def tell(tx: sa.Connection, rt: Runtime, member_id: int, *, now: datetime) -> None:
    """The member's segment changed."""
    if rt.crm is not None and rt.crm_names.segment_bots:
        outbox.add(tx, "bot", [member_id], now=now)


def refresh(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Runs the bots that are due. Raises ConnectorError, SetupIncomplete, NotYet, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    with rt.db.begin() as tx:
        found = members.by_ids(tx, member_ids)
        ran = bots.ran_for(tx, member_ids)
        busy = bots.with_fields_to_come(tx, member_ids)
    outcomes = dict.fromkeys(member_ids, "бота запускать не нужно")
    due = [one for one in found.values() if _segment(one) != ran.get(one.id) and one.merged_into_id is None]
    waiting = [one for one in due if one.id in busy]
    now_due = [one for one in due if one.id not in busy]
    runs = {one.id: run for one in now_due if (run := _run_for(rt, one)) is not None}
    if runs:
        hold()
    with rt.db.begin() as tx:
        for one in now_due:
            bots.save(tx, one.id, _segment(one))
    if runs:
        try:
            rt.crm.run_bots(list(runs.values()))
        except ConnectorError as failure:
            if not failure.ambiguous:
                _take_back(rt, runs, ran)
            if isinstance(failure, Refused) and not failure.retryable and len(runs) == 1:
                raise NotYet(f"amoCRM не запускает бота: {failure}. Проверьте номер в amocrm.segment_bots") from failure
            raise
    outcomes |= dict.fromkeys(runs, "бот запущен")
    return outcomes | {one.id: FIELDS_FIRST for one in waiting}


def plan_again(tx: sa.Connection, outcomes: Mapping[int, str], *, now: datetime) -> None:
    """Those whose fields are still to be written, once their rows are finished."""
    waiting = [member_id for member_id, outcome in outcomes.items() if outcome == FIELDS_FIRST]
    outbox.add(tx, "bot", waiting, now=now, due_at=now + FIELDS_COME_FIRST)


def _take_back(rt: Runtime, runs: Mapping[int, BotRun], ran: Mapping[int, str | None]) -> None:
    with rt.db.begin() as tx:
        for member_id in runs:
            bots.save(tx, member_id, ran.get(member_id))


def _run_for(rt: Runtime, member: Member) -> BotRun | None:
    bot_id = rt.crm_names.segment_bots.get(member.segment_code or "")
    return None if bot_id is None or member.contact_ref is None else BotRun(bot_id, member.contact_ref)


def _segment(member: Member) -> str:
    return member.segment_code or NOBODY
