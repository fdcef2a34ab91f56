"""Keys of the API by hand: made, listed, revoked. A key is shown once, when it is made."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.common import fail, print_json, runtime

if TYPE_CHECKING:
    from datetime import datetime


@click.group()
def token() -> None:
    """Ключи API для сайта, кассы, бота и других программ (docs/api.md)."""


@token.command()
@click.option("--name", required=True, help="Кому ключ: site, till, bot …")
@click.option(
    "--scope",
    "scopes",
    default="read",
    show_default=True,
    help="Права через запятую: read, quote, hold, order, refund, member, adjust.",
)
@click.option("--channel", default="api", show_default=True, help="Канал заказов: site, till, telegram …")
def create(name: str, scopes: str, channel: str) -> None:
    """Создать ключ; он показывается один раз. Прежний ключ с тем же именем перестаёт действовать."""
    from flows import access  # noqa: PLC0415

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with runtime() as rt:
        try:
            click.echo(access.create_token(rt, name, wanted, channel))
        except access.BadToken as failure:
            fail(str(failure), "kopilka token create --name site --scope read,quote,hold,order --channel site")


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def list_(*, as_json: bool) -> None:
    """Все ключи: чьи, с какими правами, когда ими пользовались. Самих ключей здесь нет."""
    from flows import access  # noqa: PLC0415

    with runtime() as rt:
        found = access.tokens(rt)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        state = f"отозван {_moment(one.revoked_at)}" if one.revoked_at else f"был нужен {_moment(one.last_used_at)}"
        click.echo(f"{one.name:<20} {','.join(one.scopes):<40} канал {one.channel:<12} {state}")
    if not found:
        click.echo("Ключей нет. Создать: kopilka token create --name site")


@token.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Отозвать ключ NAME: он перестаёт действовать сразу."""
    from flows import access  # noqa: PLC0415

    with runtime() as rt:
        if not access.revoke_token(rt, name):
            fail(f"Действующего ключа {name!r} нет", "kopilka token list покажет имена")
    click.echo(f"Ключ {name} больше не действует.")


def _moment(at: datetime | None) -> str:
    return "ни разу" if at is None else f"{at:%d.%m.%Y %H:%M} UTC"
