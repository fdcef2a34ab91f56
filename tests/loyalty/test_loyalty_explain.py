"""Every number explained in Russian: the calculation of a purchase, and a history whose lines sum to the balance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty import explain, statement
from loyalty.basket import Basket, Line
from loyalty.checkout import checkout
from loyalty.explain import Asked
from loyalty.ledger import MEMBER_ACCOUNTS, Move
from loyalty.limits import Allowance
from loyalty.programme import AccrualRules, Duration, Programme, SegmentRule, WelcomeRules
from loyalty.rules import Exclusions, Limits, MethodRate, Multiplier, RateStep, RedeemRules
from loyalty.statement import Entry

AT = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
VERSION = "66a53599744a"
CERTIFICATES = Exclusions(categories=("Подарочные сертификаты",))
CLUB = Programme(
    name="Клуб",
    timezone="Europe/Moscow",
    accrual=AccrualRules(
        rate_bps=1_000,
        activate_after=Duration(14, "days"),
        expire_after=Duration(180, "days"),
        exclude=CERTIFICATES,
    ),
    redeem=RedeemRules(max_share_bps=3_000, exclude=CERTIFICATES),
    segments=(
        SegmentRule("start", "Стартовый", 1),
        SegmentRule("regular", "Постоянный", 3, rate_bps=1_200),
        SegmentRule("vip", "VIP", 6, rate_bps=1_500, max_share_bps=5_000),
    ),
)


def told(
    programme: Programme,
    basket: Basket,
    *,
    requested: int = 0,
    balance: int = 0,
    segment: str | None = None,
    earn: Allowance | None = None,
) -> list[tuple[str, str]]:
    """(text, rule) of the calculation, with ordinary spaces."""
    earn = earn or Allowance(None, None)
    result = checkout(
        programme,
        basket,
        segment_code=segment,
        balance=balance,
        requested=requested,
        at=AT,
        earn_cap=earn.points,
    )
    asked = Asked(requested, balance, segment, AT, earn.reason)
    lines = explain.of_checkout(result, programme, basket, asked, rules_version=VERSION)
    assert {line.rules_version for line in lines} == {VERSION}
    assert sum(line.points for line in lines) == result.earned.total - result.spending.points
    return [(line.text.replace("\u00a0", " "), line.rule) for line in lines]


def order(*gross_roubles: int) -> Basket:
    return Basket(tuple(Line(roubles * 100) for roubles in gross_roubles))


def test_the_example_of_the_specification_is_told_step_by_step() -> None:
    basket = Basket((Line(340_000), Line(200_000, category="Подарочные сертификаты")))

    lines = told(CLUB, basket, requested=2_000, balance=5_000, segment="regular")

    assert lines == [
        ("Чек 5 400 ₽", ""),
        (
            "Баллами не оплатить: Подарочные сертификаты 2 000 ₽",
            "redeem.exclude.categories.Подарочные сертификаты",
        ),
        ("Списать просили 2 000, можно 1 020 (30 % от 3 400 ₽)", "redeem.max_share"),
        ("Не начисляем за: Подарочные сертификаты 2 000 ₽", "accrual.exclude.categories.Подарочные сертификаты"),
        ("К оплате 4 380 ₽; база начисления 2 380 ₽ (только деньги)", "accrual.base"),
        ("Начислим 285 баллов (12 %, сегмент «Постоянный»)", "segments.regular.rate"),
        ("станут доступны 28 марта 2026", "accrual.activate_after"),
        ("действуют по 24 сентября 2026", "accrual.expire_after"),
    ]


def test_v06_says_why_326_and_not_450() -> None:
    on_sale = Exclusions(on_sale="yes")
    rules = replace(
        CLUB,
        accrual=replace(CLUB.accrual, exclude=on_sale),
        redeem=RedeemRules(max_share_bps=3_000, exclude=on_sale),
    )
    goods = (Line(300_000), Line(200_000), Line(150_000, discount_kopecks=50_000, is_on_sale=True))
    basket = Basket(goods, 60_000, 35_000)

    lines = told(rules, basket, requested=2_000, balance=1_234)

    assert lines[:6] == [
        ("Чек 6 500 ₽, скидки на товары 500 ₽, промоскидка 600 ₽, доставка 350 ₽ (без баллов)", ""),
        ("Баллами не оплатить: товары по акции 900 ₽", "redeem.exclude.items_on_sale"),
        ("Списать просили 2 000, можно 1 234 (столько на счету)", "redeem"),
        ("Не начисляем за: товары по акции 900 ₽", "accrual.exclude.items_on_sale"),
        ("К оплате 4 516 ₽; база начисления 3 266 ₽ (только деньги)", "accrual.base"),
        ("Начислим 326 баллов (10 %, базовая ставка)", "accrual.rate"),
    ]


@pytest.mark.parametrize(
    ("redeem", "basket", "balance", "requested", "text", "rule"),
    [
        (None, order(1_000), 50, 10, "нельзя: оплаты баллами в правилах нет", "redeem"),
        (
            RedeemRules(3_000, exclude=CERTIFICATES),
            Basket((Line(100_000, category="Подарочные сертификаты"),)),
            50,
            10,
            "нельзя: в заказе нет товаров, которые оплачивают баллами",
            "redeem.exclude",
        ),
        (RedeemRules(3_000), order(1_000), 0, 10, "нельзя: на счету нет доступных баллов", "redeem"),
        (RedeemRules(3_000), order(3), 50, 10, "нельзя: 30 % от 3 ₽ меньше одного балла", "redeem.max_share"),
        (
            RedeemRules(3_000, min_points=100),
            order(1_000),
            50,
            80,
            "нельзя: списывают не меньше 100, а вышло бы 50",
            "redeem.min_points",
        ),
        (RedeemRules(3_000), order(1_000), 500, 200, "Спишем 200, можно до 300 (30 % от 1 000 ₽)", "redeem.max_share"),
        (
            RedeemRules(3_000, max_points=70),
            order(1_000),
            500,
            200,
            "просили 200, можно 70 (предел на заказ)",
            "redeem.max_points",
        ),
        (RedeemRules(3_000), order(1_000), 500, 0, "Списать можно до 300 (30 % от 1 000 ₽)", "redeem.max_share"),
    ],
)
def test_the_answer_about_spending_names_what_decided(
    redeem: RedeemRules | None, basket: Basket, balance: int, requested: int, text: str, rule: str
) -> None:
    lines = told(replace(CLUB, redeem=redeem), basket, requested=requested, balance=balance)

    assert any(said.endswith(text) and cited == rule for said, cited in lines), lines


def test_points_that_no_line_can_bear_are_told() -> None:
    rules = replace(CLUB, redeem=RedeemRules(max_share_bps=10_000))

    lines = told(rules, Basket((Line(150), Line(150))), requested=3, balance=3)

    assert ("Спишем 2: остаток строки меньше балла баллами не оплатить", "programme.point_value") in lines


def test_a_segments_own_share_is_said_with_its_name() -> None:
    lines = told(CLUB, order(1_000), requested=900, balance=900, segment="vip")

    assert ("Списать просили 900, можно 500 (50 % от 1 000 ₽, сегмент «VIP»)", "segments.vip.max_share") in lines


def test_nothing_is_said_of_spending_when_nobody_can_or_wants_to_spend() -> None:
    assert not [text for text, _ in told(CLUB, order(1_000)) if "писать" in text]


@pytest.mark.parametrize(
    ("accrual", "basket", "text", "rule"),
    [
        (
            {"steps": (RateStep(300_000, 200), RateStep(500_000, 300))},
            order(6_000),
            "Начислим 180 баллов (3 %, ступень от 5 000 ₽)",
            "accrual.steps.500000.rate",
        ),
        (
            {"by_method": (MethodRate("cash", 500),)},
            Basket((Line(100_000),), method="cash"),
            "Начислим 50 баллов (5 %, ставка способа оплаты)",
            "accrual.by_method.cash.rate",
        ),
        (
            {"multipliers": (Multiplier("Март", 15_000, first_day="2026-03-01", last_day="2026-03-31"),)},
            order(1_000),
            "Множитель «Март»: ×1,5",
            "accrual.multipliers.Март.times",
        ),
        (
            {"exclude": Exclusions(on_sale="yes_half")},
            Basket((Line(100_000, is_on_sale=True),)),
            "За товары по акции 1 000 ₽ половина ставки",
            "accrual.exclude.items_on_sale",
        ),
        (
            {"exclude": Exclusions(discounted=True)},
            Basket((Line(100_000, discount_kopecks=100), Line(100))),
            "Не начисляем за: товары со своей скидкой 999 ₽",
            "accrual.exclude.discounted",
        ),
        (
            {"exclude": Exclusions()},
            Basket((Line(100_000, is_gift_card=True), Line(100))),
            "Не начисляем за: подарочные карты 1 000 ₽",
            "accrual",
        ),
        ({"min_order_kopecks": 200_000}, order(1_000), "За заказы дешевле 2 000 ₽ не начисляем", "accrual.min_order"),
        (
            {"base": "order_total"},
            order(1_000),
            "К оплате 1 000 ₽; база начисления 1 000 ₽ (вместе с оплатой баллами)",
            "accrual.base",
        ),
        ({"activate_after": Duration(0, "days")}, order(1_000), "доступны сразу", "accrual.activate_after"),
        (
            {"activate_after": Duration(300, "minutes")},
            order(1_000),
            "станут доступны 14 марта 2026, 17:00",
            "accrual.activate_after",
        ),
        ({"expire_after": None}, order(1_000), "без срока", "accrual.expire_after"),
        (
            {"expire_idle": Duration(6, "months")},
            order(1_000),
            "действуют по 14 сентября 2026, с каждой покупкой дольше",
            "accrual.expire_idle",
        ),
    ],
)
def test_the_answer_about_earning_names_what_decided(
    accrual: dict[str, object], basket: Basket, text: str, rule: str
) -> None:
    rules = replace(CLUB, accrual=replace(CLUB.accrual, **accrual))  # type: ignore[arg-type]

    assert (text, rule) in told(rules, basket)


@pytest.mark.parametrize(
    ("limits", "earn", "text", "rule"),
    [
        (Limits(points_per_order=50), Allowance(None, None), "предел на заказ", "limits.points_per_order"),
        (Limits(), Allowance(0, "daily_limit"), "больше не бывает", "limits.accruals_per_day"),
        (Limits(), Allowance(7, "points_per_day"), "предел на день", "limits.points_per_day"),
        (Limits(), Allowance(7, "points_per_period"), "предел на период", "limits.points_per_period"),
    ],
)
def test_a_limit_is_never_a_silent_zero(limits: Limits, earn: Allowance, text: str, rule: str) -> None:
    lines = told(replace(CLUB, limits=limits), order(1_000), earn=earn)

    [said] = [said for said, cited in lines if cited == rule]
    assert said.startswith("Без предела было бы 100: ")
    assert said.endswith(text)


def test_welcome_points_are_told_with_their_own_dates() -> None:
    rules = replace(CLUB, welcome=WelcomeRules(300, expire_after=Duration(60, "days")))

    lines = explain.of_welcome(rules, at=AT, rules_version=VERSION)

    assert [(line.text.replace("\u00a0", " "), line.rule, line.points) for line in lines] == [
        ("Приветственные: 300 баллов", "welcome.points", 300),
        ("доступны сразу", "welcome.activate_after", 0),
        ("действуют по 13 мая 2026", "welcome.expire_after", 0),
    ]
    assert explain.of_welcome(CLUB, at=AT, rules_version=VERSION) == ()


def entry(move: str, debit: str, credit: str, points: int = 468, **known: object) -> Entry:
    facts: dict[str, object] = {"deal_ref": 30112, "occurred_at": AT, "rules_version": VERSION, **known}
    return Entry(move=move, debit=debit, credit=credit, points=points, **facts)  # type: ignore[arg-type]


def lines_of(entries: Sequence[Entry], programme: Programme = CLUB) -> list[str]:
    lines = statement.of_statement(entries, {VERSION: programme}, timezone="Europe/Moscow", forms=programme.word_forms)
    assert all(line.event and line.rule and line.rules_version == VERSION for line in lines)
    return [line.text.replace("\u00a0", " ") for line in lines]


LATER = datetime(2026, 3, 27, 21, 0, tzinfo=UTC)
ENDS = datetime(2026, 9, 24, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (
            entry(
                "accrue",
                "issued",
                "pending",
                rule="segments.regular.rate",
                lot_source="accrual",
                activates_at=LATER,
                expires_at=ENDS,
            ),
            "+468 за заказ 30112 (12 %, сегмент «Постоянный»), доступны с 28 марта 2026, действуют по 24 сентября 2026",
        ),
        (
            entry("accrue", "issued", "pending", rule="accrual.steps", activates_at=AT),
            "+468 за заказ 30112 (ступень по сумме заказа), доступны сразу, без срока",
        ),
        (
            entry("welcome", "issued", "pending", 300, activates_at=AT, expires_at=ENDS),
            "+300 приветственных за первый заказ 30112, доступны сразу, действуют по 24 сентября 2026",
        ),
        (
            entry("welcome", "issued", "pending", 300, deal_ref=None, activates_at=AT),
            "+300 приветственных за вступление, доступны сразу, без срока",
        ),
        (
            entry("gift", "issued", "pending", 200, deal_ref=None, lot_source="gift", lot_title="8 Марта"),
            "+200 в подарок: «8 Марта», без срока",
        ),
        (
            entry("gift", "issued", "pending", 50, deal_ref=None, lot_source="action", lot_title="Отзыв"),
            "+50 в подарок: «Отзыв», без срока",
        ),
        (entry("opening", "opening", "available", deal_ref=None), "+468 из прежней программы, без срока"),
        (
            entry("activate", "pending", "available", lot_source="accrual"),
            "Доступно ещё 468 баллов: заказ 30112",
        ),
        (
            entry("settle", "available", "debt", 21, lot_source="welcome"),
            "В счёт долга 21 балл: приветственные",
        ),
        (
            entry("hold", "available", "reserved", 500, deal_ref=None, shop_ref="A-7", channel="till"),
            "В резерве 500 баллов: оплата заказа A-7",
        ),
        (entry("capture", "reserved", "redeemed", 500), "−500 в оплату заказа 30112"),
        (entry("release", "reserved", "available", 2), "Снова доступно 2 балла: резерв заказа 30112 снят"),
        (
            entry("expire", "available", "expired", 340, lot_source="accrual", expires_at=ENDS),
            "−340 сгорело: заказ 30112, действовали по 24 сентября 2026",
        ),
        (entry("reverse", "pending", "reversed"), "−468 за возврат заказа 30112"),
        (
            entry("reverse", "debt", "reversed"),
            "−468 за возврат заказа 30112: баллы уже потрачены, долг погасят новые",
        ),
        (
            entry("write_off", "shortfall", "reversed", 1),
            "Прощено 1 балл: возврат заказа 30112, баллы уже потрачены",
        ),
        (
            entry("restore", "redeemed", "available", 494, lot_source="restored", expires_at=ENDS),
            "+494 назад: возврат заказа 30112, действуют по 24 сентября 2026",
        ),
        (
            entry("adjust", "adjusted", "available", 200, deal_ref=None, reason="жалоба", actor="Иванова"),
            "+200 поправка магазина, без срока",
        ),
        (entry("adjust", "available", "adjusted", 200, deal_ref=None), "−200 поправка магазина"),
    ],
)
def test_every_move_has_its_words(one: Entry, text: str) -> None:
    assert lines_of([one]) == [text]


def test_no_move_of_the_ledger_is_left_without_words() -> None:
    assert {move for move, _ in statement._TEXTS} == set(get_args(Move))


def test_the_event_says_where_it_happened_and_who_did_it_but_the_text_does_not() -> None:
    at_till = entry("capture", "reserved", "redeemed", shop_ref="A-7", channel="till")
    by_hand = entry("adjust", "adjusted", "available", deal_ref=None, reason="жалоба", actor="Иванова")

    found = statement.of_statement([at_till, by_hand], {}, timezone="Europe/Moscow", forms=CLUB.word_forms)

    assert [line.event for line in found] == ["сделка 30112, заказ A-7, касса", "поправка, жалоба, Иванова"]
    assert "Иванова" not in found[1].text


def test_rules_that_are_gone_cost_the_line_only_its_rate() -> None:
    one = entry("accrue", "issued", "pending", rule="segments.gold.rate", activates_at=AT)

    [line] = statement.of_statement([one], {}, timezone="Europe/Moscow", forms=CLUB.word_forms)

    assert line.text.replace("\u00a0", " ") == "+468 за заказ 30112, доступны сразу, без срока"


def random_life(seed: int) -> Book:
    """Buying, spending, giving back, burning: whatever may happen to one member."""
    chance = random.Random(seed)
    book = Book(replace(RULES, accrual=replace(RULES.accrual, expire_after=Duration(60, "days"))))
    now = 0
    if chance.random() < 0.3:
        book.open_lot("opening", 700, expires_at=None)
    for number in range(1, chance.randint(2, 8)):
        now += chance.choice((0, 3, 30, 80))
        at = PAID_AT + days(now)
        book.notify()
        book.bring_up_to_date(at)
        line = Line(chance.randint(100, 900_000), qty=chance.choice((1, 3)))
        book.buy(number, Basket((line,)), at=at, spend=chance.choice((0, 10**6)))
        if chance.random() < 0.5:
            book.give_back(chance.randint(1, number), (1,), at)
    return book


@pytest.mark.parametrize("seed", range(60))
def test_the_lines_of_a_random_history_sum_to_every_account(seed: int) -> None:
    book = random_life(seed)
    entries = [
        Entry(
            move=one.move,
            debit=one.debit,
            credit=one.credit,
            points=one.points,
            occurred_at=PAID_AT,
            rules_version=one.rules_version,
            rule=one.rule,
            deal_ref=one.order_id,
        )
        for one in book.transfers.values()
    ]

    lines = statement.of_statement(entries, {}, timezone="Europe/Moscow", forms=RULES.word_forms)

    assert sum(line.points for line in lines) == book.net
    for name in MEMBER_ACCOUNTS:
        assert sum(getattr(line.change, name) for line in lines) == book.accounts[name]
    parts = statement.of_lots(book.lots.values(), {}, book.accounts["debt"], timezone="Europe/Moscow", now=PAID_AT)
    assert sum(part.points for part in parts) == book.net
    for name in ("pending", "available", "reserved"):
        assert sum(part.points for part in parts if part.account == name) == book.accounts[name]


def test_the_pieces_of_a_balance_name_their_orders_and_last_days() -> None:
    book = Book(RULES)
    book.pay(1, 499_000)
    book.converge(1)

    parts = statement.of_lots(book.lots.values(), {1: "28907"}, 40, timezone="Europe/Moscow", now=PAID_AT + days(100))

    assert sorted(part.text.replace("\u00a0", " ") for part in parts) == [
        "300 — приветственные, действовали по 11 марта 2026, сгорят после предупреждения",
        "499 — заказ 28907, доступны с 24 января 2026, действуют по 23 июля 2026",
        "−40 — долг за возвращённые заказы, его погасят новые баллы",
    ]
