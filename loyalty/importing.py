"""What becomes of one row of a table of old balances: a new member, an addition to a known one, or a reason why not.

Pure. Owns the verdict and the lots of an opening balance; rows are read by `flows/importing_rows.py`, members found by
`flows/importing.py`. One person is credited once for each import, whatever the file says later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from loyalty import calendar
from loyalty.importing_cells import NEVER
from loyalty.ledger import LotOpening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from loyalty.account import Account, Cause
    from loyalty.rules import Duration

NameKind = Literal["phone", "contact", "card", "email"]
Name = tuple[NameKind, str]
Outcome = Literal["new", "update", "same", "changed", "credited", "duplicate", "summed", "ambiguous", "error"]
REJECTED: frozenset[Outcome] = frozenset({"credited", "duplicate", "ambiguous", "error"})
"""A person must mend these rows."""

RULE = "import.balance"
_KEY = "import"
DIGEST_CHARS = 32


@dataclass(frozen=True)
class Part:
    """Points with their last valid day; None: as the rules say."""

    points: int
    expires_on: date | None = None


@dataclass(frozen=True)
class Row:
    """One row as it was read. `names` by which the person is known, the surest first; `cells` as they stood; `trouble`:
    why it cannot be used; `dropped`: the fraction of a point that was left out."""

    number: int
    cells: tuple[str, ...]
    names: tuple[Name, ...] = ()
    name: str = ""
    birthday: date | None = None
    segment_code: str | None = None
    part: Part = Part(0)
    dropped: str = "0"
    trouble: str | None = None

    def of(self, kind: NameKind) -> list[str]:
        return [value for found, value in self.names if found == kind]


@dataclass(frozen=True)
class Repeat:
    """A person who stands in the file more than once. `conflict`: why the rows cannot stay; else the first of them
    brings the `parts` of all."""

    conflict: str | None
    is_first: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Person:
    """A living member, as far as a row may complete him."""

    id: int
    name: str
    contact_ref: int | None
    card_number: str
    birthday: date | None
    manual_segment_code: str | None
    names: frozenset[Name]


@dataclass(frozen=True)
class Known:
    """What the book knows of a few rows: members by name, and what imports have credited, by member and key.
    `owners`: who has the lot of a key now."""

    ids: Mapping[Name, tuple[int, ...]] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    credited: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Additions:
    """What a known member lacks and the row has."""

    names: tuple[Name, ...] = ()
    name: str = ""
    birthday: date | None = None
    contact_ref: int | None = None
    segment_code: str | None = None

    def __bool__(self) -> bool:
        return self != _NOTHING


_NOTHING = Additions()


@dataclass(frozen=True)
class Verdict:
    """`parts`: points to credit. `elsewhere`: other imports that have credited this member; without the owner's word
    that is a reason to leave him out. `is_card_kept`: the row names another card than he has; his own stays."""

    outcome: Outcome
    reason: str = ""
    member_id: int | None = None
    parts: tuple[Part, ...] = ()
    adds: Additions = _NOTHING
    elsewhere: tuple[str, ...] = ()
    is_card_kept: bool = False

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)


@dataclass(frozen=True)
class Terms:
    """When the points were brought, and how long they live if the row does not say it."""

    at: datetime
    timezone: str
    lifetime: Duration | None
    rules_version: str


def key_of(import_name: str, name: Name) -> str:
    """The ledger's key of a person in an import: without his phone in clear."""
    digest = sha256(f"{name[0]}:{name[1]}".encode()).hexdigest()[:DIGEST_CHARS]
    return f"{_KEY}:{import_name}:{digest}"


def import_of(key: str) -> str:
    """The import that a key belongs to."""
    return key.split(":")[1]


def judge(row: Row, known: Known, repeat: Repeat | None, import_name: str, *, also_credited: bool = False) -> Verdict:
    """What to do with the row; `also_credited`: even if another import has credited its person. The caller holds the
    locks of those it names, or only shows a plan."""
    refused = _refused_by_itself(row, repeat)
    if refused is not None:
        return refused
    parts = (row.part,) if repeat is None else repeat.parts
    wanted = tuple(part for part in parts if part.points > 0)
    key = key_of(import_name, row.names[0])
    ids = _same_person(row, known)
    if len(ids) > 1:
        members = ", ".join(map(str, sorted(ids)))
        return Verdict("ambiguous", f"подходят участники {members}: объедините их (kopilka member merge) или уточните")
    if ids:
        verdict = _for_known(row, known, known.people[next(iter(ids))], wanted, key)
        return verdict if also_credited or not verdict.parts or not verdict.elsewhere else _credited_elsewhere(verdict)
    if key in known.owners:
        return _credited_before(known, known.owners[key], wanted, key)
    return Verdict("new", parts=wanted)


def is_credited(row: Row, known: Known, member_id: int, import_name: str) -> bool:
    """Whether this very row has brought this member his points: of two merged members each has a row."""
    return key_of(import_name, row.names[0]) in known.credited.get(member_id, {})


