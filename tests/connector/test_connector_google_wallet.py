from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connector.errors import (
    BadReply,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    NotFound,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
)
from connector.google_wallet import GoogleWallet, NoRights
from connector.http import HttpClient

API = "https://walletobjects.googleapis.com"
ROOT = API + "/walletobjects/v1"
TOKEN = "https://oauth2.googleapis.com/token"
CARD = {"id": "33880.member-17", "classId": "33880.shop", "loyaltyPoints": {"balance": {"int": 300}}, "name": "Анна"}


@pytest.fixture(scope="module")
def key_file() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"client_email": "kopilka@example.iam.gserviceaccount.com", "private_key": pem, "type": "service_account"}


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def wallet(key_file: dict[str, str], http: HttpClient) -> GoogleWallet:
    return GoogleWallet(key_file, http=http)


@pytest.fixture
def token(web: Any) -> None:
    web.add("POST", TOKEN, json={"access_token": "ya29", "expires_in": 3600, "token_type": "Bearer"})


@pytest.mark.usefixtures("token")
def test_a_new_card_is_inserted_with_one_token_for_many_calls(wallet: GoogleWallet, web: Any) -> None:
    web.add("POST", ROOT + "/loyaltyClass", json={"reviewStatus": "APPROVED"})
    web.add("POST", ROOT + "/loyaltyObject", json={})

    told = wallet.put_class({"id": "33880.shop", "heroImage": None}, is_made=False, cleared=["callbackOptions"])
    wallet.put_object({**CARD, "accountName": None}, is_made=False)

    assert told == {"reviewStatus": "APPROVED"}
    assert [call.request.url for call in web.calls] == [TOKEN, ROOT + "/loyaltyClass", ROOT + "/loyaltyObject"]
    assert web.calls[2].request.headers["authorization"] == "Bearer ya29"
    assert json.loads(web.calls[1].request.body) == {"id": "33880.shop"}
    assert json.loads(web.calls[2].request.body) == CARD


@pytest.mark.usefixtures("token")
def test_a_class_and_a_card_that_exist_are_patched_with_our_own_fields_alone(wallet: GoogleWallet, web: Any) -> None:
    web.add("POST", ROOT + "/loyaltyClass", status=409, json={})
    web.add("PATCH", ROOT + "/loyaltyClass/33880.shop", json={})
    web.add("POST", ROOT + "/loyaltyObject", status=409, json={})
    web.add("PATCH", ROOT + "/loyaltyObject/33880.member-17", json={})

    wallet.put_class({"id": "33880.shop", "reviewStatus": "UNDER_REVIEW"}, is_made=False, cleared=["heroImage"])
    wallet.put_object({**CARD, "accountName": None}, is_made=False, notify=True)

    assert json.loads(web.calls[2].request.body) == {"heroImage": None, "reviewStatus": "UNDER_REVIEW"}
    assert json.loads(web.calls[-1].request.body) == {
        "loyaltyPoints": {"balance": {"int": 300}},
        "name": "Анна",
        "accountName": None,
        "notifyPreference": "NOTIFY_ON_UPDATE",
    }


@pytest.mark.usefixtures("token")
def test_a_card_that_was_made_before_costs_one_call_and_is_made_anew_if_google_has_lost_it(
    wallet: GoogleWallet, web: Any
) -> None:
    web.add("PATCH", ROOT + "/loyaltyObject/33880.member-17", json={})
    wallet.put_object(CARD, is_made=True)
    web.replace("PATCH", ROOT + "/loyaltyObject/33880.member-17", status=404, json={})
    web.add("POST", ROOT + "/loyaltyObject", json={})

    wallet.put_object(CARD, is_made=True, notify=True)

    assert [call.request.method for call in web.calls] == ["POST", "PATCH", "PATCH", "POST"]
    assert json.loads(web.calls[-1].request.body) == CARD


def test_a_token_that_google_ended_early_is_renewed_once(wallet: GoogleWallet, web: Any) -> None:
    for number in (1, 2):
        web.add("POST", TOKEN, json={"access_token": f"ya{number}", "expires_in": 3600, "token_type": "Bearer"})
    web.add("POST", ROOT + "/loyaltyObject", status=401, json={})
    web.add("POST", ROOT + "/loyaltyObject", json={})

    wallet.put_object(CARD, is_made=False)

    assert [call.request.headers.get("authorization") for call in web.calls] == [None, "Bearer ya1", None, "Bearer ya2"]


@pytest.mark.usefixtures("token")
def test_a_card_that_may_not_speak_again_today_changes_without_a_word(wallet: GoogleWallet, web: Any) -> None:
    spent = {"error": {"status": "RESOURCE_EXHAUSTED", "message": "QuotaExceededException: notifications"}}
    web.add("PATCH", f"{ROOT}/loyaltyObject/{CARD['id']}", status=403, json=spent)
    web.add("PATCH", f"{ROOT}/loyaltyObject/{CARD['id']}", json={})

    wallet.put_object(CARD, is_made=True, notify=True)

    sent = [json.loads(call.request.body) for call in web.calls if call.request.method == "PATCH"]
    assert [one.get("notifyPreference") for one in sent] == ["NOTIFY_ON_UPDATE", None]


