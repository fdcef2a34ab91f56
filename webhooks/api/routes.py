"""The table of the API: every address, what it asks and answers, which right it takes, why it may refuse.

The one place from which Flask's rules, the reading of requests, the OpenAPI document, the docs page and the test of
routes against tokens are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flows import explaining, refusals
from webhooks.api import answers, asked, members, orders, sales

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from flows.access import Scope
    from flows.refusals import Denied

Method = Literal["GET", "POST", "PUT"]


@dataclass(frozen=True)
class Route:
    """`asks` is the body of a POST or PUT and the query of a GET. `has_key`: it changes something, so it needs an
    Idempotency-Key. `refusals` are those of its use case; what any call may meet is not listed."""

    method: Method
    path: str
    scope: Scope
    title: str
    text: str
    view: Callable[..., BaseModel]
    answer: type[BaseModel]
    asks: type[BaseModel] | None = None
    status: int = 200
    has_key: bool = True
    refusals: tuple[type[Denied], ...] = ()

    @property
    def name(self) -> str:
        """Stable and unique: OpenAPI's operationId."""
        return f"{self.view.__module__.rsplit('.', 1)[-1]}_{self.view.__name__}"

    @property
    def is_write(self) -> bool:
        return self.method != "GET" and self.has_key

    @property
    def has_body(self) -> bool:
        return self.method != "GET"


