"""The shipped examples: each is right, says where it comes from, and its worked basket is true."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.model import ProgrammeFile
from config.programme import check_programme, load_programme
from loyalty.basket import Basket, Line
from loyalty.checkout import checkout
from loyalty.programme import Programme
from loyalty.wording import thousands

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
SHOPS = {"noris", "airsoft-rus", "makisu", "grandmotostore", "kozalavka", "pit-up", "queenfatin"}
OTHERS = {"point-of-3-roubles", "daily-cap", "signup-only"}
NOON = datetime(2026, 1, 14, 9, tzinfo=UTC)

# Roubles of goods and of delivery, the way of paying, the balance (all of it is asked) → spent, due in roubles, earned.
BASKETS = {
    "noris": ((3_000, 250, None, 1_200), (900, 2_350, 150)),
    "airsoft-rus": ((8_000, 400, "cash", 3_000), (2_000, 6_400, 300)),
    "makisu": ((2_000, 150, "cash", 600), (200, 1_950, 180)),
    "grandmotostore": ((10_000, 500, "bank_card", 2_500), (2_000, 8_500, 240)),
    "kozalavka": ((6_000, 300, None, 500), (500, 5_800, 165)),
    "pit-up": ((1_000, 300, None, 200), (200, 1_100, 40)),
    "queenfatin": ((4_000, 350, None, 150), (150, 4_200, 115)),
    "point-of-3-roubles": ((2_000, 200, None, 400), (333, 1_201, 33)),
    "daily-cap": ((7_000, 0, None, 0), (0, 7_000, 500)),
    "signup-only": ((2_500, 0, None, 500), (250, 2_250, 0)),
}


def loaded(name: str) -> ProgrammeFile:
    path = FOLDER / f"{name}.yaml"
    return load_programme(path, dict.fromkeys(re.findall(r"env:([A-Z0-9_]+)", path.read_text(encoding="utf-8")), "x"))


def comment(name: str) -> str:
    """The text above the rules, without the hash signs."""
    head = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("version: 1")[0]
    return " ".join(line.removeprefix("#").strip() for line in head.splitlines())


def test_the_seven_shops_and_three_others_are_shipped() -> None:
    assert set(NAMES) == SHOPS | OTHERS == set(BASKETS)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_error_and_no_warning(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    env = dict.fromkeys(re.findall(r"env:([A-Z0-9_]+)", text), "x")

    result = check_programme(FOLDER / f"{name}.yaml", env, secrets_required=True)

    assert result.problems == (), result.render()
    assert check_programme(FOLDER / f"{name}.yaml", {}).errors == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_example_survives_storing(name: str) -> None:
    programme = loaded(name).programme

    assert Programme.from_data(json.loads(json.dumps(programme.to_data()))) == programme


@pytest.mark.parametrize("name", sorted(SHOPS))
def test_the_example_of_a_shop_says_where_the_shop_publishes_it(name: str) -> None:
    assert f"{name}." in comment(name)
    assert "Опубликована: " in comment(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_basket_in_the_comment_is_what_the_rules_give(name: str) -> None:
    (goods, delivery, method, balance), (spent, due, earned) = BASKETS[name]
    basket = Basket((Line(goods * 100),), delivery_kopecks=delivery * 100, method=method)

    answer = checkout(loaded(name).programme, basket, segment_code=None, balance=balance, requested=balance, at=NOON)

    assert (answer.spending.points, answer.due_kopecks, answer.earned.total) == (spent, due * 100, earned)
    told = comment(name).replace("\u00a0", " ")
    for phrase in (f"Товары {number(goods)} ₽", f"К оплате {number(due)} ₽", f"Начислим {number(earned)} балл"):
        assert phrase in told
    assert not spent or f"Списать можно {number(spent)} " in told


def number(value: int) -> str:
    return thousands(value).replace("\u00a0", " ")


def test_on_credit_the_motorcycle_shop_gives_nothing() -> None:
    basket = Basket((Line(1_000_000),), method="credit")

    answer = checkout(loaded("grandmotostore").programme, basket, segment_code=None, balance=0, requested=0, at=NOON)

    assert answer.earned.total == 0


def test_not_in_cash_the_kitchen_gives_nothing() -> None:
    basket = Basket((Line(200_000),), method="bank_card")

    answer = checkout(loaded("makisu").programme, basket, segment_code=None, balance=0, requested=0, at=NOON)

    assert answer.earned.total == 0
