"""`kopilka member`: what a person in charge does to one account: correct it, reward it, join it with another, answer
for its data (`member_data.py`)."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from cli import member_data
from cli.common import fail, print_json, runtime
from cli.inputs import KEY_CHARS_MAX, SIGNATURE_CHARS_MAX, shown_text
from cli.refused import denied_is_told
from flows import adjusting
from loyalty.wording import count_text

if TYPE_CHECKING:
    from flows.runtime import Runtime
    from loyalty.ledger import Balance

REASONS = list(adjusting.REASON_WORDS)
COMMENT_CHARS_MAX = 500
POINTS_MAX = 1_000_000_000


@click.group()
def member() -> None:
    """Один участник: поправить баллы, поощрить, объединить, ответить о его данных.

    MEMBER: номер, карта, телефон или почта."""


for _command in (member_data.requests, member_data.done, member_data.data, member_data.erase):
    member.add_command(_command)


@member.command()
@click.argument("who", metavar="MEMBER")
@click.argument("points", type=click.IntRange(-POINTS_MAX, POINTS_MAX))
@click.option("--reason", type=click.Choice(REASONS), required=True, help="Почему: ошибка, жалоба, подарок, другое.")
@click.option("--comment", required=True, help="Словами: увидят владелец и проверяющий.")
@click.option("--by", "actor", default=None, help="Кто поправил; по умолчанию пользователь этой машины.")
@click.option("--key", default=None, help="Имя запроса: повтор с тем же именем ничего не изменит.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def adjust(
    who: str, points: int, *, reason: str, comment: str, actor: str | None, key: str | None, as_json: bool
) -> None:
    """Дать или снять баллы вручную: kopilka member adjust 7700012345 300 --reason complaint --comment "…"

    Чтобы снять, поставьте перед числом два дефиса: kopilka member adjust --reason … --comment … MEMBER -- -300
    """
    if points == 0:
        fail("Нужны баллы, не ноль", "напишите, сколько дать; чтобы снять, поставьте перед числом минус")
    why = shown_text("--comment", comment, COMMENT_CHARS_MAX)
    who_did = shown_text("--by", actor or getpass.getuser(), SIGNATURE_CHARS_MAX)
    name = None if key is None else shown_text("--key", key, KEY_CHARS_MAX)
    with runtime() as rt, denied_is_told():
        asked = adjusting.Adjustment(
            points=points,
            reason=reason,  # type: ignore[arg-type]
            comment=why,
            actor=f"kopilka: {who_did}",
            key=name or rt.new_id("cli"),
        )
        done = adjusting.adjust(rt, _named(rt, who), asked)
        _show(rt, done.id, done.balance, as_json=as_json)


@member.command()
@click.argument("who", metavar="MEMBER")
@click.argument("code")
@click.option("--key", default=None, help="Имя запроса: повтор с тем же именем ничего не изменит.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def reward(who: str, code: str, *, key: str | None, as_json: bool) -> None:
    """Баллы за действие из gifts.actions файла правил: kopilka member reward +79161234567 review"""
    name = None if key is None else shown_text("--key", key, KEY_CHARS_MAX)
    with runtime() as rt, denied_is_told():
        actor = f"kopilka: {getpass.getuser()}"
        done = adjusting.reward(rt, _named(rt, who), code, key=name or rt.new_id("cli"), actor=actor)
        _show(rt, done.id, done.balance, as_json=as_json)


@member.command()
@click.argument("gone", metavar="ЛИШНИЙ")
@click.argument("kept", metavar="ОСТАЁТСЯ")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def merge(gone: str, kept: str, *, as_json: bool) -> None:
    """Двое участников оказались одним человеком: баллы, сроки и заказы первого переходят второму. Назад не вернуть."""
    with runtime() as rt, denied_is_told():
        from flows import people  # noqa: PLC0415

        done = people.merge(rt, from_id=_named(rt, gone), into_id=_named(rt, kept))
        _show(rt, done.id, done.balance, as_json=as_json)


def _named(rt: Runtime, who: str) -> int:
    from flows import explaining  # noqa: PLC0415

    return explaining.member_named(rt, who)


def _show(rt: Runtime, member_id: int, found: Balance, *, as_json: bool) -> None:
    if as_json:
        print_json({"member": member_id, "balance": {**vars(found), "net": found.net}})
        return
    click.echo(f"Участник {member_id}: доступно {count_text(found.available, rt.point_forms)}")
