"""`kopilka wallet verify`: would a phone take this card? Owns the words; every rule is `wallet/verify.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_ERRORS, fail, print_json
from config.clock import system_clock
from flows.errors import WalletError

if TYPE_CHECKING:
    from flows.wallet_verifying import Verdict

_WORDS = {"error": "ошибка", "warning": "внимание"}
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--ca", type=_FILE, help="Корневой сертификат (.pem или .cer): цепочка должна вести к нему.")
@click.option("--wwdr", type=_FILE, help="Промежуточный сертификат, который должен лежать в подписи.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def verify(file: Path, *, ca: Path | None, wwdr: Path | None, as_json: bool) -> None:
    """Проверить карту .pkpass так, как её проверит телефон, и назвать каждую ошибку.

    Проверка не пользуется ничем из того, что карты собирает; подпись подтверждает ещё и openssl.
    Код выхода: 0 карта годится, 2 нет.
    """
    from flows import wallet_verifying  # noqa: PLC0415

    try:
        verdict = wallet_verifying.verify_file(file, ca=ca, wwdr=wwdr, now=system_clock())
    except OSError as failure:
        fail(f"Файл {failure.filename} не открывается: {failure.strerror}", "проверьте путь и права на чтение")
    except WalletError as failure:
        fail(f"Ключ --ca или --wwdr: {failure}", "возьмите сертификаты с apple.com/certificateauthority")
    if as_json:
        print_json(_data(file, verdict))
    else:
        click.echo("\n".join(_lines(file, verdict)))
    if not verdict.is_good:
        sys.exit(EXIT_ERRORS)


def _data(file: Path, verdict: Verdict) -> dict[str, Any]:
    return {
        "file": str(file),
        "ok": verdict.is_good,
        "serial": verdict.serial,
        "pass_type_id": verdict.pass_type_id,
        "team_id": verdict.team_id,
        "files": verdict.files,
        "signed_at": verdict.signed_at,
        "valid_until": verdict.valid_until,
        "openssl": verdict.openssl,
        "faults": [
            {"code": one.code, "severity": one.level, "message": one.text, "fix": one.mend} for one in verdict.faults
        ],
    }


def _lines(file: Path, verdict: Verdict) -> list[str]:
    lines = []
    for one in verdict.faults:
        lines += [f"{file}: {_WORDS[one.level]} [{one.code}]", f"  = {one.text}", f"  = как исправить: {one.mend}"]
    errors = sum(one.level == "error" for one in verdict.faults)
    warnings = len(verdict.faults) - errors
    if not verdict.is_good:
        return [*lines, f"Карта не годится. Ошибок: {errors}, предупреждений: {warnings}."]
    signed = "" if verdict.signed_at is None else f", подписана {verdict.signed_at:%d.%m.%Y}"
    until = "" if verdict.valid_until is None else f", сертификат до {verdict.valid_until:%d.%m.%Y}"
    judged = ", openssl согласен" if verdict.openssl == "accepted" else ""
    facts = f"{verdict.pass_type_id}, файлов {verdict.files}{signed}{until}{judged}"
    return [*lines, f"Карта годится. Предупреждений: {warnings}.", f"  {facts}"]
