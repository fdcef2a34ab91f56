"""An account at an acquirer that is asked over HTTP.

Owns the keeping of its credentials and the one way to ask for a JSON object. Knows no acquirer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from connector.acquiring.base import Acquirer, credential
from connector.http import HttpClient, Reply
from connector.replies import json_object, raise_for_status


class Account(Acquirer):
    """`_secrets` holds the credentials by their names, those that are required for certain."""

    def __init__(self, secrets: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool) -> None:
        self._secrets = secrets
        self._api_url = api_url.rstrip("/")
        self._http = http
        self._check_ip = check_ip

    @classmethod
    def from_credentials(
        cls, credentials: Mapping[str, str], *, api_url: str, http: HttpClient, check_ip: bool
    ) -> Self:
        needed = {name: credential(credentials, cls.name, name) for name in cls.credentials}
        return cls({**credentials, **needed}, api_url=api_url, http=http, check_ip=check_ip)

    def _ask(
        self, method: str, path: str, *, route: str, what: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """An answer that is a JSON object. Reads only: what fails may be asked again. Raises ConnectorError."""
        given = {"Accept": "application/json", **headers}
        reply = self._http.send(method, self._api_url + path, route=route, headers=given, body=body)
        raise_for_status(reply, what, is_write=False)
        json_object(reply, what, is_write=False)
        return reply
