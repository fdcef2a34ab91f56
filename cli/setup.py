"""Setting up an installation: its keys and its database."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

import click
from dotenv import dotenv_values

from cli.common import explained, fail, runtime
from cli.doctor import doctor
from config.settings import load_settings
from flows.runtime import build_runtime, prepare

__all__ = ["doctor", "init"]

KEY_BYTES = 32
DOTENV_MODE = 0o600


@click.command()
@click.option("--env-file", type=click.Path(path_type=Path), default=Path(".env"), help="Куда записать ключ.")
@click.option("--accept-new-key", is_flag=True, help="Прежний SECRET_KEY утерян: принять нынешний для этой базы.")
def init(*, env_file: Path, accept_new_key: bool) -> None:
    """Создать ключ шифрования в .env (один раз) и привести базу к версии программы."""
    if accept_new_key:
        _accept_key()
        return
    if env_file.exists() and dotenv_values(env_file).get("SECRET_KEY"):
        click.echo(f"Ключ уже есть в {env_file}: не меняю.")
    else:
        _write_key(env_file)
    with explained():
        from flows import migrating  # noqa: PLC0415

        click.echo(f"Схема базы: {migrating.migrate(load_settings(dotenv=env_file).database_url)}")
        rt = build_runtime(load_settings(dotenv=env_file))
        prepare(rt)
        click.echo(f"Отпечаток ключа: {rt.keys.fingerprints[0]}. Сохраните копию {env_file}: без неё не прочитать")
        click.echo("ключи доступа amoCRM, и подключать её придётся заново.")
        click.echo(f"Адрес вебхука amoCRM: {rt.settings.public_url}{rt.hook_path()}")


def _write_key(env_file: Path) -> None:
    """Puts the key in place of an empty one; the file, which holds secrets, becomes its owner's alone."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    lines = env_file.read_text(encoding="utf-8").splitlines() if env_file.exists() else []
    kept = [line for line in lines if not line.replace(" ", "").startswith("SECRET_KEY=")]
    partial = env_file.with_name(f"{env_file.name}.new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, DOTENV_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in [*kept, f"SECRET_KEY={key}"]))
    partial.replace(env_file)
    click.echo(f"Ключ шифрования создан и записан в {env_file} (только для вас, 0600).")


def _accept_key() -> None:
    from flows import recovery  # noqa: PLC0415

    with runtime(is_prepared=False) as rt:
        if not click.confirm("Сохранённые ключи доступа amoCRM станут нечитаемы. Продолжить?"):
            fail("Ничего не изменено")
        recovery.accept_key(rt)
    click.echo("Ключ принят. Теперь: kopilka amocrm link")
