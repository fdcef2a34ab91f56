"""New rules: what they would change, whom they concern, what they would have cost; and making them the rules in force.

The rules file becomes the rules only by `apply`. What was decided before keeps its version: old lots, refunds of old
orders. Running processes take the new rules over by themselves (`active_rules.py`). The words are `loyalty.changes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from config.programme import check_programme, load_programme
from flows import active_rules
from loyalty import gifts, repricing
from loyalty.changes import changes as changes_between
from loyalty.changes import concerned_text
from storage import planning, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from config.model import ProgrammeFile
    from flows.runtime import ActiveRules, Runtime
    from loyalty.changes import Change, Concerned
    from loyalty.programme import Programme
    from loyalty.repricing import PastOrder
    from storage.rules import Applied

ESTIMATE_DAYS = 90
ORDERS_MAX = 200_000
PAGE_ORDERS = 2_000
HISTORY_SHOWN = 20
BY_CHARS_MAX = 100

_log = structlog.get_logger(__name__)


class RulesMoved(Exception):
    """Somebody else applied rules, or the file was edited, while this plan was looked at. Nothing was applied."""


@dataclass(frozen=True)
class Planned:
    """One change, the line of the file where it stands (0: it left the file), and how many members it concerns."""

    change: Change
    line: int
    members: int
    whom: str

    @property
    def text(self) -> str:
        return f"{self.change.text}, {self.whom}"


@dataclass(frozen=True)
class Cost:
    """Base points of the orders counted in the last `days`, priced by the rules in force and by the file. `is_part`:
    there were more orders than `ORDERS_MAX`, the newest were taken."""

    orders: int
    days: int
    is_part: bool
    before_points: int
    after_points: int
    before_kopecks: int
    after_kopecks: int

    @property
    def points(self) -> int:
        return self.after_points - self.before_points

    @property
    def kopecks(self) -> int:
        return self.after_kopecks - self.before_kopecks


@dataclass(frozen=True)
class Plan:
    """What `apply` would do. `cost` is None if no order could earn another number of points."""

    in_force: str
    proposed: str
    changes: tuple[Planned, ...]
    cost: Cost | None
    warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Equal rules may have two names: a later program knows more rules than the one that stored them."""
        return not self.changes


@dataclass(frozen=True)
class Application:
    """One act of applying and what it changed against the one before it."""

    id: int
    version: str
    by: str
    at: datetime
    changes: tuple[Change, ...]


def plan(rt: Runtime, *, progress: Callable[[int], None] | None = None, orders_max: int = ORDERS_MAX) -> Plan:
    """Compares the rules file, read anew, with the rules in force; `progress` is told how many orders are priced, at
    most `orders_max` are.

    Raises ProgrammeInvalid, DatabaseAway.
    """
    active_rules.look(rt, at_once=True)
    active = rt.active  # another thread may take newer rules over meanwhile
    file = load_programme(rt.file.path, rt.settings.environment)
    if file.programme == active.programme:
        return Plan(active.version, file.version, (), None, ())
    with rt.db.begin() as tx:
        counted = planning.members_by_segment(tx)
        others = {"birthday": planning.birthdays_known(tx), "unbought": planning.never_bought(tx)}
    found = [
        _planned(change, file, _how_many(change.concerned, counted, others))
        for change in changes_between(active.programme, file.programme)
    ]
    cost = None
    if repricing.reprices(active.programme, file.programme):
        cost = _cost(rt, active, file.programme, progress=progress, orders_max=orders_max)
    warnings = (*_file_warnings(rt), *_warnings(active.programme, file.programme, counted, now=rt.now()))
    return Plan(active.version, file.version, tuple(found), cost, warnings)


def apply(rt: Runtime, by: str, *, planned: Plan | None = None) -> Plan:
    """Makes the rules file the rules in force; equal rules change nothing. Returns what was applied.

    `planned` is what the person has agreed to. Raises RulesMoved if that is no longer what would happen,
    ProgrammeInvalid, DatabaseAway.
    """
    source = rt.file.path.read_text(encoding="utf-8-sig")
    shown = planned or plan(rt)
    file = load_programme(rt.file.path, rt.settings.environment)
    if file.version != shown.proposed:
        raise RulesMoved
    if shown.is_empty:
        return shown

    def work(tx: sa.Connection) -> bool:
        planning.lock(tx)
        if rules.applied_version(tx) == file.version:
            return False
        if rules.applied_version(tx) != shown.in_force:
            raise RulesMoved
        now = rt.now()
        rules.remember(tx, file.version, file.programme, now=now)
        rules.apply(tx, file.version, source=source, lines=file.lines, by=by[:BY_CHARS_MAX], now=now)
        return True

    if rt.db.run(work):
        _log.info("rules_applied", version=file.version, by=by[:BY_CHARS_MAX])
    active_rules.look(rt, at_once=True)
    return shown


