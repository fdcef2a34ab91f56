"""The known examples that are no notifications: each kind by what it deserves. None is left out."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from acquirer_vectors import ALL, name_of, vectors
from kopilka_testing import START

from connector.acquiring.jws import compact_jws
from connector.acquiring.reading import is_within
from connector.acquiring.robokassa import signed_text
from connector.acquiring.tbank import TBank
from connector.acquiring.yookassa import SENDERS
from flows.payment_check import BadExample, examine_example

KINDS = {"notification", "request", "ip", "parse", "primitive", "doc_placeholder"}


def test_no_example_is_of_a_kind_without_a_test() -> None:
    assert {vector["kind"] for vector in ALL} == KINDS
    assert {vector["provider"] for vector in vectors(kind="request")} == {"tbank", "robokassa"}
    assert {vector["provider"] for vector in vectors(kind="ip")} == {"yookassa"}
    assert len(ALL) == len({name_of(vector) for vector in ALL})


@pytest.mark.parametrize("vector", vectors("tbank", "request"), ids=name_of)
def test_a_request_to_t_bank_is_signed_as_in_the_example(vector: dict[str, Any], http: Any) -> None:
    content = json.loads(vector["body"])
    credentials = {"terminal": content["TerminalKey"], "password": vector["secret"]}
    bank = TBank.from_credentials(credentials, api_url=TBank.api_url, http=http, check_ip=False)

    token = content.pop("Token")

    assert bank.signed(content)["Token"] == token == vector["expected"]


@pytest.mark.parametrize("vector", vectors("robokassa", "request"), ids=name_of)
def test_a_link_to_robokassa_is_signed_over_the_text_that_we_would_make(vector: dict[str, Any]) -> None:
    fields = dict(parse_qsl(vector["body"]))
    own = {name: value for name, value in fields.items() if name.startswith("shp")}

    text = signed_text(fields["MerchantLogin"], fields["OutSum"], fields["InvId"], vector["secret"], own=own)

    digest = hashlib.new(vector["algo"], text.encode()).hexdigest()
    assert digest.upper() == fields["SignatureValue"].upper() == vector["expected"].upper()


@pytest.mark.parametrize("vector", vectors(kind="ip"), ids=name_of)
def test_a_sender_is_known_by_its_address(vector: dict[str, Any]) -> None:
    assert is_within(vector["headers"]["remote_addr"], SENDERS) is vector["valid"]


@pytest.mark.parametrize("vector", vectors(kind="parse"), ids=name_of)
def test_a_jws_is_read_as_in_the_example(vector: dict[str, Any]) -> None:
    jws = compact_jws(vector["body"].encode())

    assert jws.header["alg"] == "RS256"
    assert jws.claims == vector["expected"]


@pytest.mark.parametrize("vector", vectors(kind="primitive"), ids=name_of)
def test_a_primitive_of_the_standard_library_is_the_one_of_the_example(vector: dict[str, Any]) -> None:
    assert vector["algo"] == "hmac-sha256"
    digest = hmac.new(vector["secret"].encode(), vector["body"].encode(), "sha256").hexdigest()

    assert digest.upper() == vector["expected"]


@pytest.mark.parametrize("vector", vectors(kind="doc_placeholder"), ids=name_of)
def test_a_value_that_was_made_up_for_the_documentation_does_not_verify(vector: dict[str, Any]) -> None:
    verdict = examine_example(vector, now=START)

    assert not verdict.is_genuine
    assert vector["recomputed"] != vector["expected"]
    if vector["provider"] == "sber":
        assert verdict.checks[-1].expected == vector["recomputed"]


@pytest.mark.parametrize("vector", vectors(kind="notification"), ids=name_of)
def test_a_notification_of_the_examples_is_judged_as_it_should_be(vector: dict[str, Any]) -> None:
    verdict = examine_example(vector, now=START)

    assert verdict.is_genuine is vector["valid"]
    assert all(vector["secret"] not in check.hashed for check in verdict.checks if len(vector["secret"]) > 1)
    if verdict.is_genuine and "ack" in vector:
        assert verdict.reply.body.decode() == vector["ack"]


@pytest.mark.parametrize("vector", vectors(kind="notification"), ids=name_of)
def test_no_other_secret_makes_a_notification_genuine(vector: dict[str, Any]) -> None:
    if vector["secret"].startswith("-----BEGIN"):
        with pytest.raises(BadExample):
            examine_example({**vector, "secret": vector["secret"].replace("M", "N", 1)}, now=START)
        return

    assert not examine_example({**vector, "secret": vector["secret"] + "x"}, now=START).is_genuine


_OTHER_PLACES = [one for one in vectors(kind="notification") if one["valid"]]


@pytest.mark.parametrize("vector", _OTHER_PLACES, ids=name_of)
def test_no_notification_of_the_examples_survives_a_change_of_its_signed_text(vector: dict[str, Any]) -> None:
    body = vector["body"]
    changed = body.replace("1", "2", 1) if body.startswith("{") else body.replace("=", "=7", 1)

    assert not examine_example({**vector, "body": changed}, now=START).is_genuine
