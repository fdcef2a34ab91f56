"""The `segments` and `segment_rules` sections: who belongs to which segment, and what the segment gives.

Owns their keys, defaults and limits. Which segments fit beside each other is `segment_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from config import fields
from config.lists import code, in_order, read_rows, refuse_same
from config.section import Keys, Section
from config.segment_order import Match, rising_key
from loyalty.rules import NO_DELAY, SegmentPolicy, SegmentRule

MAX_SEGMENTS = 20
MAX_TITLE_CHARS = 40
MAX_ORDERS = 10_000
MAX_SPENT_KOPECKS = 100_000_000_000  # one milliard roubles

SEGMENT_KEYS = Keys(("code", "title", "rate", "max_share", "when", "manual"))
WHEN_KEYS = Keys(("orders", "spent"))
POLICY_KEYS = Keys(("window", "any_or_all", "downgrade", "grace"))

_MATCHES: Mapping[str, Match] = {"any": "any", "all": "all"}
_DOWNGRADES: Mapping[str, Literal["never", "after_window"]] = {"never": "never", "after_window": "after_window"}
_POLICY = SegmentPolicy()


def read_segment_policy(root: Section) -> SegmentPolicy:
    section = root.sub("segment_rules", POLICY_KEYS)
    if section is None:
        return _POLICY
    return SegmentPolicy(
        window=section.get("window", fields.span, _POLICY.window),
        match=section.get("any_or_all", fields.one_of(_MATCHES), _POLICY.match),
        downgrade=section.get("downgrade", fields.one_of(_DOWNGRADES), _POLICY.downgrade),
        grace=section.get("grace", fields.duration, NO_DELAY),
    )


def read_segments(root: Section) -> tuple[SegmentRule, ...]:
    """The lowest first, those filled by hand last."""
    like = "- {code: start, title: Стартовый, when: {orders: 1}}"
    sections = read_rows(root, "segments", SEGMENT_KEYS, like, MAX_SEGMENTS)
    by_hand = {row.path: row.get("manual", fields.yes_no, default=False) for row in sections}
    first = next((row for row in sections if row.readable and "when" not in row and not by_hand[row.path]), None)
    rows = [(row, _segment(row, is_manual=by_hand[row.path], is_first=row is first)) for row in sections]
    for key, what in (("code", "сегмент с кодом"), ("title", "сегмент с именем")):
        named = [(row, rule.code if key == "code" else rule.title) for row, rule in rows]
        refuse_same(root.notes, named, key, "duplicate-segment", what, fix="дайте другое имя")
    return in_order(rows, "segments", name=lambda rule: rule.code, order=rising_key)


def _segment(row: Section, *, is_manual: bool, is_first: bool) -> SegmentRule:
    orders, spent = (None, None) if is_manual else _conditions(row, is_first=is_first)
    if is_manual and "when" in row:
        message = "в этот сегмент участников добавляет человек, условие when не сработает"
        row.notes.error_at_path(row.at("when"), "manual-when", message, "уберите when или manual")
    return SegmentRule(
        code=row.need("code", code("segment-code", "regular"), "regular"),
        title=row.need("title", fields.words(MAX_TITLE_CHARS), "Постоянный"),
        min_orders=orders,
        min_spent_kopecks=spent,
        rate_bps=row.get("rate", fields.percent_bps, None),
        max_share_bps=row.get("max_share", fields.percent_bps, None),
        is_manual=is_manual,
    )


def _conditions(row: Section, *, is_first: bool) -> tuple[int | None, int | None]:
    """Orders and kopecks. One segment may leave its conditions out: everybody enters it with the first order."""
    when = row.sub("when", WHEN_KEYS)
    if when is None:
        if not is_first:
            row.missing("when", "добавьте, например: when: {orders: 3}, или manual: yes")
        return 1, None
    if "orders" not in when and "spent" not in when:
        when.missing("orders", "добавьте orders: 3, или spent: 15000 RUB, или оба")
    return (
        when.get("orders", fields.whole(1, MAX_ORDERS), None),
        when.get("spent", fields.money(MAX_SPENT_KOPECKS), None),
    )
