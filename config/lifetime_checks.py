"""How long points live against when their owner is told: lots too short for a notice, gifts that end too early.

Owns the checks between lifetimes and notices. They are warnings: such a programme works, but hardly as it was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config.section import Notes
from loyalty.programme import Programme
from loyalty.rules import Duration, DurationUnit
from loyalty.wording import plural

_MINUTES: Mapping[DurationUnit, int] = {"minutes": 1, "hours": 60, "days": 1_440, "months": 30 * 1_440}


def check_lifetimes(notes: Notes, programme: Programme) -> None:
    _lots_outlive_notices(notes, programme)
    _points_can_burn(notes, programme)
    _birthday_gift_reaches_the_day(notes, programme)


def _lots_outlive_notices(notes: Notes, programme: Programme) -> None:
    """Gifts are short on purpose, so they only need one notice that fits; other points are to have them all."""
    notices = programme.burn.notify_before
    if not notes.written("burn") or not notes.intact("burn.notify_before") or not notices:
        return
    for path, life, is_gift in _lifetimes(notes, programme):
        needed = notices[-1] if is_gift else notices[0]
        if not notes.written(path) or not notes.intact(path) or _minutes(life) >= _minutes(needed):
            continue
        left = [notice for notice in notices if _minutes(notice) < _minutes(life)]
        message = (
            f"баллы живут {_text(life)}, а предупреждать о сгорании велено за {_text(needed)}: "
            "уведомление придёт раньше самих баллов"
        )
        if left:
            rest = f"для этих баллов останутся уведомления за {', '.join(map(_text, left))}"
        else:
            rest = "об этих баллах не предупредим ни разу"
        notes.warn(path, "notice-too-early", message, f"{rest}; увеличьте срок, если это не то, чего вы хотели")


def _lifetimes(notes: Notes, programme: Programme) -> Iterator[tuple[str, Duration, bool]]:
    """Path, lifetime and «is a gift» of everything that ends."""
    gifts = programme.gifts
    found: list[tuple[str, Duration | None, bool]] = [("accrual.expire_after", programme.accrual.expire_after, False)]
    if programme.welcome:
        found.append(("welcome.expire_after", programme.welcome.expire_after, False))
    if gifts.birthday:
        found.append(("gifts.birthday.valid", gifts.birthday.valid, True))
    found += [(f"{notes.named(f'gifts.holidays.{one.title}')}.valid", one.valid, True) for one in gifts.holidays]
    found += [
        (f"{notes.named(f'gifts.actions.{one.code}')}.expire_after", one.expire_after, True) for one in gifts.actions
    ]
    yield from ((path, life, is_gift) for path, life, is_gift in found if life is not None)


def _points_can_burn(notes: Notes, programme: Programme) -> None:
    """Said only to the owner who wrote the rule down: silence about it is the safe default."""
    path = "burn.without_notice"
    ends = programme.accrual.expire_idle or any(True for _ in _lifetimes(notes, programme))
    if programme.burn.without_notice != "postpone" or not ends or notes.written("mail"):
        return
    if notes.written(path) and notes.intact(path):
        message = "предупредить покупателя нечем: в файле нет раздела mail, поэтому ничего не сгорит"
        notes.warn(path, "nothing-burns", message, "добавьте раздел mail или напишите without_notice: burn")


def _birthday_gift_reaches_the_day(notes: Notes, programme: Programme) -> None:
    gift = programme.gifts.birthday
    if gift is None or not notes.intact("gifts.birthday") or _minutes(gift.valid) > _minutes(gift.give_before):
        return
    path = next((path for path in ("gifts.birthday.valid", "gifts.birthday.give_before") if notes.written(path)), "")
    message = f"подарок дарят за {_text(gift.give_before)}, а живёт он {_text(gift.valid)}: до дня рождения он сгорит"
    notes.warn(path, "gift-ends-early", message, f"напишите valid больше, чем give_before ({_text(gift.give_before)})")


def _minutes(span: Duration) -> int:
    return span.count * _MINUTES[span.unit]


def _text(span: Duration) -> str:
    forms = {
        "minutes": ("минуту", "минуты", "минут"),
        "hours": ("час", "часа", "часов"),
        "days": ("день", "дня", "дней"),
        "months": ("месяц", "месяца", "месяцев"),
    }
    return f"{span.count} {plural(span.count, forms[span.unit])}"
