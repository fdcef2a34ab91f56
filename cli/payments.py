"""`kopilka payments`: whose payments are they, which links are open, and why an acquirer's callback is refused.

Owns the options and reading what they name. The verification is the door's own (`flows/payment_check.py`), the words
are `cli/payment_words.py`.
"""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_ERRORS, explained, fail, print_json, runtime
from cli.inputs import instant
from cli.payment_words import link_data, link_lines, unmatched_data, unmatched_lines, verdict_data, verdict_lines
from config.acquirers import ACQUIRERS
from config.clock import system_clock
from config.programme import check_programme
from config.settings import programme_path, read_environment
from connector.acquiring.base import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.payment_check import Verdict

MAX_FILE_BYTES = 1024 * 1024
SHOWN_MAX = 100
DEAL_MAX = 2**63 - 1
_FILE = click.Path(path_type=Path, allow_dash=True, dir_okay=False)


@click.group()
def payments() -> None:
    """Платежи: чьи они, и почему уведомление банка принято или отвергнуто."""


@payments.command()
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def unmatched(*, as_json: bool) -> None:
    """Платежи, о которых неизвестно, к какой сделке они относятся, и на какие сделки похоже."""
    with runtime() as rt:
        from flows import matching  # noqa: PLC0415

        found = matching.waiting(rt, limit=SHOWN_MAX)
    if as_json:
        print_json({"payments": [unmatched_data(one) for one in found]})
        return
    click.echo("\n".join(line for one in found for line in unmatched_lines(one)) or "Все платежи отнесены к сделкам.")
    if found:
        click.echo("Отнести: kopilka payments match БАНК:ПЛАТЁЖ НОМЕР_СДЕЛКИ")


@payments.command()
@click.argument("payment", metavar="БАНК:ПЛАТЁЖ")
@click.argument("deal", type=click.IntRange(1, DEAL_MAX), metavar="НОМЕР_СДЕЛКИ")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def match(payment: str, deal: int, *, as_json: bool) -> None:
    """Отнести платёж к сделке: kopilka payments match tbank:8742591 1234. Его уведомление разберут заново."""
    with runtime() as rt:
        from flows import matching  # noqa: PLC0415

        try:
            line = matching.assign(rt, payment, deal, by=f"kopilka: {getpass.getuser()}")
        except matching.MatchRefused as refusal:
            fail(str(refusal), refusal.hint)
    if as_json:
        print_json({"ok": True, "payment": payment, "deal": deal})
    else:
        click.echo(line)


@payments.command()
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def links(*, as_json: bool) -> None:
    """Ссылки на оплату: по каким можно заплатить, какие банк ещё не закрыл и в каких отказал за неделю, его словами."""
    with runtime() as rt:
        from flows import payment_links  # noqa: PLC0415

        found = payment_links.shown(rt)
    if as_json:
        print_json({"links": [link_data(one) for one in found]})
        return
    click.echo("\n".join(line for one in found for line in link_lines(one)) or "Открытых ссылок на оплату нет.")


@payments.command()
@click.option("--vector", type=_FILE, help="Пример в JSON: provider, method, headers, body и secret внутри.")
@click.option("--acquirer", type=click.Choice(sorted(ACQUIRERS)), help="Чьё уведомление; секрет берётся из настроек.")
@click.option("--header", "headers", multiple=True, help="Заголовок «Имя: значение»; можно несколько раз.")
@click.option("--body-file", type=_FILE, help="Тело байт в байт, у GET параметры адреса (- значит стандартный ввод).")
@click.option("--query", default="", help="Параметры из адреса, после знака вопроса, как пришли.")
@click.option("--method", type=click.Choice(["GET", "POST"]), help="По умолчанию POST, а без тела GET.")
@click.option("--ip", help="Адрес отправителя, если проверять и его (ЮKassa).")
@click.option("--at", help="Когда уведомление пришло, например 2026-03-01T12:00 UTC. По умолчанию сейчас.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Файл правил.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def verify(*, vector: Path | None, acquirer: str | None, as_json: bool, **options: Any) -> None:
    """Проверить, подлинное ли уведомление, и показать почему. Ничего не записывает.

    Код выхода: 0 подлинное, 2 нет. В ответе видны данные покупателя из уведомления.
    """
    from flows import payment_check  # noqa: PLC0415

    if (vector is None) == (acquirer is None):
        fail("Нужно что-то одно: --vector или --acquirer", "kopilka payments verify --help покажет все ключи")
    try:
        if vector is not None:
            verdict, hint = payment_check.examine_example(_example(vector), now=system_clock()), ""
        else:
            verdict, hint = _examined(str(acquirer), options)
    except payment_check.BadExample as failure:
        fail(str(failure), failure.mend)
    if as_json:
        print_json(verdict_data(verdict, hint))
    else:
        click.echo("\n".join(verdict_lines(verdict, hint)))
    sys.exit(0 if verdict.is_genuine else EXIT_ERRORS)


def _examined(name: str, given: Mapping[str, Any]) -> tuple[Verdict, str]:
    """The verdict on a callback given by parts, and what might be wrong with the parts."""
    from flows import payment_check  # noqa: PLC0415

    body_file, query, ip = given["body_file"], given["query"].encode("utf-8", "surrogateescape"), given["ip"]
    if body_file is None and not query:
        fail("Нечего проверять", "укажите --body-file с телом уведомления или --query с параметрами адреса")
    method = given["method"] or ("GET" if body_file is None else "POST")
    body = b"" if body_file is None else _read(body_file)
    if method == "GET" and not query:
        query, body = body, b""  # a GET has no body: the file holds its parameters
    callback = Callback(
        method=method,
        query=query,
        headers=dict(map(_header, given["headers"])),
        body=body,
        remote_ip=ip,
        received_at=system_clock() if given["at"] is None else instant(given["at"], "UTC"),
    )
    acquirer = payment_check.connected(name, _credentials(name, given["path"]), check_ip=ip is not None)
    verdict = payment_check.examine(acquirer, callback)
    bare = replace(callback, body=callback.body.rstrip(b"\r\n"), query=callback.query.rstrip(b"\r\n"))
    is_spoiled = not verdict.is_genuine and payment_check.examine(acquirer, bare).is_genuine
    return verdict, "в конце файла лишний перевод строки; без него уведомление подлинное" if is_spoiled else ""


def _credentials(name: str, path: Path | None) -> Mapping[str, str]:
    with explained():
        env = read_environment()
        file = check_programme(path or programme_path(env), env).programme_file
    if file is None:
        fail("В файле правил есть ошибки", "kopilka check покажет каждую ошибку с местом в файле")
    found = next((one for one in file.acquirers if one.provider == name), None)
    if found is None:
        mend = (
            f"добавьте в acquirers файла правил provider: {name} и впишите его секреты в .env; проверит kopilka check"
        )
        fail(f"{ACQUIRERS[name].title_ru}: нет в файле правил или не все секреты заданы", mend)
    return {key: secret.get_secret_value() for key, secret in found.credentials.items()}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        fail(f"Не понимаю заголовок {text!r}", "пишите --header 'Content-HMAC: значение'")
    return name.strip(), value.strip()


def _example(path: Path) -> object:
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError):
        fail("Пример не читается как JSON в UTF-8", 'нужен один объект: {"provider": "tbank", "body": "…", …}')


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as failure:
        fail(f"Файл {path} не открывается: {failure.strerror}", "проверьте путь и права на чтение")
    if len(data) > MAX_FILE_BYTES:
        fail(f"Файл {path} больше {MAX_FILE_BYTES // 1024} КБ", "уведомления банков намного короче: проверьте путь")
    return data
