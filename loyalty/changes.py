"""What changes when one programme takes the place of another, in Russian, and whom each change concerns.

Owns the comparison: a walk over the dataclasses of the rules by the table of their names (`change_table.py`). Decides
nothing about points; how many members are concerned is counted by whoever knows them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from loyalty.change_table import FIELDS
from loyalty.change_words import Items, Part, Word
from loyalty.phrases import MEMBERS_AFFECTED
from loyalty.segments import by_code
from loyalty.wording import count_text, thousands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loyalty.change_words import Who
    from loyalty.programme import Programme

DESCRIBED_MAX = 6
"""Rules of an added section that are named; the file has the rest."""


@dataclass(frozen=True)
class Concerned:
    """Whom a change touches. `segments`: those codes only, None among them is «in no segment»; `unbought`: those whose
    first order is still to come, and everybody new."""

    kind: Literal["all", "segments", "birthday", "unbought", "new", "staff"]
    segments: frozenset[str | None] = frozenset()


@dataclass(frozen=True)
class Change:
    """`rule` is the path in the rules file; `text` says what was and what will be."""

    rule: str
    text: str
    concerned: Concerned


@dataclass(frozen=True)
class _Place:
    """Where the walk is: the path, the words that follow names here, whom rules here concern, and the list item it is
    in, as it was and as it will be."""

    path: str = ""
    of: str = ""
    who: Who = "all"
    item: tuple[Any, ...] = ()

    def under(self, key: str, *, of: str = "", who: Who | None = None, item: tuple[Any, ...] = ()) -> _Place:
        path = f"{self.path}.{key}" if self.path else key
        return _Place(path, of or self.of, who or self.who, item or self.item)


class _Walk:
    """One comparison of `old` with `new`."""

    def __init__(self, old: Programme, new: Programme) -> None:
        self.old = old
        self.new = new

    def compare(self, old: Any, new: Any, place: _Place) -> Iterator[Change]:
        """Every difference of two values of one dataclass."""
        for name, entry in FIELDS[type(new)].items():
            before, after = getattr(old, name), getattr(new, name)
            if before == after:
                continue
            if isinstance(entry, Word):
                yield self._word(entry, before, after, place.under(entry.key, who=entry.who))
            elif isinstance(entry, Part):
                yield from self._part(entry, before, after, place.under(entry.key, of=entry.of, who=entry.who))
            else:
                yield from self._items(entry, before, after, place)

    def _word(self, entry: Word, before: Any, after: Any, place: _Place) -> Change:
        name = f"{entry.name} {place.of}".rstrip()
        return self._change(f"Изменится {name}: {shown(entry, before)} → {shown(entry, after)}", place)

    def _part(self, entry: Part, before: Any, after: Any, place: _Place) -> Iterator[Change]:
        if before is None:
            yield self._change(f"Добавится {entry.title}{described(after)}", place)
        elif after is None:
            yield self._change(f"Уберётся {entry.title}", place)
        else:
            yield from self.compare(before, after, place)

    def _items(self, entry: Items, before: Any, after: Any, place: _Place) -> Iterator[Change]:
        old = {getattr(one, entry.by): one for one in before}
        new = {getattr(one, entry.by): one for one in after}
        for name in sorted(old.keys() | new.keys(), key=str):
            item = tuple(items[name] for items in (old, new) if name in items)
            here = place.under(f"{entry.key}.{name}", of=entry.of(item[-1]), who=entry.who, item=item)
            if name not in old:
                yield self._change(f"Добавится {entry.title(item[0])}{described(item[0], but=entry.by)}", here)
            elif name not in new:
                yield self._change(f"Уберётся {entry.title(item[0])}", here)
            elif old[name] != new[name]:
                yield from self.compare(old[name], new[name], here)

    def _change(self, text: str, place: _Place) -> Change:
        return Change(place.path, text, self._concerned(place.who, place.item))

    def _concerned(self, who: Who, item: tuple[Any, ...]) -> Concerned:
        if who == "segment":
            return Concerned("segments", frozenset(one.code for one in item))
        if who == "listed":
            is_for_all = any(not one.segments for one in item)
            listed = frozenset(code for one in item for code in one.segments)
            return Concerned("all") if is_for_all else Concerned("segments", listed)
        if who == "welcome":
            return Concerned("unbought" if self._greets_by_order() else "new")
        if who in ("base rate", "base share"):
            return Concerned("segments", self._without_own("rate_bps" if who == "base rate" else "max_share_bps"))
        return Concerned(_KINDS[who])

    def _greets_by_order(self) -> bool:
        """Whether welcome points come, before or after, with the first order and not with joining."""
        sections = (self.old.welcome, self.new.welcome)
        return any(rules is not None and rules.on == "first_payment" for rules in sections)

    def _without_own(self, name: str) -> frozenset[str | None]:
        """Segments that take the base rule, before or after; and those who are in none."""
        codes = {rule.code for rule in (*self.old.segments, *self.new.segments)}
        own = {
            code
            for code in codes
            if all(
                (rule := by_code(code, programme.segments)) is not None and getattr(rule, name) is not None
                for programme in (self.old, self.new)
            )
        }
        return frozenset({None, *(codes - own)})


_KINDS: Mapping[str, Literal["all", "birthday", "staff"]] = {
    "all": "all",
    "birthday": "birthday",
    "staff": "staff",
}


def changes(old: Programme, new: Programme) -> tuple[Change, ...]:
    """Every difference, in the order of the rules file's sections."""
    return tuple(_Walk(old, new).compare(old, new, _Place()))


def concerned_text(concerned: Concerned, members: int) -> str:
    """«затронет 84 участника»: `members` is how many there are of those."""
    if concerned.kind == "staff":
        return "участников не затронет"
    if concerned.kind == "new" or (concerned.kind == "unbought" and members == 0):
        return "затронет только новых участников"
    if members == 0:
        return "сейчас никого не затронет"
    if concerned.kind == "unbought":
        return f"затронет тех, кто ещё не покупал: {thousands(members)}"
    if concerned.kind == "all":
        return f"затронет всех участников: {thousands(members)}"
    return f"затронет {count_text(members, MEMBERS_AFFECTED)}"


def shown(entry: Word, value: Any) -> str:
    return entry.none if value is None else entry.show(value)


def described(value: Any, *, but: str = "") -> str:
    """«: ставка 15 %, порог по числу заказов 6»: what is set in a new section."""
    words = []
    for one in fields(value):
        entry = FIELDS[type(value)][one.name]
        found = getattr(value, one.name)
        if isinstance(entry, Word) and one.name not in (but, "title") and found != one.default:
            words.append(f"{entry.name} {shown(entry, found)}")
    if not words:
        return ""
    rest = ", …" if len(words) > DESCRIBED_MAX else ""
    return f": {', '.join(words[:DESCRIBED_MAX])}{rest}"
