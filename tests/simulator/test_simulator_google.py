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


def test_its_limits_faults_and_nulls_are_googles(start_server: Callable[..., Any]) -> None:
    bank = start_server("bank")
    token = ask_token(bank.url, rsa.generate_private_key(public_exponent=65537, key_size=2048)).json()["access_token"]

    def call(method: str, path: str, body: Any = None) -> requests.Response:
        url = f"{bank.url}/walletobjects/v1/{path}"
        return requests.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=5)

    def plan(**faults: Any) -> Any:
        return requests.post(f"{bank.url}/sim/google/faults", json=faults, timeout=5).json()

    made = call("POST", "loyaltyClass", {**CLASS, "homepageUri": {"uri": "https://x.ru"}}).json()
    call("POST", "loyaltyObject", {**OBJECT, "notifyPreference": "NOTIFY_ON_UPDATE"})
    cleared = call("PATCH", "loyaltyClass/338800.club", {"homepageUri": None}).json()
    plan(quota_403=1)
    quota = call("GET", "loyaltyObject/338800.m1")
    plan(error_503=1, error_401=1)
    statuses = [call("GET", "loyaltyObject/338800.m1").status_code for _ in range(3)]
    said = [{"message": {"id": str(n), "messageType": "TEXT_AND_NOTIFY" if n < 4 else "TEXT"}} for n in range(12)]
    told = [call("POST", "loyaltyObject/338800.m1/addMessage", message).status_code for message in said]
    plan(requests_per_second=1)
    hurried = [call("GET", "loyaltyObject/338800.m1").status_code for _ in range(2)]

    assert made["reviewStatus"] == "APPROVED"
    assert "homepageUri" not in cleared
    assert (quota.status_code, quota.json()["error"]["status"]) == (403, "RESOURCE_EXHAUSTED")
    assert sorted(statuses) == [200, 401, 503]
    assert told == [200, 200, 200, 403, *[200] * 7, 400]
    assert 429 in hurried
    assert requests.get(f"{bank.url}/gp/v/save/nonsense", timeout=5).status_code == 404
    assert requests.get(f"{bank.url}/gp/m/issuer/keys", timeout=5).json()["keys"][0]["protocolVersion"]
