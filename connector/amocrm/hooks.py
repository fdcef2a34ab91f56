"""The body of an amoCRM hook: which entities it speaks of.

Owns the reading of form-encoded PHP-bracket keys (amoCRM reference, sections 3.2, 3.3, 3.5 and 10.8). A hook is
unsigned and late, so nothing is taken from it but names of things to read back: ids and stages. Never raises: what
cannot be read becomes a problem, and the rest of the body is still returned. One pass, linear in the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

HookKind = Literal["deal", "contact", "company", "customer", "task", "catalog_element"]

MAX_BODY_BYTES = 256 * 1024
MAX_KEYS = 10_000
MAX_KEY_DEPTH = 32
MAX_PROBLEMS = 20
MAX_FOREIGN_ID = 2**63 - 1

_KINDS: dict[bytes, HookKind] = {
    b"leads": "deal",
    b"contacts": "contact",
    b"companies": "company",
    b"customers": "customer",
    b"task": "task",
    b"catalogs": "catalog_element",
}
# Known and of no use here: chats, calls and the inbox of unsorted leads.
_UNUSED_KINDS = frozenset({b"message", b"outgoing_message", b"talk", b"unsorted"})
_FIELDS = frozenset({b"id", b"status_id", b"pipeline_id", b"type"})
# Notes nest one level deeper, and the thing to read back is what they hang on.
_NOTE_FIELDS = frozenset({b"element_id"})
_TICK = b"tick "
_ACTION = re.compile(rb"[a-z_]{1,32}")
_SUBDOMAIN = re.compile(rb"[a-z0-9-]{1,63}")
_DIGITS = re.compile(rb"[0-9]{1,19}")

_Fields = dict[bytes, bytes]
_Entities = dict[tuple[bytes, bytes, bytes], _Fields]


@dataclass(frozen=True)
class HookEntity:
    """`kind` is our word, `action` amoCRM's (add, update, delete, restore, status, responsible, note, call_in, …).

    For a note `id` is the deal's, contact's or customer's it hangs on. `ticked`: the fields that the body says are
    ticked, as a hint whether reading is worth it.
    """

    kind: HookKind
    action: str
    id: int
    status_id: int | None = None
    pipeline_id: int | None = None
    ticked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class HookBody:
    """`account_id` and `subdomain` are claims to compare with the installation. `problems` hold no values of buyers."""

    account_id: int | None
    subdomain: str | None
    entities: tuple[HookEntity, ...]
    problems: tuple[str, ...]


def parse_hook(raw: bytes) -> HookBody:
    """Reads one body. Entities come in the order of their first key; a later value of the same key wins."""
    problems = _Problems()
    if len(raw) > MAX_BODY_BYTES:
        problems.add(f"the body is larger than {MAX_BODY_BYTES} bytes")
        return HookBody(None, None, (), problems.as_tuple())
    account: _Fields = {}
    found: _Entities = {}
    for number, (path, value) in enumerate(_pairs(raw, problems)):
        _keep(path, value, account=account, found=found, problems=problems, number=number)
    entities = [_entity(key, fields, problems) for key, fields in found.items()]
    return HookBody(
        account_id=_number(account, b"id", "account", problems),
        subdomain=_subdomain(account, problems),
        entities=tuple(entity for entity in entities if entity is not None),
        problems=problems.as_tuple(),
    )


class _Problems:
    """Different sentences, a bounded number of them."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        if len(self._sentences) < MAX_PROBLEMS:
            self._sentences[sentence] = None

    def as_tuple(self) -> tuple[str, ...]:
        return tuple(self._sentences)


