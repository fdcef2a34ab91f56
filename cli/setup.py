"""Setting up and checking an installation: keys, and a list of checks each with its mend."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from dotenv import dotenv_values

from cli.common import EXIT_ERRORS, EXIT_WARNINGS, explained, fail, print_json, runtime
from config.settings import load_settings
from flows.runtime import Runtime, build_runtime, prepare

KEY_BYTES = 32
DOTENV_MODE = 0o600
_MARKS = {"ok": "OK", "warning": "внимание", "error": "ОШИБКА"}


@dataclass(frozen=True)
class Finding:
    """One check. `level`: ok, warning or error; `mend` says what to do about the latter two."""

    level: str
    text: str
    mend: str = ""


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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
@click.option("--strict", is_flag=True, help="Считать предупреждения поводом для кода выхода 1.")
def doctor(*, as_json: bool, strict: bool) -> None:
    """Проверить установку: по строке на проверку, у каждой беды сказано, как помочь."""
    with runtime(is_prepared=False) as rt:
        findings = examine(rt)
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.level]:<9} {finding.text}")
            if finding.mend:
                click.echo(f"          как исправить: {finding.mend}")
    levels = {finding.level for finding in findings}
    if "error" in levels:
        sys.exit(EXIT_ERRORS)
    if strict and "warning" in levels:
        sys.exit(EXIT_WARNINGS)


def examine(rt: Runtime) -> list[Finding]:
    """All checks; later ones are left out when the database, on which they rest, is away."""
    from flows import health  # noqa: PLC0415

    found = health.readiness(rt)
    findings = [_database(found.database), _redis(found.redis)]
    if found.is_ready:
        facts = health.facts(rt)
        findings += [_key(rt), _rules(rt), *_boxes(facts), _processes(rt, facts), _crm(facts), _ledger(rt)]
    return [*findings, _apple(rt), _google(rt), _address(rt)]


def _database(state: str) -> Finding:
    if state == "ok":
        return Finding("ok", "База PostgreSQL, схема соответствует программе")
    if state.startswith("схема"):
        return Finding("error", f"База PostgreSQL: {state}", "kopilka migrate")
    return Finding("error", f"База PostgreSQL: {state}", "проверьте DATABASE_URL и запущен ли сервер")


def _redis(state: str) -> Finding:
    if state == "ok":
        return Finding("ok", "Redis отвечает")
    return Finding(
        "warning", "Redis недоступен: всё делает обход, медленнее", "проверьте REDIS_URL и запущен ли сервер"
    )


def _key(rt: Runtime) -> Finding:
    from flows.errors import KeyMismatch  # noqa: PLC0415

    try:
        prepare(rt)
    except KeyMismatch as failure:
        text, _, mend = str(failure).partition("\nКак исправить: ")
        return Finding("error", text, mend)
    return Finding("ok", f"Ключ шифрования {rt.keys.fingerprints[0]} соответствует базе")


def _rules(rt: Runtime) -> Finding:
    if rt.file.programme != rt.programme:
        text = f"Правила в файле отличаются от действующих (версия {rt.rules_version})"
        return Finding("warning", text, "kopilka plan покажет разницу, kopilka apply применит")
    return Finding("ok", f"Правила версии {rt.rules_version} действуют")


def _boxes(facts: object) -> list[Finding]:
    findings = []
    for name, title in (("inbox", "Входящие события"), ("outbox", "Отправка в CRM и кошельки")):
        states, age_s = getattr(facts, name), getattr(facts, f"{name}_oldest_s")
        if states["parked"]:
            findings.append(
                Finding("warning", f"{title}: {states['parked']} ждут человека", "kopilka events покажет причины")
            )
        elif age_s > 300:
            findings.append(
                Finding("warning", f"{title}: очередь стоит {age_s / 60:.0f} мин", f"запустите kopilka worker {name}")
            )
        else:
            findings.append(Finding("ok", f"{title}: в очереди {states['waiting']}"))
    return findings


def _processes(rt: Runtime, facts: object) -> Finding:
    beat = getattr(facts, "heartbeats", {}).get("sweep")
    limit_s = max(120.0, 4 * rt.settings.sweep_interval_s)
    if beat is None or (rt.now() - beat).total_seconds() > limit_s:
        return Finding("error", "Обход не работает: без него застрявшее не дойдёт", "запустите kopilka sweep --forever")
    return Finding("ok", "Обход работает")


def _crm(facts: object) -> Finding:
    state, closed_s = getattr(facts, "crm_state", ""), getattr(facts, "crm_closed_s", 0.0)
    if state == "not_configured":
        return Finding("warning", "amoCRM не настроена", "заполните раздел amocrm файла правил")
    if state in ("needs_reauth", "not_connected"):
        reason = getattr(facts, "crm_reason", None)
        text = f"amoCRM не подключена{f': {reason}' if reason else ''}"
        return Finding("error", text, "kopilka amocrm connect --code КОД; баллы и карты тем временем работают")
    if closed_s:
        return Finding(
            "warning",
            f"amoCRM закрылась от нас, пауза ещё {closed_s:.0f} с",
            "подождите; если часто, пишите в поддержку amoCRM",
        )
    return Finding("ok", "amoCRM подключена")


def _ledger(rt: Runtime) -> Finding:
    from flows import health  # noqa: PLC0415

    verdict = health.verify_ledger(rt)
    if verdict.is_whole:
        return Finding("ok", f"Книга баллов сходится: операций {verdict.transfers}")
    return Finding("error", f"Книга баллов не сходится: {verdict.faults[0]}", "kopilka verify-ledger покажет всё")


def _apple(rt: Runtime) -> Finding:
    if rt.signer is None:
        return Finding("warning", "Карты Apple Wallet не выпускаются", "заполните card.apple файла правил")
    if rt.signer.is_demo:
        return Finding("warning", "Карты Apple подписаны учебным сертификатом", "получите свой и заполните card.apple")
    days = (rt.signer.expires_at - rt.now()).days
    if days < 30:
        return Finding(
            "warning", f"Сертификат Apple кончится через {days} дн.", "выпустите новый для того же типа карты"
        )
    return Finding("ok", f"Сертификат Apple годен ещё {days} дн.")


def _google(rt: Runtime) -> Finding:
    if rt.google is None:
        return Finding("warning", "Карты Google Wallet не выпускаются", "заполните card.google файла правил")
    return Finding("ok", f"Google Wallet: издатель {rt.google.issuer_id}")


def _address(rt: Runtime) -> Finding:
    if rt.settings.public_url.startswith("https://"):
        return Finding("ok", f"Внешний адрес {rt.settings.public_url}")
    return Finding("warning", f"Внешний адрес {rt.settings.public_url} без https", "задайте PUBLIC_URL=https://…")


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
    click.echo("Ключ принят. Теперь: kopilka amocrm connect --code КОД")
