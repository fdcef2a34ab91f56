"""`kopilka try`: what an order would cost and earn, each line citing its rule and the line of the file. Writes nothing.

Owns the options and the two printed forms. The numbers are `loyalty.checkout`, the words `loyalty.explain`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.basket_file import ORDERS_MAX, POINTS_MAX, BadInput, Question, read_question
from cli.common import explained, fail, print_json
from cli.inputs import instant, kopecks
from config.clock import system_clock
from config.programme import check_programme
from config.settings import programme_path, read_environment
from loyalty import accrual, segments
from loyalty.basket import BadBasket, Basket, Line
from loyalty.checkout import checkout
from loyalty.explain import Asked, of_checkout, of_first_order
from loyalty.orders import OrderFacts
from loyalty.redemption import Allocation, Spent
from loyalty.segments import Purchases, by_code, segment_for
from loyalty.wording import count_text

if TYPE_CHECKING:
    from datetime import datetime

    from config.model import ProgrammeFile
    from loyalty.accrual import Target
    from loyalty.checkout import Checkout

TEXT_WIDTH_MAX = 72


@dataclass(frozen=True)
class Explained:
    """One step of the calculation. `rule` is its path in the file, `line` where it stands (0: the file is silent)."""

    text: str
    rule: str
    line: int


@dataclass(frozen=True)
class Answer:
    """`target` is what the order earns with the welcome points, `steps` tell the calculation, `ending` the rest."""

    result: Checkout
    target: Target
    steps: list[Explained]
    ending: list[Explained]


@click.command("try")
@click.option("--order", "roubles", help="Товары заказа в рублях, например 5400 или 999,99.")
@click.option("--category", "categories", multiple=True, help="Сколько из них в категории: «Сертификаты:2000».")
@click.option("--promo", default="0", help="Промоскидка на весь заказ в рублях.")
@click.option("--delivery", default="0", help="Доставка в рублях, сверх товаров.")
@click.option("--method", help="Способ оплаты, как в правилах: cash, bank_card.")
@click.option("--redeem", type=click.IntRange(0, POINTS_MAX), default=0, help="Сколько баллов просят списать.")
@click.option("--balance", type=click.IntRange(0, POINTS_MAX), help="Сколько на счету. По умолчанию хватает.")
@click.option("--segment", help="Код сегмента покупателя, например regular.")
@click.option("--kept-orders", type=click.IntRange(0, ORDERS_MAX), default=0, help="Сколько заказов было раньше.")
@click.option("--at", "at", help="Когда оплачено, например 2026-01-10T12:00. По умолчанию сейчас.")
@click.option("--basket", help="Корзина в файле JSON (- значит стандартный ввод) вместо остальных ключей.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Файл правил.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def try_(*, path: Path | None, as_json: bool, **options: Any) -> None:
    """Посчитать на примере: что можно списать, сколько доплатить, сколько баллов начислим и когда они сгорят."""
    is_basket = options["basket"] is not None
    question = _asked_by_file(options) if is_basket else _asked_by_person(options)
    file = _rules_file(path)
    answer = answer_to(file, _placed(file, question), at=_at(question, file))
    if as_json:
        print_json(_basket_data(answer) if is_basket else _order_data(answer, file))
        return
    lines = [*answer.steps, *answer.ending]
    width = min(TEXT_WIDTH_MAX, max(len(line.text) for line in lines))
    for line in lines:
        click.echo(f"{line.text:<{width}}  {_where(line)}".rstrip())


def answer_to(file: ProgrammeFile, question: Question, *, at: datetime) -> Answer:
    """The calculation for this basket and buyer: the very decisions of the product."""
    programme, basket = file.programme, question.basket
    result = checkout(
        programme,
        basket,
        segment_code=question.segment_code,
        balance=question.balance,
        requested=question.redeem,
        at=at,
    )
    target = _target(file, question, result, at)
    asked = Asked(question.redeem, question.balance, question.segment_code, at)
    lines = of_checkout(result, programme, basket, asked, rules_version=file.version)
    steps = [_cited(file, line.text, line.rule) for line in lines]
    return Answer(result, target, steps, _ending(file, question, result, target, at))


def _target(file: ProgrammeFile, question: Question, result: Checkout, at: datetime) -> Target:
    """What the paid order earns, the welcome points of a first one included."""
    welcome = file.programme.welcome
    is_first = question.kept_orders == 0 and question.segment_code is None and question.basket.total_kopecks > 0
    is_greeted = is_first and welcome is not None and welcome.on == "first_payment"
    state = accrual.OrderState(
        order_id=0,
        revision=0,
        basket=question.basket,
        facts=OrderFacts((), is_stage_paid=False, price_kopecks=0, shop_paid_kopecks=result.due_kopecks),
        paid_at=at,
        counted_at=at,
        terms=accrual.Terms(file.programme, file.version, question.segment_code, is_greeted),
        spent=Spent(result.spending.spread, (Allocation("", result.spending.points),)),
    )
    return accrual.target_of(state)


def _ending(file: ProgrammeFile, question: Question, result: Checkout, target: Target, at: datetime) -> list[Explained]:
    """What the order brings beside its own points: a welcome, a segment; and the sum of all."""
    found = []
    if target.welcomed:
        lines = of_first_order(result, file.programme, at=at, rules_version=file.version)
        found += [_cited(file, line.text, line.rule) for line in lines]
    if not question.is_segment_known:  # else his earlier orders are not known
        spent = Purchases(question.kept_orders + target.is_kept, result.due_kopecks)
        reached = segment_for(spent, file.programme.segments, file.programme.segment_policy)
        if reached is not None and target.is_kept:
            found.append(_cited(file, f"Сегмент после заказа: «{reached.title}»", f"segments.{reached.code}.when"))
    total = count_text(target.accrued + target.welcomed, file.programme.word_forms)
    return [*found, Explained(f"Всего {total}", f"правила версии {file.version}", 0)]


def _asked_by_file(options: dict[str, Any]) -> Question:
    given = [key for key in ("roubles", "method", "segment", "at", "balance") if options[key] is not None]
    given += [key for key in ("categories", "redeem", "kept_orders") if options[key]]
    given += [key for key in ("promo", "delivery") if options[key] != "0"]
    if given:
        fail("--basket уже задаёт весь заказ", "впишите остальное в файл корзины, а ключи уберите")
    try:
        return read_question(options["basket"])
    except BadInput as failure:
        fail(f"Корзина не годится. {failure}", failure.mend)


def _asked_by_person(options: dict[str, Any]) -> Question:
    if options["roubles"] is None:
        fail("Не задан заказ", "kopilka try --order 5400 или kopilka try --basket корзина.json")
    goods = kopecks(options["roubles"])
    parts = [_category(text) for text in options["categories"]]
    rest = goods - sum(line.gross_kopecks for line in parts)
    if rest < 0:
        fail("Категории вместе дороже заказа", "--order это все товары, --category часть из них")
    try:
        basket = Basket(
            lines=((Line(rest),) if rest or not parts else ()) + tuple(parts),
            promo_kopecks=kopecks(options["promo"]),
            delivery_kopecks=kopecks(options["delivery"]),
            method=options["method"],
        )
    except BadBasket as failure:
        fail(str(failure), "проверьте суммы")
    balance = options["redeem"] if options["balance"] is None else options["balance"]
    return Question(
        basket=basket,
        balance=balance,
        redeem=options["redeem"],
        segment_code=options["segment"],
        is_segment_known=options["segment"] is not None,
        kept_orders=options["kept_orders"],
        at=options["at"],
    )


def _category(text: str) -> Line:
    name, colon, sum_text = text.rpartition(":")
    if not colon or not name.strip():
        fail(f"Не понимаю категорию {text!r}", "пишите имя и сумму: «Подарочные сертификаты:2000»")
    return Line(kopecks(sum_text), category=name.strip())


def _placed(file: ProgrammeFile, question: Question) -> Question:
    """The question with the buyer's segment: the given one, or the one his earlier orders have led to."""
    rules = file.programme.segments
    if question.is_segment_known:
        if question.segment_code is not None and by_code(question.segment_code, rules) is None:
            known = ", ".join(rule.code for rule in rules) or "сегментов в правилах нет, уберите этот ключ"
            fail(f"В правилах нет сегмента {question.segment_code!r}", f"здесь бывает: {known}")
        return question
    earlier = segments.segment_for(question.kept_orders, rules, file.programme.segment_policy)
    return question if earlier is None else replace(question, segment_code=earlier.code)


