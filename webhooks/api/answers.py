"""What programs are answered: one model for each answer, from which JSON, OpenAPI and the docs page come.

Owns shapes and the words of the fields. Money is in kopecks, points are whole, instants are UTC.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from webhooks.api.fields import Moment


class Answer(BaseModel):
    """Any answer: all its fields are always there."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True, title=None)


class Balance(Answer):
    available: Annotated[int, Field(description="Можно потратить", examples=[1_240])]
    pending: Annotated[int, Field(description="Станут доступны позже", examples=[468])]
    reserved: Annotated[int, Field(description="Отложены под неоплаченные заказы", examples=[0])]
    debt: Annotated[int, Field(description="Долг после возврата, его погасят новые баллы", examples=[0])]


class Burn(Answer):
    points: Annotated[int, Field(examples=[340])]
    on: Annotated[date | None, Field(description="С этого дня баллы не действуют; null: не сгорят")]


class Explained(Answer):
    """One step of a calculation."""

    text: Annotated[str, Field(description="Строка для человека", examples=["Спишем 1 500, можно до 1 620"])]
    points: Annotated[int, Field(description="Сколько баллов меняет этот шаг, со знаком", examples=[-1_500])]
    rule: Annotated[str, Field(description="Правило, путь в файле правил", examples=["redeem.max_share"])]
    rule_line: Annotated[int, Field(description="Строка файла правил; 0: правило по умолчанию", examples=[31])]


class Changed(Answer):
    """What a line of the statement does to each account."""

    available: int
    pending: int
    reserved: int
    debt: int


class StatementLine(Answer):
    id: Annotated[int, Field(examples=[88_412])]
    at: Annotated[Moment, Field(description="Когда записано")]
    move: Annotated[str, Field(description="Вид операции", examples=["accrue"])]
    text: Annotated[str, Field(description="Строка для человека", examples=["+468 за заказ A-1001 (12 %)"])]
    points: Annotated[int, Field(description="Изменение баланса, со знаком", examples=[468])]
    change: Changed
    event: Annotated[str, Field(description="За что", examples=["заказ A-1001, сайт"])]
    rule: Annotated[str, Field(description="По какому правилу", examples=["segments.regular.rate"])]
    rule_line: Annotated[int, Field(description="Строка файла правил этой версии", examples=[60])]
    rules_version: Annotated[str, Field(examples=["f3a91c20"])]


class Statement(Answer):
    member_id: int
    lines: Annotated[list[StatementLine], Field(description="Новые сверху")]
    sums: Annotated[Changed, Field(description="Сумма строк этой страницы по счетам")]
    next_before: Annotated[int | None, Field(description="Продолжение: ?before=…; null: это всё")]


class Part(Answer):
    text: Annotated[str, Field(examples=["340 — заказ A-0990, действуют по 27.03.2026"])]
    points: int
    account: Annotated[str, Field(description="available, pending, reserved или debt", examples=["available"])]


class BalanceAt(Answer):
    member_id: int
    at: Moment
    balance: Balance
    parts: Annotated[list[Part], Field(description="Из чего состоит баланс (только на сейчас)")]
    burns: Annotated[list[Burn], Field(description="Когда сгорят доступные баллы (только на сейчас)")]


class Card(Answer):
    number: Annotated[str, Field(examples=["7700012345"])]
    url: Annotated[str, Field(description="Страница карты", examples=["https://bonus.sportgory.ru/c/Xk2…"])]


class Caller(Answer):
    member_id: int
    name: Annotated[str, Field(description="Имя и первая буква фамилии", examples=["Анна П."])]
    text: Annotated[
        str,
        Field(
            description="Строка для всплывающего окна",
            examples=["Постоянный; 1 240 бонусов к оплате; последняя покупка 1 марта 2026, 4 990 ₽"],
        ),
    ]
    open_url: Annotated[
        str | None,
        Field(
            description="Какую карточку открыть: контакт amoCRM; null: в CRM его нет",
            examples=["https://sportgory.amocrm.ru/contacts/detail/30112451"],
        ),
    ]
    card: Card
    balance: Balance


class NewCaller(Answer):
    method: Annotated[str, Field(examples=["POST"])]
    url: Annotated[str, Field(examples=["https://bonus.sportgory.ru/api/v1/members"])]
    fields: Annotated[list[str], Field(description="Что спросить", examples=[["name", "phone", "email", "birthday"]])]
    filled: Annotated[dict[str, str], Field(description="Что уже известно", examples=[{"phone": "+79161234567"}])]


