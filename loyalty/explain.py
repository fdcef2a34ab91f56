"""A calculation told step by step in Russian, every step citing the rule it follows.

One wording for `kopilka try`, the API's quotes, the manager's panel and the console. Owns words only: every number
comes from `checkout.py`, `earning.py` and `calendar.py`. A member's history is told by `statement.py`.
Source: users' expectations, section 4.3; specification of points, section 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loyalty import calendar, earning
from loyalty.ledger import Balance
from loyalty.phrases import available_from, percent, roubles, times, valid_until
from loyalty.segments import by_code
from loyalty.wording import count_text, thousands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from loyalty.basket import Basket
    from loyalty.checkout import Checkout, Spending
    from loyalty.earning import Rate
    from loyalty.programme import Programme
    from loyalty.rules import Exclusions

NO_CHANGE = Balance()
CALCULATION = "расчёт"
"""The event of a line about something that has not happened."""


@dataclass(frozen=True)
class Line:
    """`points` is signed; `event` is what it happened for, `rule` the path of the owner's rule («» for plain facts of
    the basket), `change` what it does to each account of the member. The points of a statement sum to the balance."""

    text: str
    points: int
    event: str
    rule: str
    rules_version: str
    change: Balance = NO_CHANGE


@dataclass(frozen=True)
class Asked:
    """Who asks: points asked for, spendable points, segment, the instant of the purchase; `limit_reason` is the limit
    that bound (`limits.Allowance.reason`), if one did."""

    requested: int
    balance: int
    segment_code: str | None
    at: datetime
    limit_reason: str | None = None


class Step(NamedTuple):
    """One line before it is known whose rules it follows."""

    text: str
    rule: str
    points: int = 0


def of_checkout(
    result: Checkout, programme: Programme, basket: Basket, asked: Asked, *, rules_version: str
) -> tuple[Line, ...]:
    """The whole calculation: the basket, what is left out, what may be spent, what is due, what is earned and when."""
    steps = [
        Step(_basket_text(basket), ""),
        *_spending_steps(result.spending, programme, basket, asked),
        *_left_out_steps("Не начисляем за", programme.accrual.exclude, "accrual", basket),
        Step(_due_text(result, programme), "accrual.base"),
        *_earning_steps(result, programme, basket, asked),
    ]
    if result.earned.total > 0:
        steps += _date_steps(programme, asked.at)
    return _lines(steps, rules_version)


def of_welcome(programme: Programme, *, at: datetime, rules_version: str) -> tuple[Line, ...]:
    """The welcome points that an event of this instant brings; nothing if the rules have none."""
    rules = programme.welcome
    if rules is None:
        return ()
    zone = programme.timezone
    activates_at = calendar.activation_at(at, rules.activate_after, zone)
    expires_at = calendar.expiry_at(activates_at, rules.expire_after, zone)
    steps = [
        Step(f"Приветственные: {count_text(rules.points, programme.word_forms)}", "welcome.points", rules.points),
        Step(_begins(activates_at, at, zone), "welcome.activate_after"),
        Step(valid_until(expires_at, zone), "welcome.expire_after"),
    ]
    return _lines(steps, rules_version)


def of_first_order(result: Checkout, programme: Programme, *, at: datetime, rules_version: str) -> tuple[Line, ...]:
    """The welcome points of a first order after its calculation, and that they stand in for its own where the rules say
    so: the points of all lines then still sum to what it brings."""
    welcome = of_welcome(programme, at=at, rules_version=rules_version)
    if programme.welcome is None or programme.welcome.with_base or result.earned.total == 0:
        return welcome
    step = Step(_INSTEAD, "welcome.with_base", -result.earned.total)
    return (*_lines([step], rules_version), *welcome)


def rate_words(rate: Rate, programme: Programme, *, goods_kopecks: int | None = None) -> str:
    """«12 %, сегмент «Постоянный»»: the rate and who set it."""
    return f"{percent(rate.bps)}, {who_set(rate.rule, programme, goods_kopecks=goods_kopecks)}"


def who_set(rule: str, programme: Programme, *, goods_kopecks: int | None = None) -> str:
    """The rule that set a rate or a share, as people call it."""
    if rule.startswith("segments."):
        segment = by_code(rule.split(".")[1], programme.segments)
        return f"сегмент «{segment.title if segment else rule.split('.')[1]}»"
    if rule == "accrual.by_method":
        return "ставка способа оплаты"
    if rule == "accrual.steps":
        step = _reached_step(programme, goods_kopecks)
        return "ступень по сумме заказа" if step is None else f"ступень от {roubles(step)}"
    return "базовая ставка"


def _lines(steps: Sequence[Step], rules_version: str) -> tuple[Line, ...]:
    return tuple(Line(step.text, step.points, CALCULATION, step.rule, rules_version) for step in steps)


def _basket_text(basket: Basket) -> str:
    gross = sum(line.gross_kopecks for line in basket.lines)
    own = sum(line.discount_kopecks for line in basket.lines)
    parts = [f"Чек {roubles(gross)}"]
    parts += [f"скидки на товары {roubles(own)}"] if own else []
    parts += [f"промоскидка {roubles(basket.promo_kopecks)}"] if basket.promo_kopecks else []
    parts += [f"доставка {roubles(basket.delivery_kopecks)} (без баллов)"] if basket.delivery_kopecks else []
    return ", ".join(parts)


def _spending_steps(spending: Spending, programme: Programme, basket: Basket, asked: Asked) -> Iterator[Step]:
    if asked.requested <= 0 and (asked.balance <= 0 or programme.redeem is None):
        return
    if programme.redeem is not None:
        yield from _left_out_steps("Баллами не оплатить", programme.redeem.exclude, "redeem", basket)
    if spending.refusal is not None:
        yield _refusal_step(spending, programme, asked)
        return
    bound, rule = what_binds(spending, programme)
    most, spent = thousands(spending.max_points), thousands(spending.points)
    if asked.requested <= 0:
        yield Step(f"Списать можно до {most} ({bound})", rule)
    elif asked.requested > spending.max_points:
        text = f"Списать просили {thousands(asked.requested)}, можно {most} ({bound})"
        yield Step(text, rule, -spending.points)
    else:
        yield Step(f"Спишем {spent}, можно до {most} ({bound})", rule, -spending.points)
    if spending.points < min(asked.requested, spending.max_points):
        yield Step(f"Спишем {spent}: остаток строки меньше балла баллами не оплатить", "programme.point_value")


def what_binds(spending: Spending, programme: Programme) -> tuple[str, str]:
    """What sets the most that may be spent, and its rule."""
    if spending.max_points < spending.cap_points:
        return "столько на счету", "redeem"
    if spending.cap_rule == "redeem.max_points":
        return "предел на заказ", spending.cap_rule
    share = _share_text(spending)
    if spending.cap_rule == "redeem.max_share":
        return share, spending.cap_rule
    return f"{share}, {who_set(spending.cap_rule, programme)}", spending.cap_rule


def _refusal_step(spending: Spending, programme: Programme, asked: Asked) -> Step:
    wish = f"Списать просили {thousands(asked.requested)}, нельзя"
    rules = programme.redeem
    if rules is None:
        return Step(f"{wish}: оплаты баллами в правилах нет", "redeem")
    if spending.refusal == "nothing_eligible":
        return Step(f"{wish}: в заказе нет товаров, которые оплачивают баллами", "redeem.exclude")
    if spending.refusal == "below_minimum":
        would = thousands(min(asked.requested, spending.max_points))
        text = f"{wish}: списывают не меньше {thousands(rules.min_points)}, а вышло бы {would}"
        return Step(text, "redeem.min_points")
    if asked.balance <= 0:
        return Step(f"{wish}: на счету нет доступных баллов", "redeem")
    return Step(f"{wish}: {_share_text(spending)} меньше одного балла", spending.cap_rule)


def _share_text(spending: Spending) -> str:
    return f"{percent(spending.share_bps)} от {roubles(spending.base_kopecks)}"


def _due_text(result: Checkout, programme: Programme) -> str:
    how = "только деньги" if programme.accrual.base == "paid_money" else "вместе с оплатой баллами"
    return f"К оплате {roubles(result.due_kopecks)}; база начисления {roubles(result.earn_base_kopecks)} ({how})"


def _earning_steps(result: Checkout, programme: Programme, basket: Basket, asked: Asked) -> Iterator[Step]:
    rules, earned = programme.accrual, result.earned
    goods = sum(basket.net_kopecks())
    halved = [
        priced.earn_base_kopecks
        for line, priced in zip(basket.lines, result.lines, strict=True)
        if line.is_on_sale and rules.exclude.on_sale == "yes_half" and priced.earn_base_kopecks > 0
    ]
    if halved:
        yield Step(f"За товары по акции {roubles(sum(halved))} половина ставки", "accrual.exclude.items_on_sale")
    if goods < rules.min_order_kopecks:
        yield Step(f"За заказы дешевле {roubles(rules.min_order_kopecks)} не начисляем", "accrual.min_order")
    for one in sorted(earned.multipliers, key=lambda one: one.title):
        yield Step(f"Множитель «{one.title}»: {times(one.times_bps)}", f"accrual.multipliers.{one.title}.times")
    if earned.limit is not None:
        limit = _limit(earned.limit, asked)
        yield Step(f"Без предела было бы {thousands(earned.uncapped)}: {_LIMITS[limit]}", f"limits.{limit}")
    words = rate_words(earned.rate, programme, goods_kopecks=goods)
    text = f"Начислим {count_text(earned.total, programme.word_forms)} ({words})"
    yield Step(text, _exact_rule(earned.rate.rule, programme, goods, basket.method), earned.total)


def _date_steps(programme: Programme, at: datetime) -> Iterator[Step]:
    rules, zone = programme.accrual, programme.timezone
    activates_at = calendar.activation_at(at, rules.activate_after, zone)
    yield Step(_begins(activates_at, at, zone), "accrual.activate_after")
    if rules.expire_idle is not None:
        expires_at = calendar.expiry_at(at, rules.expire_idle, zone)
        yield Step(f"{valid_until(expires_at, zone)}, с каждой покупкой дольше", "accrual.expire_idle")
        return
    expires_at = calendar.expiry_at(activates_at, rules.expire_after, zone)
    yield Step(valid_until(expires_at, zone), "accrual.expire_after")


def _left_out_steps(words: str, exclude: Exclusions, section: str, basket: Basket) -> Iterator[Step]:
    """Goods that take no part, one line for each rule that says so: what they are and what they cost."""
    found: dict[str, tuple[str, int]] = {}
    for line, net in zip(basket.lines, basket.net_kopecks(), strict=True):
        if net == 0 or earning.takes_part(exclude, line):
            continue
        if line.is_gift_card:
            what, rule = "подарочные карты", section
        elif line.category is not None and line.category in exclude.categories:
            what, rule = line.category, f"{section}.exclude.categories.{line.category}"
        elif line.is_on_sale and exclude.on_sale == "yes":
            what, rule = "товары по акции", f"{section}.exclude.items_on_sale"
        else:
            what, rule = "товары со своей скидкой", f"{section}.exclude.discounted"
        found[rule] = (what, net + (found[rule][1] if rule in found else 0))
    for rule, (what, kopecks) in found.items():
        yield Step(f"{words}: {what} {roubles(kopecks)}", rule)


def _exact_rule(rule: str, programme: Programme, goods_kopecks: int, method: str | None) -> str:
    """The path of the very item of a list that set the rate."""
    if rule == "accrual.by_method":
        return f"{rule}.{method}.rate"
    step = _reached_step(programme, goods_kopecks) if rule == "accrual.steps" else None
    return rule if step is None else f"{rule}.{step}.rate"


def _reached_step(programme: Programme, goods_kopecks: int | None) -> int | None:
    if goods_kopecks is None:
        return None
    return max((one.from_kopecks for one in programme.accrual.steps if one.from_kopecks <= goods_kopecks), default=None)


def _limit(limit: str, asked: Asked) -> str:
    """The limit's key in the file: `earning` says only that one bound, the caller knows which."""
    if limit != "limit":
        return limit
    return _LIMIT_KEYS.get(asked.limit_reason or "", "points_per_period")


def _begins(activates_at: datetime, at: datetime, timezone: str) -> str:
    return available_from(activates_at, at, timezone).replace("доступны с ", "станут доступны ", 1)


_INSTEAD = "Это первый заказ: вместо начисления приветственные"
_LIMITS = {
    "points_per_order": "предел на заказ",
    "accruals_per_day": "за сегодня начислений больше не бывает",
    "points_per_day": "предел на день",
    "points_per_period": "предел на период",
}
_LIMIT_KEYS = {
    "daily_limit": "accruals_per_day",
    "points_per_day": "points_per_day",
    "points_per_period": "points_per_period",
}