def _pairs(raw: bytes, problems: _Problems) -> Iterator[tuple[list[bytes], bytes]]:
    """Key paths and decoded values. Brackets are decoded for the whole body at once: they are most of its escapes."""
    body = raw.replace(b"%5B", b"[").replace(b"%5D", b"]").replace(b"%5b", b"[").replace(b"%5d", b"]")
    is_clean = _is_utf8(unquote_to_bytes(body))
    if not is_clean:
        problems.add("the body is not UTF-8")
    pairs = body.split(b"&", MAX_KEYS)
    if len(pairs) > MAX_KEYS:
        pairs.pop()
        problems.add(f"the body has more than {MAX_KEYS} keys")
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        if b"%" in key or b"+" in key:
            key = unquote_to_bytes(key.replace(b"+", b" "))
            if not is_clean and not _is_utf8(key):
                continue
        if key.count(b"[") > MAX_KEY_DEPTH:
            problems.add(f"a key is deeper than {MAX_KEY_DEPTH} levels")
        elif key:
            yield key.split(b"["), unquote_to_bytes(value) if b"%" in value else value


def _keep(
    path: list[bytes], value: bytes, *, account: _Fields, found: _Entities, problems: _Problems, number: int
) -> None:
    """Puts a value where it belongs. Only exact paths count, so a scalar/array clash does no harm."""
    root = path[0]
    if root == b"account":
        if len(path) == 2:
            account[path[1].rstrip(b"]")] = value
        return
    if root not in _KINDS:
        if root not in _UNUSED_KINDS:
            problems.add("the body speaks of an unknown kind of entity")
        return
    if len(path) < 3:
        problems.add(f"{_KINDS[root]}: a key without an action or an index")
        return
    index = path[2].rstrip(b"]") or b"#%d" % number
    fields = found.setdefault((root, path[1].rstrip(b"]"), index), {})
    if len(path) == 4 and path[3].rstrip(b"]") in _FIELDS:
        fields[path[3].rstrip(b"]")] = value
    elif len(path) == 5 and path[3] == b"note]" and path[4].rstrip(b"]") in _NOTE_FIELDS:
        fields[path[4].rstrip(b"]")] = value
    elif _is_of_tick(path, value):
        fields[_TICK + path[4] + path[5]] = value


def _is_of_tick(path: list[bytes], value: bytes) -> bool:
    """A custom field's id, or its value if that is «1»."""
    if path[0] != b"contacts" or len(path) < 6 or path[3] != b"custom_fields]":
        return False
    is_id = path[5] == b"id]" and len(path) == 6
    return is_id or (path[5] == b"values]" and len(path) > 6 and value == b"1")


def _entity(key: tuple[bytes, bytes, bytes], fields: _Fields, problems: _Problems) -> HookEntity | None:
    root, action, _ = key
    kind: HookKind = "company" if root == b"contacts" and fields.get(b"type") == b"company" else _KINDS[root]
    if _ACTION.fullmatch(action) is None:
        problems.add(f"{kind}: an action that is no word")
        return None
    where = f"{kind} {action.decode()}"
    entity_id = _number(fields, b"element_id" if b"element_id" in fields else b"id", where, problems)
    if not entity_id:
        problems.add(f"{where}: no id")
        return None
    return HookEntity(
        kind=kind,
        action=action.decode(),
        id=entity_id,
        status_id=_number(fields, b"status_id", where, problems),
        pipeline_id=_number(fields, b"pipeline_id", where, problems),
        ticked=_ticked(fields) if root == b"contacts" else frozenset(),
    )


def _ticked(fields: _Fields) -> frozenset[int]:
    """Custom fields of the value «1»: ticked boxes, and what else happens to say so."""
    found = set()
    for name in fields:
        if name.startswith(_TICK) and name.endswith(b"values]"):
            told = fields.get(name.removesuffix(b"values]") + b"id]", b"")
            if _DIGITS.fullmatch(told):
                found.add(int(told))
    return frozenset(found)


def _number(fields: _Fields, name: bytes, where: str, problems: _Problems) -> int | None:
    value = fields.get(name)
    if value is None or value == b"":
        return None
    if _DIGITS.fullmatch(value) is None or int(value) > MAX_FOREIGN_ID:
        problems.add(f"{where}: {name.decode()} is not an id")
        return None
    return int(value)


def _subdomain(account: _Fields, problems: _Problems) -> str | None:
    value = account.get(b"subdomain")
    if value is None:
        return None
    if _SUBDOMAIN.fullmatch(value.lower()) is None:
        problems.add("account: the subdomain is not a host name")
        return None
    return value.lower().decode()


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
