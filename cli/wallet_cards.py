"""`kopilka wallet cards`: how many cards are out, on how many phones, and how many still wait to be refreshed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cli.common import print_json, runtime
from loyalty.wording import thousands

if TYPE_CHECKING:
    from flows.card_plan import Cards, Standing

WATCH_EVERY_S = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Показывать, пока не обновятся все.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def cards(*, watch: bool, as_json: bool) -> None:
    """Сколько карт выдано, сколько на телефонах и сколько ещё ждут обновления, например после смены оформления."""
    from flows import card_plan  # noqa: PLC0415

    with runtime() as rt:
        found = card_plan.standing(rt)
        if as_json:
            print_json({"apple": found.apple and vars(found.apple), "google": found.google and vars(found.google)})
            return
        most = _waiting(found)
        for line in _lines(found):
            click.echo(line)
        while watch and _waiting(found):
            click.echo(f"\r{_bar(most - _waiting(found), most)} осталось {_left(found)}  ", nl=False, err=True)
            time.sleep(WATCH_EVERY_S)
            found = card_plan.standing(rt)
            most = max(most, _waiting(found))
        if watch:
            click.echo("\rВсе карты говорят то, что есть.".ljust(60), err=True)


def _lines(found: Standing) -> list[str]:
    lines = []
    for title, one in (("Apple Wallet", found.apple), ("Google Wallet", found.google)):
        if one is None:
            lines.append(f"{title}: не настроен")
            continue
        text = f"{title}: выдано {thousands(one.given_out)}, на телефонах {thousands(one.on_phones)}"
        lines.append(f"{text}, ждут обновления {thousands(one.waiting)}" if one.waiting else f"{text}, все обновлены")
    if found.is_new_look:
        lines.append("Оформление в файле правил новое: карты начнут обновляться после перезапуска web, worker и sweep")
    return lines


def _waiting(found: Standing) -> int:
    return sum(one.waiting for one in _set_up(found))


def _left(found: Standing) -> str:
    seconds = max((one.left_s for one in _set_up(found)), default=0.0)
    return f"{seconds / 60:.0f} мин" if seconds >= 90 else f"{seconds:.0f} с"


def _set_up(found: Standing) -> list[Cards]:
    return [one for one in (found.apple, found.google) if one is not None]


def _bar(done: int, whole: int) -> str:
    filled = 30 * done // max(1, whole)
    return f"[{'#' * filled}{'.' * (30 - filled)}] {thousands(done)} из {thousands(whole)}"
