"""Access to the CRM: the grant page's address, what comes back from it, and the end of access that amoCRM tells.

Whatever comes with the redirect was chosen by whoever sent it. The state proves that we asked; it is used once. The
code goes to the address in our rules file, never to the one that the redirect names.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING

import structlog

from connector.amocrm.auth import OAuthTokens
from connector.amocrm.hosts import grant_url, sibling_url
from connector.amocrm.installing import is_genuine_uninstall
from connector.errors import ConnectorError, ForeignAccount, NeedsReauth
from flows.crm_access import NAME
from flows.settle import SetupIncomplete
from storage import access, linking

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from config.model import OAuthConfig
    from flows.runtime import Runtime
    from storage.boxes import Box

REDIRECT_PATH = "/amocrm/oauth"
UNINSTALLED_PATH = "/amocrm/uninstalled"
STATE_BYTES = 24
STATE_LIVES = timedelta(minutes=15)
VALUE_CHARS_MAX = 2_000
LOOK_EVERY_S = 0.3
STUCK_AFTER = timedelta(seconds=60)
"""Exchanging a code takes seconds: a redirect that was taken up so long ago died on the way."""

WAKE_ROWS = 5_000
UNINSTALL_GATE = "amocrm.uninstalled"
UNINSTALL_ASKED_EVERY_S = 60.0

UNINSTALLED = "интеграцию отключили в amoCRM"

CONNECTED = "connected"
_REFUSALS = {
    "Authorization code has expired": "код старше 20 минут",
    "Authorization code has been revoked": "код уже использован",
    "Cannot decrypt the authorization code": "код скопирован не целиком или он от другой интеграции",
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Grant:
    """`arrives_here`: the redirect leads to our web process; otherwise a person brings the code. `digest` names the
    request in the database."""

    url: str
    digest: bytes
    expires_at: datetime
    arrives_here: bool


@dataclass(frozen=True)
class Redirect:
    """What the owner's browser brought from the grant page."""

    state: str
    code: str
    referer: str
    client_id: str
    error: str


@dataclass(frozen=True)
class Granted:
    """`outcome`: connected; denied, unknown, late, used (nothing was tried); account, client (of another one); foreign
    (the account has another id than ours, its tokens were thrown away); refused (amoCRM would not take the code), lost
    (its answer was), away. `reason` is for a person."""

    outcome: str
    reason: str = ""


def uses_oauth(rt: Runtime) -> bool:
    return isinstance(rt.tokens, OAuthTokens)


def has_access(rt: Runtime) -> bool:
    """Whether there is a token that has not been refused yet."""
    if not uses_oauth(rt):
        return rt.tokens is not None
    with rt.db.begin() as tx:
        stored = access.load_tokens(tx, NAME)
    return stored is not None and stored.state != "needs_reauth"


def ask(rt: Runtime) -> Grant:
    """A new address of the grant page, good for one use within fifteen minutes. Raises SetupIncomplete."""
    keys = _oauth(rt)
    if rt.crm_home is None:
        raise SetupIncomplete("amoCRM не настроена: заполните раздел amocrm файла правил")
    state = secrets.token_urlsafe(STATE_BYTES)
    now = rt.now()
    with rt.db.begin() as tx:
        linking.ask_grant(tx, _digest(state), now=now, expires_at=now + STATE_LIVES)
    url = grant_url(rt.crm_home.base_url(), client_id=keys.client_id.get_secret_value(), state=state)
    return Grant(url, _digest(state), now + STATE_LIVES, keys.redirect_uri == rt.settings.public_url + REDIRECT_PATH)


def receive(rt: Runtime, told: Redirect) -> Granted:
    """Works one redirect. A state is used up by a code or by a «no»; an account chosen by mistake uses nothing up, and
    the owner may go back and choose again. Raises DatabaseAway."""
    digest = _digest(told.state)
    with rt.db.begin() as tx:
        asked = linking.grant_request(tx, digest)
    granted = _refusal(rt, told, asked)
    if granted is None or granted.outcome == "denied":
        granted = _spent(rt, digest, granted or (lambda: exchange(rt, told.code)))
    _log.info("crm_grant", outcome=granted.outcome)
    return granted


def exchange(rt: Runtime, code: str) -> Granted:
    """Spends a one-time code and stores the tokens. What was stored before stays if it fails, or if they open another
    account than the one in our database: nothing may wake then."""
    if not isinstance(rt.tokens, OAuthTokens):
        raise SetupIncomplete("В файле правил нет amocrm.oauth: код авторизации не нужен")
    try:
        rt.tokens.exchange_code(code)
    except ForeignAccount:
        return Granted("foreign", "доступ выдан другому аккаунту, не тому, чьи сделки и контакты в базе")
    except NeedsReauth as failure:
        known = next((words for hint, words in _REFUSALS.items() if hint in str(failure)), None)
        return Granted("refused", known or "amoCRM не приняла код: сверьте client_id, client_secret и redirect_uri")
    except ConnectorError as failure:
        if failure.ambiguous:
            return Granted("lost", "ответ amoCRM потерялся, код при этом истрачен")
        return Granted("away", "amoCRM не отвечает")
    wake(rt)
    return Granted(CONNECTED)


