"""`kopilka amocrm link`: one command from nothing to proven, told step by step.

Owns the questions, the words and the exit code. What is done is `flows/linking.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from cli.common import fail, runtime
from connector.errors import NeedsReauth
from flows.errors import ConnectorError, SetupIncomplete

if TYPE_CHECKING:
    from flows.linking import Made, Plan
    from flows.linking_compare import Finding
    from flows.linking_hook import Rotated
    from flows.linking_survey import Survey
    from flows.runtime import Runtime

AGAIN = "повторите kopilka amocrm link: сделанное не повторится"
_MARKS = {"ok": "+", "warning": "!", "error": "ОШИБКА"}
_MADE_BELOW = ("amocrm-field-missing", "amocrm-segments-missing")
"""Said once, in the plan, unless a name that is nearly the same makes one think."""

_GRANT_MENDS = {
    "denied": "откройте новую ссылку (kopilka amocrm link) и нажмите «Разрешить»",
    "foreign": "впишите в amocrm.account прежний аккаунт; для другого магазина заведите отдельную базу",
    "refused": "проверьте AMOCRM_CLIENT_ID, AMOCRM_CLIENT_SECRET и redirect_uri, затем kopilka amocrm link",
    "lost": "откройте новую ссылку: kopilka amocrm link; прежний доступ, если был, цел",
    "away": "подождите минуту и повторите kopilka amocrm link",
}


@click.command()
@click.option("--code", help="Код со страницы amoCRM, если её ответ не приходит на наш веб-сервер. Живёт 20 минут.")
@click.option("--new-access", is_flag=True, help="Получить доступ заново, даже если нынешний работает.")
@click.option("--yes", "is_sure", is_flag=True, help="Не спрашивать перед тем, как создавать.")
@click.option("--dry-run", is_flag=True, help="Только показать, что будет сделано.")
@click.option(
    "--no-round-trip", is_flag=True, help="Не проверять хуки пробной сделкой; адрес вебхука останется прежним."
)
@click.option("--wait", "within_s", type=click.IntRange(1, 600), default=30, help="Сколько секунд ждать пробный хук.")
def link(
    *, code: str | None, new_access: bool, is_sure: bool, dry_run: bool, no_round_trip: bool, within_s: int
) -> None:
    """Подключить amoCRM: доступ, поля, сегменты, вебхук и проверка, что хуки доходят. Можно повторять.

    Код выхода: 0 подключено и проверено, 2 нет; что именно не так, сказано последней строкой.
    """
    with runtime() as rt:
        try:
            found = _access_and_survey(rt, code, new_access=new_access, dry_run=dry_run)
            planned = _plan(rt, found)
            if dry_run:
                click.echo("Это был показ: в amoCRM ничего не изменено.")
                return
            if not is_sure and not click.confirm("Продолжить?"):
                fail("Ничего не изменено", "повторите, когда решите; --yes отвечает «да» за вас")
            _make(rt, found, planned)
            _hook(rt, within_s=None if no_round_trip else within_s)
        except SetupIncomplete as failure:
            fail(str(failure), AGAIN)
        except ConnectorError as failure:
            _refused(failure)
    click.echo("Готово: amoCRM подключена. Проверить позже: kopilka doctor, kopilka check --online.")


def _access_and_survey(rt: Runtime, code: str | None, *, new_access: bool, dry_run: bool) -> Survey:
    from flows import linking, linking_grant  # noqa: PLC0415

    has_access = linking_grant.has_access(rt) and not new_access
    if code is not None or not has_access:
        _grant(rt, code, dry_run=dry_run)
    elif linking_grant.uses_oauth(rt):
        click.echo("1. Доступ: уже есть (OAuth).")
    else:
        click.echo("1. Доступ: долгосрочный ключ из файла правил.")
    try:
        return linking.survey(rt)
    except NeedsReauth:
        if not linking_grant.uses_oauth(rt) or code is not None or not has_access:
            raise
        click.echo("   Прежний доступ amoCRM больше не принимает, нужен новый.")
    _grant(rt, None, dry_run=dry_run)
    return linking.survey(rt)


def _grant(rt: Runtime, code: str | None, *, dry_run: bool) -> None:
    """Gets an access, by the code that was given or by the grant page."""
    from flows import linking_grant  # noqa: PLC0415

    if rt.tokens is None or not linking_grant.uses_oauth(rt):
        fail(
            "Доступ даёт долгосрочный ключ из файла правил, страница amoCRM для него не нужна",
            "создайте новый ключ в amoCRM (интеграция → Ключи и доступы), впишите его в AMOCRM_TOKEN и повторите без "
            "--code и --new-access",
        )
    if dry_run:
        fail(
            "Доступа ещё нет, а без него не на что смотреть",
            "запустите без --dry-run: до вопроса она в аккаунте ничего не меняет",
        )
    if code is None:
        code = _waited(rt)
    granted = linking_grant.Granted(linking_grant.CONNECTED) if code is None else linking_grant.exchange(rt, code)
    if granted.outcome != linking_grant.CONNECTED:
        fail(f"Доступ не получен: {granted.reason}", _GRANT_MENDS.get(granted.outcome, AGAIN))
    click.echo("1. Доступ: получен (OAuth), ключи зашифрованы и сохранены.")


def _waited(rt: Runtime) -> str | None:
    """Shows the grant page; None when its answer has come to our web process, else the code that a person brings."""
    from flows import linking_grant  # noqa: PLC0415

    grant = linking_grant.ask(rt)
    click.echo("1. Доступ: откройте ссылку в браузере, где вы вошли в amoCRM администратором, и нажмите «Разрешить».")
    click.echo(f"   {grant.url}")
    if not grant.arrives_here:
        wanted = rt.settings.public_url + linking_grant.REDIRECT_PATH
        click.echo(f"   redirect_uri в файле правил ведёт не на {wanted}, поэтому ответ придёт не сюда.")
        click.echo("   После «Разрешить» скопируйте из адресной строки то, что стоит после code= (до &).")
        entered: str = click.prompt("   Код")
        return entered.strip()
    click.echo("   Ссылка действует 15 минут, код авторизации 20 минут. Жду ответа amoCRM; Ctrl-C прервёт.")
    granted = linking_grant.wait(rt, grant)
    if granted is None:
        fail("За 15 минут ответ не пришёл", f"проверьте, что kopilka web работает и виден снаружи; {AGAIN}")
    if granted.outcome != linking_grant.CONNECTED:
        fail(f"Доступ не получен: {granted.reason}", _GRANT_MENDS.get(granted.outcome, AGAIN))
    return None


def _plan(rt: Runtime, found: Survey) -> Plan:
    from flows import linking, linking_compare  # noqa: PLC0415

    account = found.account
    who = f", пользователь {found.user.name}" if found.user is not None and found.user.name else ""
    name = f"«{account.name}» " if account.name else ""
    click.echo(f"2. Аккаунт {name}({account.subdomain}, номер {account.id}){who}. Имена из файла правил:")
    planned = linking.plan(rt, found)
    closed = [one for one in planned.troubles if one.code == "amocrm-hooks-closed"]
    for one in [*linking_compare.compare(rt, found), *closed]:
        if one.like or one.level == "error" or one.code not in _MADE_BELOW:
            _show(one)
    if planned.troubles:
        fail("В amoCRM ничего не изменено: сначала исправьте ошибки выше", f"затем {AGAIN}")
    _show_plan(planned)
    return planned


def _show_plan(planned: Plan) -> None:
    from flows.linking_compare import type_words  # noqa: PLC0415

    click.echo("3. Что будет сделано:")
    for owner, specs in (("контакта", planned.contact_fields), ("сделки", planned.lead_fields)):
        for spec in specs:
            click.echo(f"   создать поле {owner} «{spec.name}» ({type_words(spec.type)})")
    for title in planned.segments:
        click.echo(f"   создать сегмент покупателей «{title}»")
    if planned.is_empty:
        click.echo("   создавать нечего: всё уже есть")
    old = "; прежний отписать, когда новый проверен" if planned.old_hooks else ""
    click.echo(f"   подписать вебхук на новый секретный адрес{old}")


def _show(one: Finding) -> None:
    click.echo(f"   {_MARKS[one.level]} {one.text}")
    if one.mend:
        click.echo(f"     как исправить: {one.mend}")


def _make(rt: Runtime, found: Survey, planned: Plan) -> None:
    from flows import linking  # noqa: PLC0415

    made: Made = linking.make(rt, found)
    new = len(planned.contact_fields) + len(planned.lead_fields)
    click.echo(
        f"4. Поля: контакта {made.contact_fields}, сделки {made.lead_fields} (новых {new}); "
        f"сегменты: {made.segments} (новых {len(planned.segments)})."
    )


def _hook(rt: Runtime, *, within_s: int | None) -> None:
    from flows import linking  # noqa: PLC0415

    if within_s is None:
        linking.keep_hook(rt)
        click.echo("5. Вебхук подписан на нынешний адрес. 6. Доходят ли хуки, не проверено (--no-round-trip).")
        return
    click.echo(f"5. Подписываю вебхук. 6. Проверка: пишу пробную сделку и жду хук о ней, до {within_s} с.")
    done = linking.connect_hook(rt, within_s=within_s)
    if not done.is_verified:
        _no_hook(done, within_s)
    read = "прочитана обратно" if done.trip.is_read_back else "прочитана обратно, но в ней не то, что мы записали"
    click.echo(f"   Хук пришёл через {done.trip.hook_ms} мс, сделка {done.trip.deal_id} {read}; она закрыта.")
    if done.removed:
        click.echo(f"   Прежних адресов отписано: {done.removed}.")


def _no_hook(done: Rotated, within_s: int) -> NoReturn:
    kept = "прежний вебхук оставлен" if done.kept_old else "подписка оставлена: заработает, когда адрес станет виден"
    lines = "".join(f"\n  {number}. {mend}" for number, mend in enumerate(done.trip.mends, 1))
    fail(f"За {within_s} с хук не пришёл; {kept}. Что проверить:{lines}", f"исправьте и {AGAIN}")


def _refused(failure: ConnectorError) -> NoReturn:
    if isinstance(failure, NeedsReauth):
        fail(
            f"amoCRM не принимает доступ: {failure}",
            "kopilka amocrm link --new-access; для долгосрочного ключа создайте новый и впишите в AMOCRM_TOKEN",
        )
    if failure.retryable:
        fail(f"amoCRM сейчас недоступна: {failure}", f"подождите и {AGAIN}")
    fail(f"amoCRM ответила отказом: {failure}", f"проверьте права пользователя и тариф; {AGAIN}")
