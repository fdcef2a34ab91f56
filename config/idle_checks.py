"""Rules that will never do anything: right by themselves, made idle by the rule beside them or by the calendar.

Owns those checks. They are warnings: such a programme works, but hardly as it was meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from config.masking import quote
from config.model import AmoCrmConfig
from config.section import Notes
from loyalty.programme import Programme


def check_idle_rules(notes: Notes, programme: Programme, amocrm: AmoCrmConfig | None, today: str | None) -> None:
    """`today` is the programme's day, ISO; None: what the calendar has ended is not looked for."""
    _something_can_be_paid(notes, programme)
    _purchases_have_customers(notes, amocrm)
    _confirmation_is_asked(notes, programme)
    _managers_can_type_the_code(notes, programme, amocrm)
    _limits_bind(notes, programme)
    _steps_rise(notes, programme)
    _multipliers_have_goods(notes, programme)
    _actions_have_one_limit(notes, programme)
    if today is not None:
        _days_are_to_come(notes, programme, today)


def _purchases_have_customers(notes: Notes, amocrm: AmoCrmConfig | None) -> None:
    if amocrm is None or amocrm.customers:
        return
    for key, is_on in (
        ("purchases", amocrm.purchases),
        ("next_purchase", amocrm.next_purchase),
        ("bonus_points", amocrm.bonus_points),
    ):
        path = f"amocrm.{key}"
        if is_on and notes.intact(path):
            message = f"{key}: yes ничего не делает: покупателей не ведём (customers: no)"
            notes.warn(path, "idle-purchases", message, "напишите customers: yes или уберите эту строку")


def _something_can_be_paid(notes: Notes, programme: Programme) -> None:
    redeem = programme.redeem
    if redeem is None or redeem.max_share_bps or any(rule.max_share_bps for rule in programme.segments):
        return
    if notes.intact("redeem.max_share", "segments"):
        message = "баллами не оплатить ничего: доля заказа 0%"
        notes.warn("redeem.max_share", "idle-redeem", message, "напишите, например, 30%, или уберите раздел redeem")


def _confirmation_is_asked(notes: Notes, programme: Programme) -> None:
    redeem = programme.redeem
    if redeem is None or not notes.intact("redeem.confirm"):
        return
    pin, least, most = "redeem.pin", "redeem.confirm_from_points", "redeem.max_points"
    if redeem.confirm != "pin" and notes.written(pin) and notes.intact(pin):
        message = f"ПИН задан, но спрашивать его не велено: confirm: {redeem.confirm}"
        notes.warn(pin, "idle-pin", message, "напишите confirm: pin или уберите эту строку")
    if not notes.written(least) or not notes.intact(least, most):
        return
    if redeem.confirm == "none":
        message = "подтверждение не спросят ни разу: confirm: none"
        notes.warn(least, "idle-confirm", message, "напишите confirm: code или confirm: pin, или уберите эту строку")
    elif redeem.max_points is not None and redeem.confirm_from_points > redeem.max_points:
        message = (
            f"подтверждение велено спрашивать с {redeem.confirm_from_points}, а больше {redeem.max_points} за заказ "
            "не списать: его не спросят ни разу"
        )
        notes.warn(least, "idle-confirm", message, f"напишите confirm_from_points не больше {redeem.max_points}")


def _managers_can_type_the_code(notes: Notes, programme: Programme, amocrm: AmoCrmConfig | None) -> None:
    redeem = programme.redeem
    if redeem is None or redeem.confirm == "none" or amocrm is None or "redeem" not in amocrm.lead_fields:
        return
    if "redeem_code" not in amocrm.lead_fields and notes.intact("redeem.confirm", "amocrm.fields"):
        message = "списание подтверждают, а вписать код в сделку некуда: в amocrm.fields.lead нет поля redeem_code"
        notes.warn("redeem.confirm", "code-without-field", message, 'добавьте туда redeem_code: "Код списания"')


def _limits_bind(notes: Notes, programme: Programme) -> None:
    limits = programme.limits
    period = "limits.period"
    if limits.points_per_period is None and notes.written(period) and notes.intact("limits"):
        message = "период ни на что не влияет: предела points_per_period нет"
        notes.warn(period, "idle-period", message, "добавьте points_per_period или уберите period")
    nested = [
        (key, most, words)
        for key, most, words in (
            ("points_per_order", limits.points_per_order, "за заказ"),
            ("points_per_day", limits.points_per_day, "за день"),
            ("points_per_period", limits.points_per_period, "за период"),
        )
        if most is not None
    ]
    for (key, inner, words), (wider_key, outer, wider_words) in pairwise(nested):
        if inner > outer and notes.intact(f"limits.{key}", f"limits.{wider_key}"):
            message = f"{words} можно {inner}, а {wider_words} только {outer}: предел {words} ни на что не влияет"
            notes.warn(f"limits.{key}", "idle-limit", message, f"напишите {key} не больше {outer}")


def _steps_rise(notes: Notes, programme: Programme) -> None:
    for lower, upper in pairwise(programme.accrual.steps):
        path = f"{notes.named(f'accrual.steps.{upper.from_kopecks}')}.rate"
        if upper.rate_bps < lower.rate_bps and notes.intact("accrual.steps"):
            message = "с этой суммы ставка ниже, чем на прошлой ступени: покупателю выгоднее разделить заказ"
            notes.warn(path, "step-rate-drops", message, "напишите ставку не ниже, чем на прошлой ступени")


def _multipliers_have_goods(notes: Notes, programme: Programme) -> None:
    excluded = programme.accrual.exclude.categories
    for one in programme.accrual.multipliers:
        path = f"{notes.named(f'accrual.multipliers.{one.title}')}.categories"
        for category in one.categories:
            if category in excluded and notes.intact(path, "accrual.exclude"):
                message = f"за {quote(category)} баллы не начисляются (accrual.exclude), множить нечего"
                place = notes.named(f"{path}.{category}")
                notes.warn(place, "idle-multiplier", message, "уберите категорию отсюда или из accrual.exclude")


def _actions_have_one_limit(notes: Notes, programme: Programme) -> None:
    for one in programme.gifts.actions:
        path = f"{notes.named(f'gifts.actions.{one.code}')}.per_day"
        if one.once and one.per_day is not None and notes.intact(path):
            message = "предел в день ни на что не влияет: once: yes уже разрешает только один раз"
            notes.warn(path, "idle-per-day", message, "оставьте что-то одно")


def _days_are_to_come(notes: Notes, programme: Programme, today: str) -> None:
    """ISO days compare as text; a yearly day always comes again."""
    for path, day, message in _last_days(notes, programme):
        if len(day) == len(today) and day < today and notes.intact(path):
            notes.warn(path, "day-is-over", message, "назовите день, который ещё не наступил, или уберите эту запись")


def _last_days(notes: Notes, programme: Programme) -> Iterator[tuple[str, str, str]]:
    for gift in programme.gifts.holidays:
        path = f"{notes.named(f'gifts.holidays.{gift.title}')}.date"
        yield path, gift.date, f"день {gift.date} уже прошёл: подарка больше не будет"
    for one in programme.accrual.multipliers:
        path = f"{notes.named(f'accrual.multipliers.{one.title}')}.last_day"
        yield path, one.last_day or "", f"последний день {one.last_day} уже прошёл: множитель больше не действует"
