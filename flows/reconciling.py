"""The truth about money: what acquirers say of a span of time, against our books and the CRM; repaired or reported.

More money at an acquirer is taken over the way of every callback; less is asked of a person; points and the deal's
fields are brought to what the books say. Asks outside any transaction; every payment is judged in one of its own, so
doing it twice or stopping half-way does no harm. Source: acquirers reference, section 13.8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import structlog

from connector.acquiring.listing import Lists
from connector.errors import ConnectorError, NotConfigured
from flows.reconciled import Line
from flows.reconciling_orders import deals_of, with_order
from flows.reconciling_payments import Told, asked, line_of
from loyalty import calendar
from storage import orders, reconciling

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from flows.jobs import Run
    from flows.reconciled import Verdict
    from flows.runtime import Runtime
    from loyalty.events import PaymentFacts
    from storage.payments import Payment

BATCH = 20
KNOWN_MAX = 5_000
"""Payments of one acquirer that are asked for one by one in a run."""
ELSEWHERE_MAX = 1_000
LISTED_DAYS = 3
KNOWN_DAYS = 14
"""How far back the nightly job looks: in the acquirers' lists, and into our own books."""
HELD_DAYS = 10
HELD_FOR = timedelta(minutes=15)
"""Frozen money is looked at once it has been frozen for so long: its capture may have been told and lost."""

AGAIN = timedelta(hours=1)
"""An acquirer that was away is asked again."""

Item = TypeVar("Item")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Span:
    """[since, until) of what acquirers list; payments in our books are asked for from `known_since` on. `is_held`: only
    those whose money is frozen."""

    since: datetime
    until: datetime
    known_since: datetime
    is_held: bool = False


@dataclass(frozen=True)
class Batch:
    """A piece of work: payments as an acquirer listed them, payments of our books that are to be asked for, orders that
    were paid past all acquirers, or the word that an acquirer cannot be compared."""

    acquirer: str = ""
    listed: Sequence[PaymentFacts] = ()
    ask: Sequence[Payment] = ()
    elsewhere: Sequence[int] = ()
    trouble: Line | None = None


def _batches(rt: Runtime, span: Span, only: Collection[str]) -> Iterator[Batch]:
    """The work in the order of the acquirers' names. Listing asks the network as it is read; an acquirer that is away
    stops no other."""
    for name in sorted(only or rt.acquirers):
        yield from _of_acquirer(rt, name, span)
    if span.is_held or only:
        return
    with rt.db.begin() as tx:
        found = reconciling.paid_elsewhere(tx, since=span.since, until=span.until, after=0, limit=ELSEWHERE_MAX)
    for ids in _by(BATCH, found):
        yield Batch(elsewhere=ids)


def compared(
    rt: Runtime, span: Span, *, repair: bool, only: Collection[str] = (), begin: int = 0
) -> Iterator[list[Line]]:
    """Batch by batch, from batch `begin` on. An acquirer that does not answer is not asked again in this walk. Raises
    DatabaseAway."""
    away: set[str] = set()
    for number, batch in enumerate(_batches(rt, span, only)):
        if number < begin or (batch.ask and batch.acquirer in away):
            continue
        lines = _judged(rt, batch, repair=repair)
        if any(line.verdict == "away" for line in lines):
            away.add(batch.acquirer)
        yield lines


def _judged(rt: Runtime, batch: Batch, *, repair: bool) -> list[Line]:
    """Asks what is to be asked, compares, repairs."""
    if batch.trouble is not None:
        return [batch.trouble]
    if batch.elsewhere:
        return _elsewhere(rt, batch.elsewhere)
    told = [Told(one.payment_ref, one) for one in batch.listed if not one.is_test]
    for known_one in batch.ask:
        told.append(asked(rt.acquirers[batch.acquirer], known_one))
        if told[-1].is_away:
            break
    with rt.db.begin() as tx:
        known = reconciling.by_refs(tx, batch.acquirer, [one.payment_ref for one in told])
        of_orders = orders.by_ids(tx, [one.order_id for one, _ in known.values() if one.order_id is not None])
    deals = deals_of(rt, of_orders.values())
    lines = []
    for one in told:
        payment, books = known.get(one.payment_ref, (None, None))
        order = None if payment is None or payment.order_id is None else of_orders.get(payment.order_id)
        line = line_of(rt, batch.acquirer, one, payment, books, repair=repair)
        if line is not None and order is not None:
            line = with_order(rt, replace(line, order=order), order, deals, repair=repair)
        if line is not None:
            lines.append(line)
    rt.bell.ring("inbox", 0)
    rt.bell.ring("outbox", 0)
    return lines


