"""The contact's fields «Не звонить» and «Не присылать предложения»: managers tick them, and they show what the ledger
of consent says.

Owns whose word is the newer one. A field is compared with what it was last seen to say: only a difference is a
manager's word, and a field that was never ticked by anybody is never unticked. Before each write of ours the contact is
read; a write is remembered before it leaves, so our own tick is not taken for his. Where two words cross and nobody can
tell which came first, the withdrawal stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.amocrm.fields import DIRECTORY_NAME as FIELDS_ENTRY
from connector.amocrm.values import same_value
from flows import consents, crm_fields
from flows.settle import UNSURE_FOR
from storage import consents as ledger
from storage import members, outbox
from storage.consents import Tick

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.contacts import Contact
    from connector.amocrm.hooks import HookEntity
    from flows.runtime import Runtime
    from storage.consents import Channel, Word
    from storage.members import Member

CHANNELS: Mapping[str, Sequence[Channel]] = {"no_calls": consents.CALL, "no_offers": consents.OFFERS}
CLOCKS_DIFFER = timedelta(seconds=2)
"""Between the CRM's clock, which tells whole seconds, and ours."""


@dataclass(frozen=True)
class Reading:
    """Contacts that were read not before `at`. `ids`: our fields that the account has, by role."""

    at: datetime
    ids: Mapping[str, int]


Pushes = dict[int, dict[int, bool]]
"""What the fields of contacts should say and do not: by contact, by field."""


def are_kept(rt: Runtime) -> bool:
    """Whether the rules file names one of the fields."""
    return rt.crm is not None and not CHANNELS.keys().isdisjoint(rt.crm_names.contact_fields)


def ids(rt: Runtime, crm: AmoCrm) -> dict[str, int]:
    """Raises ConnectorError, SetupIncomplete."""
    return _ours(crm_fields.field_ids(rt, crm)) if are_kept(rt) else {}


def read_at(rt: Runtime, crm: AmoCrm, contacts: Collection[Contact], at: datetime) -> Reading:
    """What was read, with the fields that may be believed. A field that a person deleted looks unticked everywhere:
    that takes nobody's word back. Raises ConnectorError, SetupIncomplete."""
    found = ids(rt, crm)
    if not found:
        return Reading(at, {})
    with rt.db.begin() as tx:
        ticks = ledger.ticks(tx, [one.id for one in contacts], list(found.values()))
    by_id = {one.id: one for one in contacts}
    if any(tick.is_ticked and not _is_ticked(by_id[tick.contact_ref], tick.field_ref) for tick in ticks.values()):
        existing = {one.id for one in crm.fields("contacts")}
        if not existing.issuperset(found.values()):
            rt.directory.put(FIELDS_ENTRY, {})
            found = {role: field_id for role, field_id in found.items() if field_id in existing}
    return Reading(at, found)


def differing(tx: sa.Connection, reading: Reading, contacts: Iterable[Contact]) -> list[Contact]:
    """Those contacts whose fields say another thing than when they were last seen."""
    found = list(contacts)
    ticks = ledger.ticks(tx, [one.id for one in found], list(reading.ids.values()))
    return [
        one
        for one in found
        if any(
            _is_ticked(one, field_id) != _was_ticked(ticks.get((one.id, field_id))) for field_id in reading.ids.values()
        )
    ]


def worth_reading(rt: Runtime, tx: sa.Connection, told: Iterable[HookEntity]) -> list[int]:
    """Contacts of members whose hook tells of other ticks than we know. A hook is only a hint: who forges one makes us
    read, what it leaves out the catching up finds."""
    entry = rt.directory.recall(FIELDS_ENTRY) or {}
    found = _ours({role: one["id"] for role, one in entry.items() if isinstance(one, dict) and "id" in one})
    if not found or not are_kept(rt):
        return []
    by_id = {one.id: one for one in told}
    ticks = ledger.ticks(tx, by_id, list(found.values()))
    changed = [
        one.id
        for one in by_id.values()
        if any((field in one.ticked) != _was_ticked(ticks.get((one.id, field))) for field in found.values())
    ]
    return sorted(members.known_contacts(tx, changed))


