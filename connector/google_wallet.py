"""Google Wallet's REST API: classes and objects of loyalty cards.

Owns the calls, not the content: payloads come from `wallet/` as they are to be sent. Implements sections A8 to A10 of
the wallet reference. google-auth signs and refreshes the access token; its traffic goes through our one socket too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from google.auth import exceptions as google_errors
from google.auth import transport
from google.oauth2 import service_account

from connector.errors import AlreadyExists, BadReply, NeedsReauth, NotConfigured, RateLimited, ServerFailed
from connector.http import HttpClient, Reply
from connector.replies import json_object, raise_for_status, retry_after_s

API_URL = "https://walletobjects.googleapis.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
_GRANT = "google token endpoint"
_RESOURCE_ID = re.compile(r"[\w.-]{1,256}", re.ASCII)


class GoogleWallet:
    """One issuer, by its service account. Safe to repeat: every call sets a state."""

    def __init__(
        self,
        credentials_info: Mapping[str, Any],
        *,
        http: HttpClient,
        api_url: str = API_URL,
        token_url: str = TOKEN_URL,
    ) -> None:
        """`credentials_info` is the content of the service account's key file. Raises NotConfigured."""
        try:
            info = {**credentials_info, "token_uri": token_url}
            credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                info, scopes=[SCOPE]
            )
        except (ValueError, google_errors.GoogleAuthError):
            credentials = None
        if credentials is None:
            # Raised outside the handler: the library's message may quote the key file.
            raise NotConfigured("google wallet: the service account's key file is not usable")
        self._credentials = credentials
        self._base_url = f"{api_url.rstrip('/')}/walletobjects/v1"
        self._http = http

    def ensure_class(self, payload: Mapping[str, Any]) -> None:
        """Creates the class of cards; one that exists is left as it is."""
        try:
            self._call("POST", "loyaltyClass", payload)
        except AlreadyExists:
            return

    def upsert_object(self, payload: Mapping[str, Any]) -> None:
        """Creates the card or brings it to this state."""
        object_id = payload.get("id")
        if not isinstance(object_id, str) or _RESOURCE_ID.fullmatch(object_id) is None:
            raise ValueError("a Google Wallet object needs an id of letters, digits, '.', '_' and '-'")
        try:
            self._call("POST", "loyaltyObject", payload)
        except AlreadyExists:
            self._call("PATCH", "loyaltyObject", payload, resource_id=object_id)

    def _call(self, method: str, kind: str, payload: Mapping[str, Any], *, resource_id: str | None = None) -> None:
        url = f"{self._base_url}/{kind}" + ("" if resource_id is None else f"/{resource_id}")
        route = f"/walletobjects/v1/{kind}" + ("" if resource_id is None else "/{id}")
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {self._access_token()}"}
        body = json.dumps(payload, allow_nan=False).encode()
        reply = self._http.send(method, url, route=route, headers=headers, body=body)
        _check(reply, f"google wallet {method} {kind}")

    def _access_token(self) -> str:
        # Not before_request(): it also asks another Google service in a thread of its own.
        try:
            if not self._credentials.valid:
                self._credentials.refresh(_Transport(self._http))
            return str(self._credentials.token)
        except google_errors.RefreshError as error:
            failure = _refresh_failure(error)
        raise failure


class _Answer(transport.Response):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    @property
    def status(self) -> int:
        return self._reply.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._reply.headers

    @property
    def data(self) -> bytes:
        return self._reply.body


class _Transport(transport.Request):
    """google-auth's way to the network, over our client: its timeouts, cap and log hold for token calls too."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        del timeout
        reply = self._http.send(method, url, route="/token", headers=headers, body=body)
        if reply.status == 429 or reply.status >= 500:
            # google-auth would sleep and repeat; who repeats is decided by our caller.
            raise_for_status(reply, _GRANT, is_write=False)
        if reply.status == 200:
            # google-auth takes for granted that a success is JSON.
            json_object(reply, _GRANT, is_write=False)
        return _Answer(reply)


def _refresh_failure(error: google_errors.RefreshError) -> NeedsReauth | ServerFailed:
    if error.retryable:
        return ServerFailed("google wallet: no access token now")
    return NeedsReauth("google wallet: Google does not accept the service account's key")


def _check(reply: Reply, what: str) -> None:
    if reply.status == 403 and _is_quota(reply):
        raise RateLimited(f"{what}: quota", retry_after_s=retry_after_s(reply))
    raise_for_status(reply, what, is_write=True)


def _is_quota(reply: Reply) -> bool:
    """Section A9: a spent quota comes as 403 RESOURCE_EXHAUSTED."""
    try:
        content = reply.json()
    except BadReply:
        return False
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return False
    told = f"{error.get('status')} {error.get('message')}".lower()
    return "resource_exhausted" in told or "quota" in told
