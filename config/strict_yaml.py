"""YAML 1.1 text into nodes that know their place and stay text.

Owns what is refused before any rule is looked at: other encodings, broken YAML, tabs, duplicate keys, anchors, aliases,
merge keys, tags, several documents, and files that are too large, too deep or have too many nodes.
Works on PyYAML's events, not on `safe_load`: the limits hold before a tree exists, and 21:00, `no`, 0010 stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

import yaml

from config.masking import quote
from config.problems import Problem, Span, error_at

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20  # nested sections; the deepest accepted rule is at 4
MAX_NODES = 5_000  # the largest sensible file has several hundred

_BOM = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # the breaks PyYAML counts
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEFAULT_FIX = "сравните отступы, кавычки и скобки с соседними строками"
# Part of PyYAML's complaint, what it means, the cure; without a meaning its own words are shown.
_COMPLAINTS = (
    ("'\\t'", "", "отступы делайте пробелами, не табуляцией"),
    (
        "mapping values are not allowed",
        "лишнее двоеточие или лишний отступ",
        "проверьте отступ этой строки; текст с двоеточием возьмите в кавычки",
    ),
    (
        "expected ',' or",
        "нет запятой или закрывающей скобки",
        'закройте скобку; цвет и текст со знаком # возьмите в кавычки: "#16382C"',
    ),
    ("could not find expected ':'", "после ключа нет двоеточия", "после имени ключа нужны двоеточие и пробел"),
    (
        "expected <block end>",
        "отступ не такой, как у соседних строк",
        "выровняйте отступ этой строки с соседними того же раздела",
    ),
    ("end of stream", "кавычка не закрыта", "закройте кавычку"),
    ("cannot start any token", "с этого знака значение начинаться не может", "возьмите значение в кавычки"),
    ("special characters", "в файле невидимый управляющий знак", "удалите невидимый знак"),
)


@dataclass(frozen=True)
class Scalar:
    """A leaf. `text` is what was written; `plain` is false for quoted and block text; `end_line` counts from 1."""

    text: str
    span: Span
    plain: bool
    end_line: int


@dataclass(frozen=True)
class Pairs:
    """A mapping in file order, without duplicate keys."""

    entries: tuple[tuple[Scalar, Node], ...]
    span: Span


@dataclass(frozen=True)
class Items:
    """A sequence."""

    items: tuple[Node, ...]
    span: Span


Node: TypeAlias = Scalar | Pairs | Items


@dataclass(frozen=True)
class Document:
    """What was read. `root` is None when the text is empty or could not be read to its end."""

    root: Node | None
    lines: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_yaml(data: bytes) -> Document:
    """Reads one document. Never raises for bad content: everything wrong is in `problems`."""
    if len(data) > MAX_BYTES:
        fix = f"уменьшите файл до {MAX_BYTES // 1024} КБ"
        return Document(None, (), (error_at(Span(1, 1), "too-large", "файл правил слишком велик", fix),))
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return _not_utf8(data, error)
    problems = []
    if data.startswith(_BOM):
        fix = "сохраните файл в UTF-8 без BOM"
        problems.append(error_at(Span(1, 1), "bom", "файл начинается с невидимой метки BOM", fix))
    text = data.removeprefix(_BOM).decode()
    builder = _Builder(tuple(_LINE_BREAK.split(text)))
    root = builder.build(text)
    return Document(root, builder.lines, (*problems, *builder.problems))


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> Document:
    before = _LINE_BREAK.split(data[: error.start].decode())
    lines = tuple(_LINE_BREAK.split(data.decode(errors="replace")))
    kind = "UTF-16" if data.startswith(_UTF16_MARKS) else "Windows-1251"
    message = f"файл не в UTF-8 (похоже на {kind})"
    span = Span(len(before), len(before[-1]) + 1)
    return Document(None, lines, (error_at(span, "encoding", message, "сохраните файл в кодировке UTF-8"),))


class _RefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _YamlMark(Protocol):
    line: int
    column: int


class _Mark(NamedTuple):
    """As PyYAML counts: from 0."""

    line: int
    column: int


def _mark(given: _YamlMark | None) -> _Mark:
    return _Mark(given.line, given.column) if given else _Mark(0, 0)


@dataclass
class _OpenNode:
    is_mapping: bool
    start: _Mark
    children: list[Node] = field(default_factory=list)


class _Builder:
    """Builds the tree from events with its own stack, so that depth costs no recursion."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self.lines = lines
        self.problems: list[Problem] = []
        self._stack: list[_OpenNode] = []
        self._root: Node | None = None
        self._nodes = 0
        self._documents = 0

    def build(self, text: str) -> Node | None:
        loader: yaml.SafeLoader | None = None
        try:
            loader = yaml.SafeLoader(text)
            while loader.check_event():
                self._take(loader.get_event())  # type: ignore[no-untyped-call]
        except _RefusedError as refused:
            self.problems.append(refused.problem)
        except yaml.MarkedYAMLError as error:
            self._unreadable(self._point(_mark(error.problem_mark or error.context_mark)), error.problem or "")
        except yaml.reader.ReaderError as error:
            self._unreadable(self._place(text, error.position), error.reason)
        except (ValueError, OverflowError):
            # PyYAML lets chr() and int() fail on escapes and directives out of range.
            self._unreadable(self._point(_mark(loader.get_mark() if loader else None)), "number out of range")
        else:
            return self._root
        return None

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(event, "alias", "ссылки «*» в правилах не разрешены", "повторите значение целиком")
        elif isinstance(event, yaml.ScalarEvent):
            self._start_node(event)
            self._attach(self._scalar(event))
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start_node(event)
            self._stack.append(_OpenNode(isinstance(event, yaml.MappingStartEvent), _mark(event.start_mark)))
            if len(self._stack) > MAX_DEPTH:
                self._refuse(event, "too-deep", f"вложенность больше {MAX_DEPTH}", "уберите лишние уровни")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node = self._stack.pop()
            span = self._span(node.start, _mark(event.end_mark))
            self._attach(self._pairs(node, span) if node.is_mapping else Items(tuple(node.children), span))

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(event, "multi-document", "в файле второй документ", "уберите строку «---» и всё после неё")

    def _start_node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(event, "too-many-nodes", f"в файле больше {MAX_NODES} значений", "уменьшите файл")
        span = self._point(_mark(event.start_mark))
        if event.anchor is not None:
            fix = "уберите «&имя» и повторите значение там, где оно нужно"
            self.problems.append(error_at(span, "anchor", "якоря «&» в правилах не разрешены", fix))
        if event.tag is not None:
            fix = "уберите «!»; текст с «!» в начале возьмите в кавычки"
            self.problems.append(error_at(span, "tag", "теги «!» в правилах не разрешены", fix))

    def _refuse(self, event: yaml.Event, code: str, message: str, fix: str) -> None:
        span = self._span(_mark(event.start_mark), _mark(event.end_mark))
        raise _RefusedError(error_at(span, code, message, fix))

    def _attach(self, node: Node) -> None:
        if self._stack:
            self._stack[-1].children.append(node)
        else:
            self._root = node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        end = _mark(event.end_mark)
        span = self._span(_mark(event.start_mark), end)
        text: str = event.value
        if _SURROGATE.search(text):
            fix = "уберите \\uD800…\\uDFFF"
            raise _RefusedError(error_at(span, "yaml", "в тексте половина знака Юникода", fix))
        end_line = end.line + (1 if end.column else 0)
        return Scalar(text, span, event.style is None, max(span.line, end_line))

    def _pairs(self, node: _OpenNode, span: Span) -> Pairs:
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(node.children[::2], node.children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._note(key, "key-type", "ключом может быть только слово", "уберите «?» или скобки")
            elif key.plain and key.text == "<<":
                self._note(key, "merge", "слияние «<<» в правилах не разрешено", "повторите ключи целиком")
            elif key.text in entries:
                first = entries[key.text][0].span.line
                message = f"ключ {quote(key.text)} уже есть в строке {first}"
                self._note(key, "duplicate-key", message, f"оставьте одну запись {quote(key.text)}")
            else:
                entries[key.text] = (key, value)
        return Pairs(tuple(entries.values()), span)

    def _note(self, node: Node, code: str, message: str, fix: str) -> None:
        self.problems.append(error_at(node.span, code, message, fix))

    def _span(self, start: _Mark, end: _Mark) -> Span:
        if end.line == start.line:
            return Span(start.line + 1, start.column + 1, max(1, end.column - start.column))
        rest = self.lines[start.line][start.column :].rstrip() if start.line < len(self.lines) else ""
        return Span(start.line + 1, start.column + 1, max(1, len(rest)))

    def _unreadable(self, span: Span, problem: str) -> None:
        known = (one for one in _COMPLAINTS if one[0] in problem)
        _, meaning, fix = next(known, ("", "", _DEFAULT_FIX))
        self.problems.append(error_at(span, "yaml", f"файл не читается как YAML: {meaning or problem}", fix))

    @staticmethod
    def _point(mark: _Mark) -> Span:
        return Span(mark.line + 1, mark.column + 1)

    @staticmethod
    def _place(text: str, position: int) -> Span:
        before = _LINE_BREAK.split(text[:position])
        return Span(len(before), len(before[-1]) + 1)