def unsettled(tx: sa.Connection, found: Mapping[str, int], some: Collection[Member]) -> set[int]:
    """Members with a word that their contact was not read after, or does not show. Before writing it must be read."""
    if not found:
        return set()
    words = ledger.standing(tx, {_person(one) for one in some})
    ticks = ledger.ticks(tx, [one.contact for one in some], list(found.values()))
    return {
        one.id
        for one in some
        for role, field in found.items()
        if (newest := _newest(role, words[_person(one)])) is not None
        and not _is_settled(ticks.get((one.contact, field)), newest, _wanted(role, words[_person(one)]))
    }


def hear(tx: sa.Connection, rt: Runtime, contact: Contact, reading: Reading) -> bool:
    """Takes over what a manager ticked or unticked. Returns whether it was a word of his."""
    known = members.by_contact(tx, contact.id)
    if known is None or not reading.ids:
        return False
    member = consents.lock(tx, known.id)
    ticks = ledger.ticks(tx, [contact.id], list(reading.ids.values()))
    is_heard = [
        _hear_field(tx, rt, member, contact, reading, role, ticks.get((contact.id, field)))
        for role, field in reading.ids.items()
    ]
    return any(is_heard)


def look(rt: Runtime, crm: AmoCrm, contacts: Collection[Contact], at: datetime) -> int:
    """The same for many contacts that were read not before `at`; only those that differ cost a transaction. Returns how
    many were heard. Raises ConnectorError, SetupIncomplete."""
    if not contacts or not are_kept(rt):
        return 0
    reading = read_at(rt, crm, contacts, at)
    with rt.db.begin() as tx:
        changed = differing(tx, reading, contacts)
    heard = 0
    for contact in changed:
        heard += rt.db.run(lambda tx, contact=contact: hear(tx, rt, contact, reading))  # type: ignore[misc]
    return heard


def meet(rt: Runtime, crm: AmoCrm, contacts: Collection[Contact], at: datetime) -> Pushes:
    """Of contacts just read: first what managers said, then what the fields still lack. Raises ConnectorError."""
    if not contacts or not are_kept(rt):
        return {}
    reading = read_at(rt, crm, contacts, at)
    with rt.db.begin() as tx:
        people = {one.id: person.id for one in contacts if (person := members.by_contact(tx, one.id)) is not None}
        words = ledger.standing(tx, people.values())
        changed = {one.id for one in differing(tx, reading, contacts)}
    pushes: Pushes = {}
    for contact in contacts:
        person_id = people.get(contact.id)
        if person_id is None or (contact.id not in changed and not words[person_id]):
            continue

        def work(tx: sa.Connection, contact: Contact = contact, person_id: int = person_id) -> dict[int, bool]:
            hear(tx, rt, contact, reading)
            return _lacking(contact, reading, ledger.standing(tx, [person_id])[person_id])

        lacking = rt.db.run(work)
        if lacking:
            pushes[contact.id] = lacking
    return pushes


def begin(rt: Runtime, pushes: Pushes) -> None:
    """Right before the write: whoever reads the contact from now on may find it."""
    _save(rt, pushes, is_done=False)


def done(rt: Runtime, pushes: Pushes) -> None:
    """The fields say it now."""
    _save(rt, pushes, is_done=True)


def _save(rt: Runtime, pushes: Pushes, *, is_done: bool) -> None:
    if not pushes:
        return
    now = rt.now()
    with rt.db.begin() as tx:
        for contact_ref in sorted(pushes):
            for field_ref, value in sorted(pushes[contact_ref].items()):
                if is_done:
                    tick = Tick(contact_ref, field_ref, value, seen_at=now)
                else:
                    tick = Tick(contact_ref, field_ref, not value, seen_at=now, pushing_since=now)
                ledger.save_tick(tx, tick)


