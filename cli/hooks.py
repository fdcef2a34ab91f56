"""Outgoing webhooks by hand: which programs of the shop get events, and what became of each event."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cli.common import fail, print_json, runtime

if TYPE_CHECKING:
    from datetime import datetime

    from flows.endpoints import EndpointRefused

DELIVERIES_SHOWN = 30
DELIVERIES_SHOWN_MAX = 500
NUMBER_MAX = 2**63 - 1
_NUMBER = click.IntRange(1, NUMBER_MAX)
_STATES = {"waiting": "ждёт", "delivered": "доставлено", "failed": "не вышло"}


@click.group()
def hooks() -> None:
    """События для сайта, бота и других программ: подписанные запросы на их адреса (docs/webhooks.md)."""


@hooks.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Какое событие слать; можно несколько раз. Без него — все.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def add(url: str, events: tuple[str, ...], *, as_json: bool) -> None:
    """Слать события на адрес URL. Секрет для проверки подписи показывается один раз."""
    from flows import endpoints, outgoing  # noqa: PLC0415

    with runtime() as rt:
        try:
            endpoint_id, secret = endpoints.add_endpoint(rt, url, events or outgoing.EVENT_TYPES)
        except endpoints.EndpointRefused as refused:
            _fail(refused)
    if as_json:
        print_json({"id": endpoint_id, "secret": secret})
        return
    click.echo(f"Адрес {endpoint_id} добавлен. Секрет (больше не покажем):\n{secret}")
    click.echo("Как проверять подпись: docs/webhooks.md")


@hooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def list_(*, as_json: bool) -> None:
    """Все адреса; выключенный — с причиной."""
    from flows import endpoints  # noqa: PLC0415

    with runtime() as rt:
        found = endpoints.list_endpoints(rt)
    if as_json:
        print_json([asdict(endpoint) for endpoint in found])
        return
    for endpoint in found:
        click.echo(_endpoint_line(endpoint))
    if not found:
        click.echo("Адресов нет. Добавить: kopilka hooks add https://сервер/путь")


@hooks.command("off")
@click.argument("endpoint", type=_NUMBER)
def off(endpoint: int) -> None:
    """Выключить адрес. События, которые случатся без него, он не получит."""
    _switch(endpoint, is_on=False)


@hooks.command("on")
@click.argument("endpoint", type=_NUMBER)
def on(endpoint: int) -> None:
    """Включить адрес снова."""
    _switch(endpoint, is_on=True)


@hooks.command()
@click.option("--endpoint", type=_NUMBER, help="Только для этого адреса.")
@click.option("--limit", type=click.IntRange(1, DELIVERIES_SHOWN_MAX), default=DELIVERIES_SHOWN, help="Сколько строк.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def deliveries(endpoint: int | None, limit: int, *, as_json: bool) -> None:
    """Последние доставки: что отправлено, что ждёт и почему."""
    from flows import endpoints  # noqa: PLC0415

    with runtime() as rt:
        found = endpoints.deliveries(rt, endpoint_id=endpoint, limit=limit)
    if as_json:
        print_json([asdict(delivery) for delivery in found])
        return
    for delivery in found:
        click.echo(_delivery_line(delivery))
    if not found:
        click.echo("Доставок ещё не было.")


@hooks.command()
@click.argument("delivery", type=_NUMBER)
def redeliver(delivery: int) -> None:
    """Отправить ещё раз, например после починки приёмника."""
    from flows import endpoints  # noqa: PLC0415

    with runtime() as rt:
        try:
            endpoints.redeliver(rt, delivery)
        except endpoints.EndpointRefused as refused:
            _fail(refused)
        rt.bell.flush()
    click.echo(f"Доставка {delivery} будет отправлена снова.")


def _switch(endpoint: int, *, is_on: bool) -> None:
    from flows import endpoints  # noqa: PLC0415

    with runtime() as rt:
        try:
            is_changed = endpoints.set_on(rt, endpoint, is_on=is_on)
        except endpoints.EndpointRefused as refused:
            _fail(refused)
    state = "включён" if is_on else "выключен"
    click.echo(f"Адрес {endpoint} {state}." if is_changed else f"Адрес {endpoint} и так {state}.")


def _fail(refused: EndpointRefused) -> NoReturn:
    fail(str(refused), refused.mend)


def _endpoint_line(endpoint: Any) -> str:
    if not endpoint.is_on:
        state = f"выключен: {endpoint.off_reason}"
    elif endpoint.failing_since is not None:
        state = f"не принимает с {_moment(endpoint.failing_since)}"
    else:
        state = "включён"
    return f"{endpoint.id:<4} {endpoint.url}\n     {state}\n     события: {', '.join(endpoint.events)}"


def _delivery_line(delivery: Any) -> str:
    parts = [
        f"{delivery.id:<6} {_moment(delivery.created_at)}  {_STATES[delivery.state]:<10}",
        f"адрес {delivery.endpoint_id}, {delivery.event_type} {delivery.event_id}, попыток {delivery.attempts}",
        delivery.last_error or "",
        f"следующая {_moment(delivery.due_at)}" if delivery.due_at is not None else "",
    ]
    return "; ".join(part for part in parts if part)


def _moment(moment: datetime) -> str:
    return f"{moment:%d.%m.%Y %H:%M} UTC"
