"""`kopilka wallet renew`: a new certificate for the same cards.

Owns the words and the steps at Apple; the comparison and the swap are `flows/wallet_renewal.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.common import EXIT_ERRORS, explained, fail, print_json
from cli.wallet_check import finding_data, finding_lines
from config.clock import system_clock
from config.settings import programme_path, read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.wallet_renewal import Renewal

_FILE = click.Path(path_type=Path, dir_okay=False)

STEPS = """\
Как выпустить новый сертификат (тип карты прежний, {type_id}):
  1. Новый ключ и запрос на сертификат (CSR), на своей машине:
       openssl req -new -newkey rsa:2048 -nodes -keyout pass-key.pem -out pass.csr -subj "/CN=Pass Type ID"
  2. developer.apple.com/account, Certificates, «+», Pass Type ID Certificate, выбрать {type_id},
     загрузить pass.csr, скачать pass.cer. Прежний сертификат НЕ отзывайте: отзыв убивает установленные карты.
  3. Собрать .p12 (openssl спросит пароль):
       openssl x509 -inform DER -in pass.cer -out pass.pem
       openssl pkcs12 -export -inkey pass-key.pem -in pass.pem -out pass-new.p12
  4. Сверить и заменить:
       kopilka wallet renew --dry-run --certificate pass-new.p12 --password-env ИМЯ_ПЕРЕМЕННОЙ
       kopilka wallet renew --certificate pass-new.p12
  5. Перезапустить web и worker, потом kopilka wallet check."""
DONE = """\
Сертификат заменён: {path}. Прежний сохранён: {backup}
Перезапустите web, worker и sweep: они читают сертификат при запуске. Потом kopilka wallet check."""
KEPT = "Установленные карты продолжат жить и обновляться: тип карты и команда те же. Переустанавливать их не нужно."


@click.command()
@click.option("--dry-run", is_flag=True, help="Только показать, что изменится.")
@click.option("--certificate", type=_FILE, help="Новый сертификат: .p12, или .pem вместе с ключом.")
@click.option("--password-env", metavar="ИМЯ", help="Переменная с паролем нового файла. По умолчанию пароль из правил.")
@click.option("--wwdr", type=_FILE, help="Новый промежуточный сертификат, если Apple сменила и его.")
@click.option("--file", "path", type=_FILE, help="Файл правил. По умолчанию PROGRAMME или config/programme.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def renew(path: Path | None, *, dry_run: bool, as_json: bool, **named: Any) -> None:
    """Обновить сертификат карт так, чтобы установленные карты продолжили жить.

    Без --dry-run новый файл встаёт на место прежнего (card.apple.certificate), прежний остаётся рядом.
    Код выхода: 0 можно или сделано, 2 нельзя.
    """
    from flows import wallet_renewal  # noqa: PLC0415

    with explained():
        env = read_environment()
        path = path or programme_path(env)
    if named["certificate"] is None and not dry_run:
        fail("Не сказано, чем заменить сертификат", "--certificate НОВЫЙ.p12; шаги покажет --dry-run")
    now = system_clock()
    renewal = wallet_renewal.plan(path, env, _named(env, named), now=now)
    backup = None
    if renewal.is_possible and not dry_run:
        try:
            backup = wallet_renewal.replace(renewal, now=now)
        except OSError as failure:
            fail(f"Файл {failure.filename} не записать: {failure.strerror}", "проверьте права; прежний файл на месте")
    if as_json:
        print_json(_data(renewal, backup))
    else:
        click.echo("\n".join(_lines(renewal, backup, is_named=named["certificate"] is not None)))
    if any(one.level == "error" for one in renewal.findings):
        sys.exit(EXIT_ERRORS)


def _named(env: Mapping[str, str], named: Mapping[str, Any]) -> Any:
    from flows.wallet_renewal import Named  # noqa: PLC0415

    if named["certificate"] is None:
        return None
    variable = named["password_env"]
    if variable is not None and not env.get(variable):
        fail(
            f"Переменной {variable} нет ни в окружении, ни в .env", f"задайте её: read -s {variable}; export {variable}"
        )
    password = None if variable is None else env[variable]
    return Named(named["certificate"], password, named["wwdr"])


def _lines(renewal: Renewal, backup: Path | None, *, is_named: bool) -> list[str]:
    type_id = "pass.…" if renewal.present is None else renewal.present.pass_type_id
    lines = []
    for title, bundle in (("Нынешний", renewal.old), ("Новый", renewal.new)):
        if bundle is not None:
            lines.append(f"{title}: {bundle.pass_type_id}, команда {bundle.team_id}, до {bundle.expires_at:%d.%m.%Y}")
    lines += finding_lines(renewal.findings)
    if backup is not None and renewal.present is not None:
        lines += [DONE.format(path=renewal.present.path, backup=backup), KEPT]
    elif renewal.is_possible:
        lines += ["Заменить можно. Ничего не изменено: уберите --dry-run.", KEPT]
    elif is_named:
        lines.append("Заменять нельзя. Ничего не изменено.")
    else:
        lines.append(STEPS.format(type_id=type_id))
    return lines


def _data(renewal: Renewal, backup: Path | None) -> dict[str, Any]:
    def about(bundle: Any) -> dict[str, Any] | None:
        if bundle is None:
            return None
        return {"pass_type_id": bundle.pass_type_id, "team_id": bundle.team_id, "expires_at": bundle.expires_at}

    return {
        "possible": renewal.is_possible,
        "replaced": backup is not None,
        "backup": None if backup is None else str(backup),
        "old": about(renewal.old),
        "new": about(renewal.new),
        "findings": [finding_data(one) for one in renewal.findings],
    }
