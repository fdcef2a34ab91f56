"""How T-Bank says no: Success false, an ErrorCode, a Message and Details.

The codes are those of «Коды ошибок» of T-Bank's documentation; 9999 stands where it names none.
"""

from __future__ import annotations

WRONG_PARAMETERS = "Неверные параметры."
BAD_TOKEN = ("204", "Неверный токен. Проверьте пару TerminalKey/SecretKey.", "")
NOT_FOUND = ("255", "Платёж не найден", "")
WRONG_STATE = "4"
BAD_REQUEST = ("9999", WRONG_PARAMETERS, "")
ORDER_IS_PAID = ("8", "Неверный статус транзакции.", "Заказ с таким order_id уже существует.")


class Refusal(Exception):
    """A code, a message and details."""

    def __init__(self, reason: tuple[str, str, str]) -> None:
        super().__init__(reason[2] or reason[1])
        self.code, self.text, self.details = reason


def wrong(code: str, details: str) -> Refusal:
    """A parameter that does not pass the checks."""
    return Refusal((code, WRONG_PARAMETERS, details))
