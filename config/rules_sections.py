"""The rules of points as one value, and its small sections: programme, welcome, refund, burn, limits, adjustments.

Owns the keys, defaults and limits of those; `accrual`, `redeem`, `gifts` and `segments` have files of their own. Which
rules make sense together is `cross_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from config import calendar_fields, fields
from config.accrual_section import read_accrual
from config.gifts_section import read_gifts
from config.section import Keys, Section, read_list
from config.segments_section import read_segment_policy, read_segments
from loyalty.programme import Programme
from loyalty.rules import (
    NO_DELAY,
    AdjustmentRules,
    BurnRules,
    Duration,
    Limits,
    PointWords,
    RedeemRules,
    RefundRules,
    WelcomeRules,
)

FILE_FORMAT = 1
MAX_NAME_CHARS = 60
MAX_WORD_CHARS = 30
MAX_POINTS = 1_000_000
MAX_DAY_POINTS = 100_000_000
MAX_PER_DAY = 1_000
MAX_NOTICES = 5
MAX_NOTICE_DAYS = 366

PROGRAMME_KEYS = Keys(("name", "timezone", "language", "point", "point_value"))
POINT_KEYS = Keys(("one", "few", "many"))
WELCOME_KEYS = Keys(("points", "on", "with_base", "activate_after", "expire_after"))
REFUND_KEYS = Keys(("return_redeemed", "take_back_accrued", "negative_balance", "grace"))
BURN_KEYS = Keys(("order", "notify_before", "notify_at", "notify_from_points", "without_notice"))
LIMITS_KEYS = Keys(
    (
        "accruals_per_day",
        "redemptions_per_day",
        "points_per_order",
        "points_per_day",
        "points_per_period",
        "period",
    )
)
ADJUSTMENTS_KEYS = Keys(("max_points", "max_points_per_day", "expire_after"))

_GREET_ON: Mapping[str, Literal["first_payment", "signup"]] = {"first_payment": "first_payment", "signup": "signup"}
_DEBTS: Mapping[str, Literal["allow", "within_balance", "only_pending"]] = {
    "allow": "allow",
    "forbid": "within_balance",
    "only_pending": "only_pending",
}
_WITHOUT_NOTICE: Mapping[str, Literal["postpone", "burn"]] = {"postpone": "postpone", "burn": "burn"}
_REFUND = RefundRules()
_BURN = BurnRules()
_LIMITS = Limits()
_ADJUSTMENTS = AdjustmentRules()


def read_programme(root: Section, redeem: RedeemRules | None) -> Programme:
    """All rules of points; stand-ins where something is wrong."""
    root.need("version", _file_format, str(FILE_FORMAT))
    section = root.need_sub("programme", PROGRAMME_KEYS, "name: Клуб, timezone: Europe/Moscow")
    section.get("language", fields.one_of({"ru": "ru"}), "ru")
    return Programme(
        name=section.need("name", fields.words(MAX_NAME_CHARS), "Клуб «Спорт и горы»"),
        timezone=section.need("timezone", fields.time_zone, "Europe/Moscow"),
        point_words=_point_words(section),
        point_value_kopecks=section.get("point_value", fields.money_kopecks, 100),
        accrual=read_accrual(root),
        welcome=_welcome(root),
        redeem=redeem,
        refund=_refund(root),
        burn=_burn(root),
        gifts=read_gifts(root),
        segments=read_segments(root),
        segment_policy=read_segment_policy(root),
        limits=_limits(root),
        adjustments=_adjustments(root),
    )


def _file_format(text: str) -> int:
    if text != str(FILE_FORMAT):
        raise fields.FieldError("version", "формат файла не поддерживается", f"напишите version: {FILE_FORMAT}")
    return FILE_FORMAT


def _point_words(programme: Section) -> PointWords:
    section = programme.sub("point", POINT_KEYS)
    if section is None:
        return PointWords()
    word = fields.words(MAX_WORD_CHARS)
    return PointWords(
        one=section.need("one", word, "балл"),
        few=section.need("few", word, "балла"),
        many=section.need("many", word, "баллов"),
    )


def _welcome(root: Section) -> WelcomeRules | None:
    section = root.sub("welcome", WELCOME_KEYS)
    if section is None:
        return None
    return WelcomeRules(
        points=section.need("points", fields.whole(1, MAX_POINTS), "300"),
        with_base=section.get("with_base", fields.yes_no, default=True),
        activate_after=section.get("activate_after", fields.duration, NO_DELAY),
        expire_after=section.get("expire_after", fields.lifetime, None),
        on=section.get("on", fields.one_of(_GREET_ON), "first_payment"),
    )


def _refund(root: Section) -> RefundRules:
    section = root.sub("refund", REFUND_KEYS)
    if section is None:
        return _REFUND
    section.get("take_back_accrued", _only_yes, default=True)
    return RefundRules(
        debt=section.get("negative_balance", fields.one_of(_DEBTS), _REFUND.debt),
        return_redeemed=section.get("return_redeemed", fields.yes_no, default=_REFUND.return_redeemed),
        grace=section.get("grace", fields.duration, _REFUND.grace),
    )


def _only_yes(text: str) -> bool:
    if not fields.yes_no(text):
        message = "начисленное за возвращённый заказ всегда забирается"
        raise fields.FieldError("unknown-value", message, "напишите true или уберите эту строку")
    return True


def _burn(root: Section) -> BurnRules:
    section = root.sub("burn", BURN_KEYS)
    if section is None:
        return _BURN
    section.get("order", fields.one_of({"soonest_first": "soonest_first"}), "soonest_first")
    return BurnRules(
        notify_before=_notices(section),
        notify_at=section.get("notify_at", calendar_fields.clock_time, _BURN.notify_at),
        notify_from_points=section.get("notify_from_points", fields.whole(1, MAX_POINTS), _BURN.notify_from_points),
        without_notice=section.get("without_notice", fields.one_of(_WITHOUT_NOTICE), _BURN.without_notice),
    )


def _notices(burn: Section) -> tuple[Duration, ...]:
    """The earliest notice first."""
    days = fields.whole_days(1, MAX_NOTICE_DAYS)
    notices = read_list(burn, "notify_before", days, _BURN.notify_before, like="[7 days]")
    if len(notices) > MAX_NOTICES:
        message = f"предупреждений больше {MAX_NOTICES}: покупателя это утомит"
        burn.notes.error_at_path(burn.at("notify_before"), "too-many", message, "уберите лишние")
    return tuple(sorted(notices, key=lambda notice: -notice.count))


def _limits(root: Section) -> Limits:
    section = root.sub("limits", LIMITS_KEYS)
    if section is None:
        return _LIMITS
    times = fields.whole(1, MAX_PER_DAY)
    points = fields.whole(1, MAX_DAY_POINTS)
    return Limits(
        accruals_per_day=section.get("accruals_per_day", times, None),
        redemptions_per_day=section.get("redemptions_per_day", times, None),
        points_per_order=section.get("points_per_order", points, None),
        points_per_day=section.get("points_per_day", points, None),
        points_per_period=section.get("points_per_period", points, None),
        period=section.get("period", fields.span, _LIMITS.period),
    )


def _adjustments(root: Section) -> AdjustmentRules:
    section = root.sub("adjustments", ADJUSTMENTS_KEYS)
    if section is None:
        return _ADJUSTMENTS
    rules = AdjustmentRules(
        max_points=section.get("max_points", fields.whole(1, MAX_POINTS), _ADJUSTMENTS.max_points),
        max_points_per_day=section.get(
            "max_points_per_day", fields.whole(1, MAX_DAY_POINTS), _ADJUSTMENTS.max_points_per_day
        ),
        expire_after=section.get("expire_after", fields.lifetime, _ADJUSTMENTS.expire_after),
    )
    written = next((key for key in ("max_points_per_day", "max_points") if key in section), None)
    if written and section.notes.intact(section.path) and rules.max_points > rules.max_points_per_day:
        message = f"за раз можно {rules.max_points}, а за день только {rules.max_points_per_day}"
        fix = f"напишите max_points_per_day: {rules.max_points} или больше"
        section.notes.error_at_path(section.at(written), "adjustment-limits", message, fix)
    return rules
