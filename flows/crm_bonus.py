"""amoCRM's native bonus points made equal to the points a member can spend. The ledger decides, amoCRM only shows.

A level: the difference is posted, and the balance that amoCRM answers is the truth. It tells its balance in no other
way and has no idempotency keys, so before each write every balance that may come of it is remembered. After a lost
answer several are possible; then one point is earned to see which it is, and the rest is put right. A balance that
none of our writes explains was moved by somebody else: it is kept as drift, and made equal to the ledger all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.errors import AccountUnpaid, ConnectorError, NotFound, Refused, WrongMode
from flows.settle import UNSURE_FOR, NotYet, SetupIncomplete, written_once
from storage import bots, outbox
from storage import crm_bonus as storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from flows.runtime import Runtime
    from storage.crm_bonus import Mirror, Standing

WRITES_MAX = 3
"""To one customer in one visit: a redemption that is refused, a look at what is there, the difference."""
LOOK_POINTS = 1
"""Earned to see the balance; redeeming would be refused at zero."""
MAYBE_MAX = 32
"""More possible balances than these are as good as not knowing."""
FIRST_LOOKS_MAX = 8
CUSTOMER_COMES_IN = timedelta(minutes=10)
"""A buyer's customer is made by another delivery, which calls for his points at once (`customers_came`). This is only
for one who died in between; while amoCRM is away all who wait come back so often."""

NO_CUSTOMER = "покупателя в CRM ещё нет"
BUSY = "прежняя запись ещё может дойти до amoCRM"
DONE = "бонусные баллы покупателя верны"
LEFT = "бонусные баллы покупателя двигает кто-то ещё: продолжим ночью или при следующем изменении"
GONE = "покупателя в CRM больше нет"


@dataclass(frozen=True)
class _Write:
    """A move under way. `before`: the balances that were possible; `number` tells it from later ones."""

    customer_ref: int
    number: int
    points: int
    before: tuple[int, ...]


def is_on(rt: Runtime) -> bool:
    return rt.crm is not None and rt.crm_names.bonus_points and rt.crm_names.customers


def refresh(rt: Runtime, member_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """Brings these members' native points up to date. Raises ConnectorError, SetupIncomplete, NotYet, ClaimLost."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена")
    if not is_on(rt):
        return dict.fromkeys(member_ids, "бонусные баллы amoCRM не ведём")
    with rt.db.begin() as tx:
        found = storage.standings(tx, member_ids)
        to_come = bots.with_fields_to_come(tx, member_ids)
    outcomes = dict.fromkeys(member_ids, "такого участника нет")
    for one in found:
        try:
            outcomes[one.member_id] = _refresh_one(rt, rt.crm, one, one.member_id in to_come, hold)
        except WrongMode as failure:
            raise SetupIncomplete(
                "Включите в amoCRM «Покупателей» и их бонусные баллы, или напишите amocrm.bonus_points: no"
            ) from failure
        except Refused as failure:
            if failure.retryable or len(member_ids) > 1:  # several are worked one by one
                raise
            raise NotYet(f"amoCRM не принимает бонусные баллы покупателя: {failure}") from failure
    return outcomes


def customers_came(rt: Runtime, member_ids: Sequence[int]) -> None:
    """These members have a customer now: he is told what they have."""
    if member_ids and is_on(rt):
        with rt.db.begin() as tx:
            outbox.lock_marks(tx, ["bonus"], member_ids)
            outbox.add(tx, "bonus", member_ids, now=rt.now())


def plan_again(tx: sa.Connection, outcomes: Mapping[int, str], *, now: datetime) -> None:
    """Those who have to wait, once their rows are finished."""
    for outcome, gap in ((NO_CUSTOMER, CUSTOMER_COMES_IN), (BUSY, UNSURE_FOR)):
        waiting = [member_id for member_id, told in outcomes.items() if told == outcome]
        outbox.add(tx, "bonus", waiting, now=now, due_at=now + gap)


