"""`kopilka demo`: the whole shop on this machine, from an empty folder to a page in the browser.

Owns the order of starting and the printing. What runs is the product itself as separate processes; the CRM, the bank
and Google are the simulator's. Nothing is sent outside.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import demo_story
from cli.common import explained, fail, stop_flag
from cli.demo_world import World, open_world
from cli.services.account import forget_data
from cli.services.errors import ServiceError
from cli.services.process import port_is_free
from config.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_STATE = Path(".demo")
SUPERVISION_S = 0.5
USUAL_PORT = 8000


@click.command()
@click.option("--once", is_flag=True, help="Разыграть историю без человека, проверить и выйти; последняя строка JSON.")
@click.option("--json", "as_json", is_flag=True, help="Когда всё готово, напечатать одну строку JSON с адресами.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Порт сайта; 0: любой свободный.")
@click.option("--state", type=click.Path(path_type=Path), default=None, help="Где хранить всё; по умолчанию .demo")
@click.option("--programme", type=click.Path(path_type=Path), default=None, help="Свой файл правил.")
@click.option("--clock", default=None, help="Начать с этого мгновения, например 2026-03-01T10:00:00+03:00.")
@click.option("--reset", is_flag=True, help="Стереть прежнее и начать заново.")
def demo(
    *,
    once: bool,
    as_json: bool,
    port: int | None,
    state: Path | None,
    programme: Path | None,
    clock: str | None,
    reset: bool,
) -> None:
    """Попробовать за минуту: магазин, ненастоящая amoCRM, ненастоящий банк и настоящие баллы."""
    folder = (state or DEFAULT_STATE).absolute()
    if reset and folder.exists():
        _erase(folder)
    configure_logging("error", human=True)
    quiet = as_json or once
    say = _progress(to_stderr=as_json)
    is_stopped = stop_flag()
    wanted_port = port if port is not None else 0 if quiet or not port_is_free(USUAL_PORT) else USUAL_PORT
    try:
        with (
            explained(),
            open_world(folder, port=wanted_port, programme=programme, at=_instant(clock), say=say) as world,
        ):
            if once:
                result = demo_story.play(world, say)
                click.echo(json.dumps(result, ensure_ascii=False))
                sys.exit(0 if result["ok"] else 2)
            _announce(world, as_json=as_json)
            while not is_stopped():
                world.supervise(say)
                time.sleep(SUPERVISION_S)
            say("Останавливаю…")
    except ServiceError as failure:
        fail(str(failure))


def _announce(world: World, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(world.contract(), ensure_ascii=False))
        sys.stdout.flush()
        return
    urls = world.urls
    click.echo(
        f"""
  Готово за {world.started_s:.1f} с. Наружу ничего не отправляется.

    Магазин (amoCRM)   {urls["crm"]}      сделки: откройте любую, впишите «Списать бонусов», нажмите «Оплатить»
    Банк               {urls["bank"]}      платежи, возвраты, повторы уведомлений; эквайрингов: {len(world.banks)}
    Почта              {urls["mail"]}      письма покупателям
    Консоль            {urls["console"]}
    Сайт и карты       {urls["web"]}      ссылка на карту появится в полях контакта; API: {urls["web"]}/api/docs
    Правила            {world.environment["PROGRAMME"]}      свой файл: make demo ARGS="--programme ФАЙЛ"

  Ctrl-C остановит всё. Начать заново: make demo ARGS=--reset
"""
    )


def _progress(*, to_stderr: bool) -> Callable[[str], None]:
    started = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"  {time.monotonic() - started:5.1f} с  {text}", err=to_stderr)

    return say


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        fail(f"Не понимаю мгновение {text!r}", "пишите 2026-03-01T10:00:00+03:00")
    return given.astimezone()


def _erase(folder: Path) -> None:
    """Only a folder that a demo made is erased."""
    if not (folder / "demo.json").is_file():
        fail(f"{folder} не похожа на папку демонстрации, стирать не буду", "укажите --state или удалите её сами")
    for service in ("postgres", "valkey"):
        forget_data(folder / service)
    shutil.rmtree(folder)
