"""Where «Add to Google Wallet» leads: a page that saves the card, and the signed callback that follows.

Implements the wallet reference A10 with root keys of its own: the link's claims, the protocol ECv2SigningOnly, retries.
"""

from __future__ import annotations

import base64
import json
import secrets
import struct
import threading
import time
from typing import Any

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from simulator.answers import Json, plain
from simulator.bank_world import Bank, the_bank
from simulator.google import claims_of
from simulator.shared_controls import asked_object, explain_refusals

PROTOCOL = "ECv2SigningOnly"
SENDER = "GooglePayPasses"
LINK_CHARS_MAX = 1800
KEY_LIFE_S = 7 * 86_400
MESSAGE_LIFE_S = 3_600
TRIES = 4
PAUSE_S = 1.0
ANSWER_TIMEOUT_S = 5.0

bp = Blueprint("google_saves", __name__)
explain_refusals(bp)


@bp.get("/gp/m/issuer/keys")
def root_keys() -> Response:
    bank = the_bank()
    if bank.google.plan.keys_away:
        return Response("", 503)
    key = {"keyValue": _public(bank.keys.curve("google-root")), "protocolVersion": PROTOCOL}
    return plain({"keys": [{**key, "keyExpiration": str(_ms(bank, KEY_LIFE_S * 50))}]})


@bp.get("/gp/v/save/<link>")
def show(link: str) -> Response:
    bank = the_bank()
    with bank.store.lock:
        found, problem = _object_of(bank, link)
        shown = render_template("google_save.html", card=found, problem=problem, is_saved=_is_saved(bank, found))
    return Response(shown, 404 if found is None else 200)


@bp.post("/gp/v/save/<link>")
def save(link: str) -> AnyResponse:
    """The button of the page: saves the card, or takes it off the phone."""
    bank = the_bank()
    with bank.store.lock:
        found, problem = _object_of(bank, link)
    if found is None:
        raise LookupError(problem)
    _done(bank, found, "del" if request.form.get("delete") else "save", {})
    return redirect(f"/gp/v/save/{link}", 303)


@bp.post("/sim/google/objects/<object_id>/<any(save,del):event>")
def told(object_id: str, event: str) -> Response:
    """A phone's owner saves or deletes; `copies` of the callback, `expired`, signed by a `foreign` root, for another
    `issuer`, or `silent`. Answers with what the shop answered to each."""
    bank, asked = the_bank(), asked_object()
    found = bank.store.table("loyaltyObject").get(object_id)
    if found is None:
        raise LookupError(f"нет объекта {object_id}")
    return plain({"answers": _done(bank, found, event, asked)})


@bp.route("/sim/google/faults", methods=["GET", "POST"])
def faults() -> Response:
    bank = the_bank()
    with bank.store.lock:
        if request.method == "POST":
            bank.google.change(asked_object())
        return plain(bank.google.show())


def callback(bank: Bank, found: Json, event: str, asked: Json) -> bytes:
    """The signed body."""
    issuer_id = str(asked.get("issuer") or str(found["id"]).partition(".")[0])
    root = ec.generate_private_key(ec.SECP256R1()) if asked.get("foreign") else bank.keys.curve("google-root")
    intermediate = ec.generate_private_key(ec.SECP256R1())
    life_s = -1 if asked.get("expired") else MESSAGE_LIFE_S
    signed_key = json.dumps({"keyValue": _public(intermediate), "keyExpiration": str(_ms(bank, KEY_LIFE_S))})
    message = json.dumps(
        {
            "classId": found["classId"],
            "objectId": found["id"],
            "eventType": event,
            "expTimeMillis": _ms(bank, life_s),
            "count": 1,
            "nonce": secrets.token_urlsafe(24),
        }
    )
    body = {
        "signature": _signature(intermediate, SENDER, issuer_id, PROTOCOL, message),
        "intermediateSigningKey": {
            "signedKey": signed_key,
            "signatures": [_signature(root, SENDER, PROTOCOL, signed_key)],
        },
        "protocolVersion": PROTOCOL,
        "signedMessage": message,
    }
    return json.dumps(body).encode()


def _done(bank: Bank, found: Json, event: str, asked: Json) -> list[int]:
    """Notes it and calls back as often as asked; a browser does not wait for retries."""
    with bank.store.lock:
        bank.store.put("google_saves", found["id"], {"is_saved": event == "save"})
        own_class = bank.store.table("loyaltyClass").get(found["classId"], {})
        url = str((own_class.get("callbackOptions") or {}).get("url") or "")
    if not url or asked.get("silent"):
        return []
    body = callback(bank, found, event, asked)
    if asked:
        return [_posted(url, body) for _ in range(int(asked.get("copies", 1)))]
    threading.Thread(target=_keep_trying, args=(url, body), name="google-callback", daemon=True).start()
    return []


def _keep_trying(url: str, body: bytes) -> None:
    for turn in range(TRIES):
        if _posted(url, body) == 200:
            return
        time.sleep(PAUSE_S * 2**turn)


def _posted(url: str, body: bytes) -> int:
    """The status, 0 for no answer."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Content-Type": "application/json", "User-Agent": "Googlebot"}
            return session.post(url, data=body, headers=headers, timeout=ANSWER_TIMEOUT_S).status_code
    except requests.RequestException:
        return 0


def _object_of(bank: Bank, link: str) -> tuple[Json | None, str]:
    """The object that a link names, or what is wrong with the link."""
    claims = claims_of(bank, link)
    if len(link) > LINK_CHARS_MAX or claims is None:
        return None, "ссылка не подписана или слишком длинна"
    if (claims.get("aud"), claims.get("typ")) != ("google", "savetowallet"):
        return None, "ссылка не для сохранения карты"
    try:
        named: Any = claims["payload"]["loyaltyObjects"][0]["id"]
    except (KeyError, IndexError, TypeError):
        return None, "в ссылке нет карты"
    found = bank.store.table("loyaltyObject").get(named) if isinstance(named, str) else None
    return found, "" if found else f"нет объекта {named}"


def _is_saved(bank: Bank, found: Json | None) -> bool:
    return found is not None and bool(bank.store.table("google_saves").get(found["id"], {}).get("is_saved"))


def _signature(key: ec.EllipticCurvePrivateKey, *parts: str) -> str:
    content = b"".join(struct.pack("<I", len(part.encode())) + part.encode() for part in parts)
    return base64.b64encode(key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _ms(bank: Bank, after_s: float) -> int:
    return int((bank.clock.now() + after_s) * 1000)