def _refresh_one(rt: Runtime, crm: AmoCrm, one: Standing, is_to_come: bool, hold: Callable[[], None]) -> str:
    if one.customer_ref is None:
        return NO_CUSTOMER if is_to_come and one.wanted else "покупателя в CRM нет: баллы запишутся, когда он появится"
    if one.maybe == (one.wanted,) or (one.maybe is None and not one.wanted):
        return DONE
    must_look = False
    for _ in range(WRITES_MAX):
        hold()
        write = _begin(rt, one.customer_ref, look_first=must_look)
        if isinstance(write, str):
            return write
        try:
            balance = _send(rt, crm, write)
        except NotFound:
            return GONE
        must_look = balance is None
        if balance is not None and _learn(rt, one.member_id, write, balance):
            return DONE
    return LEFT


def _send(rt: Runtime, crm: AmoCrm, write: _Write) -> int | None:
    """amoCRM's balance after it; None: a redemption was refused, so there is less than we thought."""
    try:
        with written_once():
            balance = crm.move_bonus(write.customer_ref, write.points)
    except ConnectorError as failure:
        if not failure.ambiguous:
            _take_back(rt, write, is_gone=isinstance(failure, NotFound))
        if write.points < 0 and isinstance(failure, Refused) and not isinstance(failure, AccountUnpaid | NotFound):
            return None
        raise
    rt.failpoints.reach("bonus.after_write")
    return balance


def _begin(rt: Runtime, customer_ref: int, *, look_first: bool) -> _Write | str:
    """The next move, remembered as under way; or why there is none."""
    now = rt.now()
    with rt.db.begin() as tx:
        mirror = storage.lock(tx, customer_ref)
        wanted = storage.wanted(tx, customer_ref)
        if mirror is None:
            if not wanted:
                return DONE
            mirror = storage.open_mirror(tx, customer_ref)
        if _is_busy(mirror, now):
            return BUSY
        points = wanted - mirror.maybe[0] if len(mirror.maybe) == 1 and not look_first else LOOK_POINTS
        if not points:
            return DONE
        maybe = _with(mirror.maybe, points)
        number = storage.begin(tx, customer_ref, maybe=maybe, busy_until=now + UNSURE_FOR)
    return _Write(customer_ref, number, points, mirror.maybe)


def _is_busy(mirror: Mirror, now: datetime) -> bool:
    """A time further off than any write can take is a wrong clock's."""
    return mirror.busy_until is not None and now < mirror.busy_until <= now + UNSURE_FOR


def _with(maybe: Sequence[int], points: int) -> tuple[int, ...]:
    """The balances that are possible while nobody knows whether these points were moved."""
    found = sorted({*maybe, *(balance + points for balance in maybe)})
    return tuple(found) if len(found) <= MAYBE_MAX else ()


def _learn(rt: Runtime, member_id: int, write: _Write, balance: int) -> bool:
    """amoCRM has told its balance. Returns whether it is the one that is wanted."""
    found = balance - write.points
    with rt.db.begin() as tx:
        if not storage.end(tx, write.customer_ref, write.number, maybe=(balance,)):
            _doubt(tx, write)
            return False
        expected = min(write.before, key=lambda one: abs(one - found)) if write.before else None
        if expected is None:  # a look that ended unseen may be among what is found
            is_drift = write.number <= FIRST_LOOKS_MAX and not 0 <= found < write.number
        else:
            is_drift = expected != found
        if is_drift:
            storage.add_drift(
                tx,
                customer_ref=write.customer_ref,
                member_id=member_id,
                found_at=rt.now(),
                expected=expected,
                found=found,
            )
        return balance == storage.wanted(tx, write.customer_ref)


def _doubt(tx: sa.Connection, write: _Write) -> None:
    """We were so slow that another has written since: ours may have come after his answer."""
    mirror = storage.lock(tx, write.customer_ref)
    if mirror is not None:
        storage.doubt(tx, write.customer_ref, _with(mirror.maybe, write.points))


def _take_back(rt: Runtime, write: _Write, *, is_gone: bool) -> None:
    """amoCRM has clearly not done it; if the customer is gone, all that was known goes with him."""
    with rt.db.begin() as tx:
        if is_gone or write.number == 1:
            storage.forget(tx, write.customer_ref, write.number)
        else:
            storage.end(tx, write.customer_ref, write.number, maybe=write.before)
