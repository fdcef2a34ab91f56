"""Google's callbacks at our door: taken once, refused when forged, later when Google's keys are away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa
from flask.testing import FlaskClient
from google_vectors import Google, new_key
from kopilka_testing import Shop, StandingClock, posted, settle, tbank_body, until
from web_testing import StartServer, metric

from flows import inbox, lookup, people
from flows.runtime import Runtime
from storage import google as google_storage
from storage.members import Member
from webhooks.app import create_app

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("wallets")]

PATH = "/webhooks/google-wallet"
Pay = Callable[..., Member]


@pytest.fixture
def google(clock: StandingClock) -> Google:
    return Google("3388000000000000000", int(clock().timestamp() * 1000))


@pytest.fixture
def environment(environment: dict[str, str], google: Google, tmp_path: Path) -> dict[str, str]:
    """The shop trusts the tests' own root key."""
    path = tmp_path / "google-keys.json"
    path.write_text(json.dumps(google.keys_document()))
    return {**environment, "GOOGLE_KEYS_FILE": str(path)}


def told(google: Google, rt: Runtime, member: Member, event: str = "save", **changes: Any) -> bytes:
    assert rt.google is not None
    named = {"classId": rt.google.class_id, "objectId": rt.google.object_id(member.card_serial), "eventType": event}
    return google.body(google.message(**{**named, **changes}))


def state(rt: Runtime, member: Member) -> Any:
    with rt.db.begin() as tx:
        return google_storage.cards(tx, [member.id])[member.id].is_saved


def rows(rt: Runtime, table: str) -> int:
    with rt.db.begin() as tx:
        return int(tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_save_and_a_delete_are_noted_and_counted(client: FlaskClient, rt: Runtime, pay: Pay, google: Google) -> None:
    member = pay()

    first = client.post(PATH, data=told(google, rt, member))
    saved = state(rt, member)
    second = client.post(PATH, data=told(google, rt, member, "del", nonce="2", expTimeMillis=google.now_ms + 3_700_000))

    assert (first.status_code, second.status_code) == (200, 200)
    assert (saved, state(rt, member)) == (True, False)
    page = client.get("/metrics").text
    assert metric(page, "kopilka_google_callbacks", event="save") == 1
    assert metric(page, "kopilka_google_cards", state="deleted") == 1
    assert metric(page, "kopilka_google_cards_behind") == 1


def test_a_repetition_is_welcome_and_does_nothing(client: FlaskClient, rt: Runtime, pay: Pay, google: Google) -> None:
    member = pay()
    save = told(google, rt, member)
    client.post(PATH, data=save)
    client.post(PATH, data=told(google, rt, member, "del", nonce="2", expTimeMillis=google.now_ms + 3_700_000))

    replies = [client.post(PATH, data=save).status_code for _ in range(3)]

    assert replies == [200] * 3
    assert state(rt, member) is False
    assert rows(rt, "google_nonce") == 2


def test_a_message_that_comes_after_a_younger_one_changes_nothing(
    client: FlaskClient, rt: Runtime, pay: Pay, google: Google
) -> None:
    member = pay()
    client.post(PATH, data=told(google, rt, member, "del", nonce="2", expTimeMillis=google.now_ms + 3_700_000))

    assert client.post(PATH, data=told(google, rt, member)).status_code == 200
    assert state(rt, member) is False


def test_one_message_told_by_many_at_once_is_taken_once(rt: Runtime, pay: Pay, google: Google) -> None:
    member = pay()
    body, app, replies = told(google, rt, member), create_app(rt), []
    barrier = threading.Barrier(6)

    def send() -> None:
        barrier.wait()
        replies.append(app.test_client().post(PATH, data=body).status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with rt.db.begin() as tx:
        counts = dict(google_storage.callback_counts(tx))
    assert replies == [200] * 6
    assert counts == {"repeated": 5, "save": 1}


def test_what_is_forged_is_refused_and_leaves_a_number_alone(
    client: FlaskClient, rt: Runtime, pay: Pay, google: Google
) -> None:
    member = pay()
    whole = json.loads(told(google, rt, member))
    bodies = [
        b"",
        b"{}",
        b"\xff",
        google.body(root=new_key()),
        google.body(recipient="3388000000099999999"),
        google.body(google.message(expTimeMillis=google.now_ms - 1)),
        json.dumps({**whole, "signedMessage": whole["signedMessage"].replace("save", "del")}).encode(),
    ]

    statuses = [client.post(PATH, data=body).status_code for body in bodies]

    assert statuses == [403] * len(bodies)
    assert metric(client.get("/metrics").text, "kopilka_forged_total") == len(bodies)
    assert (rows(rt, "google_nonce"), rows(rt, "google_callback_count")) == (0, 0)
    assert state(rt, member) is None


def test_a_body_that_is_too_large_is_not_even_read_as_one(client: FlaskClient) -> None:
    assert client.post(PATH, data=b"x" * 20_000).status_code == 413
    assert client.get(PATH).status_code == 405


@pytest.mark.parametrize(
    "changes",
    [
        {"classId": "3388000000000000000.another"},
        {"objectId": "3388000000000000000.kopilka-demo.unknown"},
        {"objectId": "3388000000000000000.kopilka-demo."},
        {"objectId": "3388000000000000000.kopilka-demo.'; DROP TABLE member"},
        {"objectId": "карта\x00"},
    ],
)
def test_a_genuine_word_about_another_card_is_taken_and_forgotten(
    client: FlaskClient, rt: Runtime, pay: Pay, google: Google, changes: dict[str, str]
) -> None:
    member = pay()

    assert client.post(PATH, data=told(google, rt, member, **changes)).status_code == 200
    assert state(rt, member) is None
    assert metric(client.get("/metrics").text, "kopilka_google_callbacks", event="unknown") == 1


def test_while_googles_keys_are_away_it_is_asked_to_come_again(
    another_runtime: Callable[..., Runtime], rt: Runtime, pay: Pay, google: Google, tmp_path: Path
) -> None:
    member = pay()
    away = another_runtime(GOOGLE_KEYS_FILE=str(tmp_path / "none.json"))

    reply = create_app(away).test_client().post(PATH, data=told(google, rt, member))

    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "60")
    assert rows(rt, "google_nonce") == 0


def test_without_an_issuer_there_is_no_such_address(rt: Runtime, google: Google) -> None:
    rt.google = None

    assert create_app(rt).test_client().post(PATH, data=google.body()).status_code == 404


def test_nonces_are_forgotten_once_nobody_would_take_them(
    client: FlaskClient, rt: Runtime, pay: Pay, google: Google, clock: StandingClock
) -> None:
    member = pay()
    for number in range(30):
        client.post(PATH, data=told(google, rt, member, nonce=str(number)))
    clock.forward(hours=2)
    google.now_ms += 7_200_000
    for number in range(2):
        client.post(PATH, data=told(google, rt, member, nonce=f"later-{number}"))

    assert rows(rt, "google_nonce") == 2


def test_a_save_brings_the_card_up_to_date(
    client: FlaskClient, rt: Runtime, pay: Pay, google: Google, shop: Shop
) -> None:
    member = pay()
    client.post(PATH, data=told(google, rt, member, "del"))
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = 17 WHERE id = :id"), {"id": member.id})
    client.post(PATH, data=told(google, rt, member, nonce="2", expTimeMillis=google.now_ms + 3_700_000))
    settle(rt)

    found = shop.bank("GET", "/sim/state")["google"]["loyaltyObject"][0]
    assert found["loyaltyPoints"]["balance"] == {"int": 17}


def test_a_merged_card_comes_alive_when_the_other_is_deleted(
    client: FlaskClient,
    rt: Runtime,
    pay: Pay,
    paid_deal: Callable[[int], tuple[int, int]],
    google: Google,
    shop: Shop,
) -> None:
    kept = pay()
    deal_id, contact_id = paid_deal(7)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, kopecks=499_000, payment_id=102)))
    settle(rt)
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    gone = account.member
    people.merge(rt, from_id=gone.id, into_id=kept.id)
    client.post(PATH, data=told(google, rt, kept, nonce="1"))
    settle(rt)
    states = [state_at_google(shop, gone)]
    client.post(PATH, data=told(google, rt, kept, "del", nonce="2", expTimeMillis=google.now_ms + 3_700_000))
    settle(rt)
    states.append(state_at_google(shop, gone))

    assert states == ["INACTIVE", "ACTIVE"]


