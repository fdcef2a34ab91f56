"""`kopilka plan` and `kopilka apply`: what the rules file would change, and making it the rules in force.

Owns the printing, the question and the exit codes; everything else is `flows.planning`.
"""

from __future__ import annotations

import getpass
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_WARNINGS, fail, print_json, runtime
from cli.inputs import SIGNATURE_CHARS_MAX, shown_text
from loyalty.phrases import ORDERS, moment, roubles, signed
from loyalty.wording import count_text, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.planning import Application, Cost, Plan
    from flows.runtime import Runtime
    from loyalty.wording import PluralForms

PROGRESS_EVERY_S = 10.0
CARDS = ("карта", "карты", "карт")
_KEPT = "Уже начисленные баллы и возвраты старых заказов остаются по прежним правилам."
_READ_AT_START = "ПИН (redeem.pin), разделы card, mail, amocrm и acquirers читаются при запуске"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
@click.option("--exit-code", "is_strict", is_flag=True, help="Код выхода 1, если есть что применить.")
@click.option("--history", "is_history", is_flag=True, help="Кто и когда применял правила и что изменилось.")
def plan(*, as_json: bool, is_strict: bool, is_history: bool) -> None:
    """Посмотреть, что изменит файл правил: по строке на изменение, сколько участников затронет и чего стоит."""
    with runtime() as rt:
        if is_history:
            _history(rt, as_json=as_json)
            return
        found = _planned(rt)
        if as_json:
            print_json(_data(found))
        else:
            for line in [*_lines(found, rt.point_forms), *_look_lines(rt)]:
                click.echo(line)
            if not found.is_empty:
                click.echo("\nПрименить: kopilka apply")
    if is_strict and not found.is_empty:
        sys.exit(EXIT_WARNINGS)


@click.command()
@click.option("--yes", "is_agreed", is_flag=True, help="Не спрашивать.")
@click.option("--by", help="Кто применяет; по умолчанию имя пользователя системы.")
def apply(*, is_agreed: bool, by: str | None) -> None:
    """Сделать файл правил действующими правилами. Работающие процессы перейдут на них сами за несколько секунд.

    Но ПИН, почта, карта, amoCRM и эквайринг читаются при запуске: если изменилось это, перезапустите web и worker.
    """
    from flows import planning, restarting  # noqa: PLC0415

    who = shown_text("--by", by or _user(), SIGNATURE_CHARS_MAX)

    with runtime() as rt:
        found = _planned(rt)
        for line in _lines(found, rt.point_forms):
            click.echo(line)
        to_reread = restarting.parts_to_reread(rt)
        if found.is_empty:
            _ask_for_restart(to_reread)
            return
        if not is_agreed and not _agrees():
            click.echo("Ничего не изменено.")
            return
        try:
            planning.apply(rt, who, planned=found)
        except planning.RulesMoved:
            fail("Пока вы смотрели, файл или действующие правила изменились: ничего не применено", "kopilka plan")
        click.echo(f"Действуют правила версии {found.proposed}.")
        _ask_for_restart(to_reread)


def _ask_for_restart(parts: Sequence[str]) -> None:
    """Points are spent or not by what a process knows of the PIN and the mail server, and it looks only once."""
    if parts:
        changed = f"а с прошлого применения изменилось: {', '.join(parts)}"
        click.echo(f"Внимание: перезапустите kopilka web и worker: {_READ_AT_START}, {changed}.")


def _planned(rt: Runtime) -> Plan:
    from flows import planning  # noqa: PLC0415

    return planning.plan(rt, progress=_progress())


def _progress() -> Callable[[int], None]:
    """How far the estimate is, on stderr: often for a person, seldom for a log."""
    every_s = 0.5 if sys.stderr.isatty() else PROGRESS_EVERY_S
    last = time.monotonic()

    def tell(orders: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            click.echo(f"Пересчитано заказов: {thousands(orders)}", err=True)

    return tell


def _lines(found: Plan, forms: PluralForms) -> list[str]:
    if found.is_empty:
        return [f"Менять нечего: файл совпадает с действующими правилами (версия {found.in_force})."]
    lines = []
    for one in found.changes:
        place = f"{one.change.rule}, строка {one.line}" if one.line else one.change.rule
        lines.append(f"{one.text}\n    {place}")
    lines += ["", *_cost_lines(found.cost, forms), _KEPT]
    return [*lines, *(f"Внимание: {text}" for text in found.warnings)]


def _look_lines(rt: Runtime) -> list[str]:
    """What a new look of the cards will set in motion."""
    from flows import card_plan  # noqa: PLC0415

    cards = card_plan.standing(rt)
    given_out = sum(one.given_out for one in (cards.apple, cards.google) if one is not None)
    if not cards.is_new_look or not given_out:
        return []
    return [
        "",
        f"Оформление карт в файле новое: после перезапуска обновятся {count_text(given_out, CARDS)}, "
        f"это займёт около {cards.minutes_for_all} мин. Как идёт: kopilka wallet cards --watch",
    ]


def _cost_lines(cost: Cost | None, forms: PluralForms) -> list[str]:
    if cost is None:
        return ["Начисление за заказы не меняется."]
    if cost.orders == 0:
        return [f"За последние {cost.days} дней заказов нет: оценить не на чем."]
    what = f"{'последние ' if cost.is_part else ''}{count_text(cost.orders, ORDERS)} за {cost.days} дней"
    change = f", {_share(cost)}" if cost.before_points else ""
    return [
        f"Если пересчитать {what}: было бы {count_text(cost.after_points, forms)} вместо "
        f"{thousands(cost.before_points)} ({signed(cost.points)}{change}), разница {roubles(cost.kopecks)}.",
        "Считаем, что покупатели вели бы себя так же. Только начисление за заказы, без подарков и приветственных.",
    ]


def _share(cost: Cost) -> str:
    tenths = (abs(cost.points) * 2_000 + cost.before_points) // (2 * cost.before_points)
    sign = "" if tenths == 0 else signed(cost.points)[0]
    return f"{sign}{tenths // 10},{tenths % 10}\u00a0%"


def _agrees() -> bool:
    try:
        return click.confirm("Применить?", default=False)
    except click.Abort:
        fail("Ответа нет, ничего не изменено", "kopilka apply --yes применит без вопроса")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "без имени"


def _data(found: Plan) -> dict[str, Any]:
    cost = found.cost
    return {
        "in_force": found.in_force,
        "proposed": found.proposed,
        "is_changed": not found.is_empty,
        "changes": [
            {
                "rule": one.change.rule,
                "line": one.line,
                "text": one.text,
                "concerns": one.change.concerned.kind,
                "members": one.members,
            }
            for one in found.changes
        ],
        "cost": None if cost is None else {**vars(cost), "points": cost.points, "kopecks": cost.kopecks},
        "warnings": list(found.warnings),
    }


def _history(rt: Runtime, *, as_json: bool) -> None:
    from flows import planning  # noqa: PLC0415

    found = planning.history(rt)
    if as_json:
        print_json([_applied_data(one) for one in found])
        return
    for one in found:
        click.echo(f"{moment(one.at, rt.programme.timezone)}  версия {one.version}  {_BY.get(one.by, one.by)}")
        for change in one.changes:
            click.echo(f"    {change.text}")


def _applied_data(one: Application) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "by": one.by,
        "at": one.at.isoformat(),
        "changes": [{"rule": change.rule, "text": change.text} for change in one.changes],
    }


_BY = {"first start": "первый запуск"}
