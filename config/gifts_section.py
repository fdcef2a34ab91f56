"""The `gifts` section: birthday, holidays, and points for something other than buying.

Owns its keys, defaults and limits.
"""

from __future__ import annotations

from config import calendar_fields, fields
from config.lists import code, in_order, read_rows, read_segment_codes, refuse_same
from config.section import Keys, Section
from loyalty.rules import NO_DELAY, ActionReward, BirthdayGift, GiftRules, HolidayGift

MAX_POINTS = 1_000_000
MAX_DAYS = 366
MAX_HOLIDAYS = 100
MAX_ACTIONS = 50
MAX_PER_DAY = 1_000
MAX_TITLE_CHARS = 60

GIFTS_KEYS = Keys(("birthday", "holidays", "actions"))
BIRTHDAY_KEYS = Keys(("points", "give_before", "valid", "birthday_known_for"))
HOLIDAY_KEYS = Keys(("name", "date", "points", "valid", "segments"), meant={"title": "name"})
ACTION_KEYS = Keys(
    (
        "code",
        "title",
        "points",
        "activate_after",
        "expire_after",
        "per_day",
        "once",
    )
)

_BIRTHDAY = BirthdayGift(points=1)
_HOLIDAY = HolidayGift(title="", date="", points=1)


def read_gifts(root: Section) -> GiftRules:
    section = root.sub("gifts", GIFTS_KEYS)
    if section is None:
        return GiftRules()
    return GiftRules(birthday=_birthday(section), holidays=_holidays(section), actions=_actions(section))


def _birthday(gifts: Section) -> BirthdayGift | None:
    section = gifts.sub("birthday", BIRTHDAY_KEYS)
    if section is None:
        return None
    days = fields.whole_days(0, MAX_DAYS)
    return BirthdayGift(
        points=section.need("points", fields.whole(1, MAX_POINTS), "500"),
        give_before=section.get("give_before", days, _BIRTHDAY.give_before),
        valid=section.get("valid", fields.span, _BIRTHDAY.valid),
        known_for=section.get("birthday_known_for", days, _BIRTHDAY.known_for),
    )


def _holidays(gifts: Section) -> tuple[HolidayGift, ...]:
    like = "- {name: 8 Марта, date: 03-08, points: 200, valid: 10 days}"
    rows = [(row, _holiday(row)) for row in read_rows(gifts, "holidays", HOLIDAY_KEYS, like, MAX_HOLIDAYS)]
    named = [(row, one.title) for row, one in rows]
    refuse_same(gifts.notes, named, "name", "duplicate-holiday", "праздник", fix="дайте другое имя")
    return in_order(rows, gifts.at("holidays"), name=lambda one: one.title, order=lambda one: (one.date, one.title))


def _holiday(row: Section) -> HolidayGift:
    return HolidayGift(
        title=row.need("name", fields.words(MAX_TITLE_CHARS), "8 Марта"),
        date=row.need("date", calendar_fields.yearly_or_day, "03-08"),
        points=row.need("points", fields.whole(1, MAX_POINTS), "200"),
        valid=row.get("valid", fields.span, _HOLIDAY.valid),
        segments=read_segment_codes(row),
    )


def _actions(gifts: Section) -> tuple[ActionReward, ...]:
    like = "- {code: review, title: Отзыв, points: 50}"
    rows = [(row, _action(row)) for row in read_rows(gifts, "actions", ACTION_KEYS, like, MAX_ACTIONS)]
    named = [(row, one.code) for row, one in rows]
    refuse_same(gifts.notes, named, "code", "duplicate-action", "действие с кодом", fix="дайте другой код")
    return in_order(rows, gifts.at("actions"), name=lambda one: one.code, order=lambda one: one.code)


def _action(row: Section) -> ActionReward:
    return ActionReward(
        code=row.need("code", code("action-code", "review"), "review"),
        title=row.need("title", fields.words(MAX_TITLE_CHARS), "Отзыв"),
        points=row.need("points", fields.whole(1, MAX_POINTS), "50"),
        activate_after=row.get("activate_after", fields.duration, NO_DELAY),
        expire_after=row.get("expire_after", fields.lifetime, None),
        per_day=row.get("per_day", fields.whole(1, MAX_PER_DAY), None),
        once=row.get("once", fields.yes_no, default=False),
    )
