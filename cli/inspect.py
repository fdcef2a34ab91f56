"""Looking inside: events that wait or failed, the proof of the ledger, the way into the console."""

from __future__ import annotations

import sys
from typing import Any

import click

from cli.common import EXIT_ERRORS, fail, print_json, runtime

EVENTS_SHOWN = 30
NUMBER_DIGITS = 19
_STATES = {"waiting": "ждёт", "working": "в работе", "done": "готово", "parked": "нужен человек"}


@click.command("verify-ledger")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def verify_ledger(*, as_json: bool) -> None:
    """Пересчитать книгу баллов по операциям и сравнить со всеми остатками и партиями."""
    from flows import health  # noqa: PLC0415

    with runtime() as rt:
        verdict = health.verify_ledger(rt)
    if as_json:
        print_json(
            {
                "ok": verdict.is_whole,
                "transfers": verdict.transfers,
                "sum": verdict.sum,
                "accounts": dict(verdict.accounts),
                "faults": list(verdict.faults),
            }
        )
    elif verdict.is_whole:
        click.echo(f"Книга сходится: операций {verdict.transfers}, сумма по всем счетам 0.")
    else:
        click.echo("\n".join(["Книга НЕ сходится:", *verdict.faults]))
        click.echo("Как исправить: остановите работников, сохраните копию базы и напишите разработчикам.")
    sys.exit(0 if verdict.is_whole else EXIT_ERRORS)


@click.group(invoke_without_command=True)
@click.option("--state", type=click.Choice([*_STATES, "all"]), default="parked", help="Какие события показать.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
@click.pass_context
def events(ctx: click.Context, *, state: str, as_json: bool) -> None:
    """События: по умолчанию те, что ждут человека."""
    if ctx.invoked_subcommand is not None:
        return
    from flows import lookup  # noqa: PLC0415

    states = list(_STATES) if state == "all" else [state]
    with runtime() as rt:
        inbox, outbox = lookup.events(rt, states=states, limit=EVENTS_SHOWN)
    if as_json:
        print_json({"inbox": [dict(row._mapping) for row in inbox], "outbox": [dict(row._mapping) for row in outbox]})
        return
    for row in inbox:
        click.echo(_line("in", row, f"{row.source} {row.external_id}"))
    for row in outbox:
        click.echo(_line("out", row, f"{row.kind} {row.target_id}"))
    if not inbox and not outbox:
        click.echo("Таких событий нет.")
    elif state == "parked":
        click.echo("Повторить: kopilka events replay in:НОМЕР (или out:НОМЕР)")


@events.command()
@click.argument("event")
def replay(event: str) -> None:
    """Повторить обработку события, например in:15."""
    from flows import lookup  # noqa: PLC0415

    side, _, number = event.partition(":")
    if side not in ("in", "out") or not (number.isascii() and number.isdigit() and len(number) < NUMBER_DIGITS):
        fail(f"Не понимаю номер события {event!r}", "пишите in:15 или out:15, как в списке kopilka events")
    with runtime() as rt:
        if not lookup.replay(rt, "inbox" if side == "in" else "outbox", int(number)):
            fail(f"События {event} нет, или оно уже в работе", "kopilka events --state all покажет номера")
        rt.bell.flush()
    click.echo(f"Событие {event} будет обработано снова.")


@click.command("console-link")
def console_link() -> None:
    """Ссылка, которая впускает в консоль. Она секретна, как пароль."""
    with runtime() as rt:
        click.echo(rt.console_link())


def _line(side: str, row: Any, what: str) -> str:
    state = _STATES[row.state]
    return f"{side}:{row.id:<6} {state:<14} попыток {row.failures}, {what}: {row.outcome or ''}"