def wake(rt: Runtime) -> int:
    """What waits for access need not wait for its hour once there is one. How many rows those were."""
    boxes: tuple[Box, ...] = ("inbox", "outbox")
    woken = 0
    for box, failure in product(boxes, (NeedsReauth, ForeignAccount)):
        while True:
            with rt.db.begin() as tx:
                some = linking.wake(tx, box, failure.__name__, now=rt.now(), limit=WAKE_ROWS)
            woken += some
            if some < WAKE_ROWS:
                break
    return woken


def wait(
    rt: Runtime, grant: Grant, *, sleep: Callable[[float], None] = time.sleep, stopped: Callable[[], bool] | None = None
) -> Granted | None:
    """Waits for the redirect to be worked by the web process; None when the state has run out or `stopped` says so."""
    while stopped is None or not stopped():
        with rt.db.begin() as tx:
            asked = linking.grant_request(tx, grant.digest)
        if asked is None:
            return None
        if asked.outcome is not None:
            return Granted(asked.outcome, asked.reason or "")
        if asked.used_at is not None and rt.now() > asked.used_at + STUCK_AFTER:
            return Granted("lost", "веб-процесс прервался во время обмена кода, код при этом мог быть истрачен")
        if asked.used_at is None and rt.now() >= asked.expires_at:
            return None
        sleep(LOOK_EVERY_S)
    return None


def uninstalled(rt: Runtime, *, account_id: str, client_uuid: str, signature: str) -> str:
    """amoCRM says that the integration was switched off. Returns what was done: forged, other, busy, alive or marked.

    The signature is always the same and may have been seen by others, so no such message is believed: amoCRM is asked,
    and not oftener than once a minute, whoever sends them. A true one that is passed over is no loss: the next call of
    ours finds out. Raises DatabaseAway.
    """
    keys = None if rt.file.amocrm is None else rt.file.amocrm.oauth
    if keys is None or not is_genuine_uninstall(
        keys.client_secret.get_secret_value(), client_uuid=client_uuid, account_id=account_id, signature=signature
    ):
        return "forged"
    with rt.db.begin() as tx:
        known = linking.crm_account(tx)
    if client_uuid != keys.client_id.get_secret_value() or str(known.account_id or "") != account_id:
        return "other"
    with rt.db.begin() as tx:
        turn = access.next_turn(tx, UNINSTALL_GATE, per_second=1 / UNINSTALL_ASKED_EVERY_S, wait_max_s=0.0)
    if not turn.is_taken:
        return "busy"
    if _is_alive(rt):
        _log.warning("crm_uninstall_untrue")
        return "alive"
    with rt.db.begin() as tx:
        access.mark_tokens(tx, NAME, state="needs_reauth", reason=UNINSTALLED, now=rt.now())
        linking.save_uninstalled(tx, now=rt.now())
    _log.warning("crm_uninstalled")
    return "marked"


def _is_alive(rt: Runtime) -> bool:
    """Whether amoCRM still takes our token. Only its own refusal counts as no: an outage of amoCRM, or a queue of our
    calls, must not let a stranger cut us off."""
    if rt.crm is None:
        return False
    try:
        rt.crm.account()
    except NeedsReauth:
        return False
    except ConnectorError as failure:
        _log.warning("crm_uninstall_unasked", error=failure.code)
    return True


def _refusal(rt: Runtime, told: Redirect, asked: linking.GrantRequest | None) -> Granted | None:
    """Why this redirect is not worked; None when it is."""
    if asked is None:
        return Granted("unknown")
    if asked.used_at is not None:
        return Granted("used", asked.outcome or "")
    if rt.now() >= asked.expires_at:
        return Granted("late")
    return _wrong_answer(rt, told)


def _wrong_answer(rt: Runtime, told: Redirect) -> Granted | None:
    """What is wrong with the answer to a question of ours."""
    if told.error:
        return Granted("denied", "на странице amoCRM доступ не разрешили")
    if told.client_id and told.client_id != _oauth(rt).client_id.get_secret_value():
        return Granted("client", "разрешение выдано другой интеграции")
    home = "" if rt.crm_home is None else rt.crm_home.base_url()
    if sibling_url(told.referer, like=home) != home:
        return Granted("account", "доступ выдан не тому аккаунту, который назван в amocrm.account файла правил")
    if not told.code or len(told.code) > VALUE_CHARS_MAX:
        return Granted("refused", "в ответе amoCRM нет кода")
    return None


def _spent(rt: Runtime, digest: bytes, end: Granted | Callable[[], Granted]) -> Granted:
    """Uses the state up and tells whoever waits how it ended."""
    with rt.db.begin() as tx:
        if not linking.use_grant(tx, digest, now=rt.now()):
            return Granted("used")  # the same redirect has come twice at once
    granted = end if isinstance(end, Granted) else end()
    with rt.db.begin() as tx:
        linking.finish_grant(tx, digest, outcome=granted.outcome, reason=granted.reason or None)
    return granted


def _oauth(rt: Runtime) -> OAuthConfig:
    keys = None if rt.file.amocrm is None else rt.file.amocrm.oauth
    if keys is None:
        raise SetupIncomplete("В файле правил нет amocrm.oauth: доступ даёт долгосрочный ключ")
    return keys


def _digest(state: str) -> bytes:
    return hashlib.sha256(state[:VALUE_CHARS_MAX].encode(errors="replace")).digest()
