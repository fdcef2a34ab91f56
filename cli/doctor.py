"""`kopilka doctor`: a list of checks of the whole installation, each trouble with its mend."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from cli.common import EXIT_ERRORS, EXIT_WARNINGS, print_json, runtime
from flows.runtime import Runtime, prepare

_MARKS = {"ok": "OK", "warning": "внимание", "error": "ОШИБКА"}


@dataclass(frozen=True)
class Finding:
    """One check. `level`: ok, warning or error; `mend` says what to do about the latter two. `code`: a stable name,
    where a program may want one; `nearest`: the name in the account most like the one that was not found."""

    level: str
    text: str
    mend: str = ""
    code: str = ""
    nearest: str = ""


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
        findings += [_key(rt), _rules(rt), *_boxes(facts), _processes(rt, facts)]
        findings += [*_crm(rt, facts), _ledger(rt), *_wishes(facts)]
    return [*findings, *_apple(rt), _google(rt), _address(rt)]


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


def _wishes(facts: object) -> list[Finding]:
    """Buyers who asked for their data wait at most ten working days, by law."""
    count, days = getattr(facts, "data_requests", 0), int(getattr(facts, "data_requests_oldest_s", 0.0) // 86_400)
    if not count:
        return []
    text = f"Запросов покупателей о своих данных: {count}, старший ждёт {days} дн."
    mend = "kopilka member requests покажет их; закон даёт 10 рабочих дней"
    return [Finding("warning" if days >= 7 else "ok", text, mend)]


def _processes(rt: Runtime, facts: object) -> Finding:
    beat = getattr(facts, "heartbeats", {}).get("sweep")
    limit_s = max(120.0, 4 * rt.settings.sweep_interval_s)
    if beat is None or (rt.now() - beat).total_seconds() > limit_s:
        return Finding("error", "Обход не работает: без него застрявшее не дойдёт", "запустите kopilka sweep --forever")
    return Finding("ok", "Обход работает")


def _crm(rt: Runtime, facts: object) -> list[Finding]:
    """How the connection is, and while it is open how the account differs from the rules file."""
    state, closed_s = getattr(facts, "crm_state", ""), getattr(facts, "crm_closed_s", 0.0)
    if state == "not_configured":
        return [Finding("warning", "amoCRM не настроена", "заполните раздел amocrm файла правил")]
    if state in ("needs_reauth", "not_connected"):
        reason = getattr(facts, "crm_reason", None)
        text = f"amoCRM не подключена{f': {reason}' if reason else ''}"
        return [Finding("error", text, "kopilka amocrm link; баллы и карты тем временем работают")]
    if closed_s:
        text = f"amoCRM закрылась от нас, пауза ещё {closed_s:.0f} с"
        return [Finding("warning", text, "подождите; если часто, пишите в поддержку amoCRM")]
    return _account(rt)


def _account(rt: Runtime) -> list[Finding]:
    from flows import online_check  # noqa: PLC0415

    return [
        Finding(one.level, one.text if one.level == "ok" else f"amoCRM: {one.text}", one.mend, one.code, one.like)
        for one in online_check.examine(rt)
    ]


def _ledger(rt: Runtime) -> Finding:
    from flows import health  # noqa: PLC0415

    verdict = health.verify_ledger(rt)
    if verdict.is_whole:
        return Finding("ok", f"Книга баллов сходится: операций {verdict.transfers}")
    return Finding("error", f"Книга баллов не сходится: {verdict.faults[0]}", "kopilka verify-ledger покажет всё")


def _apple(rt: Runtime) -> list[Finding]:
    """Whether cards are given out, and how long each certificate behind them lasts."""
    from flows import certificate_ends  # noqa: PLC0415

    if rt.signer is None:
        return [Finding("warning", "Карты Apple Wallet не выпускаются", "заполните card.apple файла правил")]
    if rt.signer.is_demo:
        text = "Карты Apple подписаны учебным сертификатом"
        return [Finding("warning", text, "получите свой и заполните card.apple: kopilka wallet check")]
    findings = []
    for which, left in certificate_ends.left(rt).items():
        title, days = certificate_ends.TITLES[which], left.days
        title = f"{title[0].upper()}{title[1:]}"
        if days > certificate_ends.WARN_DAYS:
            findings.append(Finding("ok", f"{title} годен ещё {days} дн."))
        else:
            level = "error" if days <= certificate_ends.ERROR_DAYS else "warning"
            text = f"{title} истёк" if days < 0 else f"{title} кончится через {days} дн."
            findings.append(Finding(level, text, certificate_ends.MENDS[which], f"certificate-{which}"))
    return findings


def _google(rt: Runtime) -> Finding:
    if rt.google is None:
        return Finding("warning", "Карты Google Wallet не выпускаются", "заполните card.google файла правил")
    from flows import google  # noqa: PLC0415

    if (review := google.review_trouble(rt)) is not None:
        mend = "посмотрите замечания в Google Wallet Console, исправьте оформление и нажмите «на проверку»"
        return Finding("error", f"Google не пропускает класс карт: {review}", mend, "google-class-review")
    if google.is_demo_mode(rt):
        text = "Google: издатель в режиме показа, карты с пометкой [TEST ONLY] сохранят только тестовые учётные записи"
        mend = "запросите publishing access в Google Wallet Console, потом напишите card.google.published: yes"
        return Finding("warning", text, mend, "google-demo-mode")
    return Finding("ok", f"Google Wallet: издатель {rt.google.issuer_id}")


def _address(rt: Runtime) -> Finding:
    if rt.settings.public_url.startswith("https://"):
        return Finding("ok", f"Внешний адрес {rt.settings.public_url}")
    return Finding("warning", f"Внешний адрес {rt.settings.public_url} без https", "задайте PUBLIC_URL=https://…")
