"""Google Wallet's REST API: classes and objects of loyalty cards.

Owns the calls, not the content: payloads come from `wallet/` as they are to be sent. Implements sections A8 to A10 of
the wallet reference. google-auth signs and refreshes the access token; its traffic goes through our one socket too.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from google.auth import exceptions as google_errors
from google.auth import transport
from google.oauth2 import service_account

from connector.errors import (
    AlreadyExists,
    BadReply,
    ConnectorError,
    NeedsReauth,
    NotConfigured,
    NotFound,
    RateLimited,
    ServerFailed,
)
from connector.http import HttpClient, Reply
from connector.protocols import RateGate
from connector.replies import json_object, raise_for_status, retry_after_s

API_URL = "https://walletobjects.googleapis.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
NOTIFY = {"notifyPreference": "NOTIFY_ON_UPDATE"}
"""In a PATCH: the phone says that the balance has changed. Google forgets it with the call."""

_GRANT = "google token endpoint"
_RESOURCE_ID = re.compile(r"[\w.-]{1,256}", re.ASCII)
_NAMES = frozenset({"id", "classId"})
_QUOTA_PAUSE_S = 5.0

Json = Mapping[str, Any]


class NoRights(NeedsReauth):
    """Google knows the service account, but it may not touch this issuer."""

    code = "no_rights"


class NoticesSpent(ConnectorError):
    """This card has said aloud what it may in a day, by whomever; said silently it goes. Nothing else has to wait."""

    code = "notices_spent"


class GoogleWallet:
    """One issuer, by its service account. Safe to repeat: every call sets a state."""

    def __init__(
        self,
        credentials_info: Json,
        *,
        http: HttpClient,
        gate: RateGate | None = None,
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
        self._refreshing = threading.Lock()
        self._base_url = f"{api_url.rstrip('/')}/walletobjects/v1"
        self._http = http
        self._gate = gate

    def hurried(self, http: HttpClient, gate: RateGate) -> GoogleWallet:
        """The same issuer and token with other patience: for somebody who waits for a page."""
        other = object.__new__(GoogleWallet)
        other._credentials, other._refreshing, other._base_url = self._credentials, self._refreshing, self._base_url
        other._http, other._gate = http, gate
        return other

    def put_class(self, payload: Json, *, is_made: bool, cleared: Sequence[str] = ()) -> Json:
        """Brings the class of cards to this state, and returns what Google says of it. Fields that are not ours stay
        as somebody set them; `cleared` are those that were ours and are no more."""
        return self._put("loyaltyClass", payload, {**dict.fromkeys(cleared), **payload}, is_made=is_made)

    def put_object(self, payload: Json, *, is_made: bool, notify: bool = False) -> None:
        """Brings the card to this state; `is_made`: try to change it first. `notify` asks the phone to say so; where it
        has said enough today, the card changes without a word."""
        try:
            self._put("loyaltyObject", payload, {**payload, **(NOTIFY if notify else {})}, is_made=is_made)
        except NoticesSpent:
            if not notify:
                raise
            self._put("loyaltyObject", payload, payload, is_made=is_made)

    def insert_object(self, payload: Json) -> None:
        """Makes the card; one that exists is left as it is."""
        try:
            self._call("POST", "loyaltyObject", _without_nothing(payload))
        except AlreadyExists:
            return

    def messages(self, object_id: str) -> list[dict[str, Any]]:
        """Everything that the card's messages say now, ours or not."""
        found = self._call("GET", "loyaltyObject", None, resource_id=object_id).get("messages", [])
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def keep_messages(self, object_id: str, kept: Sequence[Json]) -> None:
        """The card's messages become these."""
        self._call("PATCH", "loyaltyObject", {"messages": list(kept)}, resource_id=object_id)

    def add_message(self, object_id: str, message: Json) -> None:
        """One message more; of the type TEXT_AND_NOTIFY the phone speaks."""
        self._call("POST", "loyaltyObject", {"message": message}, resource_id=object_id, action="addMessage")

    def _put(self, kind: str, payload: Json, changes: Json, *, is_made: bool) -> Json:
        resource_id = payload.get("id")
        if not isinstance(resource_id, str) or _RESOURCE_ID.fullmatch(resource_id) is None:
            raise ValueError("a Google Wallet resource needs an id of letters, digits, '.', '_' and '-'")
        patch = {name: value for name, value in changes.items() if name not in _NAMES}
        if is_made:
            try:
                return self._call("PATCH", kind, patch, resource_id=resource_id)
            except NotFound:  # another issuer, or Google has lost it
                return self._call("POST", kind, _without_nothing(payload))
        try:
            return self._call("POST", kind, _without_nothing(payload))
        except AlreadyExists:
            return self._call("PATCH", kind, patch, resource_id=resource_id)

    def _call(
        self, method: str, kind: str, payload: Json | None, *, resource_id: str | None = None, action: str = ""
    ) -> Json:
        path = "".join(f"/{part}" for part in (kind, resource_id, action) if part)
        route = path if resource_id is None else path.replace(resource_id, "{id}")
        body = None if payload is None else json.dumps(payload, allow_nan=False).encode()
        what = f"google wallet {method} {kind} {action}".rstrip()
        token = self._access_token()
        reply = self._send(method, path, route, body, token)
        if reply.status == 401:  # Google has ended the token before its time: once more, with a fresh one
            reply = self._send(method, path, route, body, self._access_token(instead_of=token))
        try:
            _check(reply, what, is_write=method != "GET")
        except RateLimited as failure:
            if self._gate is not None:
                self._gate.pause(failure.retry_after_s or _QUOTA_PAUSE_S)
            raise
        return json_object(reply, what, is_write=False) if reply.body.strip() else {}

    def _send(self, method: str, path: str, route: str, body: bytes | None, token: str) -> Reply:
        if self._gate is not None:
            self._gate.wait_turn()
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {token}"}
        url = self._base_url + path
        return self._http.send(method, url, route=f"/walletobjects/v1{route}", headers=headers, body=body)

    def _access_token(self, *, instead_of: str | None = None) -> str:
        # Not before_request(): it also asks another Google service in a thread of its own.
        failure: ConnectorError
        with self._refreshing:
            try:
                if not self._credentials.valid or self._credentials.token == instead_of:
                    self._credentials.refresh(_Transport(self._http))
                return str(self._credentials.token)
            except google_errors.RefreshError as error:
                failure = _refresh_failure(error)
            except (google_errors.GoogleAuthError, ValueError):
                failure = ServerFailed("google wallet: the token endpoint's answer cannot be used")
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
        try:
            reply = self._http.send(method, url, route="/token", headers=headers, body=body)
        except ConnectorError as failure:
            failure.ambiguous = False  # a token that nobody holds changes nothing
            raise
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


def _without_nothing(payload: Json) -> Json:
    """For an insert: there is nothing yet that a null could clear."""
    return {name: value for name, value in payload.items() if value is not None}


def _check(reply: Reply, what: str, *, is_write: bool) -> None:
    if reply.status == 403:
        told = _told(reply)
        if "quotaexceededexception" in told:
            raise NoticesSpent(f"{what}: notices of this card")
        if "resource_exhausted" in told or "quota" in told:
            raise RateLimited(f"{what}: quota", retry_after_s=max(retry_after_s(reply), _QUOTA_PAUSE_S))
        if reply.is_json:
            raise NoRights(f"{what}: the service account is not a user of this issuer")
    raise_for_status(reply, what, is_write=is_write)


def _told(reply: Reply) -> str:
    """Section A9: a spent quota comes as 403 RESOURCE_EXHAUSTED, that of notices as QuotaExceededException."""
    try:
        content = reply.json()
    except BadReply:
        return ""
    error = content.get("error") if isinstance(content, dict) else None
    return f"{error.get('status')} {error.get('message')}".lower() if isinstance(error, dict) else ""