def _refused_by_itself(row: Row, repeat: Repeat | None) -> Verdict | None:
    if row.trouble is not None:
        return Verdict("error", row.trouble)
    if repeat is not None and repeat.conflict is not None:
        return Verdict("duplicate", repeat.conflict)
    if repeat is not None and not repeat.is_first:
        return Verdict("summed", "сложено с первой строкой этого покупателя")
    return None


def open_balance(account: Account, parts: Sequence[Part], key: str, terms: Terms, cause: Cause) -> None:
    """Points of a former programme: available at once, a lot for each end; a debt is paid first. Parts that end on the
    same day are one lot."""
    by_end: dict[datetime | None, int] = {}
    for part in parts:
        ends_at = expires_at(part, terms)
        by_end[ends_at] = by_end.get(ends_at, 0) + part.points
    for number, (ends_at, points) in enumerate(by_end.items(), start=1):
        lot_key = key if number == 1 else f"{key}:{number}"
        lot = account.open(LotOpening(lot_key, "opening", None, terms.rules_version, terms.at, ends_at))
        account.move("opening", points, ("opening", "available"), key=lot_key, cause=cause, lot=lot)
        account.settle(lot_key)


def expires_at(part: Part, terms: Terms) -> datetime | None:
    """The first instant the points are no longer valid: the day after their last one."""
    if part.expires_on == NEVER:
        return None
    if part.expires_on is not None:
        return calendar.start_of_day(part.expires_on + timedelta(days=1), terms.timezone)
    return calendar.expiry_at(terms.at, terms.lifetime, terms.timezone)


def _same_person(row: Row, known: Known) -> set[int]:
    """Whom the row names: nobody, one, or several who cannot be told apart by its names together."""
    found = [set(known.ids[name]) for name in row.names if known.ids.get(name)]
    everybody = set().union(*found)
    common = set.intersection(*found) if found else set()
    return common if len(common) == 1 else everybody


def _for_known(row: Row, known: Known, person: Person, wanted: tuple[Part, ...], key: str) -> Verdict:
    import_name = import_of(key)
    contacts = row.of("contact")
    if contacts and person.contact_ref is not None and not known.ids.get(("contact", contacts[0])):
        reason = f"участник {person.id} связан с контактом {person.contact_ref}, а в строке {contacts[0]}: уточните"
        return Verdict("ambiguous", reason, person.id)
    credited = known.credited.get(person.id, {})
    elsewhere = tuple(sorted({import_of(one) for one in credited} - {import_name}))
    cards = row.of("card")
    is_card_kept = bool(cards) and not known.ids.get(("card", cards[0])) and cards[0] != person.card_number
    if any(import_of(one) == import_name for one in credited) or key in known.owners:
        before = _credited_before(known, person.id, wanted, key)
        if before.outcome == "changed":
            return before
        wanted = ()
    adds = _additions(row, person)
    outcome: Outcome = "update" if adds or wanted else "same"
    return Verdict(
        outcome, member_id=person.id, parts=wanted, adds=adds, elsewhere=elsewhere, is_card_kept=is_card_kept
    )


def _credited_elsewhere(verdict: Verdict) -> Verdict:
    """The same table under another name looks just like a second programme: only a person knows which it is."""
    names = ", ".join(f"«{one}»" for one in verdict.elsewhere)
    reason = (
        f"остаток участника {verdict.member_id} уже внёс импорт {names}: если это он же, ничего не нужно, если другой "
        "остаток, повторите с --also-credited"
    )
    return Verdict("credited", reason, verdict.member_id, elsewhere=verdict.elsewhere)


def _credited_before(known: Known, owner_id: int, wanted: tuple[Part, ...], key: str) -> Verdict:
    """Once for ever: an equal balance is done, another one is a matter for a person. Of members who were merged each
    row may be one."""
    import_name = import_of(key)
    sums: dict[str, int] = {}
    for holder in {owner_id, known.owners.get(key, owner_id)}:
        for one, points in known.credited.get(holder, {}).items():
            if import_of(one) == import_name:
                base = ":".join(one.split(":")[:3])
                sums[base] = sums.get(base, 0) + points
    points = sum(part.points for part in wanted)
    given = sums.get(key, sum(sums.values()))
    if points in (given, sum(sums.values()), *sums.values()):
        return Verdict("same", member_id=owner_id)
    reason = f"в файле {points}, внесено {given}: не меняем; разницу внесите kopilka member adjust {owner_id}"
    return Verdict("changed", reason, owner_id)


def _additions(row: Row, person: Person) -> Additions:
    contacts = row.of("contact")
    return Additions(
        names=tuple(name for name in row.names if name[0] in ("phone", "email") and name not in person.names),
        name=row.name if not person.name else "",
        birthday=row.birthday if person.birthday is None else None,
        contact_ref=int(contacts[0]) if contacts and person.contact_ref is None else None,
        segment_code=row.segment_code if person.manual_segment_code is None else None,
    )
