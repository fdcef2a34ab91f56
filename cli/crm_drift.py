"""`kopilka amocrm drift`: native bonus points of amoCRM that somebody moved past the ledger.

Owns the options and the words. What is found is `flows/bonus_drift.py`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from cli.common import fail, print_json, runtime
from cli.exporting_file import SUFFIXES, TooLong, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.exporting_file import Value
    from flows.bonus_drift import Line, Report

DAYS_MAX = 400
SHOWN_MAX = 50
HEADERS = (
    "Когда нашли",
    "Участник",
    "Имя",
    "Номер карты",
    "Покупатель в amoCRM",
    "ID контакта",
    "Ждали баллов",
    "Нашли баллов",
    "Сдвиг",
)


@click.command()
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=30, show_default=True, help="За сколько дней.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Отчёт: файл .csv или .xlsx.")
def drift(*, days: int, as_json: bool, file: Path | None) -> None:
    """Бонусные баллы amoCRM, которые двигали мимо нас: менеджер в карточке или сама amoCRM.

    У нас баллы от этого не меняются, а в amoCRM возвращаются к нашим.
    """
    from flows import bonus_drift  # noqa: PLC0415

    if file is not None and file.suffix.lower() not in SUFFIXES:
        fail(f"Не знаю, как записать {file.name}", f"назовите файл с окончанием {' или '.join(SUFFIXES)}")
    with runtime() as rt:
        found = bonus_drift.report(rt, since=rt.now() - timedelta(days=days))
        zone = ZoneInfo(rt.programme.timezone)
    if file is not None:
        try:
            write(file, HEADERS, (_row(one, zone) for one in found.lines))
        except (OSError, TooLong) as failure:
            fail(f"Файл {file} не записать: {failure}", "проверьте путь, права, место и не открыт ли он в Excel")
    if as_json:
        print_json({"days": days, "on": found.is_on, "total": found.total, "drifts": [_data(i) for i in found.lines]})
    else:
        _show(found, days, zone, file)


def _show(found: Report, days: int, zone: ZoneInfo, file: Path | None) -> None:
    if not found.is_on:
        click.echo("Бонусные баллы amoCRM не ведём: в файле правил нет amocrm.bonus_points: yes.")
    if not found.total:
        click.echo(f"Движений мимо нас не найдено, дней: {days}.")
    else:
        click.echo(f"Движений мимо нас: {found.total}, дней: {days}.")
    for one in found.lines[:SHOWN_MAX]:
        told = "не знали" if one.drift.expected is None else f"ждали {one.drift.expected}"
        at = one.drift.found_at.astimezone(zone)
        person = f"участник {one.drift.member_id}, карта {one.card_number}, покупатель {one.drift.customer_ref}"
        click.echo(f"  {at:%d.%m.%Y %H:%M}  {person}: {told}, нашли {one.drift.found}{_shift_text(one)}")
    if len(found.lines) > SHOWN_MAX:
        click.echo(f"  … и ещё {found.total - SHOWN_MAX}: все строки в файле (--csv)")
    if found.total > len(found.lines):
        click.echo(f"  В отчёте только последние {len(found.lines)}: уменьшите --days")
    if file is not None:
        click.echo(f"Отчёт: {file}")


def _shift_text(one: Line) -> str:
    return "" if one.drift.expected is None else f" ({_shift(one):+d})"


def _shift(one: Line) -> int:
    return one.drift.found - (one.drift.expected or 0)


def _row(one: Line, zone: ZoneInfo) -> Sequence[Value]:
    found = one.drift
    return [
        f"{found.found_at.astimezone(zone):%d.%m.%Y %H:%M}",
        found.member_id,
        one.name,
        one.card_number,
        found.customer_ref,
        one.contact_ref,
        found.expected,
        found.found,
        _shift(one),
    ]


def _data(one: Line) -> dict[str, Any]:
    found = one.drift
    return {
        "found_at": found.found_at,
        "member": found.member_id,
        "card": one.card_number,
        "customer": found.customer_ref,
        "contact": one.contact_ref,
        "expected": found.expected,
        "found": found.found,
        "shift": _shift(one),
    }
