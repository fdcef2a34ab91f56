"""Reading one section of the rules file: each key once, each mistake once.

Owns unknown, misspelt, planned and missing keys and values of the wrong kind. A misspelt key is read as the one it was
meant to be, so its value is checked too and nothing is also «missing». After a mistake the reader goes on with a
stand-in value: the caller throws the whole result away as soon as `Notes` holds an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from config.fields import FieldError, closest
from config.masking import quote
from config.problems import Problem, Span, error_at
from config.strict_yaml import Items, Node, Pairs, Scalar

T = TypeVar("T")

_START = Span(1, 1)


@dataclass
class Notes:
    """What has been found so far: problems, the place of every value read, the paths that are broken."""

    problems: list[Problem] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)
    _names: dict[str, tuple[str, str]] = field(default_factory=dict)

    def error(self, path: str, span: Span, code: str, message: str, fix: str) -> None:
        self.problems.append(error_at(span, code, message, fix))
        self._broken.add(path)

    def warn(self, path: str, code: str, message: str, fix: str) -> None:
        span = self.spans.get(path, _START)
        self.problems.append(Problem(code, "warning", span.line, span.column, span.length, message, fix))

    def error_at_path(self, path: str, code: str, message: str, fix: str) -> None:
        self.error(path, self.spans.get(path, _START), code, message, fix)

    def intact(self, *paths: str) -> bool:
        """True when no mistake was found at, under or above any of `paths`."""
        return not any(_related(broken, path) for broken in self._broken for path in paths)

    def written(self, path: str) -> bool:
        return path in self.spans

    def name_item(self, path: str, place: str, name: str) -> None:
        """Says what the list item at `path` of the file is called outside: its place in the sorted list, and its name.
        The order of such a list has no meaning, so its places are those of the value that was built from it."""
        self._names[path] = (place, name)

    def named(self, name: str) -> str:
        """The path in the file of a list item known by its name or by its place in the sorted list."""
        return next((path for path, names in self._names.items() if name in names), name)

    def lines(self) -> dict[str, int]:
        """The line of every rule under each of its names."""
        return {name: span.line for path, span in self.spans.items() for name in self._public(path)}

    def _public(self, path: str) -> tuple[str, ...]:
        head, bracket, rest = path.partition("]")
        return tuple(name + rest for name in self._names.get(head + bracket, (head + bracket,)))

    @property
    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)


@dataclass(frozen=True)
class Keys:
    """What a section may hold now, what the next version will add, and wrong names whose meaning is known."""

    known: tuple[str, ...]
    planned: tuple[str, ...] = ()
    meant: Mapping[str, str] = field(default_factory=dict)


class Section:
    """One mapping of the file. Unreadable sections answer every question with stand-ins and stay silent."""

    def __init__(self, notes: Notes, path: str, anchor: Span, *, readable: bool = True) -> None:
        self.notes = notes
        self.path = path
        self.anchor = anchor
        self._readable = readable
        self._entries: dict[str, tuple[Scalar, Node]] = {}

    @classmethod
    def open(cls, notes: Notes, node: Node | None, path: str, anchor: Span, keys: Keys) -> Section:
        """Reads the keys of `node`; None stands for a section whose absence is already noted."""
        section = cls(notes, path, anchor, readable=isinstance(node, Pairs))
        if isinstance(node, Pairs):
            section._take_keys(node, keys)
        elif isinstance(node, Scalar) and node.plain and not node.text:
            name = quote(path.rpartition(".")[2])
            notes.error(path, anchor, "empty", f"раздел {name} пуст", "заполните его или уберите эту строку")
        elif node is not None:
            fix = f"напишите внутри ключи: {', '.join(keys.known)}"
            notes.error(path, node.span, "type", "здесь нужен раздел с ключами, а не значение", fix)
        return section

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    @property
    def readable(self) -> bool:
        return self._readable

    def need(self, key: str, parse: Callable[[str], T], like: str) -> T:
        """A required value; `like` is a valid example, shown when the key is missing."""
        if key not in self._entries:
            self.missing(key, f"добавьте, например: {key}: {like}")
        return self.get(key, parse, parse(like))

    def get(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """An optional value."""
        if key not in self._entries:
            return default
        name, node = self._entries[key]
        return read_value(self.notes, node, self.at(key), parse, default, anchor=name.span)

    def sub(self, key: str, keys: Keys) -> Section | None:
        """An optional section inside this one."""
        if key not in self._entries:
            return None
        name, node = self._entries[key]
        return Section.open(self.notes, node, self.at(key), name.span, keys)

    def need_sub(self, key: str, keys: Keys, like: str) -> Section:
        """A required section inside this one."""
        section = self.sub(key, keys)
        if section is None:
            self.missing(key, f"добавьте раздел, например: {key}: {{{like}}}")
            return Section(self.notes, self.at(key), self.anchor, readable=False)
        return section

    def items(self, key: str, like: str) -> tuple[tuple[str, Node], ...]:
        """The members of an optional list with their paths."""
        if key not in self._entries:
            return ()
        path = self.at(key)
        name, node = self._entries[key]
        if isinstance(node, Items):
            members = tuple((f"{path}[{number}]", item) for number, item in enumerate(node.items))
            self.notes.spans.update((item_path, item.span) for item_path, item in members)
            return members
        empty = isinstance(node, Scalar) and node.plain and not node.text
        self.notes.error(path, name.span if empty else node.span, "type", "здесь нужен список", f"напишите {like}")
        return ()

    def missing(self, key: str, fix: str) -> None:
        if self._readable:
            where = f"в разделе {quote(self.path)}" if self.path else "в файле"
            self.notes.error(self.at(key), self.anchor, "missing-key", f"{where} нет обязательного ключа «{key}»", fix)

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _take_keys(self, node: Pairs, keys: Keys) -> None:
        written = {name.text for name, _ in node.entries}
        free = [key for key in keys.known if key not in written]
        for name, value in node.entries:
            key: str | None = name.text
            if name.text not in keys.known:
                key = self._unknown(name, keys, free)
            if key is not None:
                self._entries[key] = (name, value)
                self.notes.spans[self.at(key)] = value.span if isinstance(value, Scalar) else name.span

    def _unknown(self, name: Scalar, keys: Keys, free: list[str]) -> str | None:
        """Notes an unknown key and returns the known one that it was meant to be."""
        meant = None if name.text in keys.planned else closest(keys.meant.get(name.text, name.text), free)
        if name.text in keys.planned:
            kind = "раздел" if not self.path else "ключ"
            fix = f"уберите его или закомментируйте: этот {kind} появится в следующей версии"
        elif meant:
            fix = f"возможно, «{meant}»?"
            free.remove(meant)
        else:
            fix = f"здесь бывает: {', '.join(keys.known)}"
        path = self.at(meant or f"?{name.text}")
        self.notes.error(path, name.span, "unknown-key", f"неизвестный ключ {quote(name.text)}", fix)
        return meant


def read_value(notes: Notes, node: Node, path: str, parse: Callable[[str], T], default: T, *, anchor: Span) -> T:
    """One scalar through its parser; a mistake is noted and `default` stands in."""
    if not isinstance(node, Scalar):
        notes.error(path, node.span, "type", "здесь нужно одно значение, а не список или раздел", "напишите значение")
        return default
    notes.spans[path] = node.span
    if node.plain and not node.text:
        notes.error(path, anchor, "empty", "после двоеточия ничего нет", _EMPTY_FIX)
        return default
    try:
        return parse(node.text)
    except FieldError as error:
        notes.error(path, node.span, error.code, error.message, error.fix)
        return default


def read_list(
    section: Section, key: str, parse: Callable[[str], T], default: tuple[T, ...], *, like: str
) -> tuple[T, ...]:
    """An optional list of scalars, not empty and without repeats."""
    if key not in section:
        return default
    members = section.items(key, like)
    path = section.at(key)
    if not members and section.notes.intact(path):
        section.notes.error_at_path(path, "empty", "список пуст", f"напишите {like}")
    values: list[T] = []
    for item_path, node in members:
        value = read_value(section.notes, node, item_path, parse, parse(like.strip("[]")), anchor=node.span)
        if value in values and section.notes.intact(item_path):
            section.notes.error(item_path, node.span, "duplicate-value", "это значение уже есть", "оставьте одно")
        values.append(value)
    return tuple(values)


def refuse_repeats(
    notes: Notes, values: Sequence[tuple[str, str]], code: str, what: str, *, fix: str = "дайте другое имя"
) -> None:
    """Notes every (path, value) whose value stands earlier in the list."""
    seen: dict[str, str] = {}
    for path, value in values:
        if not notes.intact(path):
            continue
        if value in seen:
            line = notes.spans.get(seen[value], _START).line
            notes.error_at_path(path, code, f"{what} {quote(value)} уже есть в строке {line}", fix)
        else:
            seen[value] = path


def _related(broken: str, path: str) -> bool:
    return broken == path or _inside(broken, path) or _inside(path, broken)


def _inside(path: str, parent: str) -> bool:
    return parent == "" or (path.startswith(parent) and path[len(parent) : len(parent) + 1] in {".", "["})


_EMPTY_FIX = "впишите значение; цвет и текст со знаком # возьмите в кавычки"
