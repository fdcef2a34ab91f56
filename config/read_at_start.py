"""The parts of the rules file that a running program has read at its start and does not read again.

Owns their names and the comparison of two texts of the file; everything else takes effect by `kopilka apply`.
"""

from __future__ import annotations

from config.strict_yaml import Items, Node, Pairs, Scalar, read_yaml

READ_AT_START = ("redeem.pin", "card", "mail", "amocrm", "acquirers")


def changed_parts(old: str, new: str) -> tuple[str, ...]:
    """Those that differ between two right files; comments, quotes and places mean nothing."""
    before, after = _root(old), _root(new)
    return tuple(name for name in READ_AT_START if _part(before, name) != _part(after, name))


def _root(source: str) -> object:
    root = read_yaml(source.encode()).root
    return None if root is None else _plain(root)


def _part(root: object, path: str) -> object:
    found = root
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _plain(node: Node) -> object:
    if isinstance(node, Pairs):
        return {name.text: _plain(value) for name, value in node.entries}
    if isinstance(node, Items):
        return [_plain(one) for one in node.items]
    return node.text if isinstance(node, Scalar) else None
