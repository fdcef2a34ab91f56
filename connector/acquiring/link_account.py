"""The one way to send a write to an acquirer, and the reading of its answer.

Owns what must be `ambiguous` there: everything that goes wrong after the request has gone. Knows no acquirer.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from connector.acquiring.account import Account
from connector.acquiring.forms import told
from connector.acquiring.links import MakesLinks
from connector.errors import BadMoney, BadReply, Problem
from connector.http import Reply
from connector.money import kopecks_from_roubles
from connector.replies import json_object, raise_for_status

_URL = re.compile(r"https?://[!-~]{1,2000}")
_PERSONAL = re.compile(r"[^\s@]+@[^\s@]+|\+?\d[\d ()-]{8,}\d")


class LinkAccount(Account, MakesLinks):
    """An account at an acquirer that takes orders as JSON."""

    def _write(
        self,
        path: str,
        content: Mapping[str, Any],
        *,
        route: str,
        what: str,
        headers: Mapping[str, str],
        problems: Callable[[Reply], tuple[Problem, ...]] = lambda _reply: (),
    ) -> dict[str, Any]:
        """A JSON object in answer to a write, which may have happened whenever `ambiguous` is set."""
        given = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        body = json.dumps(content).encode()
        reply = self._http.send("POST", self._api_url + path, route=route, headers=given, body=body)
        raise_for_status(reply, what, is_write=True, problems=problems(reply) if reply.status >= 400 else ())
        return json_object(reply, what, is_write=True)


def succeeded(answer: Mapping[str, Any], what: str) -> bool:
    """The `Success` of an answer under status 200. Raises BadReply if it says neither."""
    is_success = answer.get("Success")
    if not isinstance(is_success, bool):
        raise BadReply(f"{what}: neither success nor refusal", ambiguous=True)
    return is_success


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def own_words(code: object, path: object, detail: object) -> Problem:
    """The acquirer's complaint, without addresses and numbers that may be a buyer's."""
    return Problem(*(_PERSONAL.sub("…", told(text)) for text in (code, path, detail)))


def known(pattern: re.Pattern[str], value: object, what: str) -> str:
    """A text of this form out of the answer to a write. Raises BadReply: what was written cannot be told."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise BadReply(f"not {what}", ambiguous=True)
    return value


def address(value: object, what: str) -> str:
    """Where the buyer pays. Raises BadReply."""
    return known(_URL, value, what)


def agreed(value: object, amount_kopecks: int, what: str) -> None:
    """Raises BadReply unless it is this amount in roubles: an old key may bring back an older payment."""
    try:
        is_same = kopecks_from_roubles(value) == amount_kopecks
    except BadMoney:
        is_same = False
    if not is_same:
        raise BadReply(f"{what}: a payment of another sum came back", ambiguous=True)


def shown(content: object) -> dict[str, Any]:
    """An object inside an answer; empty for anything else."""
    return content if isinstance(content, dict) else {}
