"""A mail server that passes nothing on: it takes every letter over SMTP and keeps it to be looked at.

Owns the letters and the refusals on request. No TLS; any user name and password will do. How letters are shown is the
business of `mail_controls`.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from flask import current_app

from simulator.clock import VirtualClock
from simulator.settings import Settings
from simulator.store import Record, Store

TABLE = "mails"
KEEP_MAILS = 2000
MAX_LETTER_BYTES = 2 * 1024 * 1024
STOP_WITHIN_S = 2.0
REFUSALS = {
    "550": "550 5.1.1 Recipient address rejected: no such user here",
    "451": "451 4.7.1 Recipient address rejected: greylisted, try again later",
}


class Refusals:
    """Which answer recipients get instead of a welcome, and how many times yet; `times` 0 is without end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refuse = ""
        self._times = 0

    def show(self) -> dict[str, Any]:
        with self._lock:
            return {"refuse": self._refuse, "times": self._times}

    def change(self, wanted: dict[str, Any]) -> None:
        """`{"refuse": "550" | "451" | "", "times"?: n}`, `{"reset": true}`. Raises ValueError."""
        refuse = str(wanted.get("refuse") or "")
        times = int(wanted.get("times") or 0)
        if set(wanted) - {"refuse", "times", "reset"} or refuse not in ("", *REFUSALS) or times < 0:
            raise ValueError('ждём {"refuse": "550", "451" или "", "times": сколько раз}')
        with self._lock:
            self._refuse, self._times = refuse, times

    def next_one(self) -> str:
        """The refusal for the recipient who is named now, empty for a welcome."""
        with self._lock:
            answer = REFUSALS.get(self._refuse, "")
            if self._times:
                self._times -= 1
                self._refuse = self._refuse if self._times else ""
            return answer


@dataclass
class Mail:
    """Everything the mail server's endpoints need; `store.lock` guards the letters."""

    settings: Settings
    store: Store
    clock: VirtualClock
    faults: Refusals
    smtp_port: int = 0

    def letters(self) -> dict[Any, Record]:
        return self.store.table(TABLE)

    def keep(self, sender: str, recipients: list[str], content: bytes) -> Record:
        """Reads a letter and remembers it; the oldest of too many are forgotten."""
        with self.store.lock:
            number = self.store.next_id(TABLE, 1)
            self.store.remove(TABLE, number - KEEP_MAILS)
            head = {"id": number, "received_at": self.clock.now(), "from": sender, "to": recipients}
            return self.store.put(TABLE, number, {**head, **_read(content)})


def the_mail() -> Mail:
    """The mail server that the running Flask application shows."""
    mail: Mail = current_app.extensions["mail"]
    return mail


class SmtpServer:
    """Listens in a thread of its own; `start` returns when it listens, and from then on `port` is known."""

    def __init__(self, mail: Mail, host: str, port: int) -> None:
        self._mail = mail
        self._address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)

    @property
    def port(self) -> int:
        return self._mail.smtp_port

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        host, port = self._address
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, host, port))
        self._mail.smtp_port = int(self._server.sockets[0].getsockname()[1])
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_WITHIN_S)

    def _session(self) -> SMTP:
        return SMTP(
            _Postman(self._mail),
            hostname="simulator",
            ident="simulator",
            data_size_limit=MAX_LETTER_BYTES,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
            loop=self._loop,
        )


class _Postman:
    """The names of the methods are aiosmtpd's."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        refusal = self._mail.faults.next_one()
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        letter = self._mail.keep(envelope.mail_from or "", list(envelope.rcpt_tos), raw)
        return f"250 2.0.0 OK: queued as {letter['id']}"


def _read(content: bytes) -> Record:
    """Subject, text and headers of a letter, decoded; what cannot be decoded is shown as it came."""
    message = message_from_bytes(content, policy=policy.default)
    headers: dict[str, str] = {}
    for name, value in message.items():
        headers[name] = f"{headers[name]}\n{value}" if name in headers else str(value)
    plain = _part(message, "plain")
    html = _part(message, "html")
    return {"subject": str(message.get("Subject", "")), "text": plain or html, "html": html, "headers": headers}


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body(preferencelist=(kind,))
    if body is None:
        return ""
    try:
        text = str(body.get_content())
    except LookupError:  # a charset that nobody knows
        raw = body.get_payload(decode=True)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return text.replace("\r\n", "\n")
