"""The console's Russian: what rows, states and failures are called. Pure functions of what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from config.acquirers import ACQUIRERS
from flows.present import count_text, thousands

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

STATES = {"waiting": "ждут очереди", "working": "в работе", "parked": "ждут вас", "done": "готово"}

_SOURCES = {"amocrm": "Вебхук amoCRM", "amocrm.deal": "Сделка"}
_SOURCES |= {name: known.title_ru for name, known in ACQUIRERS.items()}
_NO_PAYMENT = {"other": "не о платеже", "unreadable": "не читается"}
_KINDS = {
    "crm": "Поля контакта и покупатель, участник",
    "google": "Карта Google, участник",
    "apple": "Карта Apple, участник",
    "note": "Примечание в сделке, заказ",
    "deal": "Поля сделки, заказ",
    "bonus": "Бонусные баллы покупателя, участник",
    "task": "Задача обзвона",
    "message": "Письмо",
    "code": "Код подтверждения",
    "webhook": "Событие для вашей программы",
}
_CRM = {
    "ok": "подключена",
    "refreshing": "подключена, обновляет доступ",
    "needs_reauth": "доступ отозван",
    "not_connected": "ещё не подключена",
    "not_configured": "не настроена",
}
_CRM_MENDS = {
    "needs_reauth": "Выдайте доступ заново: kopilka amocrm link. События не пропадут, они ждут.",
    "not_connected": "Выдайте доступ: kopilka amocrm link.",
    "not_configured": "Заполните раздел amocrm файла правил: без него баллы видны только на карте.",
}
# Failures of the other side arrive as «ClassName: English text»; ours are Russian already.
_FAILURES = {
    "Unreachable": "Нет связи с сервисом",
    "TimedOut": "Сервис не ответил вовремя",
    "RateLimited": "Сервис просит реже обращаться",
    "Blocked": "Сервис закрыл нам доступ",
    "ServerFailed": "Ошибка на стороне сервиса",
    "NeedsReauth": "amoCRM отозвала доступ: подключите заново",
    "ForeignAccount": "Доступ ведёт в другой аккаунт amoCRM: верните прежний, kopilka amocrm link",
    "Refused": "Сервис отказал",
    "AccountUnpaid": "amoCRM не оплачена",
    "WrongMode": "Функция выключена в аккаунте",
    "NotFound": "В сервисе нет такой записи",
    "AlreadyExists": "Такая запись уже есть",
    "BadReply": "Сообщение не удалось прочитать",
    "BadMoney": "Сумма не читается",
    "FieldTypeMismatch": "Поле amoCRM другого типа",
    "FieldAmbiguous": "В amoCRM несколько полей с одним именем",
    "NotConfigured": "Не хватает настройки",
}


class Reason(NamedTuple):
    """Why a row stands still: for a person, and the words of the program below it."""

    text: str
    technical: str


class CrmWords(NamedTuple):
    """`tone` is good, warn or bad."""

    text: str
    tone: str
    mend: str


def inbox_title(source: str, external_id: str) -> str:
    """«Сделка 30112», «Т-Банк: платёж 8742591». A hook has no name of its own."""
    name = _SOURCES.get(source, source)
    if source == "amocrm":
        return name
    if source == "amocrm.deal":
        return f"{name} {external_id}"
    return f"{name}: {_payment(external_id)}"


def outbox_title(kind: str, target_id: int) -> str:
    return f"{_KINDS.get(kind, kind)} {target_id}"


def reason(outcome: str | None) -> Reason:
    """The sentence for a person; the program's own text is kept beside it when it is another language."""
    text = outcome or "Причина не записана"
    name, separator, _ = text.partition(": ")
    if separator and name.isidentifier() and name.isascii():
        return Reason(_FAILURES.get(name, "Неожиданная ошибка программы"), text)
    return Reason(text, "")


def crm(state: str, stored_reason: str | None, *, closed_s: float) -> CrmWords:
    """The connection to amoCRM, and what mends it."""
    text = _CRM.get(state, state)
    if state not in ("ok", "refreshing"):
        tone = "warn" if state == "not_configured" else "bad"
        mend = " ".join(part for part in (_CRM_MENDS.get(state, ""), stored_reason) if part)
        return CrmWords(text, tone, mend)
    if closed_s > 0:
        mend = f"amoCRM не принимает запросы, попробуем через {duration(closed_s)}. Ничего не теряется."
        return CrmWords("временно не отвечает", "bad", mend)
    return CrmWords(text, "good", "")


def duration(seconds: float) -> str:
    """The largest unit that is not zero, as it stands after «ждёт», «через» and before «назад»: «3 минуты»."""
    units = (
        (86_400, ("день", "дня", "дней")),
        (3_600, ("час", "часа", "часов")),
        (60, ("минуту", "минуты", "минут")),
    )
    for size, forms in units:
        if seconds >= size:
            return count_text(int(seconds // size), forms)
    return count_text(max(int(seconds), 1), ("секунду", "секунды", "секунд"))


def ago(then: datetime, now: datetime) -> str:
    gap_s = (now - then).total_seconds()
    return "только что" if gap_s < 2 else f"{duration(gap_s)} назад"


def waiting(count: int, oldest_s: float) -> str:
    """How the queue stands. Rows may wait for a planned later try: then nothing is late."""
    if not count:
        return "Очередь пуста"
    return f"Дольше всех ждёт {duration(oldest_s)}" if oldest_s > 0 else "Ждут назначенного времени"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """«14.03 12:02:11» on the programme's clock."""
    return f"{at.astimezone(zone):%d.%m %H:%M:%S}"


def counts(found: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """(state, its name, its number) in the order that matters to a person."""
    return [(state, name, thousands(found.get(state, 0))) for state, name in STATES.items()]


def _payment(external_id: str) -> str:
    """Acquirers' ids carry more than the payment's: `payment.succeeded:2d…`, `8742591:CONFIRMED:…`, `pay:666`."""
    head, _, rest = external_id.partition(":")
    if head in _NO_PAYMENT:
        return _NO_PAYMENT[head]
    word = "возврат" if head.startswith("refund") else "платёж"
    is_kind = "." in head or head.isalpha()
    return f"{word} {rest.partition(':')[0] if is_kind else head}"
