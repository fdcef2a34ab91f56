"""The simulated Robokassa: acquirers reference section 5, checked by the test's own arithmetic."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
import requests
from bank_testing import DEAL, PAYER, Call, calls, genuine, log, pay, polite, wait_for
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulator.robokassa import result_signature
from simulator.shops import RobokassaShop

NAME = "robokassa"
XML = "{http://merchant.roboxchange.com/WebService/}"
OP_STATE = "/Merchant/WebService/Service.asmx/OpStateExt"
Eventually = Callable[..., None]


@pytest.fixture(autouse=True)
def accepting(receiver: Any) -> None:
    receiver.answer = polite


def fields(path: str, body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode() or path.partition("?")[2], keep_blank_values=True))


def result_urls(receiver: Any) -> list[Call]:
    return [call for call in calls(receiver, NAME) if "SignatureValue" in call.fields]


def notices(receiver: Any) -> list[dict[str, Any]]:
    """The payloads of ResultUrl2, unverified."""
    bodies = [call.body for call in calls(receiver, NAME) if call.body.startswith(b"eyJ")]
    return [json.loads(unbase64(body.split(b".")[1])) for body in bodies]


def unbase64(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def op_state(bank: Any, inv_id: str, signature: str = "", login: str = "shop") -> ET.Element:
    signature = signature or hashlib.md5(f"{login}:{inv_id}:robo-2".encode()).hexdigest()
    params = {"MerchantLogin": login, "InvoiceID": inv_id, "Signature": signature}
    answer = requests.get(bank.url + OP_STATE, params=params, timeout=5)
    assert answer.status_code == 200
    return ET.fromstring(answer.content)


def text(tree: ET.Element, path: str) -> str | None:
    return tree.findtext("/".join(XML + step for step in path.split("/")))


@pytest.mark.parametrize("vector", genuine(NAME), ids=lambda vector: str(vector["name"]))
def test_known_examples_are_signed_just_so(vector: dict[str, Any]) -> None:
    told = dict(parse_qsl(vector["body"], keep_blank_values=True))
    shop = RobokassaShop(password2=vector["secret"], algorithm=vector["algo"])
    own = [(name, value) for name, value in told.items() if name.casefold().startswith("shp")]

    assert result_signature(shop, told["OutSum"], told["InvId"], own[::-1]) == vector["expected"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_money_is_told_by_result_url_with_six_decimals(
    bank: Any, receiver: Any, eventually: Eventually, method: str, algorithm: str
) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"method": method, "algorithm": algorithm, "result2": False})
    payment = pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    assert (call.body == b"") is (method == "GET")
    told = call.fields
    assert (told["OutSum"], told["InvId"], told["EMail"]) == ("2990.000000", payment["id"], PAYER["email"])
    assert (told["Shp_lead"], told["Shp_attempt"]) == (str(DEAL), "1")
    base = f"2990.000000:{payment['id']}:robo-2:Shp_attempt=1:Shp_lead={DEAL}"
    assert told["SignatureValue"] == hashlib.new(algorithm, base.encode()).hexdigest().upper()
    eventually(lambda: log(bank)[0]["state"] == "accepted")


@pytest.mark.parametrize("reply", [b"OK", b"ok{}", b"OK{}\n", b"<b>OK{}</b>", b""])
def test_only_ok_with_the_invoice_number_stops_robokassa(
    bank: Any, receiver: Any, eventually: Eventually, reply: bytes
) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"result2": False})
    receiver.answer = lambda path, body: reply.replace(b"{}", fields(path, body)["InvId"].encode())
    pay(bank, NAME)

    eventually(lambda: log(bank)[0]["tries"] == 1)

    assert log(bank)[0]["state"] == "waiting"


def test_result_url2_is_a_jws_that_fits_the_published_certificate(
    bank: Any, receiver: Any, eventually: Eventually
) -> None:
    payment = pay(bank, NAME)
    wait_for(eventually, receiver, NAME, 2)
    certificate = requests.get(f"{bank.url}/media/files/jwtsign.cer", timeout=5).content

    [body] = [call.body for call in calls(receiver, NAME) if call.body.startswith(b"eyJ")]

    head, told, signature = body.split(b".")
    key = x509.load_pem_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(unbase64(signature), head + b"." + told, padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(unbase64(head)) == {"typ": "JWT", "alg": "RS256"}
    data = json.loads(unbase64(told))["data"]
    assert (data["shop"], data["invId"], data["incSum"], data["state"]) == ("shop", payment["id"], "2990.00", "OK")
    assert len(result_urls(receiver)) == 1


def test_a_hold_is_told_by_result_url2_only_and_money_by_both(bank: Any, receiver: Any, eventually: Eventually) -> None:
    payment = pay(bank, NAME, two_stage=True)
    wait_for(eventually, receiver, NAME, 1)
    held = notices(receiver)
    assert text(op_state(bank, payment["id"]), "State/Code") == "20"

    bank.post(f"/sim/payments/{payment['id']}/capture", {"amount_kopecks": 200_000})
    wait_for(eventually, receiver, NAME, 3)

    assert [row["data"]["state"] for row in held] == ["HOLD"]
    assert sorted(row["data"]["state"] for row in notices(receiver)) == ["HOLD", "OK"]
    assert [call.fields["OutSum"] for call in result_urls(receiver)] == ["2000.000000"]


def test_test_payments_have_their_own_password_and_no_jws(bank: Any, receiver: Any, eventually: Eventually) -> None:
    bank.post(f"/sim/cabinet/{NAME}", {"test": True})
    payment = pay(bank, NAME)

    [call] = wait_for(eventually, receiver, NAME, 1)

    base = f"2990.000000:{payment['id']}:robo-test-2:Shp_attempt=1:Shp_lead={DEAL}"
    assert call.fields["SignatureValue"] == hashlib.md5(base.encode()).hexdigest().upper()
    assert (call.fields["IsTest"], call.fields["EMail"]) == ("1", "")


def test_op_state_knows_states_but_no_refunds(bank: Any) -> None:
    payment, dropped = pay(bank, NAME), pay(bank, NAME, two_stage=True)
    bank.post(f"/sim/payments/{dropped['id']}/void")
    bank.post(f"/sim/payments/{payment['id']}/refund")

    state, gone = op_state(bank, payment["id"]), op_state(bank, dropped["id"])

    assert (text(state, "Result/Code"), text(state, "State/Code"), text(gone, "State/Code")) == ("0", "100", "10")
    assert (text(state, "Info/OutSum"), text(state, "Info/PaymentMethod/Code")) == ("2990.000000", "BankCard")
    own = {row.findtext(f"{XML}Name"): row.findtext(f"{XML}Value") for row in state.iter(f"{XML}Field")}
    assert own == {"Shp_lead": str(DEAL), "Shp_attempt": "1"}


@pytest.mark.parametrize(
    ("inv_id", "signature", "login", "code"),
    [("1", "0" * 32, "shop", "1"), ("1", "", "stranger", "2"), ("1", "", "shop", "3")],
)
def test_op_state_refuses_in_numbers(bank: Any, inv_id: str, signature: str, login: str, code: str) -> None:
    answer = op_state(bank, inv_id, signature, login)

    assert text(answer, "Result/Code") == code
    assert text(answer, "State/Code") is None


def test_nothing_is_told_of_refusals_voids_and_refunds(bank: Any, receiver: Any, eventually: Eventually) -> None:
    pay(bank, NAME, reject=True)
    payment = pay(bank, NAME)
    wait_for(eventually, receiver, NAME, 2)
    bank.post(f"/sim/payments/{payment['id']}/refund", {"amount_kopecks": 1_000})

    assert len(log(bank)) == 2
