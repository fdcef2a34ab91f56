"""Native bonus points on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from connector.amocrm.client import AmoCrm
from connector.errors import AccountUnpaid, BadReply, NotFound, Refused, ServerFailed, WrongMode

PATH = "/customers/7/bonus_points"


@pytest.mark.parametrize(("points", "body"), [(500, {"earn": 500}), (-100, {"redeem": 100})])
def test_points_are_earned_or_redeemed_and_the_balance_comes_back(
    crm: AmoCrm, amo: Any, points: int, body: dict[str, int]
) -> None:
    amo.hal("POST", PATH, {"bonus_points": 534})

    assert crm.move_bonus(7, points) == 534
    assert amo.sent() == body


def test_a_balance_below_zero_is_a_balance(crm: AmoCrm, amo: Any) -> None:
    amo.hal("POST", PATH, {"bonus_points": -20})

    assert crm.move_bonus(7, 1) == -20


@pytest.mark.parametrize("answer", [{}, {"bonus_points": None}, {"bonus_points": True}, {"bonus_points": "534"},
                                    {"bonus_points": 1.5}, {"bonus_points": 2**70}, {"bonus_points": [1]}])  # fmt: skip
def test_an_answer_without_a_balance_leaves_us_not_knowing(crm: AmoCrm, amo: Any, answer: Any) -> None:
    amo.hal("POST", PATH, answer)

    with pytest.raises(BadReply) as caught:
        crm.move_bonus(7, 1)

    assert caught.value.ambiguous


def test_an_empty_answer_leaves_us_not_knowing(crm: AmoCrm, amo: Any) -> None:
    amo.web.add("POST", amo.api + PATH, status=204)

    with pytest.raises(BadReply) as caught:
        crm.move_bonus(7, 1)

    assert caught.value.ambiguous


@pytest.mark.parametrize(
    ("status", "failure", "is_ambiguous"),
    [(400, Refused, False), (402, AccountUnpaid, False), (404, NotFound, False), (422, WrongMode, False),
     (500, ServerFailed, True)],
)  # fmt: skip
def test_a_refusal_says_whether_it_may_have_been_done(
    crm: AmoCrm, amo: Any, status: int, failure: type[Exception], is_ambiguous: bool
) -> None:
    amo.web.add("POST", amo.api + PATH, status=status, json={"detail": "no"}, content_type="application/problem+json")

    with pytest.raises(failure) as caught:
        crm.move_bonus(7, -5)

    assert getattr(caught.value, "ambiguous", None) is is_ambiguous


def test_a_move_of_nothing_is_not_asked_for(crm: AmoCrm, amo: Any) -> None:
    with pytest.raises(ValueError, match="nothing"):
        crm.move_bonus(7, 0)
