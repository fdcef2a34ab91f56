"""`kopilka reconcile`: the days' payments as acquirers, books and CRM have them, on the terminal and as a file.

Owns the options and the terminal's words. What is compared and repaired is `flows/reconciling.py`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_WARNINGS, fail, print_json, runtime
from cli.reconcile_file import SUFFIXES, VERDICTS, moment_text, money_texts, order_text, totals, write
from loyalty import calendar
from loyalty.phrases import roubles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reconciled import Line
    from flows.runtime import Runtime

DAYS_MAX = 92
SHOWN_MAX = 200
_FIRST = ("away", "unchecked", "person")
"""What a person must do something about is shown before the rest."""


@click.command()
@click.option("--day", "day_text", metavar="ДЕНЬ", help="День магазина, например 2026-03-01. По умолчанию вчера.")
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=1, show_default=True, help="Сколько дней подряд.")
@click.option("--acquirer", "only", multiple=True, metavar="БАНК", help="Только этот банк; можно несколько раз.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Отчёт: файл .xlsx или .csv.")
@click.option("--dry-run", is_flag=True, help="Только сравнить, ничего не исправлять.")
@click.option("--strict", is_flag=True, help="Код выхода 1, если что-то осталось человеку или не проверено.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def reconcile(
    *,
    day_text: str | None,
    days: int,
    only: Sequence[str],
    out: Path | None,
    dry_run: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Сверка: платежи и возвраты у банков, в книге баллов и в CRM.

    Чего нам не сообщили, учитывается; что решает человек, показывается. То же самое служба делает сама каждую ночь.
    """
    if out is not None and out.suffix.lower() not in SUFFIXES:
        fail(f"Не знаю, как записать {out.name}", f"назовите файл с окончанием {' или '.join(SUFFIXES)}")
    with runtime() as rt:
        unknown = sorted(set(only) - set(rt.acquirers))
        if unknown:
            fail(f"Банк {unknown[0]!r} не настроен", f"настроены: {', '.join(sorted(rt.acquirers)) or 'никакие'}")
        first = _day(day_text, rt)
        lines = _compared(rt, first, days, only, repair=not dry_run)
        rt.bell.flush()
        timezone = rt.programme.timezone
    if out is not None:
        try:
            write(out, lines, timezone)
        except OSError as failure:
            fail(f"Файл {out} не записать: {failure.strerror}", "проверьте путь, права и не открыт ли файл в Excel")
    if as_json:
        print_json({"from": first, "days": days, "totals": totals(lines), "payments": [_data(one) for one in lines]})
    else:
        _show(lines, first, days, timezone, out)
    if any(line.verdict == "away" for line in lines):
        fail("Не все банки ответили", "повторите сверку позже; ночью она повторится сама")
    if strict and any(line.verdict in ("person", "unchecked") for line in lines):
        sys.exit(EXIT_WARNINGS)


def _day(text: str | None, rt: Runtime) -> date:
    today = calendar.local_day(rt.now(), rt.programme.timezone)
    if text is None:
        return today - timedelta(days=1)
    try:
        given = date.fromisoformat(text)
    except ValueError:
        fail(f"Не понимаю день {text!r}", "пишите 2026-03-01")
    if given > today:
        fail(f"День {text} ещё не наступил", "сверять можно сегодняшний день и прошедшие")
    return given


def _compared(rt: Runtime, first: date, days: int, only: Sequence[str], *, repair: bool) -> list[Line]:
    from flows import reconciling  # noqa: PLC0415
    from flows.reconciling_place import Span  # noqa: PLC0415

    zone = rt.programme.timezone
    since = calendar.at_local(first, datetime.min.time(), zone)
    until = min(calendar.at_local(first + timedelta(days=days), datetime.min.time(), zone), rt.now())
    lines: list[Line] = []
    is_watched = sys.stderr.isatty()
    for found in reconciling.compared(rt, Span(since, until), repair=repair, only=only):
        lines += found
        if is_watched:
            click.echo(
                f"\rсверено платежей: {len(lines)} ({found[-1].acquirer if found else ''})".ljust(60),
                err=True,
                nl=False,
            )
    if is_watched:
        click.echo("\r" + " " * 60 + "\r", err=True, nl=False)
    return lines


def _show(lines: Sequence[Line], first: date, days: int, timezone: str, out: Path | None) -> None:
    last = first + timedelta(days=days - 1)
    click.echo(f"Сверка за {first:%d.%m.%Y}" + (f"–{last:%d.%m.%Y}" if days > 1 else ""))
    for row in totals(lines):
        sums = f"у банка {roubles(row['bank_kopecks'])}, в книге {roubles(row['our_kopecks'])}"
        if row["uncompared_kopecks"]:
            sums += f", ещё в книге {roubles(row['uncompared_kopecks'])}, чего банк не говорит"
        words = ", ".join(f"{VERDICTS[name]} {count}" for name, count in row["verdicts"].items())
        click.echo(f"  {row['title']:<14} {sums}; {words}")
    told = sorted((line for line in lines if line.verdict != "agrees"), key=lambda line: line.verdict not in _FIRST)
    for line in told[:SHOWN_MAX]:
        name = f"{line.acquirer}:{line.payment_ref}" if line.payment_ref else line.acquirer or "без банка"
        captured, refunded = money_texts(line)
        parts = [name, moment_text(line, timezone), order_text(line), captured, refunded, "; ".join(line.notes)]
        click.echo("  " + "  ".join(part for part in parts if part))
    if len(told) > SHOWN_MAX:
        click.echo(f"  … и ещё {len(told) - SHOWN_MAX}: все строки в файле (--out)")
    if not lines:
        click.echo("  платежей не было ни у банков, ни в книге")
    elif not told:
        click.echo("  Всё сошлось.")
    if out is not None:
        click.echo(f"Отчёт: {out}")


def _data(line: Line) -> dict[str, Any]:
    order = line.order
    known = asdict(line) | {"order": None if order is None else order.id}
    return known | {"deal": None if order is None else order.deal_ref}
