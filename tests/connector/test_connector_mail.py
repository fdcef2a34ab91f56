"""Letters through a real SMTP server, and through servers that end the talk where it hurts."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tls_testing import Authority, make_authority

from connector.errors import ConnectorError, NeedsReauth, NotConfigured, Refused, TimedOut, Unreachable
from connector.mail import BadLetter, MailDeferred, Mailer, MailSettings, checked_recipient

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SENDER = "bonus@shop.test"
PASSWORD = "a-mail-password"


@dataclass
class Inbox:
    """What the server has taken. `answers`: what it says to a command instead of yes."""

    letters: list[Envelope] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def letter(self) -> Message:
        content = self.letters[-1].content
        assert isinstance(content, bytes)
        return message_from_bytes(content)

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.letters.append(envelope)
        return self.answers.get("DATA", "250 taken")


def whole(header: str) -> str:
    return str(make_header(decode_header(header)))


class TlsController(Controller):
    """A server that speaks TLS from the first byte; its own look at itself must trust it too."""

    trusts: ssl.SSLContext

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.port), 5) as plain:
            self.trusts.wrap_socket(plain, server_hostname="127.0.0.1").close()


def login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    is_right = isinstance(given, LoginPassword) and given.password == PASSWORD.encode()
    return AuthResult(success=is_right, handled=False)


@contextmanager
def mail_server(inbox: Inbox, *, controller: type[Controller] = Controller, **how: Any) -> Iterator[int]:
    server = controller(inbox, hostname="127.0.0.1", port=0, **how)
    server.port = _free_port()
    server.start()
    yield server.port
    server.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def mailer(port: int, *, tls: ssl.SSLContext | None = None, timeout_s: float = 5.0, **how: Any) -> Mailer:
    settings = MailSettings(
        **{
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "sender_address": SENDER,
            "sender_name": "Клуб «Горы»",
            **how,
        }
    )
    return Mailer(settings, now=lambda: NOW, tls=tls, step_timeout_s=timeout_s)


def send(post: Mailer, to: str = "anna@mail.test", **more: Any) -> None:
    post.send(to, more.pop("subject", "Скоро сгорят баллы"), more.pop("text", "Привет!"), message_id="burn-15", **more)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def test_a_letter_arrives_as_it_was_written(inbox: Inbox) -> None:
    text = "Завтра сгорят 300 баллов.\n.строка с точки\n" + "длинная строка " * 100

    with mail_server(inbox) as port:
        send(
            mailer(port),
            text=text,
            subject="Скоро сгорят баллы: " + "ещё " * 40,
            unsubscribe_url="https://x.ru/" + "u" * 200,
        )

    letter = inbox.letter()
    assert (inbox.letters[0].mail_from, inbox.letters[0].rcpt_tos) == (SENDER, ["anna@mail.test"])
    assert whole(letter["From"]) == "Клуб «Горы» <bonus@shop.test>"
    assert letter["To"] == "anna@mail.test"
    assert whole(letter["Subject"]) == "Скоро сгорят баллы: " + "ещё " * 40
    assert parsedate_to_datetime(letter["Date"]) == NOW
    assert letter["Message-ID"] == "<burn-15@shop.test>"
    assert letter["List-Unsubscribe"].strip() == f"<https://x.ru/{'u' * 200}>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content_type() == "text/plain"
    payload = letter.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().splitlines() == text.splitlines()


def test_the_whole_letter_is_plain_ascii_in_lines_that_every_server_takes(inbox: Inbox) -> None:
    with mail_server(inbox) as port:
        send(mailer(port), text="слово " * 5_000)

    content = inbox.letters[0].content
    assert isinstance(content, bytes)
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


def test_starttls_and_a_login_over_a_checked_certificate(inbox: Inbox, authority: Authority) -> None:
    how = {"tls_context": authority.server("127.0.0.1"), "require_starttls": True, "authenticator": login}

    with mail_server(inbox, **how) as port:
        post = mailer(port, security="starttls", username="bonus", password=PASSWORD, tls=authority.client())
        send(post)

    assert len(inbox.letters) == 1


def test_tls_from_the_first_byte(inbox: Inbox, authority: Authority) -> None:
    TlsController.trusts = authority.client()

    with mail_server(inbox, controller=TlsController, ssl_context=authority.server("127.0.0.1")) as port:
        send(mailer(port, security="tls", tls=authority.client()))

    assert len(inbox.letters) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_whose_certificate_is_not_its_own_gets_nothing(
    inbox: Inbox, authority: Authority, security: str
) -> None:
    wrong = authority.server("mail.other.test")
    TlsController.trusts = authority.client()
    TlsController.trusts.check_hostname = False
    how: dict[str, Any] = (
        {"controller": TlsController, "ssl_context": wrong} if security == "tls" else {"tls_context": wrong}
    )

    with mail_server(inbox, **how) as port, pytest.raises(Unreachable) as caught:
        send(mailer(port, security=security, tls=authority.client(), username="bonus", password=PASSWORD))

    assert (caught.value.ambiguous, inbox.letters) == (False, [])


def test_a_server_without_starttls_gets_neither_password_nor_letter(inbox: Inbox) -> None:
    with mail_server(inbox) as port, pytest.raises(NotConfigured):
        send(mailer(port, security="starttls", username="bonus", password=PASSWORD))

    assert inbox.letters == []


def test_a_wrong_password_waits_for_a_person(inbox: Inbox, authority: Authority) -> None:
    how = {"tls_context": authority.server("127.0.0.1"), "authenticator": login, "auth_require_tls": True}

    with mail_server(inbox, **how) as port, pytest.raises(NeedsReauth) as caught:
        send(mailer(port, security="starttls", username="bonus", password="wrong", tls=authority.client()))

    assert str(caught.value) == "the mail server answered 535 5.7.8"


@pytest.mark.parametrize(
    ("command", "answer", "error", "is_retryable"),
    [
        ("MAIL", "451 4.3.0 try later", MailDeferred, True),
        ("MAIL", "550 5.7.1 this sender is not yours", NeedsReauth, False),
        ("RCPT", "450 4.2.0 <anna@mail.test> greylisted", MailDeferred, True),
        ("RCPT", "550 5.1.1 <anna@mail.test> no such user", Refused, False),
        ("DATA", "452 4.2.2 full", MailDeferred, True),
        ("DATA", "554 5.7.1 spam", Refused, False),
    ],
)
def test_a_refusal_says_whether_to_come_again_and_quotes_no_address(
    inbox: Inbox, command: str, answer: str, error: type[ConnectorError], is_retryable: bool
) -> None:
    inbox.answers[command] = answer

    with mail_server(inbox) as port, capture_logs() as logs, pytest.raises(error) as caught:
        send(mailer(port))

    assert (caught.value.retryable, caught.value.ambiguous) == (is_retryable, False)
    assert str(caught.value) == f"the mail server answered {answer[:9]}"
    assert "anna" not in str(logs)
    if isinstance(caught.value, Refused):
        assert caught.value.status == int(answer[:3])


@contextmanager
def scripted(lines: Sequence[bytes | None]) -> Iterator[int]:
    """Says the next line after each line it hears, the first at once; the letter is heard up to its dot. None hangs up;
    after the last line it says nothing more."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as heard:
            for number, line in enumerate(lines):
                while number and (got := heard.readline()):
                    if lines[number - 1] != b"354 go on\r\n" or got == b".\r\n":
                        break
                if line is None:
                    return
                connection.sendall(line)
            is_over.wait(5)

    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        is_over.set()
        thread.join()