@pytest.mark.usefixtures("token")
def test_a_quota_holds_everybody_back_for_as_long_as_google_says(
    key_file: dict[str, str], http: HttpClient, web: Any
) -> None:
    class Gate:
        def __init__(self) -> None:
            self.turns, self.pauses = 0, []  # type: ignore[var-annotated]

        def wait_turn(self) -> None:
            self.turns += 1

        def pause(self, seconds: float) -> None:
            self.pauses.append(seconds)

        def open_circuit(self, seconds: float, reason: str) -> None:
            raise AssertionError

    gate = Gate()
    wallet = GoogleWallet(key_file, http=http, gate=gate)
    web.add("POST", ROOT + "/loyaltyObject", status=429, json={}, headers={"Retry-After": "17"})
    with pytest.raises(RateLimited):
        wallet.put_object(CARD, is_made=False)
    web.replace("POST", ROOT + "/loyaltyObject", status=403, json={"error": {"status": "RESOURCE_EXHAUSTED"}})
    with pytest.raises(RateLimited):
        wallet.put_object(CARD, is_made=False)

    assert (gate.turns, gate.pauses) == (2, [17.0, 5.0])


@pytest.mark.usefixtures("token")
def test_messages_are_read_added_and_kept(wallet: GoogleWallet, web: Any) -> None:
    there = [{"id": "kopilka-1"}, {"id": "theirs"}]
    web.add("GET", ROOT + "/loyaltyObject/1.a", json={"messages": [*there, "junk"]})
    web.add("PATCH", ROOT + "/loyaltyObject/1.a", json={})
    web.add("POST", ROOT + "/loyaltyObject/1.a/addMessage", json={})

    assert wallet.messages("1.a") == there
    wallet.keep_messages("1.a", there[1:])
    wallet.add_message("1.a", {"id": "kopilka-2"})

    assert [json.loads(call.request.body) for call in web.calls[2:]] == [
        {"messages": [{"id": "theirs"}]},
        {"message": {"id": "kopilka-2"}},
    ]


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("status", "body", "error", "is_retryable"),
    [
        (400, {"error": {"message": "Invalid resource ID"}}, Refused, False),
        (401, {}, NeedsReauth, False),
        (403, {"error": {"status": "PERMISSION_DENIED", "message": "no rights"}}, NoRights, False),
        (403, {"error": {"status": "RESOURCE_EXHAUSTED"}}, RateLimited, True),
        (403, {"error": {"message": "Quota exceeded for quota metric"}}, RateLimited, True),
        (403, [], NoRights, False),
        (404, {}, NotFound, False),
        (429, {}, RateLimited, True),
        (500, {}, ServerFailed, True),
        (503, {}, ServerFailed, True),
        (302, {}, BadReply, False),
    ],
)
def test_each_class_of_answers_has_its_error(
    wallet: GoogleWallet, web: Any, status: int, body: object, error: type[ConnectorError], is_retryable: bool
) -> None:
    web.add("POST", ROOT + "/loyaltyObject", status=status, json=body)

    with pytest.raises(ConnectorError) as caught:
        wallet.put_object(CARD, is_made=False)

    assert type(caught.value) is error
    assert caught.value.retryable is is_retryable
    assert "Анна" not in str(caught.value)


def test_a_key_that_google_does_not_accept_needs_a_person(wallet: GoogleWallet, web: Any) -> None:
    web.add("POST", TOKEN, status=400, json={"error": "invalid_grant"})

    with pytest.raises(NeedsReauth):
        wallet.put_object(CARD, is_made=False)


def test_a_token_endpoint_that_fails_is_worth_another_try(wallet: GoogleWallet, web: Any) -> None:
    web.add("POST", TOKEN, status=503, json={"error": "internal_failure"})

    with pytest.raises(ServerFailed):
        wallet.put_object(CARD, is_made=False)


def test_a_page_instead_of_a_token_is_a_bad_reply(wallet: GoogleWallet, web: Any) -> None:
    web.add("POST", TOKEN, body="<html>")

    with pytest.raises(BadReply):
        wallet.put_object(CARD, is_made=False)


def test_a_token_endpoint_out_of_reach_is_unreachable(key_file: dict[str, str], http: HttpClient) -> None:
    wallet = GoogleWallet(key_file, http=http, token_url="http://127.0.0.1:1/token")

    with pytest.raises(Unreachable):
        wallet.put_object(CARD, is_made=False)


@pytest.mark.parametrize("object_id", [None, "", "a/b", "a?b", "я", 5])
def test_an_id_that_does_not_fit_an_address_is_refused(wallet: GoogleWallet, object_id: object) -> None:
    with pytest.raises(ValueError, match="id of letters"):
        wallet.put_object({"id": object_id}, is_made=False)


@pytest.mark.parametrize("change", [{"private_key": "secret-nonsense"}, {"private_key": None}, {"client_email": None}])
def test_an_unusable_key_file_is_reported_without_quoting_it(
    key_file: dict[str, str], http: HttpClient, change: dict[str, str | None]
) -> None:
    info = {name: value for name, value in {**key_file, **change}.items() if value is not None}

    with pytest.raises(NotConfigured) as caught:
        GoogleWallet(info, http=http)

    assert caught.value.__context__ is None
