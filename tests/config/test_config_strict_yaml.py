"""Hostile and broken YAML: always an answer, never an exception, always in bounded time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, Pairs, Scalar, read_yaml


def codes(data: bytes | str) -> list[str]:
    return [problem.code for problem in read_yaml(data.encode() if isinstance(data, str) else data).problems]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [" * 1000, "too-deep"),
        ("a:\n" + "".join(" " * level + "- \n" for level in range(1, 60)), "too-deep"),
        ("[" * (MAX_DEPTH + 1), "too-deep"),
        ("{" * 100_000, "too-deep"),
        ("[" + "a," * MAX_NODES + "]", "too-many-nodes"),
        ("a: &a [x, x]\nb: *a\n", "alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag"),
        ("a: 1\n---\nb: 2\n", "multi-document"),
        ("a: 'x\n", "yaml"),
        ("a: {b: 1\n", "yaml"),
        ("a: @x\n", "yaml"),
        ("a: \x00\n", "yaml"),
        ('a: "\\UFFFFFFFF"\n', "yaml"),
        ('a: "\\ud800"\n', "yaml"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1\n", "yaml"),
        ("? [a]\n: b\n", "key-type"),
        ("a: 1\na: 2\n", "duplicate-key"),
        ("<<: {a: 1}\n", "merge"),
    ],
)
def test_what_is_refused_has_a_code(text: str, code: str) -> None:
    assert code in codes(text)


def test_a_file_over_the_limit_is_not_parsed() -> None:
    assert codes(b"#" * (MAX_BYTES + 1)) == ["too-large"]
    assert codes(b"#" * MAX_BYTES) == []


def test_a_bad_byte_is_found_at_its_line_and_column() -> None:
    problem = read_yaml("а: 1\nбв".encode() + b"\xff\n").problems[0]

    assert (problem.code, problem.line, problem.column) == ("encoding", 2, 3)


def test_positions_count_letters_not_bytes() -> None:
    root = read_yaml("имя: {ключ: значение}\n".encode()).root

    assert isinstance(root, Pairs)
    inner = root.entries[0][1]
    assert isinstance(inner, Pairs)
    value = inner.entries[0][1]
    assert isinstance(value, Scalar)
    assert (value.text, value.span.line, value.span.column, value.span.length) == ("значение", 1, 13, 8)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-{}[]?&*!|>'\"%@`,#\\ \t\n\r\u2028\ufeff0xй"), max_size=60))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    document = read_yaml(text.encode())

    for problem in document.problems:
        assert 1 <= problem.line <= len(document.lines) + 1


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    read_yaml(data)