def state_at_google(shop: Shop, member: Member) -> str:
    objects = shop.bank("GET", "/sim/state")["google"]["loyaltyObject"]
    return next(str(one["state"]) for one in objects if one["id"].endswith(member.card_serial))


def test_the_link_waits_for_google_with_a_page_that_says_so(
    client: FlaskClient, rt: Runtime, pay: Pay, shop: Shop
) -> None:
    member = pay()
    with rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM google_card"))
    shop.bank("POST", "/sim/google/faults", {"error_503": 50})

    reply = client.get(f"/c/{member.card_token}/google")

    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "30")
    assert "Попробовать ещё раз" in reply.text
    assert f"/c/{member.card_token}/google" in reply.text


def test_the_simulated_google_saves_a_card_and_its_callback_is_believed(
    server: StartServer, rt: Runtime, pay: Pay, shop: Shop, http: requests.Session, tmp_path: Path
) -> None:
    """The whole way: the link, Google's page, its keys, its callback."""
    member = pay()
    web = server(
        GOOGLE_SAVE_URL=f"{shop.bank_url}/gp/v/save",
        GOOGLE_KEYS_URL=f"{shop.bank_url}/gp/m/issuer/keys",
        GOOGLE_KEYS_FILE="",
    )
    assert rt.google is not None
    rt.google.api.put_class({"id": rt.google.class_id, "callbackOptions": {"url": f"{web.url}{PATH}"}}, is_made=True)
    link = http.get(f"{web.url}/c/{member.card_token}/google", allow_redirects=False, timeout=10).headers["Location"]
    assert urlsplit(link).port == urlsplit(shop.bank_url).port
    assert "Сохранить" in http.get(link, timeout=10).text

    http.post(link, timeout=10)
    until(lambda: state(rt, member), "the callback was not believed")
    object_id = rt.google.object_id(member.card_serial)
    forged = shop.bank("POST", f"/sim/google/objects/{object_id}/del", {"foreign": True})["answers"]
    expired = shop.bank("POST", f"/sim/google/objects/{object_id}/del", {"expired": True})["answers"]
    other = shop.bank("POST", f"/sim/google/objects/{object_id}/del", {"issuer": "1"})["answers"]
    assert (forged, expired, other) == ([403], [403], [403])
    assert state(rt, member) is True
    assert shop.bank("POST", f"/sim/google/objects/{object_id}/del", {"copies": 3})["answers"] == [200] * 3
    assert state(rt, member) is False
