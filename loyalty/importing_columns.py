"""Which column of a foreign table is what: by its header in Russian or English, or by the owner's word.

Pure. Two columns that may both be a balance are never chosen from silently.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Field = Literal["phone", "email", "name", "card", "birthday", "balance", "expires", "segment", "contact"]
FIELDS: tuple[Field, ...] = get_args(Field)
NAMING: tuple[Field, ...] = ("phone", "contact", "card", "email")
"""By what a person is recognised, the surest first."""

TITLES: Mapping[Field, str] = {
    "phone": "телефон",
    "email": "почта",
    "name": "имя",
    "card": "номер карты",
    "birthday": "день рождения",
    "balance": "остаток баллов",
    "expires": "последний день баллов",
    "segment": "сегмент",
    "contact": "контакт amoCRM",
}
REASON_HEADER = "Что не так"
ROW_HEADER = "Строка файла"
_OWN = frozenset({"что не так", "строка файла"})
_FIRST_WINS: frozenset[Field] = frozenset({"name", "segment"})
"""Fields where a second candidate does no harm: the first synonym in the list is taken."""

_SYNONYMS: Mapping[Field, str] = {
    "phone": "телефон; номер телефона; мобильный телефон; мобильный; сотовый; сотовый телефон; тел; моб телефон; моб;"
    "телефон клиента; телефон покупателя; контактный телефон; рабочий телефон; телефон контакт;"
    "phone; phone number; mobile; mobile phone; cell; msisdn; tel; телефоны",
    "email": "email; e mail; почта; электронная почта; эл почта; адрес почты; имейл; емейл; мейл; mail; email address;"
    "рабочий email; адрес электронной почты",
    "name": "фио; имя; имя клиента; имя покупателя; клиент; покупатель; контакт; name; full name; client; customer;"
    "customer name; first name; фамилия имя отчество; фамилия имя; полное имя; наименование",
    "card": "номер карты; карта; номер бонусной карты; бонусная карта; карта лояльности; номер карты лояльности;"
    "дисконтная карта; номер дисконтной карты; код карты; штрихкод; штрих код; штрихкод карты; номер карты клиента;"
    "card; card number; card no; barcode; loyalty card",
    "birthday": "дата рождения; день рождения; др; д р; рождение; birthday; birth date; birthdate; date of birth; dob",
    "balance": "баланс; бонусы; баллы; остаток; остаток баллов; остаток бонусов; бонусный баланс; баланс бонусов;"
    "баланс баллов; бонусный счет; бонусов; баллов; доступно; доступно баллов; доступно бонусов; количество бонусов;"
    "количество баллов; накоплено; накоплено баллов; сумма бонусов; кол во бонусов; кол во баллов; бонусные баллы;"
    "balance; points; bonus; bonuses; bonus balance; points balance; bonus points; loyalty points; current balance;"
    "available; available points",
    "expires": "сгорание; дата сгорания; дата сгорания бонусов; дата сгорания баллов; сгорают; сгорит; срок действия;"
    "действуют до; действует до; годен до; срок; срок действия бонусов; срок действия баллов; бонусы до; баллы до;"
    "expires; expires at; expire date; expiry; expiry date; expiration; expiration date; valid until; valid to",
    "segment": "сегмент; уровень; группа; статус; статус клиента; группа клиентов; уровень клиента; категория клиента;"
    "уровень карты; segment; level; tier; group; status",
    "contact": "id контакта; ид контакта; id контакта amocrm; контакт amocrm; amocrm; amocrm id; id amocrm; ид amocrm;"
    "id контакта в amocrm; контакт id; contact id; amocrm contact id; contact ref; kommo id",
}
_FIELD_BY_WORD: Mapping[str, tuple[Field, int]] = {
    word.strip(): (field, order) for field in FIELDS for order, word in enumerate(_SYNONYMS[field].split(";"))
}
_NO_WORD = re.compile(r"[\W_]+")


class ColumnsUnclear(Exception):
    """The table cannot be read as it is; `mend` says what to type."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


@dataclass(frozen=True)
class Columns:
    """`places`: the column of each field that is read; `ignored`: headers that are not."""

    headers: tuple[str, ...]
    places: Mapping[Field, int]
    ignored: tuple[str, ...] = ()

    def header(self, field: Field) -> str:
        return self.headers[self.places[field]]


def plain(header: str) -> str:
    """A header without case, punctuation and ё."""
    return _NO_WORD.sub(" ", header.casefold().replace("ё", "е")).strip()


def is_own(header: str) -> bool:
    """A column that an import has written beside the owner's."""
    return plain(header) in _OWN


def recognised(headers: Sequence[str]) -> int:
    """How many of these cells are headers of ours: what tells a header row from a title above it."""
    return len({_FIELD_BY_WORD[word][0] for word in map(plain, headers) if word in _FIELD_BY_WORD})


def columns(headers: Sequence[str], named: Mapping[str, str] | None = None) -> Columns:
    """Places of the fields. `named`: what the owner says, a header by field; an empty header: do not read it. Raises
    ColumnsUnclear."""
    places = _named(headers, named or {})
    asked = set(named or {})
    for field in FIELDS:
        if field not in asked:
            found = _candidates(field, headers, set(places.values()))
            if len(found) > 1 and field not in _FIRST_WINS:
                names = ", ".join(f"«{headers[place]}»" for place in found)
                mend = f'укажите нужный: --map {field}="{headers[found[0]]}"'
                raise ColumnsUnclear(f"Столбцов «{TITLES[field]}» несколько: {names}", mend)
            places.update({field: found[0]} if found else {})
    shown = ", ".join(f"«{header}»" for header in headers if header) or "нет ни одного"
    if "balance" not in places:
        raise ColumnsUnclear(f"Не нашёлся столбец с остатком баллов. В файле: {shown}", '--map balance="Ваш столбец"')
    if not any(field in places for field in NAMING):
        message = f"Не нашлось столбца, по которому узнать покупателя. В файле: {shown}"
        raise ColumnsUnclear(message, '--map phone="Ваш столбец" (или email, card, contact)')
    read = set(places.values())
    ignored = [one for place, one in enumerate(headers) if one and place not in read and not is_own(one)]
    return Columns(tuple(headers), places, tuple(ignored))


def _named(headers: Sequence[str], named: Mapping[str, str]) -> dict[Field, int]:
    places: dict[Field, int] = {}
    known = {plain(header): place for place, header in reversed(list(enumerate(headers))) if header}
    for field in FIELDS:
        wanted = named.get(field, "")
        if not wanted:
            continue
        place = known.get(plain(wanted))
        if place is None:
            near = difflib.get_close_matches(plain(wanted), known, n=1)
            hint = f"возможно, «{headers[known[near[0]]]}»?" if near else "проверьте, как он назван в файле"
            raise ColumnsUnclear(f"В файле нет столбца «{wanted}»", hint)
        if place in places.values():
            raise ColumnsUnclear(f"Столбец «{headers[place]}» назван дважды", "у каждого поля свой столбец")
        places[field] = place
    return places


def _candidates(field: Field, headers: Sequence[str], taken: set[int]) -> list[int]:
    """Columns that may be this field, the likeliest first."""
    found = []
    for place, header in enumerate(headers):
        known = _FIELD_BY_WORD.get(plain(header))
        if known is not None and known[0] == field and place not in taken:
            found.append((known[1], place))
    return [place for _, place in sorted(found)]
