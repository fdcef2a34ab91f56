"""Letters by SMTP: one plain letter to one person.

Owns the shape of a letter and the talk with the mail server. One attempt, one connection, each step with a time limit;
what may be repeated is said by the error's class. Logs the server, the reply code and the time; never an address, a
subject or a text.
"""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.header import Header
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import structlog

from connector.errors import ConnectorError, NeedsReauth, NotConfigured, Refused, TimedOut, Unreachable
from loyalty import mail_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from email.message import Message

STEP_TIMEOUT_S = 10.0
LETTER_STEPS = 3
"""The server may think about the letter itself for as long as three other steps: it looks for spam meanwhile."""

WHOLE_LETTER_TIMEOUT_S = 60.0
HEADER_CHARS_MAX = 500
LETTER_BYTES_MAX = 200_000
_ENHANCED_CODE = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_POLICY = compat32.clone(linesep="\r\n")
_BAD_ADDRESS, _BAD_CONTENT = 553, 554
_FOREIGN_LETTERS = (
    "в разделе mail файла правил имя сервера, username или пароль записаны знаками, которых почта не понимает: "
    "исправьте их и перезапустите kopilka worker"
)

Security = Literal["none", "starttls", "tls"]
_Phase = Literal["greeting", "recipient", "letter"]
"""How far a talk has come. A refusal during the greeting (login and sender included) is about us, later about this
letter; whether a letter was taken is open only once it is being handed over."""

_log = structlog.get_logger(__name__)


class MailDeferred(ConnectorError):
    """4xx: the server asks to come again later."""

    code: ClassVar[str] = "mail_deferred"
    retryable = True


class BadLetter(Refused):
    """This letter cannot be sent by anybody: the address is none, or a header would break out of its line."""

    code: ClassVar[str] = "bad_letter"


@dataclass(frozen=True)
class MailSettings:
    """The server, and in whose name letters go. `sender_name` may be empty; without `username` nobody logs in."""

    host: str
    port: int
    security: Security
    sender_address: str
    sender_name: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Mailer:
    """Sends letters; holds no connection between them. `tls` replaces the public certificates, for tests."""

    def __init__(
        self,
        settings: MailSettings,
        *,
        now: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
        step_timeout_s: float = STEP_TIMEOUT_S,
    ) -> None:
        self._settings = settings
        self._now = now
        self._tls = tls or ssl.create_default_context()
        self._step_timeout_s = step_timeout_s

    def send(self, to: str, subject: str, text: str, *, message_id: str, unsubscribe_url: str | None = None) -> None:
        """Returns when the server has taken the letter. `message_id` is the same in every attempt, so that mail
        programs show the letter once.

        Raises BadLetter, Refused, MailDeferred, NeedsReauth, NotConfigured, TimedOut, Unreachable; `ambiguous` is set
        when the server may have taken the letter all the same.
        """
        recipient = checked_recipient(to)
        letter = self._letter(recipient, subject, text, message_id, unsubscribe_url)
        started = time.monotonic()
        outcome = self._attempt(recipient, letter, deadline=started + WHOLE_LETTER_TIMEOUT_S)
        error = None if outcome is None else outcome.code
        ms = round((time.monotonic() - started) * 1000)
        _log.info("mail_call", host=self._settings.host, error=error, reason=outcome and str(outcome), ms=ms)
        if outcome is not None:
            raise outcome  # outside the handler: the server's own words quote the recipient

    def _letter(self, recipient: str, subject: str, text: str, message_id: str, unsubscribe_url: str | None) -> bytes:
        sender = self._settings.sender_address
        try:
            letter: Message[Any, Any] = MIMEText("\r\n".join(text.splitlines()), "plain", "utf-8", policy=_POLICY)
            if len(letter.as_bytes()) > LETTER_BYTES_MAX:
                raise BadLetter(f"the letter is larger than {LETTER_BYTES_MAX} bytes", status=_BAD_CONTENT)
            letter["From"] = _encoded("From", self._settings.sender_name, then=f"<{_one_word(sender)}>")
            letter["To"] = _one_word(recipient)
            letter["Subject"] = _encoded("Subject", subject)
            letter["Date"] = format_datetime(self._now())
            whole_id = message_id if "@" in message_id else f"{message_id}@{_domain(sender)}"
            letter["Message-ID"] = f"<{_one_word(whole_id)}>"
            letter["Auto-Submitted"] = "auto-generated"
            if unsubscribe_url is not None:
                letter["List-Unsubscribe"] = f"<{_one_word(unsubscribe_url)}>"
            return letter.as_bytes()
        except ValueError:  # half of a surrogate pair is one too
            failure = BadLetter("the letter's headers or text cannot be written", status=_BAD_CONTENT)
        raise failure

    def _attempt(self, recipient: str, letter: bytes, *, deadline: float) -> ConnectorError | None:
        phase: _Phase = "greeting"
        try:
            with self._connected(deadline) as server:
                _accepted(server.mail(self._settings.sender_address))
                phase = "recipient"
                self._step(server, deadline)
                _accepted(server.rcpt(recipient))
                phase = "letter"
                self._step(server, deadline, steps=LETTER_STEPS)
                _accepted(server.data(letter))
        except ConnectorError as failure:
            return failure
        except UnicodeError:  # only what the settings say can hold such letters, and they are used before the letter
            return NotConfigured(_FOREIGN_LETTERS)
        except (smtplib.SMTPException, OSError) as failure:  # a timeout and a TLS failure are OSErrors
            return _translated(failure, phase)
        return None

    @contextmanager
    def _connected(self, deadline: float) -> Iterator[smtplib.SMTP]:
        """A server that knows us. After the letter it may end the talk as it likes: the letter is taken."""
        settings = self._settings
        connect = partial(smtplib.SMTP_SSL, context=self._tls) if settings.security == "tls" else smtplib.SMTP
        server = connect(
            settings.host,
            settings.port,
            local_hostname=_domain(settings.sender_address),  # else it is looked up in DNS, which may take its time
            timeout=self._step_timeout_s,
        )
        try:
            if settings.security == "starttls":
                self._step(server, deadline)
                server.starttls(context=self._tls)
            self._step(server, deadline)
            server.ehlo_or_helo_if_needed()
            if settings.username is not None:
                self._step(server, deadline)
                server.login(settings.username, settings.password or "")
            self._step(server, deadline)
            yield server
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
        finally:
            server.close()

    def _step(self, server: smtplib.SMTP, deadline: float, *, steps: int = 1) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimedOut(f"the mail server took longer than {WHOLE_LETTER_TIMEOUT_S:.0f} s")
        if server.sock is not None:
            server.sock.settimeout(min(self._step_timeout_s * steps, left_s))


