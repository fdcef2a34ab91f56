"""The stand-in for Google Wallet: wallet reference A8 to A10."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLASS = {
    "id": "338800.club",
    "issuerName": "Спорт",
    "programName": "Клуб",
    "programLogo": {"sourceUri": {"uri": "https://example.ru/logo.png"}},
    "reviewStatus": "UNDER_REVIEW",
}
OBJECT = {"id": "338800.m1", "classId": "338800.club", "state": "ACTIVE", "textModulesData": [{"id": "a"}, {"id": "b"}]}


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(key: rsa.RSAPrivateKey) -> str:
    head, claims = {"alg": "RS256", "typ": "JWT"}, {"iss": "bot@example.iam", "iat": int(time.time())}
    signed = f"{part(json.dumps(head).encode())}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def ask_token(url: str, key: rsa.RSAPrivateKey) -> requests.Response:
    return requests.post(f"{url}/token", data={"grant_type": GRANT, "assertion": assertion(key)}, timeout=5)


def test_a_service_account_signs_in_and_keeps_one_object(start_server: Callable[..., Any]) -> None:
    own, foreign = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    pem = own.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bank = start_server("bank", google={"public_key": pem.decode()})
    refused = ask_token(bank.url, foreign)
    token = ask_token(bank.url, own).json()["access_token"]

    def call(method: str, path: str, body: Any = None, bearer: str = token) -> requests.Response:
        headers = {"Authorization": f"Bearer {bearer}"}
        url = f"{bank.url}/walletobjects/v1/{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=5)

    orphan = call("POST", "loyaltyObject", OBJECT)
    created = [call("POST", "loyaltyClass", CLASS), call("POST", "loyaltyObject", OBJECT)]
    repeated = call("POST", "loyaltyObject", OBJECT)
    patched = call("PATCH", "loyaltyObject/338800.m1", {"textModulesData": [{"id": "c"}]})

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert orphan.status_code == 404
    assert [answer.status_code for answer in created] == [200, 200]
    assert (repeated.status_code, repeated.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
    assert patched.json() == {**OBJECT, "textModulesData": [{"id": "c"}]}
    assert call("GET", "loyaltyObject/338800.m2").status_code == 404
    assert call("GET", "loyaltyObject/338800.m1", bearer="no").status_code == 401
    assert call("POST", "loyaltyClass", {"id": "338800.x"}).status_code == 400
