"""One request to amoCRM and what its answer means.

Owns the rules common to all endpoints: a turn at the gate before every call, one refresh and one repetition after 401,
one repetition of a read after a broken connection, none of a write; errors and pages. Implements sections 2 and 12 of
the amoCRM reference. Knows no entity and keeps no state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from connector.amocrm.auth import AccessTokens
from connector.amocrm.home import BAN_S, Home
from connector.amocrm.hosts import base_url_for
from connector.amocrm.reading import QueryValue, Row, embedded, problems, query_pairs, whole
from connector.errors import (
    AccountUnpaid,
    BadReply,
    Blocked,
    NeedsReauth,
    RateLimited,
    Unreachable,
    WrongMode,
)
from connector.http import HttpClient, Reply
from connector.protocols import RateGate
from connector.replies import DEFAULT_PAUSE_S, json_object, raise_for_status

__all__ = ["MAX_PAGES", "PAGE_ROWS", "READ_BATCH", "WRITE_BATCH", "Api", "base_url_for", "in_write_batch"]

PAGE_ROWS = 250
MAX_PAGES = 40
# 250 ids would make an address of about 8 KB, the usual limit of a web server.
READ_BATCH = 150
WRITE_BATCH = 50
_IDS = re.compile(r"/[0-9]+(?=/|$)")


class Api:
    """The door to one account. `base_url` comes from `base_url_for`; a Home follows an account that moves."""

    def __init__(self, base_url: str | Home, auth: AccessTokens, gate: RateGate, http: HttpClient) -> None:
        self._home = base_url if isinstance(base_url, Home) else Home(base_url)
        self._auth = auth
        self._gate = gate
        self._http = http

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: object = None,
    ) -> dict[str, Any] | None:
        """The answer's JSON object, None for an empty answer (204). `path` is below /api/v4. The first one of a process
        is preceded by a look at whose account it is. Raises ConnectorError."""
        if self._home.needs_proof():
            self._home.prove(whole(self._answer("GET", "/account") or {}, "id"))
        return self._answer(method, path, query=query, body=body)

    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: object = None,
    ) -> dict[str, Any] | None:
        reply = self._sent(method, path, query=query or {}, body=body)
        try:
            return _meaning(reply, f"amoCRM {method} {_IDS.sub('/{id}', path)}", is_write=method != "GET")
        except RateLimited as failure:
            self._gate.pause(failure.retry_after_s or DEFAULT_PAUSE_S)
            raise
        except Blocked as failure:
            self._gate.open_circuit(BAN_S, str(failure))
            raise

    def all_rows(self, path: str, name: str, query: Mapping[str, QueryValue] | None = None) -> list[Row]:
        """Rows of all pages. We count pages ourselves: the `next` link of an answer is not followed anywhere."""
        rows: list[Row] = []
        for page in range(1, MAX_PAGES + 1):
            answer = self.request("GET", path, query={**(query or {}), "page": page, "limit": PAGE_ROWS})
            rows += embedded(answer, name)
            links = (answer or {}).get("_links")
            if not isinstance(links, dict) or not links.get("next"):
                return rows
        raise BadReply(f"amoCRM: {path} has more than {MAX_PAGES} pages")

    def rows_by_ids(self, path: str, name: str, ids: Iterable[int], *, linked: str) -> list[Row]:
        """Rows with these ids, one request per READ_BATCH of them; unknown ids are simply not among the rows."""
        wanted = sorted(set(ids))
        rows: list[Row] = []
        for start in range(0, len(wanted), READ_BATCH):
            batch: QueryValue = {"id": wanted[start : start + READ_BATCH]}
            rows += embedded(
                self.request("GET", path, query={"filter": batch, "with": linked, "limit": PAGE_ROWS}), name
            )
        return rows

    def _sent(self, method: str, path: str, *, query: Mapping[str, QueryValue], body: object) -> Reply:
        self._gate.wait_turn()
        token = self._token(None)
        reply = self._once(method, path, query=query, body=body, token=token)
        if reply.status != 401:
            return reply
        token = self._token(token)
        self._gate.wait_turn()
        reply = self._once(method, path, query=query, body=body, token=token)
        if reply.status == 401:
            raise NeedsReauth("amoCRM refuses a fresh token: is the user who connected us still an active admin?")
        return reply

    def _token(self, rejected: str | None) -> str:
        try:
            return self._auth.access_token() if rejected is None else self._auth.replacement(rejected)
        except Blocked as failure:
            self._gate.open_circuit(BAN_S, str(failure))
            raise

    def _once(self, method: str, path: str, *, query: Mapping[str, QueryValue], body: object, token: str) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        content: bytes | None = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, allow_nan=False).encode()

        base_url = self._home.base_url()

        def attempt() -> Reply:
            url, route = f"{base_url}/api/v4{path}", "/api/v4" + _IDS.sub("/{id}", path)
            pairs = query_pairs(query)
            return self._http.send(method, url, route=route, headers=headers, query=pairs, body=content)

        try:
            return attempt()
        except Unreachable:
            if method != "GET":
                raise
        self._gate.wait_turn()
        return attempt()


def in_write_batch(count: int) -> None:
    """Larger batches are slower than two requests and end in 504 (section 2.1)."""
    if count > WRITE_BATCH:
        raise ValueError(f"at most {WRITE_BATCH} entities in one request, got {count}")


def _meaning(reply: Reply, what: str, *, is_write: bool) -> dict[str, Any] | None:
    if 200 <= reply.status < 300:
        return json_object(reply, what, is_write=is_write) if reply.body.strip() else None
    told = _problem_body(reply)
    if reply.status == 403 and told is None:
        raise Blocked(f"{what}: shut out", retry_after_s=BAN_S)
    complaints = problems(told)
    if reply.status == 402:
        raise AccountUnpaid(f"{what}: the account or its tariff is not paid for", status=402, problems=complaints)
    if reply.status == 422:
        raise WrongMode(f"{what}: the feature is off in this account", status=422, problems=complaints)
    raise_for_status(reply, what, is_write=is_write, problems=complaints)
    return None


def _problem_body(reply: Reply) -> dict[str, Any] | None:
    try:
        content = reply.json()
    except BadReply:
        return None
    return content if isinstance(content, dict) else None
