from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.acquiring.base import MAX_BODY_BYTES
from connector.acquiring.php_forms import MAX_DEPTH, MAX_FIELDS, php_form, php_json
from connector.errors import BadReply

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "golden" / "prodamus" / "php_forms.json").read_text("utf-8")
)["cases"]
BOUNDARY = b"----pd7MA4YWxk"


def _multipart(*fields: tuple[str, str], header: str = "") -> bytes:
    """As curl of PHP sends it."""
    parts = (
        f'--{BOUNDARY.decode()}\r\nContent-Disposition: form-data; name="{name}"\r\n{header}\r\n{value}\r\n'
        for name, value in fields
    )
    return "".join(parts).encode() + b"--" + BOUNDARY + b"--\r\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_forms_are_read_and_printed_as_php_does(case: dict[str, str]) -> None:
    assert php_json(php_form(case["body"].encode())) == case["text"]


def test_a_multipart_body_says_the_same_as_a_urlencoded_one() -> None:
    fields = [("a", "1"), ("p[1][name]", "B/я"), ("p[0][name]", ""), ("c", "\r\nfoo: bar\r\n\r\n--x\r\n")]

    assert php_form(_multipart(*fields)) == php_form(urlencode(fields).encode())
    assert php_form(_multipart(*fields, header="Content-Type: text/plain\r\n")) == php_form(urlencode(fields).encode())


def test_lists_and_objects_are_told_apart_by_their_keys() -> None:
    assert php_form(b"p[1]=b&p[0]=a&o[name]=x&o[7]=y") == {"p": {1: "b", 0: "a"}, "o": {"name": "x", 7: "y"}}


@pytest.mark.parametrize(
    "raw",
    [
        *[b"a=1&a=1", b"a[b]=1&a[b]=2", b"a=1&a[b]=2", b"a[b]=2&a=1", b"a[b]=1&a[b][c]=2", b"a[0]=1&a[00]=2"],
        *[b"a[]=1", b"a[=1", b"a]=1", b"a[b=1", b"a[b]c=1", b"[a]=1", b"=1", b"a[b[c]]=1", b"a[[b]]=1"],
        *[b"a.b=1", b"a b=1", b"a%20b=1", b"+a=1", b"a%00=1", b"a=%00", b"a[%00]=1"],
        *[b"9a=1", b"1e3=1", b"007=1", b"-0=1", b"1.5=1", b"p[9a]=1", b"p[ 1]=1", b"p[+]=1", b"9" * 19 + b"=1"],
        *[b"a=\xff", b"a=%ff", b"a=%d0", b"%ff=1", b"a=\xc8\xe2\xe0\xed"],
        b"a" + b"[b]" * MAX_DEPTH + b"=1",
        b"&".join(b"a%d=1" % number for number in range(MAX_FIELDS + 1)),
        b"a=" + b"x" * MAX_BODY_BYTES,
    ],
    ids=lambda raw: repr(raw[:24]) + str(len(raw)),
)
def test_what_php_would_repair_or_cut_is_refused(raw: bytes) -> None:
    with pytest.raises(BadReply) as refused:
        php_form(raw)

    assert repr(raw)[2:12] not in str(refused.value)


GOOD = _multipart(("a", "1"), ("b", "2"))


@pytest.mark.parametrize(
    "raw",
    [
        GOOD.removesuffix(b"--\r\n"),
        GOOD.removesuffix(b"\r\n") + b"x",
        GOOD + b"epilogue",
        GOOD.replace(b"\r\n\r\n1", b"\r\n1"),
        GOOD.replace(b'name="a"', b'name="b"'),
        GOOD.replace(b'name="a"', b"name=a"),
        GOOD.replace(b'name="a"', b'name="a\\"x"'),
        GOOD.replace(b'name="a"', b'name="a"; filename="x.txt"'),
        GOOD.replace(b"form-data", b"attachment"),
        GOOD.replace(b"Content-Disposition", b"Content-Position"),
        GOOD.replace(b"1\r\n", b"\xff\r\n"),
        GOOD.replace(b"1\r\n", b"\0\r\n"),
        GOOD.replace(b"--" + BOUNDARY + b"\r\n", b"--" + BOUNDARY + b"x\r\n", 1),
        b"--" + BOUNDARY + b"--\r\n",
        _multipart(*((f"a{number}", "") for number in range(MAX_FIELDS + 1))),
    ],
    ids=range(15),
)
def test_a_broken_multipart_body_is_refused(raw: bytes) -> None:
    with pytest.raises(BadReply):
        php_form(raw)


@given(st.binary(max_size=300) | st.text(alphabet="ab[]0123=&%-. \r\n", max_size=60).map(str.encode))
@example(b"--x\r\n")
@example(b"a[0][1]=&a[0][0]=")
def test_any_bytes_are_a_form_or_a_bad_reply(raw: bytes) -> None:
    try:
        form = php_form(raw)
    except BadReply:
        return
    json.loads(php_json(form))


_NAMES = st.from_regex(r"[a-zA-Zа-я_][a-zа-я0-9_/]{0,4}(\[([0-9]|[a-z][a-z.]{0,3})\]){0,3}", fullmatch=True)


_VALUES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


@given(st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=8))
def test_what_is_printed_says_what_was_sent(fields: dict[str, str]) -> None:
    try:
        form = php_form(urlencode(fields).encode())
    except BadReply:
        return  # one name for a value and for an array

    assert php_form(_multipart(*fields.items())) == form
    assert _leaves(json.loads(php_json(form))) == sorted(fields.values())


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return sorted(leaf for one in inner for leaf in _leaves(one))
