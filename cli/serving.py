"""Processes that serve: web, worker, sweep; and the migration that goes before them."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from cli.common import explained, fail, runtime, stop_flag
from config.settings import load_settings

CONNECTION_LIMIT = 1000
CHANNEL_TIMEOUT_S = 30
BODY_BYTES_MAX = 512 * 1024
"""Waitress refuses what is far too large before the application, which has the exact limit, sees it."""


@click.command()
def migrate() -> None:
    """Привести схему базы к версии программы.

    При обновлении сначала остановите web, worker и sweep: работники прежней версии с новой схемой не работают.
    """
    from flows import migrating  # noqa: PLC0415

    with explained():
        click.echo(f"Схема базы: {migrating.migrate(load_settings().database_url)}")


@click.command()
@click.option("--ready-line", is_flag=True, help="Напечатать строку JSON, когда сервер начал принимать запросы.")
def web(*, ready_line: bool) -> None:
    """Веб-сервер: вебхуки, страница карты, API, консоль."""
    from waitress.server import create_server  # noqa: PLC0415

    from wsgi import build_app  # noqa: PLC0415

    with runtime(logs=True) as rt:
        settings = rt.settings
        try:
            server: Any = create_server(
                build_app(rt),
                host=settings.web_host,
                port=settings.web_port,
                threads=settings.web_threads,
                connection_limit=CONNECTION_LIMIT,
                channel_timeout=CHANNEL_TIMEOUT_S,
                max_request_body_size=BODY_BYTES_MAX,
                clear_untrusted_proxy_headers=settings.trusted_proxies == 0,  # else ProxyFix would find none
                ident=None,
            )
        except OSError as failure:
            fail(f"Адрес {settings.web_host}:{settings.web_port} не занять: {failure.strerror}", "смените WEB_PORT")
        if ready_line:
            click.echo(json.dumps({"ready": True, "port": server.effective_port}))
            sys.stdout.flush()
        _stop_on_sigterm()
        server.run()
        rt.bell.flush()


@click.command()
@click.argument("box", type=click.Choice(["inbox", "outbox"]))
def worker(box: str) -> None:
    """Работник одной очереди: inbox (входящие события) или outbox (отправка в CRM и кошельки)."""
    from flows import working  # noqa: PLC0415

    with runtime(logs=True) as rt:
        is_stopped = stop_flag()  # RQ puts its own handlers over these while it works
        working.serve(rt, box, is_stopped=is_stopped)


@click.command()
@click.option("--forever", is_flag=True, help="Повторять каждые SWEEP_INTERVAL_S секунд.")
def sweep(*, forever: bool) -> None:
    """Довести до конца всё, что застряло: работает и без Redis."""
    from flows import sweep as sweeping  # noqa: PLC0415

    with runtime(logs=True) as rt:
        if forever:
            sweeping.sweep_forever(rt, is_stopped=stop_flag())
        else:
            found = sweeping.sweep_once(rt)
            click.echo(
                f"Возвращено: {found.reclaimed}, стали доступны баллы у: {found.activated}, выполнено: {found.worked}"
            )
        rt.bell.flush()


def _stop_on_sigterm() -> None:
    import signal  # noqa: PLC0415

    def stop(_signal: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
