"""What a buyer does himself on his card page: offers by channel, requests for his data, another language."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from kopilka_testing import StandingClock

from flows import card_visits, consents, data_requests, people
from flows.people import Person
from flows.runtime import Runtime
from storage.members import Member

Pay = Callable[..., Member]


class Form(HTMLParser):
    """The ticks of the page, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ticks: dict[str, bool] = {}
        self.shown: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "input" and told.get("type") == "checkbox":
            self.ticks[told["value"] or ""] = "checked" in told
        if tag == "input" and told.get("name") == "shown":
            self.shown.append(told["value"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def read(client: FlaskClient, token: str, query: str = "") -> Form:
    return Form(client.get(f"/c/{token}{query}").text)


def said(rt: Runtime) -> list[tuple[str, bool, str]]:
    with rt.db.begin() as tx:
        rows = tx.execute(sa.text("SELECT channel, is_given, source FROM consent ORDER BY id"))
        return [(row.channel, row.is_given, row.source) for row in rows]


@pytest.fixture
def buyer(pay: Pay, rt: Runtime) -> Member:
    """With a phone and an e-mail."""
    from storage import addresses

    member = pay()
    with rt.db.begin() as tx:
        addresses.add(tx, member.id, "email", ["anna@example.ru"], now=rt.now())
    return member


def test_silence_is_shown_as_no_consent(client: FlaskClient, buyer: Member) -> None:
    form = read(client, buyer.card_token)

    assert form.ticks == {"email": False, "sms": False, "messenger": False, "call": False}
    assert "согласие от" not in form.text


def test_a_tick_gives_consent_with_its_proof_and_taking_it_off_withdraws_it(
    client: FlaskClient, buyer: Member, rt: Runtime
) -> None:
    path = f"/c/{buyer.card_token}/offers"
    first = client.post(path, data={"channel": ["email", "sms"]})
    given = read(client, buyer.card_token)
    client.post(path, data={"channel": ["email"]})
    left = read(client, buyer.card_token)

    assert (first.status_code, first.headers["Location"].split("#")[1]) == (303, "offers")
    assert [name for name, is_given in given.ticks.items() if is_given] == ["email", "sms"]
    assert "согласие от 1 марта 2026" in given.text.replace("\u00a0", " ")
    assert [name for name, is_given in left.ticks.items() if is_given] == ["email"]
    assert "отписка от 1 марта 2026" in left.text.replace("\u00a0", " ")
    assert said(rt) == [("email", True, "card_page"), ("sms", True, "card_page"), ("sms", False, "card_page")]
    with rt.db.begin() as tx:
        evidence = tx.execute(sa.text("SELECT evidence FROM consent ORDER BY id LIMIT 1")).scalar_one()
    assert "Отметьте, как можно присылать вам предложения" in evidence
    assert evidence.endswith("; 127.0.0.1")


def test_saving_without_a_change_writes_nothing(client: FlaskClient, buyer: Member, rt: Runtime) -> None:
    path = f"/c/{buyer.card_token}/offers"
    for _ in range(3):
        client.post(path, data={})
    for _ in range(3):
        client.post(path, data={"channel": ["sms"]})

    assert said(rt) == [("sms", True, "card_page")]


def test_a_page_that_was_opened_before_a_withdrawal_does_not_undo_it(
    client: FlaskClient, buyer: Member, rt: Runtime
) -> None:
    path = f"/c/{buyer.card_token}"
    client.post(f"{path}/offers", data={"channel": ["call"]})
    opened = Form(client.get(path).text)
    with rt.db.begin() as tx:
        consents.withdraw(tx, rt, buyer.id, consents.CALL, source="call", evidence="задача 1: 5")

    client.post(f"{path}/offers", data={"channel": ["call", "sms"], "shown": opened.shown})
    left = read(client, buyer.card_token)
    client.post(f"{path}/offers", data={"channel": ["call", "sms"], "shown": left.shown})

    assert (opened.shown, left.shown) == (["call"], ["sms"])
    assert said(rt) == [
        ("call", True, "card_page"),
        ("call", False, "call"),
        ("sms", True, "card_page"),
        ("call", True, "card_page"),
    ], "who sees that he is not called and ticks it means it"


def test_one_button_ends_everything_even_what_was_never_agreed_to(
    client: FlaskClient, buyer: Member, rt: Runtime
) -> None:
    path = f"/c/{buyer.card_token}/offers"
    client.post(path, data={"channel": ["sms"]})
    for _ in range(2):
        client.post(path, data={"channel": ["sms"], "all": "no"})

    assert {(channel, given) for channel, given, _ in said(rt)[1:]} == {
        ("email", False),
        ("sms", False),
        ("messenger", False),
        ("call", False),
    }
    assert len(said(rt)) == 5


def test_refusing_again_and_again_does_not_fill_the_ledger(
    client: FlaskClient, buyer: Member, rt: Runtime, clock: StandingClock
) -> None:
    for _ in range(30):
        clock.forward(minutes=2)
        client.post(f"/c/{buyer.card_token}/offers", data={"all": "no"})

    assert len(said(rt)) == card_visits.WORDS_PER_DAY_MAX


def test_a_channel_that_does_not_reach_him_is_not_offered_and_not_taken(client: FlaskClient, rt: Runtime) -> None:
    member = people.create(rt, Person("Вера", email="vera@example.ru"))
    token = token_of(rt, member.id)

    client.post(f"/c/{token}/offers", data={"channel": ["email", "sms", "pigeon", "'; DROP TABLE consent"]})

    assert list(read(client, token).ticks) == ["email"]
    assert said(rt) == [("email", True, "card_page")]


def test_a_link_in_foreign_hands_does_not_fill_the_ledger_and_unsubscribing_still_works(
    client: FlaskClient, buyer: Member, rt: Runtime, clock: StandingClock
) -> None:
    path = f"/c/{buyer.card_token}/offers"
    replies = [client.post(path, data={"channel": ["sms"]} if turn % 2 == 0 else {}) for turn in range(60)]
    client.post(path, data={"all": "no"})

    rows = len(said(rt))
    assert rows <= card_visits.WORDS_PER_DAY_MAX + 5
    assert "too_often" in replies[-2].headers["Location"]
    assert not any(read(client, buyer.card_token).ticks.values())
    clock.forward(days=2)
    client.post(path, data={"channel": ["sms"]})
    assert read(client, buyer.card_token).ticks["sms"]


def test_a_form_on_another_site_does_nothing(client: FlaskClient, buyer: Member, rt: Runtime) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}

    replies = [
        client.post(f"/c/{buyer.card_token}/offers", data={"all": "no"}, headers=headers),
        client.post(f"/c/{buyer.card_token}/data", data={"kind": "erase"}, headers=headers),
    ]

    assert [reply.status_code for reply in replies] == [403, 403]
    assert said(rt) == []
    assert data_requests.listed(rt) == []


@pytest.mark.parametrize("kind", ["export", "erase"])
def test_a_request_for_ones_data_has_a_number_and_is_made_once(
    client: FlaskClient, buyer: Member, rt: Runtime, kind: str
) -> None:
    for _ in range(3):
        reply = client.post(f"/c/{buyer.card_token}/data", data={"kind": kind})
        assert reply.status_code == 303

    [asked] = data_requests.listed(rt)
    shown = read(client, buyer.card_token).text.replace("\u00a0", " ")
    assert (asked.member_id, asked.kind) == (buyer.id, kind)
    assert f"№ {asked.number} " in shown
    assert data_requests.close(rt, asked.number, by="Ирина", note="отправлено письмом")
    assert f"№ {asked.number} " not in read(client, buyer.card_token).text.replace("\u00a0", " ")
    assert not data_requests.close(rt, asked.number, by="Ирина", note="ещё раз")


def test_nonsense_of_a_form_is_refused(client: FlaskClient, buyer: Member, rt: Runtime) -> None:
    statuses = [
        client.post(f"/c/{buyer.card_token}/data", data={"kind": "everything"}).status_code,
        client.post(f"/c/{buyer.card_token}/data").status_code,
        client.post("/c/unknown/offers", data={"all": "no"}).status_code,
        client.post("/c/unknown/data", data={"kind": "erase"}).status_code,
        client.get(f"/c/{buyer.card_token}/offers").status_code,
        client.post(f"/c/{buyer.card_token}/offers", data={"channel": ["x" * 300_000]}).status_code,
    ]

    assert statuses == [400, 400, 404, 404, 405, 413]
    assert said(rt) == []


def test_the_page_speaks_english_to_who_asks_for_it(client: FlaskClient, buyer: Member) -> None:
    asked = client.get(f"/c/{buyer.card_token}?lang=en").text
    browser = client.get(f"/c/{buyer.card_token}", headers={"Accept-Language": "en-GB,en;q=0.9"}).text
    foreign = client.get(f"/c/{buyer.card_token}", headers={"Accept-Language": "de"}).text

    text = re.sub(r"\s+", " ", Form(asked).text.replace("\u00a0", " "))
    assert '<html lang="en">' in asked
    assert '<html lang="en">' in browser
    assert '<html lang="ru">' in foreign
    assert "499 points more become available on 15 March 2026" in text
    assert "Welcome points" in text
    assert "Unsubscribe from everything" in text
    own = re.sub(r"Русский|«[^»]*»|Анна П\\.|Стартовый|“[^”]*”", "", text.split("Membership card", 1)[1])
    assert len(re.findall("[а-яё]{4,}", own, re.IGNORECASE)) <= 30, "only the owner's own texts are Russian"


def test_the_answer_to_a_form_keeps_its_language(client: FlaskClient, buyer: Member) -> None:
    reply = client.post(f"/c/{buyer.card_token}/offers", data={"lang": "en", "channel": "sms"})

    assert "Saved." in client.get(reply.headers["Location"]).text


def token_of(rt: Runtime, member_id: int) -> str:
    with rt.db.begin() as tx:
        return str(tx.execute(sa.text("SELECT card_token FROM member WHERE id = :id"), {"id": member_id}).scalar_one())
