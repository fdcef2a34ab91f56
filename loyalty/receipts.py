"""Lines of a cash receipt (54-FZ) for an order whose price points have lowered: the discount lies inside the prices.

Owns the shape of a line, the words of the law that the owner chooses among, and the cutting of sums into whole units.
Sums stay exact and lines keep their order. Must not know any acquirer. Source: acquirers reference, section 13.7;
specification of points, section 5.1 (largest remainder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loyalty.spreading import spread_within

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES_MAX = 100
NAME_CHARS_MAX = 128
QUANTITY_MAX = 99_999
"""Five digits are what the cash desks take."""

Kind = Literal["goods", "service", "delivery"]
TaxSystem = Literal["osn", "usn_income", "usn_income_outcome", "esn", "patent"]
Vat = Literal["none", "vat0", "vat5", "vat7", "vat10", "vat20", "vat22"]
"""`vat22` is the usual rate since 2026-01-01; `vat20` is left for what was sold before."""
PaymentMethod = Literal["full_prepayment", "full_payment", "prepayment", "advance"]


class BadReceipt(ValueError):
    """No receipt can be made of these lines; the text says in Russian why, and what to do."""


class CannotReduce(BadReceipt):
    """The lines cannot bear the discount: a unit would cost less than a kopeck."""


@dataclass(frozen=True)
class Line:
    """A line of the order before points; `sum_kopecks` is for all its units, promo discounts taken off."""

    name: str
    quantity: int
    sum_kopecks: int
    kind: Kind = "goods"
    may_be_reduced: bool = True

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadReceipt("В строке чека нет названия. Назовите товар")
        if not 1 <= self.quantity <= QUANTITY_MAX:
            raise BadReceipt(f"Количество в строке чека должно быть от 1 до {QUANTITY_MAX}. Исправьте количество")
        if self.sum_kopecks < 0:
            raise BadReceipt("Сумма строки чека меньше нуля. Исправьте цену")

    @property
    def room_kopecks(self) -> int:
        """How much its price may be lowered: every unit keeps a kopeck."""
        return max(0, self.sum_kopecks - self.quantity) if self.may_be_reduced else 0


@dataclass(frozen=True)
class ReceiptLine:
    """What stands on the receipt: `quantity` units at `unit_kopecks` each, already lowered by points."""

    name: str
    quantity: int
    unit_kopecks: int
    kind: Kind

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= NAME_CHARS_MAX:
            raise BadReceipt(f"Название в чеке должно быть от 1 до {NAME_CHARS_MAX} знаков. Исправьте название")
        if not 1 <= self.quantity <= QUANTITY_MAX:
            raise BadReceipt(f"Количество в строке чека должно быть от 1 до {QUANTITY_MAX}. Исправьте количество")
        if self.unit_kopecks < 1:
            raise BadReceipt("Единица товара в чеке не может стоить меньше копейки. Исправьте цену или количество")

    @property
    def sum_kopecks(self) -> int:
        return self.quantity * self.unit_kopecks


def reduced(lines: Sequence[Line], amount_kopecks: int) -> tuple[ReceiptLine, ...]:
    """The order's lines for the lower sum to pay: the difference lies on the lines that may be reduced in proportion to
    their sums, on delivery only when nothing else can bear it. Raises CannotReduce, BadReceipt."""
    discount = sum(line.sum_kopecks for line in lines) - amount_kopecks
    if discount < 0:
        raise BadReceipt("К оплате больше, чем стоят строки чека. Проверьте цену заказа и его строки")
    return _receipt(lines, _borne(lines, [0] * len(lines), discount))


def with_spread(lines: Sequence[Line], spread_kopecks: Sequence[int]) -> tuple[ReceiptLine, ...]:
    """The same when it is known how much falls on each line. What would leave a unit less than a kopeck is moved to
    lines that can bear it. Raises CannotReduce, BadReceipt."""
    if len(lines) != len(spread_kopecks) or any(part < 0 for part in spread_kopecks):
        raise BadReceipt("Скидка баллами не подходит к строкам чека. Пересчитайте списание")
    if any(part > 0 and not line.may_be_reduced for line, part in zip(lines, spread_kopecks, strict=True)):
        raise BadReceipt("Баллы легли на строку, цену которой менять нельзя. Пересчитайте списание")
    parts = [min(part, line.room_kopecks) for line, part in zip(lines, spread_kopecks, strict=True)]
    return _receipt(lines, _borne(lines, parts, sum(spread_kopecks) - sum(parts)))


def _borne(lines: Sequence[Line], parts: Sequence[int], more: int) -> list[int]:
    """`parts` with `more` spread over the room that is left, delivery last."""
    borne = list(parts)
    for is_delivery in (False, True):
        weights = [line.sum_kopecks if (line.kind == "delivery") is is_delivery else 0 for line in lines]
        room = [line.room_kopecks - part for line, part in zip(lines, borne, strict=True)]
        for number, share in enumerate(spread_within(more, weights, room)):
            borne[number] += share
            more -= share
    if more > 0:
        raise CannotReduce(
            "Столько баллов на строки чека не ложится: каждая единица товара должна стоить хотя бы копейку. "
            "Спишите меньше баллов"
        )
    return borne


def _receipt(lines: Sequence[Line], parts: Sequence[int]) -> tuple[ReceiptLine, ...]:
    cut = [one for line, part in zip(lines, parts, strict=True) for one in _cut(line, line.sum_kopecks - part)]
    if not cut:
        raise BadReceipt("В чеке нет ни одной строки с ценой. Проверьте заказ")
    if len(cut) > LINES_MAX:
        raise BadReceipt(f"В чеке больше {LINES_MAX} строк. Объедините строки или разделите заказ")
    return tuple(cut)


def _cut(line: Line, sum_kopecks: int) -> list[ReceiptLine]:
    """One line, or two where the sum does not divide. What costs nothing is on no receipt."""
    if sum_kopecks == 0:
        return []
    name = line.name.strip()[:NAME_CHARS_MAX]
    unit, rest = divmod(sum_kopecks, line.quantity)
    if rest == 0:
        return [ReceiptLine(name, line.quantity, unit, line.kind)]
    return [ReceiptLine(name, line.quantity - 1, unit, line.kind), ReceiptLine(name, 1, unit + rest, line.kind)]
