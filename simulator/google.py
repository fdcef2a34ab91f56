"""A stand-in for Google: service-account tokens and loyalty classes and objects of the Wallet API.

Implements the wallet reference A8 to A10 (insert, get, patch, addMessage; 404 and 409). Draws no cards.
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
    claims = _claims(bank, request.form.get("assertion", ""))
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
        return plain(bank.store.put(kind, resource_id, asked))


@bp.get(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>")
def get(kind: str, resource_id: str) -> Response:
    return plain(_found(_authorised(), kind, resource_id))


@bp.route(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>", methods=["PATCH", "PUT"])
def change(kind: str, resource_id: str) -> Response:
    """PATCH merges the top level and replaces arrays; PUT replaces the resource."""
    bank, asked = _authorised(), _asked()
    with bank.store.lock:
        row = _found(bank, kind, resource_id)
        fresh = {**row, **asked} if request.method == "PATCH" else {**asked, "id": resource_id}
        return plain(bank.store.put(kind, resource_id, fresh))


@bp.post(f"/walletobjects/v1/<{KINDS}:kind>/<resource_id>/addMessage")
def add_message(kind: str, resource_id: str) -> Response:
    bank, asked = _authorised(), _asked()
    with bank.store.lock:
        row = _found(bank, kind, resource_id)
        messages = [*row.get("messages", []), asked.get("message", {})][-10:]
        return plain({"resource": bank.store.put(kind, resource_id, {**row, "messages": messages})})


def resources(bank: Bank) -> Json:
    """All classes and objects, for the control API."""
    return {kind: list(bank.store.table(kind).values()) for kind in ("loyaltyClass", "loyaltyObject")}


def _claims(bank: Bank, assertion: str) -> Json | None:
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
    return bank


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


def _found(bank: Bank, kind: str, resource_id: str) -> Json:
    row = bank.store.table(kind).get(resource_id)
    if row is None:
        raise Refusal(404, "NOT_FOUND", f"{kind} not found: {resource_id}")
    return row
