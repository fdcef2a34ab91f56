"""Balances of a former programme become opening lots: read, shown as a plan, then written in pieces.

One piece is one transaction of a few hundred rows. What is done is found again by its keys, so a run that was killed,
repeated or started twice at once credits nobody twice. Nobody is welcomed and nobody is written to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from flows import book, importing_rows, outgoing
from flows.importing_plan import Judge, Judged, Met, Restless
from flows.importing_spool import Spool
from loyalty import calendar, importing
from loyalty.account import Account, Cause, PointsMissing
from loyalty.importing import REJECTED, Verdict, key_of
from loyalty.ledger import Balance
from storage import importing as storage
from storage import outbox
from storage.db import RETRIED_SQLSTATES, refusal, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from flows.importing_spool import Duplicates
    from flows.runtime import Runtime
    from loyalty.importing import Row
    from loyalty.importing_cells import Cell
    from loyalty.importing_columns import Columns
    from loyalty.ledger import Decision
    from loyalty.rules import Duration
    from storage.importing import Found

    Told = Callable[["Row", Verdict], None]
    """Hears of every row when its verdict is final."""

ROWS_PER_PIECE = 300
ROWS_MAX = 1_000_000

_log = structlog.get_logger(__name__)


class TooManyRows(Exception):
    """The table is longer than one import may be."""


@dataclass(frozen=True)
class Asked:
    """What the owner wants. `name` names the import for ever; `lifetime`: of points whose row does not say it, None:
    they do not burn; `also_credited`: those whom another import has credited get these points too."""

    name: str
    actor: str
    lifetime: Duration | None
    duplicates: Duplicates = "error"
    also_credited: bool = False


@dataclass
class Summary:
    """What became of the rows, or would become. `points` are credited by this very run."""

    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    points: int = 0
    fraction_rows: int = 0
    fraction: Decimal = Decimal(0)
    blank_rows: int = 0
    cards_kept: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        return sum(self.outcomes[one] for one in REJECTED)

    def count(self, row: Row, verdict: Verdict) -> None:
        self.rows += 1
        self.outcomes[verdict.outcome] += 1
        self.points += verdict.points
        if verdict.outcome in ("new", "update"):
            dropped = Decimal(row.dropped)
            self.fraction_rows += dropped > 0
            self.fraction += dropped
            self.blank_rows += row.part.points == 0
            self.cards_kept += verdict.is_card_kept
        if verdict.points or verdict.outcome == "credited":
            self.elsewhere.update(verdict.elsewhere)


@dataclass(frozen=True)
class Step:
    """How far a pass over the rows has come."""

    done: int
    total: int | None


@dataclass(frozen=True)
class _Placed:
    """A row that changes something, and whom."""

    row: Row
    verdict: Verdict
    member_id: int


def lifetime(rt: Runtime) -> Duration | None:
    """How long brought points live if nobody says it: as those of a purchase of today."""
    return rt.programme.accrual.expire_idle or rt.programme.accrual.expire_after


def read(rt: Runtime, rows: Iterable[tuple[int, Sequence[Cell]]], columns: Columns) -> Iterator[Step | Spool]:
    """Reads the table to its end, telling how far it is; the last value is the spool. Raises TooManyRows."""
    terms = _terms(rt)
    spool = Spool()
    is_whole = False
    try:
        for number, cells in rows:
            if importing_rows.is_empty(cells):
                continue
            if spool.rows >= ROWS_MAX:
                raise TooManyRows
            spool.add(importing_rows.read(number, cells, columns, terms))
            if spool.rows % ROWS_PER_PIECE == 0:
                yield Step(spool.rows, None)
        is_whole = True
    finally:
        if not is_whole:
            spool.close()
    yield spool


def look(rt: Runtime, spool: Spool, asked: Asked, tell: Told) -> Iterator[Step | Summary]:
    """What `run` would do now. Writes nothing; the last value is the summary."""
    judge = _judge(rt, spool, asked)
    summary = Summary()
    for rows in spool.batches(ROWS_PER_PIECE):
        with rt.db.begin() as tx:
            judged = judge.look(tx, rows, now=rt.now(), lock=False)
        _tell(judge, judged, summary, tell)
        yield Step(summary.rows, spool.rows)
    yield summary


def run(rt: Runtime, spool: Spool, asked: Asked, tell: Told) -> Iterator[Step | Summary]:
    """Does it, piece by piece; the last value is the summary. Whoever stops between two pieces does no harm."""
    judge = _judge(rt, spool, asked)
    summary = Summary()
    for rows in spool.batches(ROWS_PER_PIECE):
        for judged in _pieces(rt, judge, asked, rows):
            _tell(judge, judged, summary, tell)
        yield Step(summary.rows, spool.rows)
    rt.bell.ring("outbox", 0)
    yield summary


def _judge(rt: Runtime, spool: Spool, asked: Asked) -> Judge:
    return Judge(asked.name, _terms(rt), spool.repeats(asked.duplicates), Met(), asked.also_credited)


def _terms(rt: Runtime) -> importing_rows.Terms:
    card = rt.file.card
    today = calendar.local_day(rt.now(), rt.programme.timezone)
    return importing_rows.Terms(today, rt.programme.segments, card.number_prefix, card.number_length)


def _tell(judge: Judge, judged: Judged, summary: Summary, tell: Told) -> None:
    judge.remember(judged)
    for row, verdict in judged.verdicts:
        summary.count(row, verdict)
        tell(row, verdict)


def _pieces(rt: Runtime, judge: Judge, asked: Asked, rows: Sequence[Row], *, again: bool = True) -> Iterator[Judged]:
    """The rows in one transaction. If the book or a lock refuses them, their halves, and so on down to the one row that
    is the reason: it is left out. A single row is tried twice: somebody may just have made its member."""
    try:
        yield rt.db.run(lambda tx: _write(tx, rt, judge, asked, rows))
    except sa.exc.ProgrammingError:  # our statement is wrong, for everybody
        raise
    except (sa.exc.DBAPIError, PointsMissing, Restless) as failure:
        reason: Exception = failure
    else:
        return
    if len(rows) > 1:
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            yield from _pieces(rt, judge, asked, half)
    elif again:
        yield from _pieces(rt, judge, asked, rows, again=False)
    else:
        _log.error("import_row_left_out", row=rows[0].number, error=refusal(reason) or type(reason).__name__)
        yield Judged([(rows[0], Verdict("error", _reason(reason)))], {})


def _reason(failure: Exception) -> str:
    if isinstance(failure, Restless) or sqlstate(failure) in RETRIED_SQLSTATES:
        return "участник сейчас занят другой работой: повторите импорт"
    return f"{refusal(failure) or 'счёт участника повреждён'}: kopilka verify-ledger покажет, что с ним"


def _write(tx: sa.Connection, rt: Runtime, judge: Judge, asked: Asked, rows: Sequence[Row]) -> Judged:
    storage.take_turns(tx)
    now = rt.now()
    judged = judge.look(tx, rows, now=now, lock=True)
    placed = _made(tx, rt, judged.verdicts, now=now)
    known = {one.member_id: one.verdict.adds for one in placed if one.verdict.outcome == "update"}
    storage.complete(tx, {member_id: adds for member_id, adds in known.items() if adds}, now=now)
    names = [(one.member_id, name) for one in placed if one.member_id not in known for name in one.row.names]
    names += [(member_id, name) for member_id, adds in known.items() for name in adds.names]
    storage.add_names(tx, names, now=now)
    _tell_segments(tx, rt, placed, judged.found, now=now)
    _credit(tx, rt, asked, placed, judged.found, now=now)
    touched = [one.member_id for one in placed]
    kinds = book.shown_by(rt)
    outbox.lock_marks(tx, kinds, touched)
    outbox.add_kinds(tx, kinds, touched, now=now)
    return judged


def _made(tx: sa.Connection, rt: Runtime, verdicts: Sequence[tuple[Row, Verdict]], *, now: datetime) -> list[_Placed]:
    """Rows that change something, each with its member; new ones are made here."""
    new = [row for row, verdict in verdicts if verdict.outcome == "new"]
    people = [
        storage.NewMember(
            card=rt.new_card(),
            name=row.name,
            contact_ref=next(map(int, row.of("contact")), None),
            card_number=next(iter(row.of("card")), None),
            birthday=row.birthday,
            segment_code=row.segment_code,
        )
        for row in new
    ]
    ids = dict(zip((row.number for row in new), storage.enrol(tx, people, now=now), strict=True))
    placed = []
    for row, verdict in verdicts:
        member_id = ids.get(row.number) if verdict.outcome == "new" else verdict.member_id
        if member_id is not None and verdict.outcome in ("new", "update"):
            placed.append(_Placed(row, verdict, member_id))
    return placed


def _credit(
    tx: sa.Connection,
    rt: Runtime,
    asked: Asked,
    placed: Sequence[_Placed],
    found: Mapping[int, Found],
    *,
    now: datetime,
) -> None:
    """Opens the lots. Whoever has something due is brought up to date first, by himself; the others go together."""
    rt.programme_of(tx, rt.rules_version)
    terms = importing.Terms(now, rt.programme.timezone, asked.lifetime, rt.rules_version)
    decisions: dict[int, Decision] = {}
    for one in placed:
        if not one.verdict.parts:
            continue
        key = key_of(asked.name, one.row.names[0])
        reason = f"импорт «{asked.name}», строка {one.row.number}"
        cause = Cause(rule=importing.RULE, actor=asked.actor, reason=reason)
        known = found.get(one.member_id)
        if known is not None and known.has_due:
            member = book.lock(tx, one.member_id, now=now)
            account = book.open_account(tx, rt, member, now=now)
            importing.open_balance(account, one.verdict.parts, key, terms, cause)
            book.save(tx, rt, one.member_id, account, occurred_at=now)
        else:
            account = Account(Balance() if known is None else known.balance, ())
            importing.open_balance(account, one.verdict.parts, key, terms, cause)
            decisions[one.member_id] = account.decision
    storage.post(tx, decisions, now=now)


def _tell_segments(
    tx: sa.Connection, rt: Runtime, placed: Sequence[_Placed], found: Mapping[int, Found], *, now: datetime
) -> None:
    """The shop's programs hear who stands in another segment now."""
    moment = int(now.timestamp() * 1_000_000)
    events = {}
    for one in placed:
        is_new = one.verdict.outcome == "new"
        code = one.row.segment_code if is_new else one.verdict.adds.segment_code
        before = None if is_new else found[one.member_id].segment_code
        if code is not None and code != before:
            data = {"member_id": one.member_id, "from": before, "to": code}
            events[f"evt_segment:{one.member_id}:{moment}"] = data
    outgoing.emit_all(tx, rt, "segment.changed", events, now=now)
