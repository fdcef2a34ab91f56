"""The answer to a buyer who asks for his data: all of it in one document, or taking out of it who he is.

Erasing leaves the ledger, the orders and the proofs of consent under a member's number: they are the shop's books. A
card that is installed stays a picture in the phone and shows no person. Source: specification of points, section 5.8
(152-FZ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows import book, google
from flows.explaining import LINES_MAX, cited
from flows.refusals import MemberNotFound
from storage import ledger, members, personal

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flows.runtime import Runtime

LINES = "ledger"


class HasReserve(Exception):
    """Points are reserved for an order: they would be nobody's."""


def collected(rt: Runtime, member_id: int) -> dict[str, Any]:
    """Everything kept about a member, plain data with instants and days as they are. Raises MemberNotFound."""
    with rt.db.begin() as tx:
        person = members.living(tx, member_id)
        if person is None:
            raise MemberNotFound
        found: dict[str, Any] = personal.parts(tx, person.id)
        lines: list[dict[str, Any]] = []
        before: int | None = None
        while page := ledger.statement(tx, person.id, limit=LINES_MAX, before=before):
            lines += [{"at": one.at, "points": one.line.points, "what": one.line.text} for one in cited(tx, rt, page)]
            before = page[-1].id
        return {**found, LINES: lines}


def erase(rt: Runtime, member_id: int) -> int:
    """Takes out who a member is. Returns the number under which his books stay. Raises MemberNotFound, HasReserve."""

    def work(tx: sa.Connection) -> int:
        person = members.living(tx, member_id)
        if person is None:
            raise MemberNotFound
        if book.lock(tx, person.id).balance.reserved:
            raise HasReserve
        for one in personal.people(tx, person.id):
            google.retire(tx, rt, one)
        personal.erase(tx, person.id, token=rt.new_card().token, now=rt.now())
        book.mark_out_of_date(tx, rt, person.id, now=rt.now())
        return person.id

    return book.run(rt, work)
