"""Where every point came from: a member's statement and his balance at any moment, each line with its rule and place.

Reads only. The words are `loyalty.statement`, the member's names `people.py`. Lines of a page are those of the ledger,
one for each transfer, so whoever sums them gets the balance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import people
from flows.people import Names
from flows.refusals import BadPhone, Denied, MemberNotFound
from loyalty import burning
from loyalty import statement as wording
from loyalty.ledger import Balance
from loyalty.statement import Entry, order_name
from storage import ledger, lots, orders, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.burning import Burn
    from loyalty.explain import Line
    from loyalty.programme import Programme
    from loyalty.statement import Part
    from storage.ledger import StatementLine
    from storage.members import Member

LINES_MAX = 500
"""Lines of one page of a statement."""
DIGITS_MAX = 18
"""Of a member's number: what fits the database's type."""


@dataclass(frozen=True)
class Cited:
    """A line of the statement. `id` is the transfer's, `at` when it was written, `rule_line` where its rule stands in
    the rules file of its version; 0 where the file did not write it."""

    id: int
    at: datetime
    move: str
    line: Line
    rule_line: int


@dataclass(frozen=True)
class BalanceReport:
    """A member's balance at an instant and the lines that sum to it, oldest first, if they were asked for. What it is
    made of and when it burns is known for the present only."""

    member: Member
    at: datetime
    balance: Balance
    lines: tuple[Cited, ...]
    parts: tuple[Part, ...] = ()
    burns: tuple[Burn, ...] = ()


class NotYet(Denied):
    """A balance of the future is nobody's to know."""

    code, title = "not_yet", "Этот момент ещё не наступил"
    hint = "укажите прошедшую дату"


def statement(rt: Runtime, member_id: int, *, limit: int, before: int | None = None) -> tuple[Cited, ...]:
    """The member's latest lines, newest first; `before` is the id of the last line seen. Raises MemberNotFound."""
    with rt.db.begin() as tx:
        member = people.find(tx, Names(member_id=member_id))
        found = ledger.statement(tx, member.id, limit=min(limit, LINES_MAX), before=before)
        return cited(tx, rt, found)


def balance_at(rt: Runtime, member_id: int, at: datetime | None = None, *, with_lines: bool = True) -> BalanceReport:
    """The member's accounts as the transfers up to `at` make them; None: now. Without lines his history is
    not read out. Raises MemberNotFound, NotYet."""
    now = rt.now()
    if at is not None and at > now:
        raise NotYet
    with rt.db.begin() as tx:
        member = people.find(tx, Names(member_id=member_id))
        if with_lines:
            lines = cited(tx, rt, ledger.history(tx, member.id, until=at))
            report = BalanceReport(member, at or now, _sum(lines), lines)
        else:
            balance = member.balance if at is None else ledger.balance_at(tx, member.id, until=at)
            report = BalanceReport(member, at or now, balance, ())
        return report if at is not None else _made_of(tx, rt, report)


def member_named(rt: Runtime, text: str) -> int:
    """The member whose id, card number, phone or e-mail this is. Raises MemberNotFound, SeveralMembers, BadEmail."""
    with rt.db.begin() as tx:
        if "@" in text:
            return people.find(tx, Names(email=text)).id
        plain = "".join(text.split())
        for names in (Names(card=plain), Names(phone=text)):
            try:
                return people.find(tx, names).id
            except (MemberNotFound, BadPhone):
                continue
        if plain.isascii() and plain.isdigit() and len(plain) <= DIGITS_MAX:
            return people.find(tx, Names(member_id=int(plain))).id
        raise MemberNotFound


def member_of_contact(rt: Runtime, contact_ref: int) -> int:
    """The member of a contact of the CRM. Raises MemberNotFound."""
    with rt.db.begin() as tx:
        return people.find(tx, Names(contact=contact_ref)).id


def cited(tx: sa.Connection, rt: Runtime, found: Sequence[StatementLine]) -> tuple[Cited, ...]:
    """These transfers in words, in the same order."""
    versions = {line.rules_version for line in found}
    programmes = _programmes(tx, rt, versions)
    places = {version: _places(tx, rt, version) for version in versions}
    lines = wording.of_statement(
        [_entry(line) for line in found], programmes, timezone=rt.programme.timezone, forms=rt.point_forms
    )
    return tuple(
        Cited(one.id, one.recorded_at, one.move, line, places[one.rules_version].get(line.rule, 0))
        for one, line in zip(found, lines, strict=True)
    )


def _made_of(tx: sa.Connection, rt: Runtime, report: BalanceReport) -> BalanceReport:
    """The present balance with its pieces and its burn schedule."""
    found = lots.all_open(tx, report.member.id)
    known = orders.by_ids(tx, {lot.order_id for lot in found if lot.order_id is not None})
    names = {one.id: order_name(one.deal_ref, one.shop_ref) or "" for one in known.values()}
    zone = rt.programme.timezone
    parts = wording.of_lots(found, names, report.balance.debt, timezone=zone, now=report.at)
    burns = tuple(burning.schedule(found, zone))
    return BalanceReport(report.member, report.at, report.balance, report.lines, parts, burns)


def _programmes(tx: sa.Connection, rt: Runtime, versions: set[str]) -> Mapping[str, Programme]:
    """Rules by version; the present ones are at hand."""
    return {one: rt.programme if one == rt.rules_version else rt.programme_of(tx, one) for one in versions}


def _places(tx: sa.Connection, rt: Runtime, version: str) -> Mapping[str, int]:
    return rt.active.lines if version == rt.rules_version else rules.lines_of(tx, version)


def _sum(lines: Sequence[Cited]) -> Balance:
    changes = [one.line.change for one in lines]
    return Balance(
        pending=sum(one.pending for one in changes),
        available=sum(one.available for one in changes),
        reserved=sum(one.reserved for one in changes),
        debt=sum(one.debt for one in changes),
    )


def _entry(line: StatementLine) -> Entry:
    return Entry(
        move=line.move,
        debit=line.debit,
        credit=line.credit,
        points=line.points,
        occurred_at=line.occurred_at,
        rules_version=line.rules_version,
        rule=line.rule,
        lot_source=line.lot_source,
        lot_title=line.lot_title,
        deal_ref=line.deal_ref,
        shop_ref=line.shop_ref,
        channel=line.channel,
        actor=line.actor,
        reason=line.reason,
        activates_at=line.activates_at,
        expires_at=line.expires_at,
    )