YES = b"250 yes\r\n"
TALK: list[bytes | None] = [b"220 hi\r\n", YES, YES, YES, b"354 go on\r\n"]


@pytest.mark.parametrize("heard", [1, 2, 3])
def test_a_talk_that_breaks_before_the_letter_has_sent_nothing(heard: int) -> None:
    with scripted([*TALK[:heard], None]) as port, pytest.raises(Unreachable) as caught:
        send(mailer(port))

    assert (caught.value.retryable, caught.value.ambiguous) == (True, False)


def test_a_talk_that_breaks_after_the_letter_leaves_its_fate_unknown() -> None:
    with scripted([*TALK, None]) as port, pytest.raises(Unreachable) as caught:
        send(mailer(port))

    assert (caught.value.retryable, caught.value.ambiguous) == (True, True)


def test_silence_after_the_letter_leaves_its_fate_unknown() -> None:
    with scripted(TALK) as port, pytest.raises(TimedOut) as caught:
        send(mailer(port, timeout_s=0.2))

    assert caught.value.ambiguous


@pytest.mark.parametrize("heard", [0, 1])
def test_a_silent_server_times_out_with_nothing_sent(heard: int) -> None:
    with scripted(TALK[:heard]) as port, pytest.raises(TimedOut) as caught:
        send(mailer(port, timeout_s=0.2))

    assert not caught.value.ambiguous


def test_a_server_that_hangs_up_after_taking_the_letter_has_taken_it() -> None:
    with scripted([*TALK, YES, None]) as port:
        send(mailer(port))


