"""The walk of a reconciliation: acquirer by acquirer, first its lists window by window, then what only our books know.

Owns the order, and where the walk may be stopped. Within a window nothing is kept but in memory, so a window is walked
in one go. One payment is `reconciling_payments.py`; who walks, and how far back, is `reconciling.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from connector.acquiring.listing import Lists, Unread
from connector.errors import ConnectorError, NotConfigured, TimedOut, Unreachable
from flows.reconciled import Line
from flows.reconciling_orders import deals_of, with_order
from flows.reconciling_payments import Told, asked, line_of, unread
from flows.reconciling_place import Place, Step
from loyalty.account import PointsMissing
from storage import orders, reconciling
from storage.db import RETRIED_SQLSTATES, refusal, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from connector.amocrm.leads import Deal
    from flows.reconciling_place import Span
    from flows.runtime import Runtime
    from loyalty.reconciliation import Known
    from storage.orders import Order
    from storage.payments import Payment

BATCH = 20
ASKS = 5
"""Payments asked for in one piece: each may take as long as an acquirer is given to answer."""
KNOWN_MAX = 5_000
"""Payments of one acquirer that are asked for one by one in a run."""
ELSEWHERE_MAX = 10_000

_log = structlog.get_logger(__name__)


class Walk:
    """`watch` is called between things that may take long. Raises DatabaseAway."""

    def __init__(
        self,
        rt: Runtime,
        span: Span,
        *,
        repair: bool,
        only: Collection[str] = (),
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._rt = rt
        self._span = span
        self._repair = repair
        self._only = only
        self._watch = watch
        self._told: set[str] = set()
        self._is_away = False

    def steps(self, begin: Place) -> Iterator[Step]:
        """An acquirer that is away stops no other and is not asked again in this walk."""
        for name in sorted(self._only or self._rt.acquirers):
            if begin.phase == "elsewhere" or name < begin.acquirer:
                continue
            yield from self._acquirer(begin if name == begin.acquirer else Place(name))
        if not (self._span.is_held or self._only):
            yield from self._elsewhere(begin if begin.phase == "elsewhere" else Place(phase="elsewhere"))

    def _acquirer(self, place: Place) -> Iterator[Step]:
        if place.phase == "done":
            return
        self._told, self._is_away = set(), False
        is_listing = isinstance(self._rt.acquirers[place.acquirer], Lists) and not self._span.is_held
        if place.phase == "lists" and is_listing:
            for step in self._lists(place):
                place = step.place or place
                yield step
        elif place.phase == "lists":
            place = replace(place, phase="known", since=self._span.begins(place.acquirer))
        if place.phase == "known":
            for step in self._known(place):
                place = step.place or place
                yield step
        yield Step([], Place(place.acquirer, "done", is_whole=place.is_whole))

    def _lists(self, place: Place) -> Iterator[Step]:
        """Window by window; ends at the phase `known`."""
        name = place.acquirer
        since = place.since or self._span.begins(name)
        while since < self._span.until:
            until = self._span.until
            if self._span.window is not None:
                until = min(until, since + self._span.window)
            failure: ConnectorError | None = None
            for lines in self._listed(name, since, until):
                if isinstance(lines, ConnectorError):
                    failure = lines
                else:
                    yield Step(lines)
            if failure is not None:
                self._is_away = isinstance(failure, Unreachable | TimedOut)
                place = Place(name, "done" if self._is_away else "known", since, is_whole=False)
                yield Step([self._trouble(name, failure)], place)
                return
            for lines in self._unlisted(name, since, until):
                yield Step(lines)
            if self._is_away:
                yield Step([], Place(name, "done", is_whole=False))
                return
            since = until
            yield Step([], replace(place, since=since))
        yield Step([], Place(name, "known"))

    def _listed(self, name: str, since: datetime, until: datetime) -> Iterator[list[Line] | ConnectorError]:
        """What the acquirer lists, judged; at last the failure that ended the list."""
        acquirer, batch = self._rt.acquirers[name], list[Told]()
        assert isinstance(acquirer, Lists)  # noqa: S101 - asked before
        failed: ConnectorError | None = None
        try:
            for row in acquirer.listed(since, until):
                self._watch()
                if isinstance(row, Unread):
                    yield [unread(self._rt, name, row, repair=self._repair)]
                elif row is not None and not row.is_test and row.payment_ref not in self._told:
                    self._told.add(row.payment_ref)
                    batch.append(Told(row.payment_ref, row))
                if len(batch) >= BATCH:
                    yield self._judged(name, batch)
                    batch = []
        except ConnectorError as failure:
            failed = failure
        if batch:
            yield self._judged(name, batch)
        if failed is not None:
            yield failed

    def _trouble(self, name: str, failure: ConnectorError) -> Line:
        title = self._rt.acquirers[name].title_ru
        if isinstance(failure, NotConfigured):
            note = f"{title}: список платежей не получить, в acquirers заданы не все ключи (kopilka check)"
            return Line(name, "", "unasked", notes=(note,))
        _log.warning("reconciliation_away", acquirer=name, error=failure.code)
        note = f"{title}: список платежей не получен ({failure.code}), сверка повторится"
        return Line(name, "", "away", notes=(note,))

    def _unlisted(self, name: str, since: datetime, until: datetime) -> Iterator[list[Line]]:
        """Payments of our books that the acquirer should have listed."""
        after = None
        while not self._is_away:
            found = self._of_span(name, since, until, after, limit=BATCH)
            yield self._asked(name, found)
            if len(found) < BATCH:
                return
            after = reconciling.place(found[-1])

    def _known(self, place: Place) -> Iterator[Step]:
        """Payments of our books from before what was listed, and from where listing failed on."""
        name, begins = place.acquirer, self._span.begins(place.acquirer)
        ranges = [(begins - self._span.known_before, begins)]
        if place.since is not None:
            ranges.append((place.since, self._span.until))
        for since, until in ranges:
            while since < until:
                found = self._of_span(name, since, until, place.after, limit=ASKS)
                if found and place.looked_at >= KNOWN_MAX:
                    line = self._unchecked(place, since, until)
                    place = replace(place, after=(until, 0), is_whole=False)
                    yield Step([line], place)
                    break
                if found:
                    after = reconciling.place(found[-1])
                    place = replace(place, after=after, looked_at=place.looked_at + len(found))
                    lines = self._asked(name, found)
                    if self._is_away:
                        yield Step(lines, Place(name, "done", is_whole=False))
                        return
                    yield Step(lines, place)
                if len(found) < ASKS:
                    break

    def _of_span(
        self, name: str, since: datetime, until: datetime, after: tuple[datetime, int] | None, *, limit: int
    ) -> list[Payment]:
        held = self._span.is_held
        with self._rt.db.begin() as tx:
            return reconciling.of_span(tx, name, since=since, until=until, after=after, limit=limit, held=held)

    def _unchecked(self, place: Place, since: datetime, until: datetime) -> Line:
        after = place.after or (since, 0)
        with self._rt.db.begin() as tx:
            left = reconciling.count_left(tx, place.acquirer, since=since, until=until, after=after)
        note = f"не проверено платежей: {left}; сверьте их за меньшее время: kopilka reconcile --day ДЕНЬ"
        return Line(place.acquirer, "", "unchecked", notes=(note,), payments=left)

    def _asked(self, name: str, payments: Sequence[Payment]) -> list[Line]:
        """Asks for each that was not told yet, until the acquirer does not answer."""
        told = []
        for payment in payments:
            if payment.payment_ref in self._told:
                continue
            self._watch()
            told.append(asked(self._rt.acquirers[name], payment))
            if told[-1].is_away:
                self._is_away = True
                break
        return self._judged(name, told) if told else []

    def _judged(self, name: str, told: Sequence[Told]) -> list[Line]:
        """Compares, repairs."""
        with self._rt.db.begin() as tx:
            known = reconciling.by_refs(tx, name, [one.payment_ref for one in told])
            of_orders = orders.by_ids(tx, [one.order_id for one, _ in known.values() if one.order_id is not None])
        deals = deals_of(self._rt, of_orders.values())
        lines = []
        for one in told:
            self._watch()
            payment, books = known.get(one.payment_ref, (None, None))
            order = None if payment is None or payment.order_id is None else of_orders.get(payment.order_id)
            line = self._line(name, one, payment, books, order, deals)
            if line is not None:
                lines.append(line)
        self._rt.bell.ring("inbox", 0)
        self._rt.bell.ring("outbox", 0)
        return lines

    def _line(
        self,
        name: str,
        told: Told,
        payment: Payment | None,
        books: Known | None,
        order: Order | None,
        deals: Mapping[int, Deal] | None,
    ) -> Line | None:
        """One damaged book stops no other payment."""
        line: Line | None = Line(name, told.payment_ref, "person", order=order)
        try:
            line = line_of(self._rt, name, told, payment, books, repair=self._repair)
            if line is None or order is None:
                return line
            line = replace(line, order=order)
            return with_order(self._rt, line, order, deals, repair=self._repair)
        except sa.exc.ProgrammingError:  # our statement is wrong, for everybody
            raise
        except (sa.exc.DBAPIError, PointsMissing) as failure:
            reason = refusal(failure) or str(failure)
            _log.error("payment_left_out", acquirer=name, payment_ref=told.payment_ref, error=reason)
            known = line or Line(name, told.payment_ref, "person", order=order)
            if sqlstate(failure) in RETRIED_SQLSTATES:
                return replace(known, verdict="unchecked", notes=(*known.notes, "счёт участника занят: повторится"))
            note = f"книга участника не сходится ({reason}): kopilka verify-ledger"
            return replace(known, verdict="person", notes=(*known.notes, note))

    def _elsewhere(self, place: Place) -> Iterator[Step]:
        note = "оплачена по этапу в CRM, платежа ни у одного банка нет: наличные?"
        since = min([self._span.since, *self._span.since_of.values()])
        while True:
            limit = BATCH if place.looked_at < ELSEWHERE_MAX else 1
            with self._rt.db.begin() as tx:
                paid = reconciling.paid_elsewhere(
                    tx, since=since, until=self._span.until, after=place.after, limit=limit
                )
                found = orders.by_ids(tx, [order_id for _, order_id in paid])
            if not paid:
                return
            if place.looked_at >= ELSEWHERE_MAX:
                yield Step([Line("", "", "unchecked", notes=("показаны не все сделки без платежа",))])
                return
            place = replace(place, after=paid[-1], looked_at=place.looked_at + len(paid))
            yield Step(
                [
                    Line("", "", "elsewhere", one.counted_at, one, our_captured_kopecks=one.kept_kopecks, notes=(note,))
                    for one in (found[order_id] for _, order_id in paid)
                ],
                place,
            )