WHO = (refusals.MemberNotFound, refusals.SeveralMembers, refusals.BadPhone, refusals.BadEmail)
BY_ID = (refusals.MemberNotFound,)
SPENDING = (
    refusals.RedeemRefused,
    refusals.RedemptionLimit,
    refusals.TooManyCodes,
    refusals.CodeNotDeliverable,
    refusals.PointsOutOfRange,
)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/members",
        "read",
        "Найти участника",
        "По телефону, почте, номеру карты или контакту amoCRM: укажите ровно один из них. В телефоне пишите %2B вместо "
        "плюса.",
        members.find,
        answers.Member,
        asked.FindMember,
        refusals=WHO,
    ),
    Route(
        "GET",
        "/calls",
        "read",
        "Входящий звонок",
        "Для телефонии: кто звонит, какую карточку открыть и что прочесть сразу. Незнакомый номер: форма нового "
        "участника. Отвечает из своей базы, amoCRM не спрашивает.",
        members.ring,
        answers.Call,
        asked.IncomingCall,
        refusals=(refusals.BadPhone,),
    ),
    Route(
        "POST",
        "/members",
        "member",
        "Завести участника",
        "Создаёт карту. Если такой телефон, почта или контакт уже есть, ответ 409 member_exists.",
        members.create,
        answers.Member,
        asked.NewMember,
        status=201,
        refusals=(refusals.MemberExists, refusals.BadPhone, refusals.BadEmail, refusals.BadBirthday),
    ),
    Route(
        "GET",
        "/members/{member_id}",
        "read",
        "Участник",
        "Карта, сегмент, баланс, что и когда сгорит, последние операции. Объединённый участник ведёт к оставшемуся.",
        members.show,
        answers.Member,
        refusals=BY_ID,
    ),
    Route(
        "GET",
        "/members/{member_id}/statement",
        "read",
        "Выписка",
        "Операции с объяснением: за что, по какому правилу и какой его версии. Сумма всех строк равна балансу.",
        members.statement,
        answers.Statement,
        asked.PageOfStatement,
        refusals=BY_ID,
    ),
    Route(
        "GET",
        "/members/{member_id}/balance",
        "read",
        "Баланс на момент",
        "Без at — на сейчас, с разбивкой по партиям и датам сгорания.",
        members.balance,
        answers.BalanceAt,
        asked.AtMoment,
        refusals=(*BY_ID, explaining.NotYet),
    ),
    Route(
        "POST",
        "/quotes",
        "quote",
        "Посчитать заказ",
        "Сколько можно списать, сколько останется заплатить, сколько начислим и почему. Ничего не меняет, ключ "
        "повтора не нужен.",
        orders.quote,
        answers.Quote,
        sales.AskQuote,
        has_key=False,
        refusals=(*WHO, refusals.BadOrder, refusals.PointsOutOfRange),
    ),
    Route(
        "POST",
        "/holds",
        "hold",
        "Отложить баллы под заказ",
        "Резерв живёт, пока идёт оплата (redeem.hold в правилах), и потом возвращается сам. Новый резерв того же "
        "заказа заменяет прежний.",
        orders.hold,
        answers.Hold,
        sales.NewHold,
        status=201,
        refusals=(*WHO, *SPENDING, refusals.BadOrder, refusals.OrderOfAnother, refusals.OrderDiffers),
    ),
    Route(
        "GET",
        "/holds/{hold_id}",
        "hold",
        "Резерв",
        "Что с ним сейчас.",
        orders.show_hold,
        answers.Hold,
        refusals=(refusals.HoldNotFound,),
    ),
    Route(
        "POST",
        "/holds/{hold_id}/confirm",
        "hold",
        "Подтвердить списание",
        "Код, который назвал покупатель, или PIN старшего. Новая попытка — новый Idempotency-Key.",
        orders.confirm,
        answers.Hold,
        sales.Confirm,
        refusals=(refusals.HoldNotFound, refusals.HoldClosed, refusals.WrongCode),
    ),
    Route(
        "POST",
        "/holds/{hold_id}/release",
        "hold",
        "Снять резерв",
        "Покупатель передумал: баллы сразу возвращаются. То же самое по адресу /holds/{hold_id}/cancel.",
        orders.release,
        answers.Hold,
        asked.Nothing,
        refusals=(refusals.HoldNotFound, refusals.HoldClosed),
    ),
    Route(
        "POST",
        "/holds/{hold_id}/cancel",
        "hold",
        "Снять резерв (другое имя)",
        "То же, что release.",
        orders.cancel,
        answers.Hold,
        asked.Nothing,
        refusals=(refusals.HoldNotFound, refusals.HoldClosed),
    ),
    Route(
        "GET",
        "/orders/{order}",
        "read",
        "Заказ",
        "Что за него начислено, списано и возвращено.",
        orders.show,
        answers.Order,
        refusals=(refusals.OrderNotFound,),
    ),
    Route(
        "POST",
        "/orders/{order}/payment-link",
        "order",
        "Ссылка на оплату",
        "Создаёт платёж у банка из payment_links файла правил на цену за вычетом отложенных баллов, с чеком. Пока цена "
        "и резерв прежние, ссылка та же.",
        orders.link,
        answers.PaymentLink,
        sales.AskLink,
        refusals=(
            refusals.OrderNotFound,
            refusals.OrderIsPaid,
            refusals.LinksOff,
            refusals.LinkRefused,
            refusals.BankAway,
        ),
    ),
    Route(
        "POST",
        "/orders/{order}/paid",
        "order",
        "Заказ оплачен",
        "Списывает резерв, начисляет баллы. Сообщите хоть пять раз: начислим один, в ответе будет duplicate: true.",
        orders.pay,
        answers.Paid,
        sales.PayOrder,
        refusals=(
            *WHO,
            refusals.BadOrder,
            refusals.OrderNotFound,
            refusals.OrderOfAnother,
            refusals.OrderDiffers,
            refusals.HoldUnconfirmed,
            refusals.PaidInFuture,
            refusals.PointsOutOfRange,
        ),
    ),
    Route(
        "POST",
        "/orders/{order}/refunds",
        "refund",
        "Возврат",
        "По строкам и штукам, суммой или всё, что осталось. Ответ говорит, сколько денег вернуть, сколько баллов "
        "вернулось и сколько забрали.",
        orders.refund,
        answers.Refunded,
        sales.Refund,
        refusals=(refusals.OrderNotFound, refusals.OrderNotPaid, refusals.BadReturn),
    ),
    Route(
        "POST",
        "/members/{member_id}/adjustments",
        "adjust",
        "Поправка вручную",
        "Дать или снять баллы, с причиной. Сколько можно, сказано в разделе adjustments файла правил.",
        members.adjust,
        answers.MemberBalance,
        asked.Adjust,
        refusals=(*BY_ID, refusals.AdjustmentLimit, refusals.AdjustmentTooLarge, refusals.PointsOutOfRange),
    ),
    Route(
        "POST",
        "/members/{member_id}/rewards",
        "adjust",
        "Поощрение",
        "Баллы за дело из gifts.actions: отзыв, анкета.",
        members.reward,
        answers.MemberBalance,
        asked.Reward,
        refusals=(*BY_ID, refusals.ActionUnknown, refusals.ActionLimit, refusals.PointsOutOfRange),
    ),
    Route(
        "POST",
        "/members/{member_id}/merge",
        "adjust",
        "Объединить участников",
        "Баллы, заказы и карта переходят к участнику into со своими сроками. Повтор ничего не меняет.",
        members.merge,
        answers.MemberBalance,
        asked.Merge,
        refusals=(*BY_ID, refusals.MergeRefused, refusals.PointsOutOfRange),
    ),
    Route(
        "PUT",
        "/members/{member_id}/segment",
        "adjust",
        "Сегмент вручную",
        "Например VIP. С code: null сегмент снова определяют покупки.",
        members.put_in_segment,
        answers.MemberBalance,
        asked.Segment,
        refusals=(*BY_ID, refusals.SegmentUnknown),
    ),
)
