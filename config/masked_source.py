"""The rules file as it may be shown: every literal secret in it is stars.

Owns finding secrets by their place in the tree (any depth, any quoting, several lines) and, when the YAML is broken, by
the look of each line. Errs on the side of hiding. Must not judge whether a value is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from config.masking import is_reference, is_secret_name, mask_source_line
from config.problems import Source
from config.strict_yaml import Document, Items, Node, Pairs, Scalar

MAX_LINE_CHARS = 1_000  # longer lines are nobody's rules; they are shown as stars

_SECRET_LISTS = frozenset({"acquirers"})
_OPEN_VALUE_KEYS = frozenset({"provider"})  # of an acquirer: the one value that is not a secret
_NAME_WITHOUT_VALUE = re.compile(r"""([\w-]+)["']?\s*:\s*[|>]?[+-]?[0-9]?\s*""")


def masked_source(path: str, document: Document, shown: frozenset[int]) -> Source:
    """`shown` are the line numbers, from 1, that will be printed."""
    lines = list(document.lines)
    if document.root is None:
        _mask_after_names(lines)
    else:
        for scalar in _secrets(document.root, hidden=False):
            _mask_scalar(lines, scalar)
    return Source(
        path, tuple(_mask_line(line) if number in shown else "" for number, line in enumerate(lines, start=1))
    )


def _secrets(node: Node, *, hidden: bool) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        if hidden and not (node.plain and is_reference(node.text)):
            yield node
    elif isinstance(node, Items):
        for item in node.items:
            yield from _secrets(item, hidden=hidden)
    else:
        yield from _secrets_of_pairs(node, hidden=hidden)


def _secrets_of_pairs(node: Pairs, *, hidden: bool) -> Iterator[Scalar]:
    for key, value in node.entries:
        inside = (hidden and key.text not in _OPEN_VALUE_KEYS) or is_secret_name(key.text) or key.text in _SECRET_LISTS
        yield from _secrets(value, hidden=inside)


def _mask_scalar(lines: list[str], scalar: Scalar) -> None:
    first = scalar.span.line - 1
    start = scalar.span.column - 1
    end = start + scalar.span.length
    lines[first] = lines[first][:start] + _stars(lines[first][start:end]) + lines[first][end:]
    for number in range(scalar.span.line, min(scalar.end_line, len(lines))):
        lines[number] = _stars(lines[number])


def _mask_after_names(lines: list[str]) -> None:
    for number, line in enumerate(lines[:-1]):
        name = _NAME_WITHOUT_VALUE.fullmatch(line.strip(" \t-{"))
        if name and is_secret_name(name[1]):
            lines[number + 1] = _stars(lines[number + 1])


def _mask_line(line: str) -> str:
    return mask_source_line(line) if len(line) <= MAX_LINE_CHARS else _stars(line)


def _stars(text: str) -> str:
    return re.sub(r"\S", "*", text)
