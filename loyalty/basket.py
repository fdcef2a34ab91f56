"""What is being bought: lines, the promo discount over them, delivery.

Owns the shape and its limits. Sums of a line are for the whole line, not for one unit. A deal of the CRM has no lines:
it is a basket of one nameless line. Source: specification of points, section 5.3, steps 1-3.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from loyalty.spreading import spread

LINES_MAX = 500
QUANTITY_MAX = 1_000_000
KOPECKS_MAX = 10**13


class BadBasket(ValueError):
    """The basket contradicts itself; the text says in Russian what is wrong."""


@dataclass(frozen=True)
class Line:
    """`discount_kopecks` is the line's own discount; `is_on_sale` marks a price that is reduced already;
    `is_gift_card`: selling it neither earns nor takes points. `name` is what stands on a receipt."""

    gross_kopecks: int
    qty: int = 1
    sku: str = ""
    category: str | None = None
    discount_kopecks: int = 0
    is_on_sale: bool = False
    is_gift_card: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.qty <= QUANTITY_MAX:
            raise BadBasket(f"Количество в строке {self.sku or 'без артикула'} должно быть от 1 до {QUANTITY_MAX}")
        if not 0 <= self.gross_kopecks <= KOPECKS_MAX:
            raise BadBasket(f"Цена строки {self.sku or 'без артикула'} должна быть от 0 до {KOPECKS_MAX // 100} рублей")
        if not 0 <= self.discount_kopecks <= self.gross_kopecks:
            raise BadBasket(f"Скидка в строке {self.sku or 'без артикула'} должна быть от 0 до цены строки")


@dataclass(frozen=True)
class Basket:
    """`promo_kopecks` is a discount on the whole order, never on delivery; `method` is how it is paid, if known."""

    lines: tuple[Line, ...]
    promo_kopecks: int = 0
    delivery_kopecks: int = 0
    method: str | None = None

    def __post_init__(self) -> None:
        if len(self.lines) > LINES_MAX:
            raise BadBasket(f"В заказе больше {LINES_MAX} строк")
        if not 0 <= self.delivery_kopecks <= KOPECKS_MAX:
            raise BadBasket(f"Стоимость доставки должна быть от 0 до {KOPECKS_MAX // 100} рублей")
        if not 0 <= self.promo_kopecks <= sum(line.gross_kopecks - line.discount_kopecks for line in self.lines):
            raise BadBasket("Промоскидка должна быть от 0 до стоимости товаров")

    def net_kopecks(self) -> tuple[int, ...]:
        """Price of each line after its own discount and its share of the promo discount."""
        prices = [line.gross_kopecks - line.discount_kopecks for line in self.lines]
        shares = spread(self.promo_kopecks, prices)
        return tuple(price - share for price, share in zip(prices, shares, strict=True))

    @property
    def total_kopecks(self) -> int:
        """What the order costs without points, delivery included."""
        return sum(self.net_kopecks()) + self.delivery_kopecks

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data; `from_data` is its inverse."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Basket:
        return cls(**{**data, "lines": tuple(Line(**line) for line in data["lines"])})


def whole_sum(kopecks: int) -> Basket:
    """An order of which only the price is known."""
    return Basket((Line(kopecks),))