def _hear_field(
    tx: sa.Connection, rt: Runtime, member: Member, contact: Contact, reading: Reading, role: str, tick: Tick | None
) -> bool:
    field_ref, words = reading.ids[role], ledger.standing(tx, [member.id])[member.id]
    newest = _newest(role, words)
    is_ticked = _is_ticked(contact, field_ref)
    if tick is not None and tick.seen_at > reading.at:  # written or read since: this reading is of the past
        return False
    if tick is None and not is_ticked and newest is None:
        return False
    is_same = is_ticked == _was_ticked(tick)
    since = tick.pushing_since if tick is not None else None
    may_still_land = since is not None and reading.at <= since + UNSURE_FOR
    ledger.save_tick(
        tx, Tick(contact.id, field_ref, is_ticked, reading.at, since if is_same and may_still_land else None)
    )
    if is_same:
        return False
    is_ours = since is not None and _is_before(contact, since + UNSURE_FOR)
    if is_ours or not _is_believed(contact, tick, newest, is_ticked=is_ticked):
        if _wanted(role, words) not in (None, is_ticked):  # the newer word goes back into the field
            outbox.add(tx, "crm", [member.id], now=rt.now())
        return False
    title = rt.crm_names.contact_fields[role]  # type: ignore[index]
    proof = f"поле «{title}» контакта {contact.id} {'отмечено' if is_ticked else 'снято'}"
    say = consents.withdraw if is_ticked else consents.give
    channels = CHANNELS[role] if is_ticked else _given_back(role, words)
    say(tx, rt, member.id, channels, source="crm", evidence=proof, at=reading.at)
    return True


def _given_back(role: str, words: Mapping[Channel, Word]) -> Sequence[Channel]:
    """Unticking takes back what the tick said. What the person refused elsewhere stays refused, or a tick by mistake
    and its mending would undo it; unless all was said elsewhere: then it is that what the manager takes back."""
    by_tick = [one for one in CHANNELS[role] if one in words and words[one].source == "crm"]
    return by_tick or CHANNELS[role]


def _is_believed(contact: Contact, tick: Tick | None, newest: datetime | None, *, is_ticked: bool) -> bool:
    """Against the newest word that we have. One from between the last look and this one may be newer or older."""
    if newest is None or (tick is not None and newest <= tick.seen_at):
        return True
    return is_ticked and not _is_before(contact, newest - CLOCKS_DIFFER)


def _is_before(contact: Contact, moment: datetime) -> bool:
    """Whether the contact, and so the field, was changed before then for the last time."""
    return contact.updated_at is not None and contact.updated_at < moment


def _lacking(contact: Contact, reading: Reading, words: Mapping[Channel, Word]) -> dict[int, bool]:
    wanted = {field: value for role, field in reading.ids.items() if (value := _wanted(role, words)) is not None}
    return {field: value for field, value in wanted.items() if _is_ticked(contact, field) != value}


def _wanted(role: str, words: Mapping[Channel, Word]) -> bool | None:
    """None: nobody has said anything, so the field is not ours to change."""
    told = [words[one] for one in CHANNELS[role] if one in words]
    if not told:
        return None
    return len(told) == len(CHANNELS[role]) and not any(one.is_given for one in told)


def _newest(role: str, words: Mapping[Channel, Word]) -> datetime | None:
    return max((words[one].at for one in CHANNELS[role] if one in words), default=None)


def _is_settled(tick: Tick | None, newest: datetime, wanted: bool | None) -> bool:
    return tick is not None and tick.seen_at >= newest and tick.is_ticked == wanted


def _was_ticked(tick: Tick | None) -> bool:
    return tick is not None and tick.is_ticked


def _is_ticked(contact: Contact, field_ref: int) -> bool:
    return same_value(True, contact.field_values.get(field_ref))


def _ours(found: Mapping[str, int]) -> dict[str, int]:
    return {role: field_id for role, field_id in found.items() if role in CHANNELS}


def _person(member: Member) -> int:
    return member.id if member.merged_into_id is None else member.merged_into_id
