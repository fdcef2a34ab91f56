"""`kopilka check`: what is wrong with the rules file, before anything uses it.

Owns the printing and the exit code. Every rule of the check itself is `config.programme`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from config.clock import system_clock
from config.programme import check_programme
from config.settings import SettingsInvalid, programme_path, read_environment

EXIT_WARNINGS = 1
EXIT_ERRORS = 2


@click.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="Файл правил. По умолчанию PROGRAMME из окружения или config/programme.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Отчёт для программ: один объект JSON.")
@click.option("--strict", is_flag=True, help="Предупреждения тоже считать поводом для отказа (код выхода 1).")
def check(path: Path | None, *, as_json: bool, strict: bool) -> None:
    """Проверить файл правил, ничего не меняя.

    Код выхода: 0 всё в порядке, 1 есть предупреждения (с --strict), 2 есть ошибки.
    """
    try:
        env = read_environment()
        result = check_programme(path or programme_path(env), env, now=system_clock())
    except SettingsInvalid as fault:
        click.echo(str(fault), err=True)
        sys.exit(EXIT_ERRORS)
    if as_json:
        click.echo(json.dumps(result.to_data(), ensure_ascii=False, indent=2))
    else:
        click.echo(result.render())
    if result.errors:
        sys.exit(EXIT_ERRORS)
    if result.warnings and strict:
        sys.exit(EXIT_WARNINGS)