@pytest.mark.parametrize("greeting", [b"554 5.7.1 not you\r\n", b"421 busy\r\n", b"nonsense\r\n"])
def test_an_unfriendly_greeting_has_a_class_of_its_own(greeting: bytes) -> None:
    with scripted([greeting]) as port, pytest.raises(ConnectorError) as caught:
        send(mailer(port, timeout_s=0.5))

    wanted = {b"5": NeedsReauth, b"4": MailDeferred}.get(greeting[:1], Unreachable)
    assert (type(caught.value), caught.value.ambiguous) == (wanted, False)


def test_no_server_is_unreachable() -> None:
    with pytest.raises(Unreachable) as caught:
        send(mailer(_free_port()))

    assert not caught.value.ambiguous


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@mail.ru",
        "anna@",
        "a@b@c",
        "anna @mail.ru",
        "anna@mail.ru\nBcc: all@mail.ru",
        "anna@mail.ru\r",
        "anna@mail .ru",
        "anna@mail..ru",
        "a..b@mail.ru",
        "<anna@mail.ru>",
        "анна@mail.ru",
        "a" * 65 + "@mail.ru",
        "a@" + "b" * 64 + ".ru",
        "a@" + ".".join(["b" * 60] * 5),
        "anna@mail.ru\x00",
    ],
)
def test_what_is_no_address_is_refused_without_a_connection(address: str) -> None:
    with pytest.raises(BadLetter) as caught:
        send(mailer(1), to=address)

    assert not caught.value.retryable
    assert address not in str(caught.value) or not address


@pytest.mark.parametrize(
    "odd",
    [
        {"host": "smtp..shop.test"},
        {"host": "a" * 64 + ".test"},
        {"username": "бонус", "password": "x"},
        {"username": "bonus", "password": "пароль"},
    ],
    ids=["two dots", "long label", "username", "password"],
)
def test_settings_that_mail_cannot_write_are_ours_to_mend_and_lose_no_letter(odd: dict[str, str]) -> None:
    inbox = Inbox()
    how = {"authenticator": login, "auth_require_tls": False}
    with mail_server(inbox, **how) as port, pytest.raises(NotConfigured, match="разделе mail") as caught:
        send(mailer(port, **odd))

    assert not caught.value.ambiguous
    assert inbox.letters == []


def test_a_national_domain_is_written_in_its_ascii_form() -> None:
    assert checked_recipient("anna@почта.рф") == "anna@xn--80a1acny.xn--p1ai"


@pytest.mark.parametrize(
    "broken",
    [
        {"subject": "Тема\r\nBcc: all@mail.ru"},
        {"subject": "Тема\nX: y"},
        {"subject": "Тема\x00"},
        {"subject": "т" * 501},
        {"unsubscribe_url": "https://x.ru/\r\nBcc: all@mail.ru"},
        {"unsubscribe_url": "https://x.ru/> <mailto:x"},
        {"text": "половина \ud83d"},
        {"text": "т" * 200_000},
    ],
)
def test_nothing_breaks_out_of_its_header(broken: dict[str, str]) -> None:
    with pytest.raises(BadLetter):
        send(mailer(1), **broken)


@settings(deadline=None)
@given(to=st.text(max_size=60) | st.emails(), subject=st.text(max_size=80))
def test_any_text_becomes_a_letter_with_our_headers_alone_or_is_refused(to: str, subject: str) -> None:
    names = ["Content-Type", "MIME-Version", "Content-Transfer-Encoding"]
    names += ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
    try:
        written = mailer(1)._letter(checked_recipient(to), subject, "текст", "id-1", None)
    except BadLetter:
        return

    letter = message_from_bytes(written)
    assert (letter.keys(), letter["To"].strip()) == (names, checked_recipient(to))


@settings(deadline=None)
@given(st.text(st.sampled_from('абвещё abc .,=?_<>@"😀'), max_size=300))
def test_a_subject_of_any_length_and_script_comes_out_as_it_went_in(subject: str) -> None:
    written = mailer(1, sender_name=subject[:100])._letter("a@b.ru", subject, "текст", "id-1", None)

    letter = message_from_bytes(written)
    assert whole(letter["Subject"]) == subject
    assert whole(letter["From"]).removesuffix(f"<{SENDER}>").rstrip() == subject[:100].rstrip()
    assert max(len(line) for line in written.split(b"\r\n")) <= 78


def test_the_password_is_in_no_repr() -> None:
    settings = MailSettings("h", 25, "none", SENDER, username="bonus", password=PASSWORD)

    assert PASSWORD not in repr(settings)
    assert PASSWORD not in repr(Mailer(settings, now=lambda: NOW))
