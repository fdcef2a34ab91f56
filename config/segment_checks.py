"""Segments that fit beside each other: who is higher, what it gives, and that every named segment exists.

Owns the checks between segments and of the rules that name segments by code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from config import fields
from config.masking import quote
from config.model import AmoCrmConfig
from config.section import Notes
from config.segment_order import is_above
from loyalty.programme import Programme
from loyalty.rules import SegmentRule


def check_segments(notes: Notes, programme: Programme) -> None:
    _newcomers_have_a_segment(notes, programme)
    _segments_rise(notes, programme)
    _rates_rise(notes, programme)
    _shares_are_used(notes, programme)
    _named_segments_exist(notes, programme)


def _newcomers_have_a_segment(notes: Notes, programme: Programme) -> None:
    automatic = _automatic(programme)
    if not automatic or not notes.intact(*(_condition(notes, rule) for rule in automatic)):
        return
    first = automatic[0]
    enters_at_once = first.min_orders == 1 and (
        first.min_spent_kopecks is None or programme.segment_policy.match == "any"
    )
    if not enters_at_once:
        message = "первый сегмент должен начинаться с одного заказа, иначе новички останутся без сегмента"
        notes.error_at_path(_condition(notes, first), "segment-orders", message, "напишите when: {orders: 1}")


def _segments_rise(notes: Notes, programme: Programme) -> None:
    for lower, upper in pairwise(_automatic(programme)):
        paths = [_condition(notes, lower), _condition(notes, upper)]
        if is_above(upper, lower, programme.segment_policy.match) or not notes.intact(*paths):
            continue
        path = max(paths, key=lambda path: notes.spans[path].line)
        if _conditions(lower) != _conditions(upper):
            message = f"нельзя понять, кто выше: «{lower.title}» или «{upper.title}»"
            fix = "дайте обоим одни и те же условия (orders и spent), у старшего больше"
        elif _item(notes, lower) in paths or _item(notes, upper) in paths:
            message = f"«{lower.title}» и «{upper.title}» оба начинаются с первого заказа"
            path = next(path for path in paths if path in {_item(notes, lower), _item(notes, upper)})
            fix = "добавьте одному из них условие, например when: {orders: 3}"
        else:
            message = f"у сегментов «{lower.title}» и «{upper.title}» одинаковые условия"
            fix = "напишите для старшего больше заказов или большую сумму"
        notes.error_at_path(path, "segment-orders", message, fix)


def _rates_rise(notes: Notes, programme: Programme) -> None:
    """A segment reached by buying more must not earn less; one filled by hand is compared with the highest of those."""
    base = programme.accrual.rate_bps
    automatic = _automatic(programme)
    by_hand = [rule for rule in programme.segments if rule.is_manual]
    steps = [*pairwise(automatic), *((automatic[-1], rule) for rule in by_hand if automatic)]
    for lower, upper in steps:
        path = f"{_item(notes, upper)}.rate"
        of_lower, of_upper = (base if one.rate_bps is None else one.rate_bps for one in (lower, upper))
        if of_upper < of_lower and notes.written(path) and notes.intact("accrual.rate", "segments"):
            message = (
                f"у «{upper.title}» ставка {_percent(of_upper)} ниже, чем у «{lower.title}» ({_percent(of_lower)}): "
                "переход вверх станет наказанием"
            )
            notes.warn(path, "segment-rate-drops", message, f"напишите {_percent(of_lower)} или больше")


def _shares_are_used(notes: Notes, programme: Programme) -> None:
    for rule in programme.segments:
        path = f"{_item(notes, rule)}.max_share"
        if rule.max_share_bps is not None and not notes.written("redeem") and notes.intact(path):
            message = "баллами платить нельзя: в файле нет раздела redeem"
            notes.warn(path, "silent-share", message, "добавьте раздел redeem: {max_share: 30%} или уберите max_share")


def check_named_by_bots(notes: Notes, programme: Programme, amocrm: AmoCrmConfig | None) -> None:
    """A bot for a segment that nobody can come into would never run."""
    if amocrm is None or not notes.intact("segments", "amocrm.segment_bots"):
        return
    codes = [rule.code for rule in programme.segments]
    for code in amocrm.segment_bots:
        if code not in codes:
            _unknown_segment(notes, "amocrm.segment_bots", code, codes)


def _named_segments_exist(notes: Notes, programme: Programme) -> None:
    codes = [rule.code for rule in programme.segments]
    if not notes.intact("segments"):
        return
    naming = [(f"accrual.multipliers.{one.title}", one.segments) for one in programme.accrual.multipliers]
    naming += [(f"gifts.holidays.{one.title}", one.segments) for one in programme.gifts.holidays]
    for name, wanted in naming:
        path = f"{notes.named(name)}.segments"
        for code in wanted:
            if code not in codes and notes.intact(path):
                _unknown_segment(notes, notes.named(f"{path}.{code}"), code, codes)


def _unknown_segment(notes: Notes, place: str, code: str, codes: Sequence[str]) -> None:
    near = fields.closest(code, codes)
    known = f"есть такие: {', '.join(codes)}" if codes else "добавьте раздел segments"
    message, fix = f"нет сегмента с кодом {quote(code)}", f"возможно, «{near}»?" if near else known
    notes.error_at_path(place, "unknown-segment", message, fix)


def _automatic(programme: Programme) -> list[SegmentRule]:
    return [rule for rule in programme.segments if not rule.is_manual]


def _conditions(rule: SegmentRule) -> tuple[int | None, int | None]:
    return rule.min_orders, rule.min_spent_kopecks


def _item(notes: Notes, rule: SegmentRule) -> str:
    return notes.named(f"segments.{rule.code}")


def _condition(notes: Notes, rule: SegmentRule) -> str:
    """Where the segment's conditions stand; the segment itself when it has none."""
    item = _item(notes, rule)
    places = (f"{item}.when.orders", f"{item}.when.spent", item)
    return next((path for path in places if notes.written(path)), "segments")


def _percent(bps: int) -> str:
    whole, rest = divmod(bps, 100)
    return f"{whole}{f',{rest:02}'.rstrip('0') if rest else ''}%"
