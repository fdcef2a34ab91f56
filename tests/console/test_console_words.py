"""Names of rows, reasons and durations in Russian."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console import words

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "external_id", "title"),
    [
        ("amocrm", "f" * 40, "Вебхук amoCRM"),
        ("amocrm.deal", "30112", "Сделка 30112"),
        ("tbank", "8742591:CONFIRMED:499000:true", "Т-Банк: платёж 8742591"),
        ("tbank", "other:abcdef", "Т-Банк: не о платеже"),
        ("yookassa", "payment.succeeded:22d6d597-000f:succeeded", "ЮKassa: платёж 22d6d597-000f"),
        ("yookassa", "refund.succeeded:r-1:succeeded", "ЮKassa: возврат r-1"),
        ("newbank", "pi_1", "newbank: платёж pi_1"),
        ("cloudpayments", "pay:666", "CloudPayments: платёж 666"),
        ("cloudpayments", "refund:777", "CloudPayments: возврат 777"),
        ("robokassa", "450009", "Robokassa: платёж 450009"),
        ("stripe", "evt_1", "Stripe: платёж evt_1"),
        ("sber", "unreadable:0f", "Сбер: не читается"),
    ],
)
def test_an_incoming_row_is_called_by_what_a_person_can_look_up(source: str, external_id: str, title: str) -> None:
    assert words.inbox_title(source, external_id) == title


@pytest.mark.parametrize(
    ("outcome", "text", "technical"),
    [
        ("У сделки нет контакта", "У сделки нет контакта", ""),
        ("В amoCRM нет воронки «X»; есть: Y", "В amoCRM нет воронки «X»; есть: Y", ""),
        ("В платеже нет номера сделки: укажите", "В платеже нет номера сделки: укажите", ""),
        ("ServerFailed: GET /x: 500", "Ошибка на стороне сервиса", "ServerFailed: GET /x: 500"),
        ("KeyError: 'x'", "Неожиданная ошибка программы", "KeyError: 'x'"),
        (None, "Причина не записана", ""),
    ],
)
def test_a_reason_is_russian_and_keeps_the_programs_words_aside(outcome: str | None, text: str, technical: str) -> None:
    assert words.reason(outcome) == (text, technical)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "только что"),
        (21, "21 секунду назад"),
        (60, "1 минуту назад"),
        (125, "2 минуты назад"),
        (3_600, "1 час назад"),
        (5 * 86_400, "5 дней назад"),
    ],
)
def test_the_past_is_told_in_the_largest_unit(seconds: int, text: str) -> None:
    assert words.ago(NOW - timedelta(seconds=seconds), NOW).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("state", "closed_s", "tone"),
    [
        ("ok", 0, "good"),
        ("refreshing", 0, "good"),
        ("ok", 20, "bad"),
        ("needs_reauth", 0, "bad"),
        ("not_configured", 0, "warn"),
    ],
)
def test_the_crms_state_has_its_tone_and_a_mend_unless_it_is_good(state: str, closed_s: float, tone: str) -> None:
    told = words.crm(state, None, closed_s=closed_s)

    assert told.tone == tone
    assert bool(told.mend) == (tone != "good")


@pytest.mark.parametrize(
    ("count", "oldest_s", "text"),
    [(0, 0, "Очередь пуста"), (1, 0, "Ждут назначенного времени"), (3, 0.4, "Дольше всех ждёт 1 секунду")],
)
def test_a_queue_is_late_only_if_something_due_waits(count: int, oldest_s: float, text: str) -> None:
    assert words.waiting(count, oldest_s).replace("\u00a0", " ") == text
