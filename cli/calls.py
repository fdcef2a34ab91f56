"""`kopilka calls`: lists of buyers for managers to call, what came of them, and stopping one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from cli.common import fail, print_json, runtime
from loyalty.call_results import CODE_WORDS
from loyalty.phrases import roubles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from flows.call_lists import Choice
    from flows.call_reports import ListReport

NAMES_SHOWN = 10
NUMBER_MAX = 2**63 - 1
POINTS_MAX = 2**31 - 1
TEXTS_SHOWN = 5
HEADERS = (
    "Список",
    "Название",
    "Задача",
    "Участник",
    "Имя",
    "ID контакта",
    "Звонок",
    "Срок",
    "Состояние",
    "Закрыта",
    "Код",
    "Итог",
    "Заказов за 14 дней",
    "Куплено, ₽",
)
STATES = {"planned": "ждёт записи", "written": "у менеджера", "closed": "закрыта", "dropped": "не будет"}


@click.group()
def calls() -> None:
    """Обзвон: задачи менеджерам в amoCRM и их итоги (docs/calls.md)."""


@calls.command()
@click.option("--segment", "segment_code", required=True, metavar="КОД", help="Кого: код сегмента из файла правил.")
@click.option("--min-balance", "min_points", type=click.IntRange(0, POINTS_MAX), help="Только с таким остатком баллов.")
@click.option(
    "--burning-within",
    "burning_within_days",
    type=click.IntRange(0, 366),
    help="Только те, у кого баллы сгорят за столько дней.",
)
@click.option("--title", required=True, metavar="НАЗВАНИЕ", help="Название списка: его увидят менеджеры.")
@click.option(
    "--text",
    "template",
    required=True,
    metavar="ТЕКСТ",
    help="Что сказать. Места: {имя}, {баланс}, {сгорает}, {сегмент}.",
)
@click.option("--due", type=click.DateTime(["%Y-%m-%d"]), required=True, metavar="ГГГГ-ММ-ДД", help="До какого дня.")
@click.option("--responsible", type=click.IntRange(1, NUMBER_MAX), help="Номер пользователя amoCRM.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=200, show_default=True, help="Не больше стольких задач."
)
@click.option("--tries", type=click.IntRange(1, 10), default=3, show_default=True, help="Звонков одному человеку.")
@click.option(
    "--again-after", type=click.IntRange(1, 60), default=2, show_default=True, help="Через сколько дней звонить снова."
)
@click.option(
    "--rest", type=click.IntRange(0, 366), default=30, show_default=True, help="Кого звали за столько дней, не трогать."
)
@click.option("--dry-run", is_flag=True, help="Только показать, кому и кому нет.")
@click.option("--yes", "is_sure", is_flag=True, help="Не спрашивать.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы; список создаётся без вопроса.")
def plan(*, due: datetime, dry_run: bool, is_sure: bool, as_json: bool, **given: Any) -> None:
    """Выбрать, кому звонить, показать и поставить задачи."""
    from flows import call_lists  # noqa: PLC0415

    wish = call_lists.Wish(
        responsible_ref=given.pop("responsible"),
        again_after_days=given.pop("again_after"),
        rest_days=given.pop("rest"),
        due_on=due.date(),
        **given,
    )
    with runtime() as rt, _explained():
        choice = call_lists.look(rt, wish)
        if not as_json:
            _show_choice(choice)
        if not dry_run and choice.chosen and (is_sure or as_json or _is_wanted()):
            choice = call_lists.make(rt, wish)
            rt.bell.flush()
    if as_json:
        print_json(_choice_json(choice))
    elif choice.list_id is not None:
        click.echo(
            f"Список {choice.list_id} создан: задач {len(choice.chosen)}. Итоги: kopilka calls report {choice.list_id}"
        )
    elif not choice.chosen:
        click.echo("Звонить некому: список не создан.")
    elif dry_run:
        click.echo("Ничего не создано: убрать --dry-run, чтобы поставить задачи.")


@calls.command()
@click.argument("list_id", metavar="[СПИСОК]", required=False, type=click.IntRange(1, NUMBER_MAX))
@click.option(
    "--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Каждую задачу в таблицу .csv, .xlsx."
)
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def report(list_id: int | None, file: Path | None, *, as_json: bool) -> None:
    """Итоги: сколько закрыто, с каким кодом, сколько купили за 14 дней после звонка. Без номера: последние списки."""
    from flows import call_reports  # noqa: PLC0415

    with runtime() as rt, _explained():
        lines = call_reports.lines(rt, list_id)
        zone = ZoneInfo(rt.programme.timezone)
    reports = call_reports.summed(lines)
    if file is not None:
        _save(file, lines, zone)
    if as_json:
        print_json(
            [{**asdict(one), "results": {str(code or "none"): n for code, n in one.results.items()}} for one in reports]
        )
        return
    for one in reports:
        click.echo(_report_text(one))
    if not reports:
        click.echo("Списков ещё не было. Создать: kopilka calls plan")
    if file is not None:
        click.echo(f"Задач в таблице: {len(lines)}. Файл: {file}")


@calls.command()
@click.argument("list_id", metavar="СПИСОК", type=click.IntRange(1, NUMBER_MAX))
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def stop(list_id: int, *, as_json: bool) -> None:
    """Остановить список: незаписанных задач не будет, повторных звонков тоже."""
    from flows import call_lists  # noqa: PLC0415

    with runtime() as rt, _explained():
        dropped, left = call_lists.stop(rt, list_id)
    if as_json:
        print_json({"id": list_id, "dropped": dropped, "open": left})
        return
    click.echo(f"Список {list_id} остановлен: не будет записано задач {dropped}.")
    if left:
        click.echo(f"У менеджеров остаётся открытых задач {left}: мы их не закрываем, решите в amoCRM.")


@contextmanager
def _explained() -> Iterator[None]:
    from flows.call_lists import ListRefused  # noqa: PLC0415
    from flows.errors import ConnectorError  # noqa: PLC0415

    try:
        yield
    except ListRefused as refused:
        fail(str(refused), refused.mend)
    except ConnectorError as failure:
        fail(f"amoCRM не ответила: {failure}", "kopilka doctor покажет, что с ней")


def _is_wanted() -> bool:
    if not sys.stdin.isatty():
        fail("Список не создан: некому ответить на вопрос", "добавьте --yes или посмотрите с --dry-run")
    return click.confirm("Поставить задачи?", default=False)


def _show_choice(choice: Choice) -> None:
    from flows.call_lists import LEFT_OUT  # noqa: PLC0415

    click.echo(f"Звонить: {len(choice.chosen)}")
    for one in choice.chosen[:NAMES_SHOWN]:
        click.echo(f"  {one.name or 'без имени'}, баланс {one.points}")
    if len(choice.chosen) > NAMES_SHOWN:
        click.echo(f"  и ещё {len(choice.chosen) - NAMES_SHOWN}")
    for reason, some in choice.left_out.items():
        names = ", ".join(one.name or "без имени" for one in some[:NAMES_SHOWN])
        more = f" и ещё {len(some) - NAMES_SHOWN}" if len(some) > NAMES_SHOWN else ""
        click.echo(f"Не звонить, {LEFT_OUT[reason]}: {len(some)} ({names}{more})")
    if choice.is_cut:
        click.echo("Сегмент больше, чем смотрит одна команда: сузьте выбор остатком или сроком сгорания.")


def _choice_json(choice: Choice) -> dict[str, Any]:
    return {
        "list": choice.list_id,
        "chosen": [one.member_id for one in choice.chosen],
        "left_out": {reason: [one.member_id for one in some] for reason, some in choice.left_out.items()},
        "is_cut": choice.is_cut,
    }


def _report_text(one: ListReport) -> str:
    head = f"Список {one.id} «{one.title}»{', остановлен' if one.is_stopped else ''}: людей {one.people}"
    state = f"  закрыто {one.closed} ({one.closed_bps / 100:.0f} %), открыто {one.open}, ждут записи {one.planned}"
    named = [(f"{code} {words}", one.results.get(code, 0)) for code, words in CODE_WORDS.items()]
    named.append(("без кода", one.results.get(None, 0)))
    shares = [f"{words}: {count} ({100 * count // one.closed} %)" for words, count in named if count]
    lines = [head, state, *([f"  {'; '.join(shares)}"] if shares else [])]
    lines += [f"  без кода: «{text}»" for text in one.without_code[:TEXTS_SHOWN]]
    lines += [f"  не будет, {why}: {count}" for why, count in one.dropped.items()]
    lines.append(
        f"  купили за 14 дней после звонка: {one.buyers} на {roubles(one.bought_kopecks)} (не значит, что из-за него)"
    )
    return "\n".join(lines)


def _save(file: Path, lines: Sequence[Any], zone: ZoneInfo) -> None:
    from cli.exporting_file import SUFFIXES, TooLong, write  # noqa: PLC0415

    if file.suffix.lower() not in SUFFIXES:
        fail(f"Не знаю, как записать {file.name}", f"назовите файл с окончанием {' или '.join(SUFFIXES)}")
    try:
        write(file, HEADERS, [_row(one, zone) for one in lines])
    except TooLong:
        fail("Задач больше, чем помещается в лист", "назовите файл .csv")
    except OSError as failure:
        fail(f"Файл {file} не записать: {failure.strerror}", "проверьте путь, права и не открыт ли он в Excel")


def _row(one: Any, zone: ZoneInfo) -> list[Any]:
    state = STATES[one.state] + (f": {one.dropped_why}" if one.dropped_why else "")
    return [
        one.list_id,
        one.title,
        one.task_ref,
        one.person_id,
        one.name,
        one.contact_ref,
        one.try_no,
        one.due_on,
        state,
        None if one.closed_at is None else one.closed_at.astimezone(zone).date(),
        one.result_code,
        one.result_text,
        one.orders,
        one.bought_kopecks // 100,
    ]
