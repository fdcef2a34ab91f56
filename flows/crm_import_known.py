"""Members whom an import recognises by phone: they get their contact, and no second member is made of it.

Owns the rule for a whole account at once; for one contact it is `people.recognise`, and both must say the same. Who is
not sure stays apart and is told to the owner.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flows import book
from flows.people import may_be_same_name
from storage import crm_import_known as storage
from storage import importing, outbox
from storage.crm_import_writing import lock_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from flows.jobs import Progress, Run
    from flows.runtime import Runtime
    from storage.crm_import_known import Match

CHUNK = 500


def matches(rt: Runtime) -> Sequence[Match]:
    """Each contact with the member he surely is; nobody is matched twice."""
    with rt.db.begin() as tx:
        found = [one for one in storage.all_matches(tx) if may_be_same_name(one.contact_name, one.member_name)]
    wanted = Counter(one.member_id for one in found)
    return [one for one in found if wanted[one.member_id] == 1]


def recognise(run: Run, *, push: bool) -> Iterator[None]:
    """Links them. A run that was killed finds those who are left."""
    found = matches(run.rt)
    if run.is_new:
        run.begin(len(found))
    for begin in range(0, len(found), CHUNK):
        run.piece(_linked(run, found[begin : begin + CHUNK], push=push))
        yield


def _linked(run: Run, chunk: Sequence[Match], *, push: bool) -> Callable[[sa.Connection], Progress]:
    rt = run.rt

    def work(tx: sa.Connection) -> Progress:
        now = rt.now()
        importing.lock_names(tx, [("phone", phone) for one in chunk for phone in one.phones])
        lock_members(tx, sorted(one.member_id for one in chunk))
        agreed = {(one.contact_ref, one.member_id) for one in chunk}
        still = storage.matches(tx, [one.contact_ref for one in chunk])
        linked = [one for one in still if (one.contact_ref, one.member_id) in agreed]
        storage.link(tx, linked, now=now)
        if push and linked:
            kinds, ids = book.shown_by(rt), sorted(one.member_id for one in linked)
            outbox.lock_marks(tx, kinds, ids)
            outbox.add_kinds(tx, kinds, ids, now=now)
        return run.progress.plus(done=len(chunk), recognised=len(linked))

    return work
