"""The words of the card itself in Russian and English. Owns no owner's texts: those are written in one language.

They stand in pass.json itself: with .lproj folders a phone of a third language would choose one of them by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty import wording

if TYPE_CHECKING:
    from datetime import date

    from loyalty.wording import PluralForms
    from wallet.card import Language, NextSegment

_ENGLISH_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_KOPECKS = 100


@dataclass(frozen=True)
class Labels:
    """`{}` stands for a name or a day. Numbers, dates and plurals are those of the language."""

    language: Language
    description: str
    balance: str
    member: str
    segment: str
    pending: str
    burn: str
    next_segment: str
    link: str
    number: str
    pending_detail: str
    burn_detail: str
    nearest_day: str
    more: str
    demo: str
    demo_text: str
    either: str
    both: str
    order_words: PluralForms

    def number_text(self, number: int) -> str:
        shown = wording.thousands(number)
        return shown.replace(wording.NO_BREAK_SPACE, ",") if self.language == "en" else shown

    def count_text(self, count: int, russian: PluralForms) -> str:
        """The owner's word for points is Russian; in English they are points."""
        if self.language == "ru":
            return wording.count_text(count, russian)
        return f"{self.number_text(count)}{wording.NO_BREAK_SPACE}{'point' if abs(count) == 1 else 'points'}"

    def full_date(self, day: date) -> str:
        if self.language == "ru":
            return wording.full_date(day)
        return f"{day.day}{wording.NO_BREAK_SPACE}{_ENGLISH_MONTHS[day.month - 1]}{wording.NO_BREAK_SPACE}{day.year}"

    def short_date(self, day: date) -> str:
        """English countries read 03/04 differently, so the month has a name."""
        if self.language == "ru":
            return wording.short_date(day)
        return (
            f"{day.day}{wording.NO_BREAK_SPACE}{_ENGLISH_MONTHS[day.month - 1][:3]}{wording.NO_BREAK_SPACE}{day.year}"
        )

    def left_to(self, goal: NextSegment) -> str:
        """«2 заказа или 12 400 ₽»; money is rounded up: what is said must be enough."""
        parts = []
        if goal.orders:
            words = self.order_words
            form = wording.plural(goal.orders, words) if self.language == "ru" else words[goal.orders != 1]
            parts.append(f"{self.number_text(goal.orders)}{wording.NO_BREAK_SPACE}{form}")
        if goal.kopecks:
            parts.append(f"{self.number_text(-(-goal.kopecks // _KOPECKS))}{wording.NO_BREAK_SPACE}₽")
        return f" {self.both if goal.needs_both else self.either} ".join(parts)


_RUSSIAN = Labels(
    language="ru",
    description="Бонусная карта «{}»",
    balance="Баланс",
    member="Участник",
    segment="Сегмент",
    pending="Ожидают",
    burn="Сгорят {}",
    next_segment="До «{}»",
    link="Карта в интернете",
    number="Номер карты",
    pending_detail="Станут доступны",
    burn_detail="Скоро сгорят",
    nearest_day="ближайшие {}",
    more="ещё {}",
    demo="Демонстрационная карта",
    demo_text="Подписана учебным сертификатом, а не Apple: iPhone её не добавит. Всё остальное как в настоящей.",
    either="или",
    both="и",
    order_words=("заказ", "заказа", "заказов"),
)
_ENGLISH = Labels(
    language="en",
    description="Loyalty card of {}",
    balance="Balance",
    member="Member",
    segment="Tier",
    pending="Pending",
    burn="Expire {}",
    next_segment="To {}",
    link="Card on the web",
    number="Card number",
    pending_detail="Will become available",
    burn_detail="Expire soon",
    nearest_day="the nearest on {}",
    more="{} more",
    demo="Demonstration card",
    demo_text="Signed with a training certificate, not by Apple: an iPhone will not add it. The rest is real.",
    either="or",
    both="and",
    order_words=("order", "orders", "orders"),
)


def labels_of(language: Language) -> Labels:
    return _ENGLISH if language == "en" else _RUSSIAN