def history(rt: Runtime, *, limit: int = HISTORY_SHOWN) -> Sequence[Application]:
    """Who applied what and when, the newest first; each with its changes."""
    with rt.db.begin() as tx:
        found = rules.all_applied(tx, limit=limit + 1)
    return [
        _application(one, found[number + 1] if number + 1 < len(found) else None)
        for number, one in enumerate(found[:limit])
    ]


def differs(rt: Runtime) -> bool:
    """Whether the file that this process has read is not the rules in force."""
    return rt.file.programme != rt.programme


def _planned(change: Change, file: ProgrammeFile, members: int) -> Planned:
    return Planned(change, file.line_of(change.rule), members, concerned_text(change.concerned, members))


def _how_many(concerned: Concerned, counted: Mapping[str | None, int], others: Mapping[str, int]) -> int:
    """`counted` by segment, `others` by the kind of members who are in no segment of their own."""
    if concerned.kind in ("new", "staff"):
        return 0
    if concerned.kind in others:
        return others[concerned.kind]
    if concerned.kind == "segments":
        return sum(counted.get(code, 0) for code in concerned.segments)
    return sum(counted.values())


def _cost(
    rt: Runtime, active: ActiveRules, proposed: Programme, *, progress: Callable[[int], None] | None, orders_max: int
) -> Cost:
    """Page by page, each its own short transaction: however many orders there are, memory stays flat."""
    since = rt.now() - timedelta(days=ESTIMATE_DAYS)
    orders = before = after = 0
    page, cursor = _page(rt, since, None, min(PAGE_ORDERS, orders_max))
    while page and orders < orders_max:
        before += sum(_in_force_points(active, order) for order in page)
        after += sum(repricing.base_points(order, proposed) for order in page)
        orders += len(page)
        if progress is not None:
            progress(orders)
        page, cursor = _page(rt, since, cursor, min(PAGE_ORDERS, max(1, orders_max - orders)))
    return Cost(
        orders=orders,
        days=ESTIMATE_DAYS,
        is_part=bool(page),
        before_points=before,
        after_points=after,
        before_kopecks=before * active.programme.point_value_kopecks,
        after_kopecks=after * proposed.point_value_kopecks,
    )


def _in_force_points(active: ActiveRules, order: PastOrder) -> int:
    """An order that the rules in force have counted needs no second counting."""
    if order.rules_version == active.version:
        return order.accrued
    return repricing.base_points(order, active.programme)


def _page(rt: Runtime, since: datetime, before: int | None, limit: int) -> tuple[Sequence[PastOrder], int | None]:
    with rt.db.begin() as tx:
        return planning.counted_since(tx, since, before=before, limit=limit)


def _file_warnings(rt: Runtime) -> list[str]:
    """What `kopilka check` warns of, in one line each."""
    checked = check_programme(rt.file.path, rt.settings.environment, now=rt.now())
    return [f"строка {one.line}: {one.message}; {one.fix}" for one in checked.problems if one.severity == "warning"]


def _warnings(old: Programme, new: Programme, counted: Mapping[str | None, int], *, now: datetime) -> list[str]:
    """What the list of changes alone does not tell."""
    known = {rule.code for rule in new.segments}
    found = [
        f"В сегменте «{rule.title}», которого больше не будет, участников: {counted[rule.code]}"
        for rule in old.segments
        if rule.code not in known and counted.get(rule.code, 0) > 0
    ]
    if old.point_value_kopecks != new.point_value_kopecks:
        found.append("Меняется цена балла: уже накопленные баллы сразу станут стоить иначе")
    limits = ("accruals_per_day", "points_per_day", "points_per_period", "period")
    if any(getattr(old.limits, name) != getattr(new.limits, name) for name in limits):
        found.append("Пределы на день и период в оценке не пересчитаны: взяты те, что действовали тогда")
    renamed = gifts.renamed(old.gifts.holidays, new.gifts.holidays, timezone=new.timezone, now=now)
    found += [
        f"Подарок «{before}» ещё действует, а теперь называется «{after}»: его получат ещё раз и те, у кого он уже "
        "есть. Оставьте прежнее название, пока он не кончится"
        for before, after in renamed
    ]
    return found


def _application(one: Applied, earlier: Applied | None) -> Application:
    found = () if earlier is None else changes_between(earlier.programme, one.programme)
    return Application(one.id, one.version, one.applied_by, one.applied_at, found)