def checked_recipient(address: str) -> str:
    """The address as the server wants it (a national domain in its ASCII form). Raises BadLetter."""
    whole = mail_address.as_sent(address)
    if whole is None:
        raise BadLetter("the recipient's address is not one", status=_BAD_ADDRESS)
    return whole


def _encoded(name: str, value: str, *, then: str = "") -> Header:
    """A header of words in any script. `Header` instead of the newer classes: in long lines those lose spaces."""
    header = Header(_one_line(value), "utf-8", header_name=name) if value else Header(header_name=name)
    if then:
        header.append(then, "us-ascii")
    return header


def _one_line(value: str) -> str:
    if len(value) > HEADER_CHARS_MAX or not value.isprintable():
        raise ValueError("control characters, or too long")
    return value


def _one_word(value: str) -> str:
    if not value.isascii() or any(char in value for char in " <>"):
        raise ValueError("not one word")
    return _one_line(value)


def _accepted(reply: tuple[int, bytes]) -> None:
    code, words = reply
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, words)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _translated(failure: Exception, phase: _Phase) -> ConnectorError:
    if isinstance(failure, smtplib.SMTPResponseException) and 400 <= failure.smtp_code < 600:
        return _answered(failure, phase)
    is_ambiguous = phase == "letter"
    if isinstance(failure, smtplib.SMTPNotSupportedError) or type(failure) is smtplib.SMTPException:
        return NotConfigured("the mail server does not offer what the settings ask for (STARTTLS or a login)")
    if isinstance(failure, TimeoutError) or isinstance(failure.__context__, TimeoutError):
        return TimedOut("the mail server did not answer in time", ambiguous=is_ambiguous)
    if isinstance(failure, ssl.SSLError):
        return Unreachable("the TLS connection to the mail server failed", ambiguous=is_ambiguous)
    return Unreachable("no connection to the mail server, or it broke", ambiguous=is_ambiguous)


def _answered(failure: smtplib.SMTPResponseException, phase: _Phase) -> ConnectorError:
    """Codes only: the words quote addresses."""
    code, words = failure.smtp_code, failure.smtp_error
    enhanced = _ENHANCED_CODE.match(words if isinstance(words, bytes) else words.encode())
    told = f"the mail server answered {code}" + (f" {enhanced[0].decode()}" if enhanced else "")
    if code < 500:
        return MailDeferred(told)
    if phase == "greeting":
        return NeedsReauth(told)
    return Refused(told, status=code)
