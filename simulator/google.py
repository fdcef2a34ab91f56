"""A stand-in for Google: service-account tokens and loyalty classes and objects of the Wallet API.

Implements the wallet reference A8 to A10 (insert, get, patch, addMessage; 404 and 409; the limits of messages and
notices). Draws no cards; saving them is `google_saves`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from flask import Blueprint, Response, request

from simulator.answers import Json, plain
from simulator.bank_world import Bank, the_bank
from simulator.google_faults import DAY_S, MESSAGES_MAX, NOTICES_A_DAY, answered

TOKEN_LIFE_S = 3599
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
KINDS = "any(loyaltyClass,loyaltyObject)"
RESOURCE_ID = re.compile(r"[0-9]+\.[A-Za-z0-9._-]+")

bp = Blueprint("google", __name__)


class Refusal(Exception):
    """Google's `{"error": {code, message, status}}`."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.body = {"error": {"code": code, "message": message, "status": status}}


@bp.errorhandler(Refusal)
def refused(refusal: Refusal) -> Response:
    return plain(refusal.body, refusal.code)


@bp.post("/token")
def token() -> Response:
    bank = the_bank()
    claims = claims_of(bank, request.form.get("assertion", ""))
    # google-auth stamps assertions with real time whatever the virtual clock says, so their age is not checked.
    if request.form.get("grant_type") != GRANT or claims is None:
        return plain({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
    access = "ya29." + secrets.token_urlsafe(32)
    with bank.store.lock:
        bank.store.put("google_tokens", access, {"issuer": claims.get("iss")})
    return plain({"access_token": access, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"})


@bp.post(f"/walletobjects/v1/<{KINDS}:kind>")
def insert(kind: str) -> Response:
    bank, asked = _authorised(), _asked()
    resource_id = str(asked.get("id", ""))
    _check(bank, kind, asked)
    rows = bank.store.table(kind)
    with bank.store.lock:
        if resource_id in rows:
            raise Refusal(409, "ALREADY_EXISTS", f"An existing resource was found with id {resource_id}")
        asked.pop("notifyPreference", None)
        return answered(bank.google, bank.store.put(kind, resource_id, _reviewed(bank, kind, asked)))


@bp.get(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>")
def get(kind: str, resource_id: str) -> Response:
    return plain(_found(_authorised(), kind, resource_id))


@bp.route(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>", methods=["PATCH", "PUT"])
def change(kind: str, resource_id: str) -> Response:
    """PATCH merges the top level, replaces arrays and takes away what is null; PUT replaces the resource."""
    bank, asked = _authorised(), _asked()
    with bank.store.lock:
        row = _found(bank, kind, resource_id)
        if len(asked.get("messages") or []) > MESSAGES_MAX:
            raise Refusal(400, "INVALID_ARGUMENT", "Too many messages")
        is_loud = asked.pop("notifyPreference", None) == "NOTIFY_ON_UPDATE"
        fresh = {**row, **asked} if request.method == "PATCH" else {**asked, "id": resource_id}
        fresh = {name: value for name, value in fresh.items() if value is not None}
        if is_loud and fresh.get("loyaltyPoints") != row.get("loyaltyPoints"):
            _notify(bank, resource_id, "balance")  # what is over the limit is dropped without a word
        return answered(bank.google, bank.store.put(kind, resource_id, _reviewed(bank, kind, fresh)))


@bp.post(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>/addMessage")
def add_message(kind: str, resource_id: str) -> Response:
    bank, asked = _authorised(), _asked()
    with bank.store.lock:
        row = _found(bank, kind, resource_id)
        message = asked.get("message")
        if not isinstance(message, dict):
            raise Refusal(400, "INVALID_ARGUMENT", "No message")
        if len(row.get("messages", [])) >= MESSAGES_MAX:
            raise Refusal(400, "INVALID_ARGUMENT", "Too many messages")
        if message.get("messageType") == "TEXT_AND_NOTIFY" and not _notify(bank, resource_id, "message"):
            raise Refusal(403, "RESOURCE_EXHAUSTED", "QuotaExceededException: notifications")
        fresh = {**row, "messages": [*row.get("messages", []), message]}
        return answered(bank.google, {"resource": bank.store.put(kind, resource_id, fresh)})


def resources(bank: Bank) -> Json:
    """All classes and objects, for the control API."""
    found: Json = {kind: list(bank.store.table(kind).values()) for kind in ("loyaltyClass", "loyaltyObject")}
    return {**found, "notices": bank.store.table("google_notices"), "saves": bank.store.table("google_saves")}


def claims_of(bank: Bank, assertion: str) -> Json | None:
    """Claims of a JWT whose RS256 signature fits the configured key (any signature if none is configured)."""
    try:
        head, body, signature = assertion.split(".")
        if json.loads(_decoded(head))["alg"] != "RS256":
            return None
        if bank.settings.bank.google_public_key:
            key = serialization.load_pem_public_key(bank.settings.bank.google_public_key.encode())
            if not isinstance(key, rsa.RSAPublicKey):
                return None
            key.verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(body))
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return None
    return claims if isinstance(claims, dict) else None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _authorised() -> Bank:
    bank = the_bank()
    if request.headers.get("Authorization", "").removeprefix("Bearer ") not in bank.store.table("google_tokens"):
        raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    with bank.store.lock:
        refusal = bank.google.refusal()
    if refusal is not None:
        raise Refusal(*refusal)
    return bank


def _reviewed(bank: Bank, kind: str, row: Json) -> Json:
    """What was sent in for a review has passed it by the next look."""
    if kind != "loyaltyClass" or row.get("reviewStatus") != "UNDER_REVIEW":
        return row
    return {**row, "reviewStatus": "REJECTED" if bank.google.plan.rejected else "APPROVED"}


def _notify(bank: Bank, resource_id: str, what: str) -> bool:
    """Whether the phone makes a sound: three times a day at most."""
    now = bank.clock.now()
    told = bank.store.table("google_notices").get(resource_id, {"sounds": []})["sounds"]
    if sum(one["at"] > now - DAY_S for one in told) >= NOTICES_A_DAY:
        return False
    bank.store.put("google_notices", resource_id, {"sounds": [*told, {"at": now, "what": what}]})
    return True


def _asked() -> Json:
    asked: Any = request.get_json(silent=True, force=True)
    if not isinstance(asked, dict):
        raise Refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    return asked


def _check(bank: Bank, kind: str, asked: Json) -> None:
    required = {
        "loyaltyClass": ("id", "issuerName", "programName", "programLogo", "reviewStatus"),
        "loyaltyObject": ("id", "classId", "state"),
    }
    missing = [key for key in required[kind] if not asked.get(key)]
    if missing or not RESOURCE_ID.fullmatch(str(asked.get("id", ""))):
        raise Refusal(400, "INVALID_ARGUMENT", f"Invalid resource ID or missing fields: {', '.join(missing) or 'id'}")
    if kind == "loyaltyObject" and asked["classId"] not in bank.store.table("loyaltyClass"):
        raise Refusal(404, "NOT_FOUND", f"classNotFound: {asked['classId']}")
    if kind == "loyaltyObject" and bank.store.table("loyaltyClass")[asked["classId"]].get("reviewStatus") == "DRAFT":
        raise Refusal(400, "INVALID_ARGUMENT", "Class is a draft")


def _found(bank: Bank, kind: str, resource_id: str) -> Json:
    row = bank.store.table(kind).get(resource_id)
    if row is None:
        raise Refusal(404, "NOT_FOUND", f"{kind} not found: {resource_id}")
    return row
