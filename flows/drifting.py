"""The CRM against the ledger, a part of the members each night: a field that somebody changed or lost is put right.

What was pushed is remembered and not read again, so only a look at the contact itself finds such a field. Reads as many
contacts as a quarter of a minute of the CRM's speed allows; the next night goes on from there, round and round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from connector.amocrm.api import READ_BATCH
from connector.amocrm.contacts import contact_diff
from connector.errors import ConnectorError, NeedsReauth
from flows import bonus_drift, consent_fields, crm_fields
from flows.settle import SetupIncomplete
from storage import drift, lots, members, outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connector.amocrm.client import AmoCrm
    from flows.jobs import Run
    from flows.runtime import Runtime

BATCHES_A_NIGHT = 100
PLACE = "drift"

_log = structlog.get_logger(__name__)


def look(run: Run) -> Iterator[None]:
    """The job. Counts contacts compared, those that differed and those that are gone."""
    rt = run.rt
    if rt.crm is None:
        return
    yield from bonus_drift.look(run)
    after = int((rt.directory.recall(PLACE) or {}).get("after", 0))
    try:
        ids = crm_fields.field_ids(rt, rt.crm)
        for _ in range(BATCHES_A_NIGHT):
            with rt.db.begin() as tx:
                batch = drift.next_told(tx, after=after, limit=READ_BATCH)
            if batch:
                counts = _compare(rt, rt.crm, batch, ids)
                done, (drifted, gone) = len(batch), counts
                progress = run.progress.plus(done=done, members=done, drifted=drifted, gone=gone)
                run.piece(lambda _tx, progress=progress: progress)  # type: ignore[misc]
            after = batch[-1] if len(batch) == READ_BATCH else 0  # the end of the members: round again
            rt.directory.put(PLACE, {"after": after})
            yield
            if after == 0:
                return
    except (SetupIncomplete, NeedsReauth, ConnectorError) as failure:  # tomorrow goes on from the same place
        _log.warning("drift_stopped", error=type(failure).__name__)


def summary(counts: Mapping[str, int]) -> str:
    parts = [f"сверено контактов: {counts.get('members', 0)}", f"исправляем: {counts.get('drifted', 0)}"]
    gone = [f"контакта нет: {counts['gone']}"] if counts.get("gone") else []
    return ", ".join([*parts, *gone, *bonus_drift.summary(counts)])


def _compare(rt: Runtime, crm: AmoCrm, batch: Sequence[int], ids: Mapping[str, int]) -> tuple[int, int]:
    """How many contacts differ, and how many are gone."""
    with rt.db.begin() as tx:
        refs = {one.id: one.contact_ref for one in members.by_ids(tx, batch).values() if one.contact_ref is not None}
    read_at = rt.now()
    contacts = crm.contacts(list(refs.values()))
    consent_fields.look(rt, crm, contacts.values(), read_at)
    with rt.db.begin() as tx:  # read after the contacts: what changed meanwhile is told by its own delivery
        found = members.by_ids(tx, batch)
        burns = lots.next_burns(tx, set(batch))
        drifted = []
        for member in found.values():
            contact = contacts.get(refs.get(member.id, 0))
            if contact is None or member.contact_ref != contact.id:
                continue  # gone, or erased since
            wanted = crm_fields.wanted_fields(rt, member, burns.get(member.id))
            if contact_diff(contact, {ids[key]: value for key, value in wanted.items() if key in ids}) is not None:
                drifted.append(member.id)
        drift.forget(tx, drifted)
        outbox.add(tx, "crm", drifted, now=rt.now())
    if drifted:
        rt.bell.ring("outbox", 0)
    return len(drifted), sum(1 for ref in refs.values() if ref not in contacts)
