"""What every command shares: the Runtime, stopping on a signal, and errors that end with the mend."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from config.logs import configure_logging
from config.settings import load_settings
from flows.errors import (
    DatabaseAway,
    KeyMismatch,
    NotConfigured,
    ProgrammeInvalid,
    SchemaMismatch,
    SettingsInvalid,
    TablesInUse,
    WalletError,
)
from flows.runtime import Runtime, build_runtime, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

EXIT_WARNINGS = 1
EXIT_ERRORS = 2


def fail(message: str, mend: str | None = None) -> NoReturn:
    """Prints the error and its mend, ends with exit code 2."""
    click.echo(message, err=True)
    if mend:
        click.echo(f"Как исправить: {mend}", err=True)
    sys.exit(EXIT_ERRORS)


@contextmanager
def runtime(*, logs: bool = False, is_prepared: bool = True) -> Iterator[Runtime]:
    """The Runtime of this installation, ready to serve; every known failure to start is printed with its mend."""
    with explained():
        settings = load_settings()
        configure_logging(settings.log_level if logs else "error", human=sys.stderr.isatty())
        rt = build_runtime(settings)
        if is_prepared:
            prepare(rt)
            if logs and rt.file.programme != rt.programme:
                click.echo(
                    "Правила в файле отличаются от действующих: kopilka plan покажет чем, kopilka apply применит",
                    err=True,
                )
        try:
            yield rt
        finally:
            rt.db.close()


@contextmanager
def explained() -> Iterator[None]:
    """Turns failures that a person can mend into text and exit code 2."""
    try:
        yield
    except (SettingsInvalid, KeyMismatch, SchemaMismatch, TablesInUse) as failure:
        fail(str(failure))
    except ProgrammeInvalid as failure:
        fail(str(failure), "kopilka check покажет каждую ошибку с местом в файле")
    except NotConfigured as failure:
        fail(f"Банк или amoCRM настроены не до конца: {failure}", "проверьте раздел acquirers и секреты в .env")
    except WalletError as failure:
        fail(f"Сертификат карты не годится: {failure}")
    except UnicodeDecodeError:
        fail("Файл .env не в кодировке UTF-8", "сохраните его в UTF-8")
    except FileNotFoundError as failure:
        fail(f"Нет файла: {failure}", "проверьте пути в файле правил и в .env")
    except DatabaseAway:
        fail("База PostgreSQL не отвечает", "проверьте DATABASE_URL и запущен ли сервер")


def stop_flag() -> Callable[[], bool]:
    """A flag that SIGTERM and Ctrl-C raise."""
    stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return lambda: stopped


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))
