"""Reading DER (X.690): tags, definite lengths, object names, times. Owns no meaning of what is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

INTEGER, OCTETS, OID, UTF8, UTC_TIME, GENERALIZED_TIME = 0x02, 0x04, 0x06, 0x0C, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1

_LONG_TAG = 0x1F
_SHORT_MAX = 0x7F
_LENGTH_BYTES_MAX = 4
_OID_BYTES_MAX = 64


class DerError(ValueError):
    """These bytes are not DER."""


@dataclass(frozen=True)
class Node:
    """One element: its tag, its content and the whole of it."""

    tag: int
    body: bytes
    whole: bytes

    def children(self) -> list[Node]:
        """Raises DerError."""
        found, at = [], 0
        while at < len(self.body):
            node = read(self.body, at)
            found.append(node)
            at += len(node.whole)
        return found


def read(data: bytes, at: int = 0) -> Node:
    """The element that begins at `at`. Raises DerError."""
    if at + 2 > len(data):
        raise DerError("cut off")
    tag, length, begin = data[at], data[at + 1], at + 2
    if tag & _LONG_TAG == _LONG_TAG:
        raise DerError("long tag")
    if length > _SHORT_MAX:
        count = length & _SHORT_MAX
        if not 1 <= count <= _LENGTH_BYTES_MAX or begin + count > len(data):
            raise DerError("length")
        length, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
    if begin + length > len(data):
        raise DerError("cut off")
    return Node(tag, data[begin : begin + length], data[at : begin + length])


def read_all(data: bytes) -> Node:
    """The element that is all of `data`. Raises DerError."""
    node = read(data)
    if len(node.whole) != len(data):
        raise DerError("something follows")
    return node


def oid(node: Node) -> str:
    """An object's name in dots. Raises DerError."""
    if node.tag != OID or not 0 < len(node.body) <= _OID_BYTES_MAX or node.body[-1] & 0x80:
        raise DerError("object name")
    arcs, value = [], 0
    for byte in node.body:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def moment(node: Node) -> datetime:
    """An instant in UTC. Raises DerError."""
    form = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(node.tag)
    if form is None:
        raise DerError("time")
    try:
        return datetime.strptime(node.body.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError as error:
        raise DerError("time") from error
