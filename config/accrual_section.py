"""The `accrual` section: rates, what they apply to, and when they are raised.

Owns its keys, defaults and limits. Which segments exist and what sections must stand beside it is `cross_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from config import calendar_fields, fields
from config.goods_section import read_exclusions
from config.lists import code, in_order, read_categories, read_rows, read_segment_codes, refuse_same
from config.section import Keys, Section, read_list
from loyalty.rules import NO_DELAY, AccrualRules, MethodRate, Multiplier, RateStep

MAX_STEPS = 20
MAX_METHODS = 20
MAX_MULTIPLIERS = 50
MAX_TITLE_CHARS = 60

ACCRUAL_KEYS = Keys(
    (
        "rate",
        "base",
        "rounding",
        "earn_on",
        "activate_after",
        "expire_after",
        "expire_idle",
        "min_order",
        "exclude",
        "steps",
        "by_method",
        "multipliers",
    )
)
STEP_KEYS = Keys(("from", "rate"))
METHOD_KEYS = Keys(("method", "rate"))
MULTIPLIER_KEYS = Keys(
    (
        "title",
        "times",
        "group",
        "first_day",
        "last_day",
        "weekdays",
        "from",
        "until",
        "categories",
        "segments",
    )
)

Source = Literal["payment", "stage"]

_EARN_ON: Mapping[str, Source] = {"payment": "payment", "stage": "stage"}
_BASES: Mapping[str, Literal["paid_money", "order_total"]] = {
    "paid_money": "paid_money",
    "order_total": "order_total",
}


def read_accrual(root: Section) -> AccrualRules:
    section = root.need_sub("accrual", ACCRUAL_KEYS, "rate: 10%")
    section.get("rounding", fields.one_of({"down": "down"}), "down")
    both: tuple[Source, ...] = ("payment", "stage")
    earn_on = read_list(section, "earn_on", fields.one_of(_EARN_ON), both, like="[payment]")
    return AccrualRules(
        rate_bps=section.need("rate", fields.percent_bps, "10%"),
        earn_on=tuple(sorted(earn_on)),
        activate_after=section.get("activate_after", fields.duration, NO_DELAY),
        expire_after=section.get("expire_after", fields.lifetime, None),
        base=section.get("base", fields.one_of(_BASES), "paid_money"),
        exclude=read_exclusions(section, half=True),
        steps=_steps(section),
        by_method=_methods(section),
        multipliers=_multipliers(section),
        min_order_kopecks=section.get("min_order", fields.money_kopecks, 0),
        expire_idle=section.get("expire_idle", fields.lifetime, None),
    )


def _steps(accrual: Section) -> tuple[RateStep, ...]:
    rows = [
        (row, RateStep(row.need("from", fields.money_kopecks, "5000 RUB"), row.need("rate", fields.percent_bps, "2%")))
        for row in read_rows(accrual, "steps", STEP_KEYS, "- {from: 5000 RUB, rate: 2%}", MAX_STEPS)
    ]
    named = [(row, _money_text(step.from_kopecks)) for row, step in rows]
    refuse_same(accrual.notes, named, "from", "duplicate-step", "ступень от", fix="оставьте одну")
    return in_order(
        rows,
        accrual.at("steps"),
        name=lambda step: str(step.from_kopecks),
        order=lambda step: (step.from_kopecks, step.rate_bps),
    )


def _methods(accrual: Section) -> tuple[MethodRate, ...]:
    method = fields.matching(
        "[a-z][a-z0-9_]{0,31}", "payment-method", "способ оплаты пишется латиницей", "напишите, например, cash"
    )
    rows = [
        (row, MethodRate(row.need("method", method, "cash"), row.need("rate", fields.percent_bps, "5%")))
        for row in read_rows(accrual, "by_method", METHOD_KEYS, "- {method: cash, rate: 5%}", MAX_METHODS)
    ]
    named = [(row, one.method) for row, one in rows]
    refuse_same(accrual.notes, named, "method", "duplicate-method", "способ оплаты", fix="оставьте одну запись")
    return in_order(rows, accrual.at("by_method"), name=lambda one: one.method, order=lambda one: one.method)


def _multipliers(accrual: Section) -> tuple[Multiplier, ...]:
    like = "- {title: Выходные, times: 2, weekdays: [sat, sun]}"
    rows = [
        (row, _multiplier(row)) for row in read_rows(accrual, "multipliers", MULTIPLIER_KEYS, like, MAX_MULTIPLIERS)
    ]
    named = [(row, one.title) for row, one in rows]
    refuse_same(accrual.notes, named, "title", "duplicate-multiplier", "множитель", fix="дайте другое имя")
    return in_order(rows, accrual.at("multipliers"), name=lambda one: one.title, order=lambda one: one.title)


def _multiplier(row: Section) -> Multiplier:
    one = Multiplier(
        title=row.need("title", fields.words(MAX_TITLE_CHARS), "Выходные"),
        times_bps=row.need("times", fields.times_bps, "2"),
        group=row.get("group", code("multiplier-group", "weekend"), ""),
        first_day=row.get("first_day", calendar_fields.day, None),
        last_day=row.get("last_day", calendar_fields.day, None),
        weekdays=tuple(sorted(read_list(row, "weekdays", calendar_fields.weekday, (), like="[sat]"))),
        from_time=row.get("from", calendar_fields.clock_time, None),
        until_time=row.get("until", calendar_fields.clock_time, None),
        categories=read_categories(row),
        segments=read_segment_codes(row),
    )
    _ends_after_its_beginning(row, one)
    return one


def _ends_after_its_beginning(row: Section, one: Multiplier) -> None:
    """ISO days and HH:MM times compare as text."""
    notes = row.notes
    if one.first_day and one.last_day and one.first_day > one.last_day:
        message = f"последний день {one.last_day} раньше первого {one.first_day}"
        notes.error_at_path(row.at("last_day"), "days-backwards", message, "поменяйте дни местами")
    if one.from_time and one.until_time and one.from_time >= one.until_time:
        message = f"окно кончается в {one.until_time}, не позже начала {one.from_time}"
        fix = "для часов через полночь заведите два множителя: до полуночи и после"
        notes.error_at_path(row.at("until"), "times-backwards", message, fix)


def _money_text(kopecks: int) -> str:
    roubles, rest = divmod(kopecks, 100)
    return f"{roubles}.{rest:02} RUB" if rest else f"{roubles} RUB"
