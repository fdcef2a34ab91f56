"""What every rule is called in Russian and in the rules file, and whom it concerns.

Owns the table: one entry for each field of the rules' dataclasses, so a new rule without a name fails the tests.
`changes.py` compares two programmes by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty.change_words import (
    Items,
    OneOf,
    Part,
    Word,
    any_or_listed,
    days_of_week,
    length,
    listing,
    quoted,
    yes_no,
)
from loyalty.phrases import percent, roubles, span, times
from loyalty.programme import Programme
from loyalty.rules import (
    AccrualRules,
    ActionReward,
    AdjustmentRules,
    BirthdayGift,
    BurnRules,
    Exclusions,
    GiftRules,
    HolidayGift,
    Limits,
    MethodRate,
    Multiplier,
    PointWords,
    RateStep,
    RedeemRules,
    RefundRules,
    SegmentPolicy,
    SegmentRule,
    WelcomeRules,
)
from loyalty.wording import thousands

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOURCES = OneOf({"payment": "оплата в банке", "stage": "этап оплаты в amoCRM"})
_OUT_OR_IN = OneOf({"no": "как обычные", "yes_half": "половина ставки", "yes": "не участвуют"})
_DISCOUNTED = OneOf({False: "как обычные", True: "не участвуют"})

FIELDS: Mapping[type, Mapping[str, Word | Part | Items]] = {
    Programme: {
        "name": Word("programme.name", "название программы", quoted),
        "timezone": Word("programme.timezone", "часовой пояс", str),
        "point_value_kopecks": Word("programme.point_value", "цена балла", roubles),
        "point_words": Part("programme.point"),
        "accrual": Part("accrual"),
        "welcome": Part("welcome", "раздел welcome (приветственные баллы)", who="welcome"),
        "redeem": Part("redeem", "раздел redeem (оплата баллами)"),
        "refund": Part("refund"),
        "burn": Part("burn"),
        "gifts": Part("gifts"),
        "segments": Items(
            "segments", "code", lambda one: f"сегмент {one.code} «{one.title}»", lambda one: f"сегмента {one.code}"
        ),
        "segment_policy": Part("segment_rules"),
        "limits": Part("limits"),
        "adjustments": Part("adjustments", who="staff"),
    },
    PointWords: {
        "one": Word("one", "слово для одного балла", quoted),
        "few": Word("few", "слово для двух баллов", quoted),
        "many": Word("many", "слово для пяти баллов", quoted),
    },
    AccrualRules: {
        "rate_bps": Word("rate", "базовая ставка", percent, who="base rate"),
        "earn_on": Word("earn_on", "повод для начисления", lambda found: ", ".join(map(_SOURCES, found))),
        "activate_after": Word("activate_after", "ожидание баллов за покупку", span),
        "expire_after": Word("expire_after", "срок жизни баллов за покупку", length, "не сгорают"),
        "base": Word(
            "base",
            "база начисления",
            OneOf({"paid_money": "только деньги", "order_total": "вместе с оплатой баллами"}),
        ),
        "exclude": Part("exclude", of="для начисления"),
        "steps": Items(
            "steps",
            "from_kopecks",
            lambda one: f"ступень от {roubles(one.from_kopecks)}",
            lambda one: f"ступени от {roubles(one.from_kopecks)}",
            who="base rate",
        ),
        "by_method": Items(
            "by_method",
            "method",
            lambda one: f"способ оплаты {one.method}",
            lambda one: f"способа оплаты {one.method}",
        ),
        "multipliers": Items(
            "multipliers",
            "title",
            lambda one: f"множитель «{one.title}»",
            lambda one: f"множителя «{one.title}»",
            who="listed",
        ),
        "min_order_kopecks": Word("min_order", "самый дешёвый заказ с начислением", roubles),
        "expire_idle": Word("expire_idle", "срок без покупок, после которого сгорает всё", length, "не задан"),
    },
    Exclusions: {
        "categories": Word("categories", "список исключённых категорий", listing),
        "on_sale": Word("items_on_sale", "порядок товаров по акции", _OUT_OR_IN),
        "discounted": Word("discounted", "порядок товаров со своей скидкой", _DISCOUNTED),
    },
    RateStep: {
        "from_kopecks": Word("from", "порог", roubles),
        "rate_bps": Word("rate", "ставка", percent),
    },
    MethodRate: {
        "method": Word("method", "код", str),
        "rate_bps": Word("rate", "ставка", percent),
    },
    Multiplier: {
        "title": Word("title", "название", quoted),
        "times_bps": Word("times", "величина", times),
        "group": Word("group", "группа", quoted),
        "first_day": Word("first_day", "первый день", str, "любой"),
        "last_day": Word("last_day", "последний день", str, "любой"),
        "weekdays": Word("weekdays", "список дней недели", days_of_week),
        "from_time": Word("from", "час начала", str, "любой"),
        "until_time": Word("until", "час окончания", str, "любой"),
        "categories": Word("categories", "список категорий", any_or_listed),
        "segments": Word("segments", "список сегментов", any_or_listed),
    },
    WelcomeRules: {
        "points": Word("points", "число приветственных баллов", thousands),
        "with_base": Word("with_base", "начисление за первый заказ сверх приветственных баллов", yes_no),
        "activate_after": Word("activate_after", "ожидание приветственных баллов", span),
        "expire_after": Word("expire_after", "срок жизни приветственных баллов", length, "не сгорают"),
        "on": Word(
            "on",
            "повод для приветственных баллов",
            OneOf({"first_payment": "первый заказ", "signup": "вступление"}),
        ),
    },
    RedeemRules: {
        "max_share_bps": Word("max_share", "доля заказа, которую можно оплатить баллами", percent, who="base share"),
        "min_points": Word("min_points", "наименьшее списание", thousands),
        "max_points": Word("max_points", "наибольшее списание за заказ", thousands, "без предела"),
        "exclude": Part("exclude", of="для списания"),
        "confirm": Word(
            "confirm",
            "подтверждение списания",
            OneOf({"none": "не нужно", "code": "код покупателю", "pin": "ПИН старшего менеджера"}),
        ),
        "confirm_from_points": Word("confirm_from_points", "списание, с которого нужно подтверждение", thousands),
        "hold": Word("hold", "срок резерва на сайте, кассе и в боте", length),
        "crm_hold": Word("crm_hold", "срок резерва для сделки", length),
    },
    RefundRules: {
        "debt": Word(
            "negative_balance",
            "порядок, когда баллы возвращённого заказа потрачены",
            OneOf({"allow": "долг", "within_balance": "берём, что есть", "only_pending": "только ожидающие"}),
        ),
        "return_redeemed": Word("return_redeemed", "возврат списанных баллов", yes_no),
        "grace": Word("grace", "наименьший срок возвращённых баллов", length),
    },
    BurnRules: {
        "notify_before": Word("notify_before", "список предупреждений о сгорании", listing),
        "notify_at": Word("notify_at", "час предупреждений", str),
        "notify_from_points": Word("notify_from_points", "число баллов, с которого предупреждаем", thousands),
        "without_notice": Word(
            "without_notice",
            "порядок для тех, кого не предупредили",
            OneOf({"postpone": "баллы не сгорают", "burn": "баллы сгорают"}),
        ),
    },
    GiftRules: {
        "birthday": Part("birthday", "подарок ко дню рождения", who="birthday"),
        "holidays": Items(
            "holidays",
            "title",
            lambda one: f"подарок «{one.title}»",
            lambda one: f"подарка «{one.title}»",
            who="listed",
        ),
        "actions": Items(
            "actions",
            "code",
            lambda one: f"поощрение {one.code} «{one.title}»",
            lambda one: f"поощрения {one.code}",
        ),
    },
    BirthdayGift: {
        "points": Word("points", "число баллов ко дню рождения", thousands),
        "give_before": Word("give_before", "срок до дня рождения, когда дарим", length),
        "valid": Word("valid", "срок жизни подарка ко дню рождения", length),
        "known_for": Word("birthday_known_for", "срок, за который надо знать день рождения", length),
    },
    HolidayGift: {
        "title": Word("name", "название", quoted),
        "date": Word("date", "дата", str),
        "points": Word("points", "число баллов", thousands),
        "valid": Word("valid", "срок жизни", length),
        "segments": Word("segments", "список сегментов", any_or_listed),
    },
    ActionReward: {
        "code": Word("code", "код", str),
        "title": Word("title", "название", quoted),
        "points": Word("points", "число баллов", thousands),
        "activate_after": Word("activate_after", "ожидание", span),
        "expire_after": Word("expire_after", "срок жизни", length, "не сгорают"),
        "per_day": Word("per_day", "предел в день", thousands, "без предела"),
        "once": Word("once", "выдача только один раз", yes_no),
    },
    SegmentRule: {
        "code": Word("code", "код", str),
        "title": Word("title", "название", quoted, who="segment"),
        "min_orders": Word("when.orders", "порог по числу заказов", thousands, "нет"),
        "min_spent_kopecks": Word("when.spent", "порог по сумме покупок", roubles, "нет"),
        "rate_bps": Word("rate", "ставка", percent, "базовая", who="segment"),
        "max_share_bps": Word("max_share", "доля оплаты баллами", percent, "общая", who="segment"),
        "is_manual": Word("manual", "заполнение вручную", yes_no),
    },
    SegmentPolicy: {
        "window": Word("window", "срок, за который считаем заказы для сегмента", length, "за всё время"),
        "match": Word(
            "any_or_all", "условие сегментов", OneOf({"any": "хватит одного порога", "all": "нужны оба порога"})
        ),
        "downgrade": Word(
            "downgrade",
            "понижение сегмента",
            OneOf({"never": "не бывает", "after_window": "когда пороги не выполнены"}),
        ),
        "grace": Word("grace", "отсрочка понижения сегмента", length),
    },
    Limits: {
        "accruals_per_day": Word("accruals_per_day", "предел начислений в день", thousands, "без предела"),
        "redemptions_per_day": Word("redemptions_per_day", "предел списаний в день", thousands, "без предела"),
        "points_per_order": Word("points_per_order", "предел баллов за заказ", thousands, "без предела"),
        "points_per_day": Word("points_per_day", "предел баллов в день", thousands, "без предела"),
        "points_per_period": Word("points_per_period", "предел баллов за период", thousands, "без предела"),
        "period": Word("period", "период предела баллов", length),
    },
    AdjustmentRules: {
        "max_points": Word("max_points", "предел одной поправки вручную", thousands),
        "max_points_per_day": Word("max_points_per_day", "предел поправок сотрудника в день", thousands),
        "expire_after": Word("expire_after", "срок жизни поправок", length, "не сгорают"),
    },
}