class Call(Answer):
    phone: Annotated[str, Field(description="Номер в едином виде", examples=["+79161234567"])]
    callers: Annotated[list[Caller], Field(description="Кто это может быть; пусто: номер незнакомый")]
    form: Annotated[NewCaller | None, Field(description="Как завести участника; null: номер знаком")]


class Movement(Answer):
    """A line of the statement as the ledger has it, with its words."""

    id: int
    recorded_at: Moment
    occurred_at: Moment
    move: Annotated[str, Field(examples=["accrue"])]
    from_: Annotated[str, Field(serialization_alias="from", examples=["issued"])]
    to: Annotated[str, Field(examples=["pending"])]
    points: int
    source: str | None
    deal: Annotated[int | None, Field(description="Сделка amoCRM")]
    order: Annotated[str | None, Field(description="Заказ магазина", examples=["A-1001"])]
    channel: Annotated[str | None, Field(examples=["site"])]
    rules_version: str
    activates_at: Moment | None
    expires_at: Moment | None
    text: Annotated[str, Field(examples=["+468 за заказ A-1001 (12 %)"])]
    event: str
    rule: str
    rule_line: int


class Member(Answer):
    id: Annotated[int, Field(examples=[1204])]
    contact: Annotated[int | None, Field(description="Номер контакта amoCRM", examples=[30112451])]
    name: Annotated[str, Field(description="Имя и первая буква фамилии", examples=["Анна П."])]
    phones: Annotated[
        list[str], Field(description="Телефоны, цифры в середине скрыты", examples=[["+7 916 ···-··-67"]])
    ]
    card: Card
    segment: Annotated[str | None, Field(description="Код сегмента", examples=["regular"])]
    segment_title: Annotated[str | None, Field(examples=["Постоянный"])]
    balance: Balance
    next_burn: Annotated[Burn | None, Field(description="Что сгорит раньше всего")]
    burns: Annotated[list[Burn], Field(description="Всё доступное по датам сгорания")]
    duplicates: Annotated[list[int], Field(description="Участники с тем же телефоном", examples=[[]])]
    statement: Annotated[list[Movement], Field(description="Последние операции, новые сверху")]


class MemberBalance(Answer):
    member_id: Annotated[int, Field(examples=[1204])]
    segment: Annotated[str | None, Field(examples=["vip"])]
    balance: Balance


class QuoteLine(Answer):
    line: Annotated[int, Field(description="Номер строки, с 1", examples=[1])]
    net_kopecks: Annotated[int, Field(description="Цена после скидок", examples=[499_000])]
    points_spent: Annotated[int, Field(examples=[1_500])]
    due_kopecks: Annotated[int, Field(description="Осталось заплатить деньгами", examples=[349_000])]
    earned: Annotated[int, Field(examples=[418])]


class Quote(Answer):
    member_id: int
    max_redeem: Annotated[int, Field(description="Больше списать нельзя", examples=[1_620])]
    will_redeem: Annotated[int, Field(description="Спишем из запрошенного", examples=[1_500])]
    refusal: Annotated[
        str | None, Field(description="Почему не спишем ничего: redeem_off, nothing_eligible, no_points, below_minimum")
    ]
    due_kopecks: Annotated[int, Field(description="К оплате деньгами, с доставкой", examples=[390_000])]
    will_accrue: Annotated[int, Field(description="Начислим за покупку", examples=[468])]
    welcome: Annotated[int, Field(description="И приветственные баллы", examples=[0])]
    limit_reason: Annotated[str | None, Field(description="Какой предел уменьшил начисление")]
    available_at: Annotated[Moment, Field(description="Когда начисленное станет доступно")]
    lines: list[QuoteLine]
    explain: Annotated[list[Explained], Field(description="Весь расчёт по шагам")]
    rules_version: str


class Hold(Answer):
    id: Annotated[str, Field(examples=["hold_k5Yw0pXc7bT2n9QfLr3sVg"])]
    order: Annotated[str | None, Field(examples=["A-1001"])]
    member_id: int
    state: Annotated[
        Literal["unconfirmed", "active", "captured", "released", "expired"],
        Field(description="unconfirmed ждёт кода, active ждёт оплаты, captured списано, released и expired возвращены"),
    ]
    points: Annotated[int, Field(examples=[1_500])]
    due_kopecks: Annotated[int, Field(description="К оплате деньгами", examples=[390_000])]
    expires_at: Annotated[Moment, Field(description="До этого времени баллы отложены")]
    confirm: Annotated[str, Field(description="Что спросить: none, code (код покупателя) или pin (старшего)")]


