"""Connecting amoCRM: from nothing to proven with one command; and how the connection is."""

from __future__ import annotations

import click

from cli.common import fail, print_json, runtime
from cli.crm_drift import drift
from cli.crm_link import link
from flows.errors import ConnectorError, SetupIncomplete


@click.group()
def amocrm() -> None:
    """Подключение amoCRM."""


amocrm.add_command(link)
amocrm.add_command(drift)


@amocrm.command()
@click.option("--code", help="Код авторизации из amoCRM; живёт 20 минут. С долгосрочным ключом не нужен.")
def connect(code: str | None) -> None:
    """Подключить без вопросов и проверки: обменять код, создать поля, подписать вебхук. Обычно нужна link."""
    from flows import connect as connecting  # noqa: PLC0415

    with runtime() as rt:
        try:
            if code is not None:
                connecting.exchange(rt, code)
            done = connecting.set_up(rt)
        except SetupIncomplete as failure:
            fail(str(failure), "поправьте раздел amocrm файла правил и повторите без --code")
        except ConnectorError as failure:
            fail(f"amoCRM ответила отказом: {failure}", "получите новый код авторизации и повторите с --code")
    click.echo(f"Аккаунт {done.subdomain} подключён. Поля контакта: {done.fields}. Вебхук подписан.")


@amocrm.command()
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def status(*, as_json: bool) -> None:
    """Как дела у подключения."""
    from flows import health  # noqa: PLC0415

    with runtime() as rt:
        found = health.facts(rt)
    if as_json:
        print_json({"state": found.crm_state, "reason": found.crm_reason, "closed_s": found.crm_closed_s})
        return
    reason = f" ({found.crm_reason})" if found.crm_reason else ""
    click.echo(f"amoCRM: {found.crm_state}{reason}")
