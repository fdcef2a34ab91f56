"""`kopilka wallet check`: certificate, key, chain, names, dates, pictures, Google's key, before any card is given out.

Owns the words and the exit code; what is looked at is `flows/wallet_check.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_ERRORS, EXIT_WARNINGS, explained, fail, print_json
from config.clock import system_clock
from config.environment import EnvironmentFaultError, look_up
from config.settings import programme_path, read_environment
from flows.errors import WalletError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flows.wallet_check import Checked, Finding, Section

_MARKS = {"ok": "OK", "warning": "внимание", "error": "ОШИБКА"}
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--file", "path", type=_FILE, help="Файл правил. По умолчанию PROGRAMME или config/programme.yaml.")
@click.option("--ca", type=_FILE, help="Корневой сертификат Apple: проверить цепочку пробной карты до него.")
@click.option("--save", type=_FILE, help="Записать пробную карту в файл, например чтобы послать её себе на iPhone.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
@click.option("--strict", is_flag=True, help="Предупреждения тоже считать поводом для отказа (код выхода 1).")
def check(path: Path | None, *, ca: Path | None, save: Path | None, as_json: bool, strict: bool) -> None:
    """Проверить всё, из-за чего телефон молча не примет карту. База и сеть не нужны.

    Собирает пробную карту вашим сертификатом и проверяет её, как kopilka wallet verify.
    Код выхода: 0 всё в порядке, 1 есть предупреждения (с --strict), 2 есть ошибки.
    """
    from flows import wallet_check  # noqa: PLC0415

    with explained():
        env = read_environment()
        path = path or programme_path(env)
    try:
        root = None if ca is None else ca.read_bytes()
        found = wallet_check.check(path, env, now=system_clock(), demo=_demo(env), ca=root)
        if save is not None and found.sample is not None:
            save.write_bytes(found.sample)
    except OSError as failure:
        fail(f"Файл {failure.filename} не открывается: {failure.strerror}", "проверьте путь и права")
    except WalletError as failure:
        fail(f"Ключ --ca: {failure}", "возьмите корень Apple с apple.com/certificateauthority")
    if as_json:
        print_json(_data(found))
    else:
        click.echo("\n".join(section_lines(found.sections)))
        if save is not None:
            click.echo(f"Пробная карта {'не записана' if found.sample is None else f'записана: {save}'}.")
    end_by(found.count("error"), found.count("warning"), strict=strict)


def section_lines(sections: Iterable[Section]) -> list[str]:
    lines = []
    for section in sections:
        lines += [section.title, *finding_lines(section.findings)]
    return lines


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    lines = []
    for one in findings:
        code = "" if one.level == "ok" else f"[{one.code}] "
        lines.append(f"  {_MARKS[one.level]:<8} {code}{one.text}")
        if one.level != "ok" and one.mend:
            lines.append(f"           как исправить: {one.mend}")
    return lines


def finding_data(one: Finding) -> dict[str, Any]:
    return {"code": one.code, "severity": one.level, "message": one.text, "fix": one.mend}


def end_by(errors: int, warnings: int, *, strict: bool) -> None:
    if errors:
        sys.exit(EXIT_ERRORS)
    if warnings and strict:
        sys.exit(EXIT_WARNINGS)


def _demo(env: Mapping[str, str]) -> Path | None:
    try:
        folder = look_up(env, "DEMO_WALLET_DIR")
    except EnvironmentFaultError as fault:
        fail(f"DEMO_WALLET_DIR: {fault.message}", fault.fix)
    return None if folder is None else Path(folder)


def _data(found: Checked) -> dict[str, Any]:
    return {
        "errors": found.count("error"),
        "warnings": found.count("warning"),
        "sections": [
            {"title": section.title, "findings": [finding_data(one) for one in section.findings]}
            for section in found.sections
        ],
    }
