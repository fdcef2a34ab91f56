"""Robokassa: ResultURL by hash, ResultUrl2 by JWS, OpStateExt in XML.

Implements the acquirers reference section 5. Refunds made in the cabinet leave no trace, as there; the refund service
with its third password is not simulated. Holds are confirmed and dropped by the controls.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives import hashes
from flask import Blueprint, Response, request

from simulator.bank_world import Bank, Provider, number_or_uuid, the_bank
from simulator.deliveries import Policy
from simulator.shops import RobokassaShop
from simulator.store import Record
from simulator.wire import Pairs, dotnet_form, form_callback, in_moscow, roubles, same

NAME, POLICY, POLICY2 = "robokassa", "robokassa", "robokassa ResultUrl2"
SENDER_IP = "185.59.216.65"
TIMEOUT_S = 10.0
# The schedule of ResultURL is not published; this one lasts a day.
GAPS_S = (60.0, 300.0, 900.0, 1800.0, *([3600.0] * 23))
RETRIES2 = 5
GAP2_S = 60.0
NAMESPACE = "http://merchant.roboxchange.com/WebService/"
STATES = {"new": 5, "canceled": 10, "rejected": 10, "authorized": 20, "captured": 100}
WRONG_SIGNATURE, NO_SHOP, NO_OPERATION = 1, 2, 3

bp = Blueprint(NAME, __name__)


def digest(shop: RobokassaShop, *words: str) -> str:
    """The hash of the cabinet's algorithm over words joined by colons, upper case."""
    return hashlib.new(shop.algorithm, ":".join(words).encode()).hexdigest().upper()


def result_signature(shop: RobokassaShop, out_sum: str, inv_id: str, own: Pairs) -> str:
    """SignatureValue of ResultURL: the shop's Shp_ pairs go last, sorted without regard to case."""
    password = shop.test_password2 if shop.test else shop.password2
    ordered = sorted(own, key=lambda pair: pair[0].casefold())
    return digest(shop, out_sum, inv_id, password, *(f"{name}={value}" for name, value in ordered))


def policies(_bank: Bank) -> dict[str, Policy]:
    """ResultURL wants OK and the invoice's number (the delivery's `ack`); ResultUrl2 any 2xx, five times more."""
    return {
        POLICY: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: status == 200,
            gap_s=lambda tries, _status: GAPS_S[tries - 1] if tries <= len(GAPS_S) else None,
        ),
        POLICY2: Policy(
            timeout_s=TIMEOUT_S,
            accepts=lambda status, _reply: 200 <= status < 300,
            gap_s=lambda tries, _status: GAP2_S if tries <= RETRIES2 else None,
        ),
    }


def notifications(bank: Bank, payment: Record, events: list[str]) -> list[Record]:
    """A hold is told by ResultUrl2 only, money by both; nothing else is told at all."""
    shop: RobokassaShop = bank.shop(NAME)
    if "captured" in events:
        return [_result(bank, shop, payment), *_result2(bank, shop, payment, "OK")]
    return _result2(bank, shop, payment, "HOLD") if "authorized" in events else []


@bp.get("/media/files/jwtsign.cer")
def certificate() -> Response:
    """Where the documentation keeps the certificate of ResultUrl2."""
    return Response(the_bank().keys.certificate(NAME), content_type="application/x-x509-ca-cert")


@bp.route("/Merchant/WebService/Service.asmx/OpStateExt", methods=["GET", "POST"])
def op_state() -> Response:
    bank = the_bank()
    shop: RobokassaShop = bank.shop(NAME)
    login, inv_id = request.values.get("MerchantLogin", ""), request.values.get("InvoiceID", "")
    if not same(login, shop.login):
        return _refused(NO_SHOP, "Shop is not found")
    if not same(digest(shop, login, inv_id, shop.password2), request.values.get("Signature", "").upper()):
        return _refused(WRONG_SIGNATURE, "Signature is wrong")
    with bank.store.lock:
        payment = bank.payments().get(inv_id)
        if payment is None or payment["acquirer"] != NAME:
            return _refused(NO_OPERATION, "Operation is not found")
        return _xml(_state(bank, payment))


