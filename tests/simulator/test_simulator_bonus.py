"""Native bonus points of the simulated amoCRM: refusals, lost answers, the board that shows what the API does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

Api = Callable[..., requests.Response]


@pytest.fixture
def path(api: Api) -> str:
    customer_id = api("POST", "/customers", [{"name": "Анна"}]).json()["_embedded"]["customers"][0]["id"]
    return f"/customers/{customer_id}/bonus_points"


def board(crm: Any, path: str) -> dict[str, Any]:
    customer_id = int(path.split("/")[2])
    return next(one for one in crm.get("/sim/state")["customers"] if one["id"] == customer_id)


@pytest.mark.parametrize(
    "asked",
    [{}, {"earn": 0}, {"earn": -1}, {"redeem": 0}, {"redeem": -5}, {"earn": True}, {"earn": "5"}, {"earn": 1.5},
     {"earn": None}, {"earn": 5, "redeem": 5}, {"add": 5}, {"redeem": 1}],
)  # fmt: skip
def test_whatever_is_not_one_possible_move_is_a_problem_and_moves_nothing(
    api: Api, crm: Any, path: str, asked: dict[str, Any]
) -> None:
    answer = api("POST", path, asked)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert board(crm, path)["bonus_points"] == 0
    assert board(crm, path)["bonus_moves"] == []


def test_the_board_shows_the_balance_and_every_move(api: Api, crm: Any, path: str) -> None:
    api("POST", path, {"earn": 500})
    api("POST", path, {"redeem": 100})

    assert board(crm, path)["bonus_points"] == 400
    assert board(crm, path)["bonus_moves"] == [{"points": 500, "balance": 500}, {"points": -100, "balance": 400}]


def test_an_answer_that_is_lost_was_done_all_the_same(api: Api, crm: Any, path: str) -> None:
    crm.post("/sim/faults", {"drop_bonus_answer": 1})

    with pytest.raises(requests.ConnectionError):
        api("POST", path, {"earn": 5})

    assert api("POST", path, {"earn": 1}).json() == {"bonus_points": 6}


def test_moves_are_refused_with_the_status_that_was_asked_for(api: Api, crm: Any, path: str) -> None:
    for status in (402, 422, 500):
        crm.post("/sim/faults", {"bonus_status": status})
        assert api("POST", path, {"earn": 5}).status_code == status
    crm.post("/sim/faults", {"bonus_status": 0})

    assert api("POST", path, {"earn": 5}).json() == {"bonus_points": 5}
    assert api("POST", "/customers/999999/bonus_points", {"earn": 5}).status_code == 404
