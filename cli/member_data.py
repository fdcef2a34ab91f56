"""`kopilka member requests, done, data, erase`: the shop's answers to buyers who ask for their own data."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cli.common import fail, print_json, runtime
from cli.inputs import SIGNATURE_CHARS_MAX, shown_text
from cli.refused import denied_is_told

if TYPE_CHECKING:
    from flows.runtime import Runtime

KIND_WORDS = {"export": "прислать данные", "erase": "удалить данные"}
NOTE_CHARS_MAX = 500


@click.command()
@click.option("--all", "with_done", is_flag=True, help="Вместе с отвеченными.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def requests(*, with_done: bool, as_json: bool) -> None:
    """Кто просит прислать или удалить свои данные. Просят на странице карты; закон даёт 10 рабочих дней."""
    from flows import data_requests  # noqa: PLC0415

    with runtime() as rt:
        found = data_requests.listed(rt, with_done=with_done)
        zone = ZoneInfo(rt.programme.timezone)
    if as_json:
        print_json({"requests": [{**vars(one)} for one in found]})
        return
    for one in found:
        asked = f"{one.asked_at.astimezone(zone):%d.%m.%Y %H:%M}"
        done = "" if one.done_at is None else f"; отвечено {one.done_at.astimezone(zone):%d.%m.%Y}: {one.done_by}"
        click.echo(f"№ {one.number} от {asked}: участник {one.member_id}, {KIND_WORDS[one.kind]}{done}")
    if not found:
        click.echo("Никто не ждёт ответа.")
    elif not with_done:
        click.echo("Ответить: kopilka member data УЧАСТНИК --out ФАЙЛ или kopilka member erase УЧАСТНИК, потом")
        click.echo("kopilka member done НОМЕР --note «как ответили».")


@click.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--note", required=True, help="Как ответили: письмом, лично.")
@click.option("--by", "actor", default=None, help="Кто ответил; по умолчанию пользователь этой машины.")
def done(number: int, *, note: str, actor: str | None) -> None:
    """На запрос данных ответили: kopilka member done 3 --note "отправлено письмом" """
    from flows import data_requests  # noqa: PLC0415

    who = shown_text("--by", actor or getpass.getuser(), SIGNATURE_CHARS_MAX)
    with runtime() as rt:
        if not data_requests.close(rt, number, by=who, note=shown_text("--note", note, NOTE_CHARS_MAX)):
            fail(f"Запроса № {number} среди ожидающих нет", "посмотрите номера: kopilka member requests")
    click.echo(f"Запрос № {number} закрыт.")


@click.command()
@click.argument("who", metavar="MEMBER")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Файл; без него на экран.")
def data(who: str, *, out: Path | None) -> None:
    """Всё, что хранится об участнике, одним документом JSON. MEMBER: номер, карта, телефон или почта."""
    from flows import personal_data  # noqa: PLC0415

    with runtime() as rt, denied_is_told():
        found = personal_data.collected(rt, _named(rt, who))
    text = json.dumps(found, ensure_ascii=False, indent=2, default=str)
    if out is None:
        click.echo(text)
        return
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # one that was there before may be open to others
            file.write(f"{text}\n")
    except OSError as error:
        fail(f"Файл {out} не записан: {error.strerror}", "выберите другую папку")
    click.echo(f"Записано: {out}. Внутри личные данные: передайте их только этому человеку и удалите файл.")


@click.command()
@click.argument("who", metavar="MEMBER")
@click.option("--yes", is_flag=True, help="Не переспрашивать.")
def erase(who: str, *, yes: bool) -> None:
    """Удалить личные данные участника. Книга баллов и заказы остаются под номером без имени. Назад не вернуть."""
    from flows import personal_data  # noqa: PLC0415

    with runtime() as rt, denied_is_told():
        member_id = _named(rt, who)
        if not yes and not click.confirm(f"Удалить имя, телефоны, почту и карту участника {member_id} навсегда?"):
            fail("Ничего не удалено", "чтобы удалить, ответьте «y» или добавьте --yes")
        try:
            personal_data.erase(rt, member_id)
        except personal_data.HasReserve:
            fail("У участника зарезервированы баллы под заказ", "дождитесь оплаты или снимите резерв, потом удаляйте")
    click.echo(f"Данные участника {member_id} удалены, ссылка на карту больше не открывается.")
    click.echo("Удалите и контакт в amoCRM: иначе следующий заказ заведёт карту заново. Тела вебхуков стираются сами")
    click.echo("через 90 дней.")


def _named(rt: Runtime, who: str) -> int:
    from flows import explaining  # noqa: PLC0415

    return explaining.member_named(rt, who)
