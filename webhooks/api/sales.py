"""What is bought, held, paid and returned: the requests about orders, each read strictly into its model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flows.link_terms import Wish
from flows.refusals import BadOrder, LinkRefused
from loyalty.basket import BadBasket, Basket, Line
from webhooks.api.asked import Asked, Who, exactly_one, one_of
from webhooks.api.fields import (
    ITEMS_MAX,
    KOPECKS_MAX,
    POINTS_MAX,
    QUANTITY_MAX,
    Instant,
    Kopecks,
    OrderName,
    Points,
    short_text,
)


class Item(Asked):
    """One line of the order: its price for the whole line or for one unit."""

    model_config = ConfigDict(
        json_schema_extra=one_of(
            "gross_kopecks", "price_kopecks", type_of=dict.fromkeys(("gross_kopecks", "price_kopecks"), "integer")
        )
    )

    name: Annotated[str, short_text(128, "Название для чека", "Палатка «Хибины-2»")] = ""
    sku: Annotated[str, short_text(64, "Артикул", "TENT-2")] = ""
    category: Annotated[str, short_text(100, "Категория, как в файле правил", "Палатки")] | None = None
    qty: Annotated[int, Field(ge=1, le=QUANTITY_MAX, description="Сколько штук", examples=[1])] = 1
    gross_kopecks: Annotated[Kopecks | None, Field(description="Цена всей строки", examples=[499_000])] = None
    price_kopecks: Annotated[Kopecks | None, Field(description="Цена одной штуки (вместо gross_kopecks)")] = None
    discount_kopecks: Annotated[Kopecks, Field(description="Скидка на эту строку")] = 0
    on_sale: Annotated[bool, Field(description="Цена снижена акцией")] = False
    gift_card: Annotated[bool, Field(description="Подарочная карта: баллов не даёт и не берёт")] = False

    @model_validator(mode="after")
    def _one_price(self) -> Item:
        exactly_one(self, "gross_kopecks", "price_kopecks")
        return self

    def line(self) -> Line:
        whole = self.gross_kopecks if self.gross_kopecks is not None else (self.price_kopecks or 0) * self.qty
        return Line(
            gross_kopecks=whole,
            qty=self.qty,
            sku=self.sku,
            category=self.category,
            discount_kopecks=self.discount_kopecks,
            is_on_sale=self.on_sale,
            is_gift_card=self.gift_card,
            name=self.name,
        )


Items = Annotated[list[Item], Field(min_length=1, max_length=ITEMS_MAX, description="Строки заказа")]


class Sale(Who):
    """A buyer and what he buys."""

    items: Items
    promo_kopecks: Annotated[Kopecks, Field(description="Скидка на весь заказ, кроме доставки")] = 0
    delivery_kopecks: Annotated[Kopecks, Field(description="Доставка")] = 0
    method: Annotated[str, short_text(64, "Способ оплаты, как в файле правил", "card")] | None = None

    def basket(self) -> Basket:
        """Raises BadOrder."""
        return basket_of(self.items, self.promo_kopecks, self.delivery_kopecks, self.method)


class AskQuote(Sale):
    redeem: Annotated[Points, Field(description="Сколько баллов покупатель хочет списать", examples=[1_500])] = 0
    order: Annotated[OrderName | None, Field(description="Заказ, если баллы на него уже в резерве")] = None


class NewHold(Sale):
    order: OrderName
    points: Annotated[int, Field(ge=1, le=POINTS_MAX, description="Сколько баллов отложить", examples=[1_500])]


class Confirm(Asked):
    code: Annotated[str, short_text(64, "Код покупателя или PIN старшего", "4821", chars_min=1)]


class PayOrder(Who):
    """Without `items` the order is the one that was held."""

    items: Items | None = None
    promo_kopecks: Annotated[Kopecks, Field(description="Скидка на весь заказ, кроме доставки")] = 0
    delivery_kopecks: Annotated[Kopecks, Field(description="Доставка")] = 0
    method: Annotated[str, short_text(64, "Способ оплаты, как в файле правил", "card")] | None = None
    paid_kopecks: Annotated[
        Kopecks | None,
        Field(description="Сколько денег получено всего; без поля всё к оплате", examples=[499_000]),
    ] = None
    paid_at: Annotated[Instant | None, Field(description="Когда оплачено, за последний 31 день; без поля сейчас")] = (
        None
    )

    @model_validator(mode="after")
    def _no_sums_without_lines(self) -> PayOrder:
        if self.items is None and (self.promo_kopecks or self.delivery_kopecks or self.method is not None):
            raise PydanticCustomError(
                "no_items", "promo_kopecks, delivery_kopecks и method бывают только вместе с items"
            )
        return self

    def basket(self) -> Basket | None:
        """None: that of the hold. Raises BadOrder."""
        if self.items is None:
            return None
        return basket_of(self.items, self.promo_kopecks, self.delivery_kopecks, self.method)


class AskLink(Asked):
    return_url: Annotated[
        str, short_text(500, "Куда вернуть покупателя; без поля как в файле правил", "https://sportgory.ru/spasibo")
    ] = ""
    email: Annotated[str, short_text(200, "Почта для чека; без поля почта участника", "anna@example.ru")] = ""
    phone: Annotated[str, short_text(32, "Телефон для чека; без поля телефон участника", "+79161234567")] = ""

    def wish(self) -> Wish:
        """Raises LinkRefused."""
        if self.return_url and not self.return_url.startswith("https://"):
            raise LinkRefused("return_url не адрес страницы магазина", hint="пишите адрес целиком, с https://")
        return Wish(self.return_url, self.email, self.phone)


class ReturnedLine(Asked):
    line: Annotated[int, Field(ge=1, le=ITEMS_MAX, description="Номер строки заказа, с 1", examples=[2])]
    qty: Annotated[int, Field(ge=1, le=QUANTITY_MAX, description="Сколько штук вернули", examples=[1])]


RETURN = ("items", "amount_kopecks", "everything")


class Refund(Asked):
    """Exactly one: lines, a sum that names no line, or everything that is left."""

    model_config = ConfigDict(
        json_schema_extra=one_of(
            *RETURN, type_of={"items": "array", "amount_kopecks": "integer", "everything": "boolean"}
        )
    )

    items: (
        Annotated[list[ReturnedLine], Field(min_length=1, max_length=ITEMS_MAX, description="Что вернули")] | None
    ) = None
    amount_kopecks: (
        Annotated[
            int,
            Field(ge=1, le=KOPECKS_MAX, description="Сколько денег вернули, если строки неизвестны", examples=[50_000]),
        ]
        | None
    ) = None
    everything: Annotated[Literal[True] | None, Field(description="Вернули всё, что осталось")] = None

    @model_validator(mode="after")
    def _one_way(self) -> Refund:
        exactly_one(self, *RETURN)
        return self

    def units(self) -> dict[int, int]:
        """How many units of each line came back."""
        found: dict[int, int] = {}
        for one in self.items or ():
            found[one.line] = found.get(one.line, 0) + one.qty
        return found


def basket_of(items: list[Item], promo_kopecks: int, delivery_kopecks: int, method: str | None) -> Basket:
    """Raises BadOrder."""
    try:
        basket = Basket(tuple(item.line() for item in items), promo_kopecks, delivery_kopecks, method)
    except BadBasket as failure:
        raise BadOrder(str(failure)) from failure
    if basket.total_kopecks > KOPECKS_MAX:
        raise BadOrder(f"Заказ дороже {KOPECKS_MAX // 100} рублей не принимаем")
    return basket
