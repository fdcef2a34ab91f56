"""Forms as PHP reads them, and JSON as PHP writes it.

Owns the two halves of a signature made by PHP: `php_form` rebuilds $_POST from a body, `php_json` prints it as
ksort and json_encode with JSON_UNESCAPED_UNICODE do. Both are exact or refuse: what PHP would have to repair or order
oddly (dots, `a[]`, a name given twice, names that only look like numbers) raises BadReply: nobody signed that.
Knows no acquirer. Implements the acquirers reference, section 7.
"""

from __future__ import annotations

import json
import re
from functools import cmp_to_key
from urllib.parse import parse_qsl

from connector.acquiring.base import MAX_BODY_BYTES
from connector.errors import BadReply

PhpKey = str | int
PhpArray = dict[PhpKey, "PhpValue"]
PhpValue = str | PhpArray

MAX_FIELDS = 1000
MAX_DEPTH = 16
# PHP writes underscores for dots and spaces in the first part of a name.
_NAME = re.compile(rf"([^\[\]\0. ]+)((?:\[[^\[\]\0]+\]){{0,{MAX_DEPTH - 1}}})")
_INDEX = re.compile(r"\[([^\[\]]+)\]")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
# Texts that PHP may order by their value: 9a, 1e3, 007. Between numbers their order depends on PHP's sorting.
_LIKE_A_NUMBER = re.compile(r"[\s0-9+.-].*", re.DOTALL)
_MULTIPART = re.compile(rb"--[0-9A-Za-z'()+_,./:=? -]{1,70}\r\n")
_DISPOSITION = re.compile(r'content-disposition:[ \t]*form-data;[ \t]*name="([^"\\]*)"[ \t]*', re.IGNORECASE)


def php_form(raw: bytes) -> PhpArray:
    """$_POST of a urlencoded or multipart body; a multipart one is known by its first line. Raises BadReply."""
    if len(raw) > MAX_BODY_BYTES:
        raise BadReply(f"the notification is larger than {MAX_BODY_BYTES} bytes")
    try:
        pairs = _parts(raw) if _MULTIPART.match(raw) else _urlencoded(raw)
    except ValueError:
        pairs = None
    if pairs is None or len(pairs) > MAX_FIELDS:
        # Raised outside the handler: the library's exceptions quote the body.
        raise BadReply(f"the notification is not a form in UTF-8 of at most {MAX_FIELDS} fields")
    form: PhpArray = {}
    for name, value in pairs:
        _put(form, name, value)
    return form


def php_json(value: PhpValue) -> str:
    """The text that PHP signs: names in order at every level, arrays for 0, 1, 2…, slashes and U+2028 escaped."""
    if isinstance(value, str):
        return _quoted(value)
    keys = sorted(value, key=cmp_to_key(_order))
    if keys == list(range(len(keys))):
        return "[" + ",".join(php_json(value[key]) for key in keys) + "]"
    return "{" + ",".join(f"{_quoted(str(key))}:{php_json(value[key])}" for key in keys) + "}"


def _urlencoded(raw: bytes) -> list[tuple[str, str]]:
    return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)


def _parts(raw: bytes) -> list[tuple[str, str]]:
    """Names and values of multipart/form-data. Raises ValueError."""
    delimiter = b"\r\n" + raw.partition(b"\r\n")[0]
    opening, *parts, closing = (b"\r\n" + raw).split(delimiter)
    if opening or closing not in (b"--", b"--\r\n"):
        raise ValueError("not closed as it was opened")
    return [_part(part.decode()) for part in parts]


def _part(part: str) -> tuple[str, str]:
    head, gap, value = part.partition("\r\n\r\n")
    found = [match.group(1) for match in map(_DISPOSITION.fullmatch, head.split("\r\n")) if match]
    if not head.startswith("\r\n") or not gap or len(found) != 1:
        raise ValueError("not one plain field")  # a file has one attribute more
    return found[0], value


def _put(form: PhpArray, name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None or "\0" in value:
        raise BadReply("the notification has a name or a value that PHP does not keep as it is, or too many brackets")
    keys = [match.group(1), *_INDEX.findall(match.group(2))]
    for key in keys[:-1]:
        branch = form.setdefault(_key(key), {})
        if not isinstance(branch, dict):
            raise BadReply("the notification has one name for a value and for an array")
        form = branch
    last = _key(keys[-1])
    if last in form:
        raise BadReply("the notification has two fields of one name")
    form[last] = value


def _key(key: str) -> PhpKey:
    """PHP makes numbers of names that are printed numbers."""
    if _INTEGER.fullmatch(key):
        return int(key)
    if _LIKE_A_NUMBER.fullmatch(key):
        raise BadReply("the notification has a name that only looks like a number")
    return key


def _order(first: PhpKey, second: PhpKey) -> int:
    """As PHP 8 compares keys: numbers by value, texts by bytes, a number and a text as texts."""
    if isinstance(first, int) and isinstance(second, int):
        return first - second
    left, right = str(first), str(second)
    return (left > right) - (left < right)


def _quoted(text: str) -> str:
    printed = json.dumps(text, ensure_ascii=False).replace("/", "\\/")
    return printed.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