def _at(question: Question, file: ProgrammeFile) -> datetime:
    return system_clock() if question.at is None else instant(question.at, file.programme.timezone)


def _rules_file(path: Path | None) -> ProgrammeFile:
    with explained():
        env = read_environment()
        checked = check_programme(path or programme_path(env), env)
    if checked.programme_file is None:
        fail("В файле правил есть ошибки", "kopilka check покажет каждую ошибку с местом в файле")
    return checked.programme_file


def _cited(file: ProgrammeFile, text: str, rule: str) -> Explained:
    return Explained(text, rule, file.line_of(rule))


def _where(line: Explained) -> str:
    if line.line:
        return f"{line.rule}, строка {line.line}"
    is_silent = line.rule and not line.rule.startswith("правила ")
    return f"{line.rule}, в файле не задано" if is_silent else line.rule


def _basket_data(answer: Answer) -> dict[str, Any]:
    result = answer.result
    return {
        "max_redeem": result.spending.max_points,
        "redeemed": result.spending.points,
        "due_kopecks": result.due_kopecks,
        "earned": result.earned.total,
        "lines": [
            {
                "net_kopecks": line.net_kopecks,
                "points_spent": line.points_spent,
                "due_kopecks": line.due_kopecks,
                "earned": line.earned,
            }
            for line in result.lines
        ],
        "explain": [vars(step) for step in answer.steps],
    }


def _order_data(answer: Answer, file: ProgrammeFile) -> dict[str, Any]:
    return {
        **_basket_data(answer),
        "earned": answer.target.accrued + answer.target.welcomed,
        "explain": [vars(step) for step in (*answer.steps, *answer.ending)],
        "rules_version": file.version,
    }
