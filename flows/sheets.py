"""What programs are told of a member, a hold and an order: each read in one place and one transaction.

Reads only; the words of a statement are `explaining.py`, what may be changed is other flows' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flows import explaining, people, phones, shop
from flows.refusals import BadBirthday, HoldNotFound
from loyalty import burning
from loyalty.segments import by_code
from storage import addresses, holds, ledger, lots, orders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from flows.explaining import Cited
    from flows.holds import Held
    from flows.people import Names, Person
    from flows.runtime import Runtime
    from flows.shop import OrderResult
    from loyalty.burning import Burn
    from loyalty.programme import Programme
    from storage.holds import Hold
    from storage.ledger import StatementLine
    from storage.members import Member

LINES_SHOWN = 100


@dataclass(frozen=True)
class MemberSheet:
    """A member as a program may see him: phones are masked. `burns` sum to his available points, soonest first;
    `lines` are his latest transfers, newest first, each with its words; `duplicates` are perhaps the same person."""

    member: Member
    phones: Sequence[str]
    segment_title: str | None
    burns: Sequence[Burn]
    duplicates: Sequence[int]
    lines: Sequence[tuple[StatementLine, Cited]]

    @property
    def next_burn(self) -> Burn | None:
        return next((one for one in self.burns if one.on is not None), None)


@dataclass(frozen=True)
class HoldSheet:
    """A hold and the shop's own name of its order. `due_kopecks`: what is left to pay in money; `confirm`: what must be
    told before the points may be spent."""

    hold: Hold
    order_ref: str | None
    due_kopecks: int
    confirm: str


@dataclass(frozen=True)
class OrderSheet:
    """An order and the name of the hold that lies on it."""

    result: OrderResult
    hold_public_id: str | None


def member_id(rt: Runtime, names: Names) -> int:
    """Raises MemberNotFound, SeveralMembers, BadPhone, BadEmail."""
    with rt.db.begin() as tx:
        return people.find(tx, names).id


def member(rt: Runtime, names: Names) -> MemberSheet:
    """Raises MemberNotFound, SeveralMembers, BadPhone, BadEmail."""
    with rt.db.begin() as tx:
        return _member(tx, rt, people.find(tx, names))


def new_member(rt: Runtime, person: Person, seal: Callable[[sa.Connection, MemberSheet], None]) -> MemberSheet:
    """Makes the member and shows him as `seal` was told of him in the very transaction that made him: a second call
    would find him there and refuse. Raises MemberExists, BadPhone, BadEmail, BadBirthday."""
    if person.birthday is not None and person.birthday > rt.now().astimezone(ZoneInfo(rt.programme.timezone)).date():
        raise BadBirthday
    shown: list[MemberSheet] = []

    def sealed(tx: sa.Connection, made: Member) -> None:
        shown.append(_member(tx, rt, made))
        seal(tx, shown[-1])

    people.create(rt, person, seal=sealed)
    return shown[-1]


def hold(rt: Runtime, public_id: str) -> HoldSheet:
    """Raises HoldNotFound."""
    with rt.db.begin() as tx:
        found = holds.by_public_id(tx, public_id)
        if found is None:
            raise HoldNotFound
        order = orders.by_ids(tx, [found.order_id])[found.order_id]
        programme = rt.programme_of(tx, found.rules_version)
    return _hold(rt, found, order.shop_ref, programme)


def held(rt: Runtime, made: Held, order_ref: str) -> HoldSheet:
    """A hold that was made just now for the shop's order."""
    return _hold(rt, made.hold, order_ref, made.quote.programme)


def confirmation(rt: Runtime, found: Hold) -> str:
    """What is still asked before the held points may be spent: none, code or pin."""
    if found.state != "unconfirmed" or rt.programme.redeem is None:
        return "none"
    return rt.programme.redeem.confirm


def order(rt: Runtime, order_ref: str) -> OrderSheet:
    """Raises OrderNotFound."""
    result = shop.look(rt, order_ref)
    if result.order.hold_id is None:
        return OrderSheet(result, None)
    with rt.db.begin() as tx:
        return OrderSheet(result, holds.by_id(tx, result.order.hold_id).public_id)


def first_event(result: OrderResult) -> str | None:
    """The event by which the shop was told of the order's first points (`book.py` names events after their moves)."""
    return next((f"evt_{line.key}" for line in result.moved if line.move in ("accrue", "welcome")), None)


def _hold(rt: Runtime, found: Hold, order_ref: str | None, programme: Programme) -> HoldSheet:
    return HoldSheet(
        hold=found,
        order_ref=order_ref,
        due_kopecks=found.total_kopecks - found.points * programme.point_value_kopecks,
        confirm=confirmation(rt, found),
    )


def _member(tx: sa.Connection, rt: Runtime, found: Member) -> MemberSheet:
    segment = by_code(found.segment_code, rt.programme.segments)
    lines = ledger.statement(tx, found.id, limit=LINES_SHOWN)
    return MemberSheet(
        member=found,
        phones=[phones.masked(one) for one in addresses.of_member(tx, found.id, "phone")],
        segment_title=None if segment is None else segment.title,
        burns=burning.schedule(lots.all_open(tx, found.id), rt.programme.timezone),
        duplicates=people.duplicates_of(tx, found),
        lines=list(zip(lines, explaining.cited(tx, rt, lines), strict=True)),
    )
