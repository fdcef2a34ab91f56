"""An incoming call: the right card, a line to read, a form for a stranger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from kopilka_testing import StandingClock

from flows import access, people
from flows.people import Person
from flows.runtime import Runtime
from storage.members import Member


@pytest.fixture
def bearer(rt: Runtime) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.create_token(rt, 'telephony')}"}


@pytest.mark.parametrize("typed", ["%2B79000000001", "89000000001", "8 (900) 000-00-01"])
def test_a_caller_is_known_however_the_number_is_written(
    client: FlaskClient, bearer: dict[str, str], pay: Callable[..., Member], clock: StandingClock, typed: str
) -> None:
    member = pay()

    told = client.get(f"/api/v1/calls?phone={typed}", headers=bearer).get_json()

    [caller] = told["callers"]
    assert (told["phone"], told["form"], caller["member_id"]) == ("+79000000001", None, member.id)
    assert caller["open_url"].endswith(f".amocrm.ru/contacts/detail/{member.contact_ref}")
    assert caller["text"].replace("\u00a0", " ") == (
        "Стартовый; 300 баллов к оплате; 300 сгорят 1 мая 2026; последняя покупка 1 марта 2026, 4 990 ₽"
    )


def test_a_stranger_gets_the_form_that_makes_him_a_member(client: FlaskClient, bearer: dict[str, str]) -> None:
    told = client.get("/api/v1/calls?phone=%2B79161234567", headers=bearer).get_json()

    assert told["callers"] == []
    assert told["form"]["filled"] == {"phone": "+79161234567"}
    assert told["form"]["url"].endswith("/api/v1/members")


def test_one_number_of_several_people_names_them_all(client: FlaskClient, bearer: dict[str, str], rt: Runtime) -> None:
    first = people.create(rt, Person("Анна Петрова", phone="+79161234567")).id
    second = people.create(rt, Person("Борис Иванов")).id
    from storage import addresses

    with rt.db.begin() as tx:
        addresses.add(tx, second, "phone", ["+79161234567"], now=rt.now())

    told = client.get("/api/v1/calls?phone=%2B79161234567", headers=bearer).get_json()

    assert [one["member_id"] for one in told["callers"]] == [first, second]
    assert [one["open_url"] for one in told["callers"]] == [None, None]


@pytest.mark.parametrize("query", ["", "phone=", "phone=12", "phone=88005553535", "phone=%2B79161234567&x=1"])
def test_what_is_no_persons_number_is_refused(client: FlaskClient, bearer: dict[str, str], query: str) -> None:
    assert client.get(f"/api/v1/calls?{query}", headers=bearer).status_code in (400, 422)


def test_nobody_asks_without_a_token(client: FlaskClient) -> None:
    assert client.get("/api/v1/calls?phone=%2B79161234567").status_code == 401
