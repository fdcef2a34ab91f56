"""The sections that decide about points: programme, accrual, welcome, refund, segments.

Owns their keys, defaults and limits. Builds `loyalty.programme.Programme`; which rules make sense together is
`cross_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from config import fields
from config.section import Keys, Notes, Section, read_list, refuse_repeats
from config.strict_yaml import Node
from loyalty.programme import (
    NO_DELAY,
    AccrualRules,
    PointWords,
    Programme,
    SegmentRule,
    WelcomeRules,
)

FILE_FORMAT = 1
MAX_NAME_CHARS = 60
MAX_WORD_CHARS = 30
MAX_TITLE_CHARS = 40
MAX_WELCOME_POINTS = 1_000_000
MAX_ORDERS = 10_000
MAX_SEGMENTS = 20

ACCRUAL_KEYS = Keys(
    ("rate", "base", "rounding", "activate_after", "expire_after", "earn_on"),
    planned=("exclude",),
)
WELCOME_KEYS = Keys(("points", "on", "with_base", "activate_after", "expire_after"))
REFUND_KEYS = Keys(("take_back_accrued", "negative_balance"), planned=("return_redeemed",))
SEGMENT_KEYS = Keys(("code", "title", "when"), planned=("rate", "max_share"))

_EARN_ON: Mapping[str, Literal["payment", "stage"]] = {"payment": "payment", "stage": "stage"}


def read_programme(root: Section) -> Programme:
    """All rules of points; stand-ins where something is wrong."""
    root.need("version", _file_format, str(FILE_FORMAT))
    _refund(root.sub("refund", REFUND_KEYS))
    keys = Keys(("name", "timezone", "language", "point", "point_value"))
    section = root.need_sub("programme", keys, "name: Клуб, timezone: Europe/Moscow")
    section.get("language", fields.one_of({"ru": "ru"}), "ru")
    return Programme(
        name=section.need("name", fields.words(MAX_NAME_CHARS), "Клуб «Спорт и горы»"),
        timezone=section.need("timezone", fields.time_zone, "Europe/Moscow"),
        point_words=_point_words(section),
        point_value_kopecks=section.get("point_value", fields.money_kopecks, 100),
        accrual=_accrual(root.need_sub("accrual", ACCRUAL_KEYS, "rate: 10%")),
        welcome=_welcome(root.sub("welcome", WELCOME_KEYS)),
        segments=_segments(root),
    )


def _file_format(text: str) -> int:
    if text != str(FILE_FORMAT):
        raise fields.FieldError("version", "формат файла не поддерживается", f"напишите version: {FILE_FORMAT}")
    return FILE_FORMAT


def _point_words(programme: Section) -> PointWords:
    section = programme.sub("point", Keys(("one", "few", "many")))
    if section is None:
        return PointWords()
    word = fields.words(MAX_WORD_CHARS)
    return PointWords(
        one=section.need("one", word, "балл"),
        few=section.need("few", word, "балла"),
        many=section.need("many", word, "баллов"),
    )


def _accrual(section: Section) -> AccrualRules:
    section.get("base", fields.one_of({"paid_money": "paid_money"}), "paid_money")
    section.get("rounding", fields.one_of({"down": "down"}), "down")
    return AccrualRules(
        rate_bps=section.need("rate", fields.percent_bps, "10%"),
        earn_on=read_list(section, "earn_on", fields.one_of(_EARN_ON), ("payment", "stage"), like="[payment]"),
        activate_after=section.get("activate_after", fields.duration, NO_DELAY),
        expire_after=section.get("expire_after", fields.lifetime, None),
    )


def _welcome(section: Section | None) -> WelcomeRules | None:
    if section is None:
        return None
    section.get("on", fields.one_of({"first_payment": "first_payment"}), "first_payment")
    return WelcomeRules(
        points=section.need("points", fields.whole(1, MAX_WELCOME_POINTS), "300"),
        with_base=section.get("with_base", fields.yes_no, default=True),
        activate_after=section.get("activate_after", fields.duration, NO_DELAY),
        expire_after=section.get("expire_after", fields.lifetime, None),
    )


def _refund(section: Section | None) -> None:
    """Only checked: the rules of points know one way to refund, and the file may say it aloud."""
    if section is not None:
        section.get("take_back_accrued", _only_yes, default=True)
        section.get("negative_balance", _only_allow, "allow")


def _only_allow(text: str) -> str:
    value = fields.one_of({"allow": "allow", "forbid": "forbid"})(text)
    if value == "forbid":
        fix = "напишите allow: значение forbid появится в следующей версии"
        raise fields.FieldError("unknown-value", "списать недостачу после возврата пока нельзя", fix)
    return value


def _only_yes(text: str) -> bool:
    if not fields.yes_no(text):
        message = "начисленное за возвращённый заказ всегда забирается"
        raise fields.FieldError("unknown-value", message, "напишите true или уберите эту строку")
    return True


def _segments(root: Section) -> tuple[SegmentRule, ...]:
    members = root.items("segments", "- {code: start, title: Стартовый, when: {orders: 1}}")
    path = root.at("segments")
    if len(members) > MAX_SEGMENTS:
        root.notes.error_at_path(path, "too-many", f"сегментов больше {MAX_SEGMENTS}", "уберите лишние")
        return ()
    rules = tuple(_segment(root.notes, node, path, first=not number) for number, (path, node) in enumerate(members))
    paths = [path for path, _ in members]
    refuse_repeats(
        root.notes,
        [(f"{path}.code", rule.code) for path, rule in zip(paths, rules, strict=True)],
        "duplicate-segment",
        "сегмент с кодом",
    )
    refuse_repeats(
        root.notes,
        [(f"{path}.title", rule.title) for path, rule in zip(paths, rules, strict=True)],
        "duplicate-segment",
        "сегмент с именем",
    )
    return rules


def _segment(notes: Notes, node: Node, path: str, *, first: bool) -> SegmentRule:
    section = Section.open(notes, node, path, node.span, SEGMENT_KEYS)
    code = fields.matching(
        "[a-z][a-z0-9_]{0,31}", "segment-code", "код пишется латиницей", "напишите, например, regular"
    )
    conditions = section.sub("when", Keys(("orders",), planned=("spent",)))
    if conditions is None and not first:
        section.missing("when", "добавьте, например: when: {orders: 3}")
    orders = fields.whole(1, MAX_ORDERS)
    return SegmentRule(
        code=section.need("code", code, "regular"),
        title=section.need("title", fields.words(MAX_TITLE_CHARS), "Постоянный"),
        min_orders=1 if conditions is None else conditions.need("orders", orders, "1" if first else "3"),
    )