class PaymentLink(Answer):
    order: Annotated[str, Field(examples=["A-1001"])]
    url: Annotated[str, Field(description="Сюда отправьте покупателя", examples=["https://yoomoney.ru/checkout/…"])]
    amount_kopecks: Annotated[int, Field(description="Сколько он заплатит деньгами", examples=[390_000])]
    acquirer: Annotated[str, Field(description="Через какой банк", examples=["yookassa"])]
    expires_at: Annotated[
        Moment | None, Field(description="До этого времени баллы отложены под этот платёж; null: баллов в нём нет")
    ]


class OrderLine(Answer):
    line: Annotated[int, Field(examples=[1])]
    sku: Annotated[str, Field(examples=["TENT-2"])]
    qty: Annotated[int, Field(examples=[1])]
    returned: Annotated[int, Field(description="Сколько штук вернули", examples=[0])]


class Order(Answer):
    order: Annotated[str, Field(examples=["A-1001"])]
    member_id: int
    status: Annotated[
        Literal["open", "paid", "partly_returned", "returned"],
        Field(description="open не оплачен, paid, partly_returned возвращён частично, returned целиком"),
    ]
    channel: Annotated[str, Field(description="Где заказан", examples=["site"])]
    paid_channel: Annotated[str | None, Field(description="Где оплачен", examples=["till"])]
    paid_kopecks: Annotated[int | None, Field(examples=[390_000])]
    kept_kopecks: Annotated[int, Field(description="Осталось у магазина после возвратов", examples=[390_000])]
    accrued: Annotated[int, Field(description="Начислено за заказ, за вычетом возвратов", examples=[468])]
    welcome: Annotated[int, Field(examples=[0])]
    redeemed: Annotated[int, Field(description="Списано баллов", examples=[1_500])]
    restored: Annotated[int, Field(description="Из них вернулось покупателю", examples=[0])]
    limit_reason: str | None
    hold: Annotated[str | None, Field(description="Резерв, чьи баллы на заказе")]
    lines: list[OrderLine]


class Paid(Answer):
    order: Annotated[str, Field(examples=["A-1001"])]
    member_id: int
    status: Annotated[Literal["open", "paid", "partly_returned", "returned"], Field(examples=["paid"])]
    accrued: Annotated[int, Field(description="Начислено за заказ", examples=[468])]
    redeemed: Annotated[int, Field(description="Списано баллов", examples=[1_500])]
    welcome: Annotated[int, Field(description="Приветственные баллы", examples=[0])]
    limit_reason: Annotated[str | None, Field(description="Какой предел уменьшил начисление")]
    duplicate: Annotated[bool, Field(description="Об этой оплате уже сообщали: ничего не изменилось")]
    duplicate_of: Annotated[str | None, Field(description="Событие первой оплаты, как в исходящих вебхуках")]
    segment: str | None
    balance: Balance


class Refunded(Answer):
    order: Annotated[str, Field(examples=["A-1001"])]
    member_id: int
    status: Annotated[Literal["open", "paid", "partly_returned", "returned"], Field(examples=["partly_returned"])]
    money_back_kopecks: Annotated[int, Field(description="Сколько денег вернуть покупателю", examples=[130_600])]
    points_returned: Annotated[int, Field(description="Списанных баллов вернулось", examples=[494])]
    points_taken_back: Annotated[int, Field(description="Начисленных баллов забрали", examples=[130])]
    written_off: Annotated[int, Field(description="Из них прощено: уже потрачены", examples=[0])]
    duplicate: Annotated[bool, Field(description="Возвращать было нечего")]
    balance: Balance


class FieldMistake(Answer):
    path: Annotated[str, Field(examples=["items.0.qty"])]
    message: Annotated[str, Field(examples=["нужно целое число"])]


class Problem(BaseModel):
    """A refusal, RFC 9457. Some have further fields, for example max_redeem."""

    model_config = ConfigDict(extra="allow", title=None)

    type: Annotated[str, Field(description="Адрес описания")]
    status: Annotated[int, Field(examples=[404])]
    code: Annotated[str, Field(description="Постоянный код, по нему решает программа", examples=["member_not_found"])]
    title: Annotated[str, Field(examples=["Участник не найден"])]
    detail: Annotated[str, Field(description="Что именно не так")] = ""
    hint: Annotated[str, Field(description="Что делать")] = ""
    request_id: Annotated[str, Field(description="Назовите его, обращаясь за помощью")]
    errors: Annotated[list[FieldMistake], Field(description="Какие поля не годятся (код bad_request)")] = []