def _result(bank: Bank, shop: RobokassaShop, payment: Record) -> Record:
    out_sum, inv_id, own = roubles(payment["captured"], places=6), payment["id"], _own(payment)
    email = "" if shop.test else payment["payer"].get("email") or ""
    pairs = [
        ("OutSum", out_sum),
        ("InvId", inv_id),
        ("Fee", "0.000000"),
        ("EMail", email),
        ("PaymentMethod", "BankCard"),
        ("IncCurrLabel", "BankCardPSR"),
        *([("IsTest", "1")] if shop.test else []),
        *own,
        ("SignatureValue", result_signature(shop, out_sum, inv_id, own)),
    ]
    told = form_callback(shop.method, bank.callback_url(NAME), dotnet_form(pairs))
    return {
        **told,
        "policy": POLICY,
        "headers": {"X-Forwarded-For": SENDER_IP},
        "ack": f"OK{inv_id}",
        "event": "ResultURL",
    }


def _result2(bank: Bank, shop: RobokassaShop, payment: Record, state: str) -> list[Record]:
    """Nothing in test mode, and nothing if the shop has no ResultUrl2."""
    if shop.test or not shop.result2:
        return []
    header = {"type": "PaymentStateNotification", "version": "1.0.0", "timestamp": str(bank.clock.now_s())}
    told = {
        "shop": shop.login,
        "opKey": _op_key(payment),
        "invId": payment["id"],
        "paymentMethod": "BankCard",
        "incSum": roubles(payment["captured"] or payment["amount"]),
        "state": state,
    }
    parts = ({"typ": "JWT", "alg": "RS256"}, {"header": header, "data": told})
    signed = ".".join(_base64(_compact(part)) for part in parts)
    signature = _base64(bank.keys.sign(NAME, signed.encode(), hashes.SHA256()))
    return [
        {
            "policy": POLICY2,
            "url": bank.callback_url(NAME),
            "content_type": "text/plain",
            "headers": {"X-Forwarded-For": SENDER_IP},
            "body": f"{signed}.{signature}",
            "event": f"ResultUrl2 {state}",
        }
    ]


def _own(payment: Record) -> Pairs:
    """The shop's Shp_ parameters, in the order in which a shop would hand them over: any."""
    own = {"Shp_lead": payment["lead_id"], "Shp_attempt": payment["attempt"]}
    own |= {f"Shp_{name}": value for name, value in payment["metadata"].items()}
    return [(name, str(value)) for name, value in own.items() if value not in (None, "")]


def _op_key(payment: Record) -> str:
    return f"{uuid.uuid5(uuid.NAMESPACE_OID, payment['id'])}-SiMuLaTe".upper()


def _state(bank: Bank, payment: Record) -> dict[str, Any]:
    """Refunds do not show: the state stays 100."""
    state_at = payment["captured_at"] or payment["created_at"]
    total = roubles(payment["captured"] or payment["amount"], places=6)
    info = {
        "IncCurrLabel": "BankCardPSR",
        "IncSum": total,
        "IncAccount": "411111******1111",
        "PaymentMethod": {"Code": "BankCard", "Description": "Банковская карта"},
        "OutCurrLabel": "RUR",
        "OutSum": total,
        "OpKey": _op_key(payment),
    }
    return {
        "Result": {"Code": "0"},
        "State": {
            "Code": str(STATES[payment["status"]]),
            "RequestDate": _instant(bank.clock.now()),
            "StateDate": _instant(state_at),
        },
        "Info": info if payment["status"] in ("authorized", "captured") else {},
        "UserField": [{"Name": name, "Value": value} for name, value in _own(payment)],
    }


def _refused(code: int, description: str) -> Response:
    return _xml({"Result": {"Code": str(code), "Description": description}})


def _xml(tree: dict[str, Any]) -> Response:
    root = ET.Element("OperationStateResponse", xmlns=NAMESPACE)
    _grow(root, tree)
    return Response(ET.tostring(root, encoding="utf-8", xml_declaration=True), content_type="text/xml; charset=utf-8")


def _grow(parent: ET.Element, tree: dict[str, Any]) -> None:
    for name, value in tree.items():
        child = ET.SubElement(parent, name)
        if isinstance(value, dict):
            _grow(child, value)
        elif isinstance(value, list):
            for row in value:
                _grow(child, {"Field": row})
        else:
            child.text = value


def _instant(at: float) -> str:
    """With the seven digits that Robokassa writes."""
    return f"{in_moscow(at):%Y-%m-%dT%H:%M:%S.%f}0+03:00"


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


PROVIDER = Provider(
    name=NAME,
    title="Robokassa",
    notify=notifications,
    policies=policies,
    new_id=number_or_uuid,
    blueprint=bp,
    api=("/Merchant/",),
)
