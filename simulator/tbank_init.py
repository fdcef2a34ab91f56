"""What T-Bank's Init asks for: the checks of its parameters and what of them is kept with the payment.

Implements «Инициировать платёж» of T-Bank's documentation. An order that is paid cannot be begun again; one that is not
may have several payments.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulator import tbank_receipt
from simulator.answers import Json
from simulator.bank_world import Bank
from simulator.store import Record
from simulator.tbank_errors import BAD_REQUEST, ORDER_IS_PAID, Refusal, wrong
from simulator.wire import is_address, lead_of

NAME = "tbank"
ORDER_CHARS_MAX, DESCRIPTION_CHARS_MAX = 50, 140
DATA_KEYS_MAX, DATA_KEY_CHARS_MAX, DATA_VALUE_CHARS_MAX = 20, 20, 100
LINK_LIVES_S, LINK_LIVES_S_MIN, LINK_LIVES_S_MAX = 86_400.0, 60.0, 90 * 86_400.0
TAKEN = ("authorized", "captured")
URLS = ("NotificationURL", "SuccessURL", "FailURL")


def amount_of(asked: Json) -> int:
    """Kopecks. Raises Refusal."""
    amount = asked.get("Amount")
    if isinstance(amount, str) and amount.isdecimal():
        amount = int(amount)
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        raise Refusal(BAD_REQUEST)
    return amount


def own(bank: Bank, asked: Json, amount: int) -> Record:
    """Everything else of the payment. Raises Refusal."""
    order_id, description = str(asked.get("OrderId", "")), asked.get("Description") or ""
    if not 1 <= len(order_id) <= ORDER_CHARS_MAX:
        raise wrong("212", f"Размер поля OrderId должен быть от 1 до {ORDER_CHARS_MAX}")
    if not isinstance(description, str) or len(description) > DESCRIPTION_CHARS_MAX:
        raise wrong("213", f"Размер поля Description должен быть от 0 до {DESCRIPTION_CHARS_MAX}")
    for key in URLS:
        if asked.get(key) and not is_address(asked[key]):
            raise wrong("9999", f"Неверный формат {key}")
    if any(row["order_id"] == order_id and row["status"] in TAKEN for row in bank.payments_of(NAME)):
        raise Refusal(ORDER_IS_PAID)
    receipt = tbank_receipt.read(asked.get("Receipt"), amount)
    return {
        "order_id": order_id,
        "lead_id": lead_of(order_id),
        "description": description,
        "notify_url": asked.get("NotificationURL") or "",
        "return_url": asked.get("SuccessURL") or "",
        "fail_url": asked.get("FailURL") or "",
        "two_stage": asked.get("PayType") == "T",
        "metadata": _data(asked.get("DATA") or {}),
        "receipt": receipt,
        "payer": dict(receipt["customer"]) if receipt else {},
        "due_at": _due_at(asked.get("RedirectDueDate"), bank.clock.now()),
    }


def _data(told: Any) -> dict[str, str]:
    if not isinstance(told, dict) or len(told) > DATA_KEYS_MAX:
        raise wrong("207", "Параметр DATA превышает максимально допустимый размер")
    found = {str(key): str(value) for key, value in told.items()}
    if any(len(key) > DATA_KEY_CHARS_MAX for key in found):
        raise wrong("208", "Наименование ключа из параметра DATA превышает максимально допустимый размер")
    if any(len(value) > DATA_VALUE_CHARS_MAX for value in found.values()):
        raise wrong("209", "Значение ключа из параметра DATA превышает максимально допустимый размер")
    return found


def _due_at(told: Any, now: float) -> float:
    """A day from now, unless RedirectDueDate says from a minute to 90 days."""
    if told is None:
        return now + LINK_LIVES_S
    try:
        at = datetime.fromisoformat(str(told))
    except ValueError as nonsense:
        raise wrong("9999", "Неверный формат RedirectDueDate") from nonsense
    due_at = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not LINK_LIVES_S_MIN <= due_at - now <= LINK_LIVES_S_MAX:
        raise wrong("9999", "RedirectDueDate: от 1 минуты до 90 дней")
    return due_at