def nightly(run: Run) -> Iterator[None]:
    """The job: the last days whole. A run that was stopped goes on after the batches it has done."""
    zone = run.rt.programme.timezone
    today = calendar.local_day(run.now, zone)
    run.begin_on(today)
    since, known_since, until = (
        calendar.at_local(today - timedelta(days=days), time.min, zone) for days in (LISTED_DAYS, KNOWN_DAYS, 0)
    )
    yield from _run(run, Span(since, until, known_since))


def held(run: Run) -> Iterator[None]:
    """The job: frozen money that nobody has told us anything more about."""
    since = run.now - timedelta(days=HELD_DAYS)
    yield from _run(run, Span(since, run.now - HELD_FOR, since, is_held=True))


def summary(counts: Mapping[str, int]) -> str:
    words = {
        "agrees": "сошлось",
        "repaired": "исправлено",
        "person": "нужен человек",
        "unasked": "нельзя спросить",
        "away": "банк не ответил",
        "elsewhere": "мимо банков",
    }
    return ", ".join(f"{title}: {counts[name]}" for name, title in words.items() if counts.get(name)) or "платежей нет"


def counted(lines: Iterable[Line]) -> dict[Verdict, int]:
    found: dict[Verdict, int] = {}
    for line in lines:
        found[line.verdict] = found.get(line.verdict, 0) + 1
    return found


def _run(run: Run, span: Span) -> Iterator[None]:
    begin = int(run.progress.place.get("batches", 0))
    for number, lines in enumerate(compared(run.rt, span, repair=True, begin=begin), start=begin + 1):
        counts = counted(lines)
        progress = run.progress.plus(
            done=len(lines),
            place={**run.progress.place, "batches": number},
            **{str(name): n for name, n in counts.items()},
        )
        run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
        if "away" in counts:
            run.again_in = AGAIN
        yield


def _of_acquirer(rt: Runtime, name: str, span: Span) -> Iterator[Batch]:
    acquirer, listed = rt.acquirers[name], set[str]()
    try:
        if isinstance(acquirer, Lists) and not span.is_held:
            for facts in _by(BATCH, acquirer.listed(span.since, span.until)):
                listed |= {one.payment_ref for one in facts}
                yield Batch(name, listed=facts)
    except NotConfigured:
        note = f"{acquirer.title_ru}: список платежей не получить, в acquirers заданы не все ключи (kopilka check)"
        yield Batch(name, trouble=Line(name, "", "unasked", notes=(note,)))
    except ConnectorError as failure:
        _log.warning("reconciliation_away", acquirer=name, error=failure.code)
        note = f"{acquirer.title_ru}: банк не ответил ({failure.code}), сверка повторится"
        yield Batch(name, trouble=Line(name, "", "away", notes=(note,)))
        return
    for known in _by(BATCH, _known(rt, name, span)):
        ask = [payment for payment in known if payment.payment_ref not in listed]
        if ask:
            yield Batch(name, ask=ask)


def _known(rt: Runtime, acquirer: str, span: Span) -> Iterator[Payment]:
    times = {"since": span.known_since, "until": span.until}
    after = 0
    for _ in range(KNOWN_MAX // BATCH):
        with rt.db.begin() as tx:
            found = reconciling.of_span(tx, acquirer, **times, after=after, limit=BATCH, held=span.is_held)
        yield from found
        if len(found) < BATCH:
            return
        after = found[-1].id
    _log.warning("reconciliation_cut", acquirer=acquirer, payments=KNOWN_MAX)


def _elsewhere(rt: Runtime, order_ids: Sequence[int]) -> list[Line]:
    with rt.db.begin() as tx:
        found = orders.by_ids(tx, order_ids)
    note = "оплачена по этапу в CRM, платежа ни у одного банка нет: наличные?"
    return [
        Line("", "", "elsewhere", at=one.counted_at, order=one, our_captured_kopecks=one.kept_kopecks, notes=(note,))
        for one in sorted(found.values(), key=lambda one: one.id)
    ]


def _by(size: int, items: Iterable[Item]) -> Iterator[list[Item]]:
    walk = iter(items)
    while batch := list(islice(walk, size)):
        yield batch
