"""`kopilka check`: what is wrong with the rules file, before anything uses it.

Owns the printing and the exit code. Every rule of the check itself is `config.programme`; what only the account can
say (`--online`) is `flows/online_check.py`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.clock import system_clock
from config.programme import check_programme
from config.settings import SettingsInvalid, load_settings, programme_path, read_environment

if TYPE_CHECKING:
    from config.programme import CheckResult
    from flows.linking_compare import Finding
    from flows.runtime import Runtime

EXIT_WARNINGS = 1
EXIT_ERRORS = 2

_WORDS = {"error": "ошибка", "warning": "внимание"}


@click.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="Файл правил. По умолчанию PROGRAMME из окружения или config/programme.yaml.",
)
@click.option("--online", is_flag=True, help="Сверить ещё и с аккаунтом amoCRM: имена, типы полей, вебхук, права.")
@click.option("--json", "as_json", is_flag=True, help="Отчёт для программ: один объект JSON.")
@click.option("--strict", is_flag=True, help="Предупреждения тоже считать поводом для отказа (код выхода 1).")
def check(path: Path | None, *, online: bool, as_json: bool, strict: bool) -> None:
    """Проверить файл правил, ничего не меняя.

    Код выхода: 0 всё в порядке, 1 есть предупреждения (с --strict), 2 есть ошибки.
    """
    try:
        env = read_environment()
        path = path or programme_path(env)
        result = check_programme(path, env, now=system_clock())
    except SettingsInvalid as fault:
        click.echo(str(fault), err=True)
        sys.exit(EXIT_ERRORS)
    findings = _asked(path) if online and not result.errors else []
    lines = {one.rule: _line(result, one) for one in findings}
    if as_json:
        click.echo(json.dumps(_data(result, findings, lines, online=online), ensure_ascii=False, indent=2))
    else:
        click.echo(result.render())
        _show(path, findings, lines)
        if online and result.errors:
            click.echo("С amoCRM не сверено: сначала исправьте ошибки в файле.")
    levels = [one.level for one in findings]
    if result.errors or "error" in levels:
        sys.exit(EXIT_ERRORS)
    if (result.warnings or "warning" in levels) and strict:
        sys.exit(EXIT_WARNINGS)


def _asked(path: Path) -> list[Finding]:
    """What the account says of this file, which need not be in force. Failures to start are told with their mend."""
    from cli.common import explained, fail  # noqa: PLC0415 - checking a file needs no database
    from config.logs import configure_logging  # noqa: PLC0415
    from flows import health, online_check  # noqa: PLC0415
    from flows.runtime import build_runtime  # noqa: PLC0415

    with explained():
        settings = replace(load_settings(), programme_path=path)
        configure_logging("error", human=sys.stderr.isatty())
        rt: Runtime = build_runtime(settings)
        try:
            found = health.readiness(rt)
            if not found.is_ready:
                fail(f"База PostgreSQL: {found.database}", "kopilka doctor скажет, что с ней")
            return online_check.examine(rt)
        finally:
            rt.db.close()


def _line(result: CheckResult, one: Finding) -> int:
    """Where the file says it; a rule that is not written itself is where its section is."""
    file, rule = result.programme_file, one.rule
    while file is not None and rule:
        if file.line_of(rule):
            return file.line_of(rule)
        rule = rule.rpartition(".")[0]
    return 0


def _show(path: Path, findings: list[Finding], lines: dict[str, int]) -> None:
    for one in findings:
        if one.level == "ok":
            click.echo(f"OK: {one.text}")
            continue
        place = f"{path}:{lines[one.rule]}" if lines[one.rule] else "amoCRM"
        click.echo(f"{place}: {_WORDS[one.level]} [{one.code}]\n  = {one.text}\n  = как исправить: {one.mend}")
    if findings:
        counted = [sum(one.level == level for one in findings) for level in ("error", "warning")]
        click.echo(f"Сверка с amoCRM: ошибок {counted[0]}, предупреждений {counted[1]}.")


def _data(result: CheckResult, findings: list[Finding], lines: dict[str, int], *, online: bool) -> dict[str, object]:
    data: dict[str, object] = result.to_data()
    if online:
        data["online"] = [
            {
                "code": one.code,
                "severity": one.level,
                "rule": one.rule,
                "line": lines[one.rule],
                "message": one.text,
                "nearest": one.like or None,
                "fix": one.mend,
            }
            for one in findings
        ]
    return data
