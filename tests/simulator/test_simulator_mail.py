"""The simulated mail server: letters over SMTP, seen over HTTP."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.slow


@pytest.fixture
def mail(start_server: Callable[..., Any]) -> Any:
    return start_server("mail")


@pytest.fixture
def client(mail: Any) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", mail.ready["smtp_port"], timeout=5) as smtp:
        yield smtp


def letter(to: str = "anna@example.ru", subject: str = "Скоро сгорят 300 баллов") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Спорт и горы <shop@example.ru>"
    message["To"] = to
    message["Subject"] = subject
    message["List-Unsubscribe"] = "<https://example.ru/u/1>"
    message.set_content("Анна, здравствуйте!\nБаллы сгорят 1 декабря.")
    return message


def test_a_letter_is_kept_decoded(mail: Any, client: smtplib.SMTP) -> None:
    message = letter()
    message.add_alternative("<p>Анна</p>", subtype="html")
    client.login("anybody", "any password")
    client.send_message(message)

    [got] = mail.get("/sim/mails")

    assert (got["id"], got["from"], got["to"]) == (1, "shop@example.ru", ["anna@example.ru"])
    assert (got["subject"], got["html"]) == ("Скоро сгорят 300 баллов", "<p>Анна</p>\n")
    assert got["text"] == "Анна, здравствуйте!\nБаллы сгорят 1 декабря.\n"
    assert got["headers"]["From"] == "Спорт и горы <shop@example.ru>"
    assert got["headers"]["List-Unsubscribe"] == "<https://example.ru/u/1>"


def test_letters_are_found_by_their_recipient_in_the_order_they_came(mail: Any, client: smtplib.SMTP) -> None:
    for to, subject in (("anna@example.ru", "1"), ("petr@example.ru", "2"), ("Anna@example.ru", "3")):
        client.send_message(letter(to, subject))

    assert [row["subject"] for row in mail.get("/sim/mails?to=ANNA@example.ru")] == ["1", "3"]
    assert len(mail.get("/sim/mails")) == 3
    assert mail.get("/sim/mails?to=nobody@example.ru") == []


@pytest.mark.parametrize("code", [550, 451])
def test_recipients_are_refused_as_often_as_asked(mail: Any, client: smtplib.SMTP, code: int) -> None:
    mail.post("/sim/faults", {"refuse": str(code), "times": 2})

    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            client.send_message(letter())
        assert caught.value.recipients["anna@example.ru"][0] == code
    client.send_message(letter())

    assert len(mail.get("/sim/mails")) == 1
    assert mail.get("/sim/faults") == {"refuse": "", "times": 0}


def test_without_a_number_everybody_is_refused_until_it_is_lifted(mail: Any, client: smtplib.SMTP) -> None:
    mail.post("/sim/faults", {"refuse": "550"})
    for _ in range(3):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.send_message(letter())

    mail.post("/sim/faults", {"refuse": ""})
    client.send_message(letter())

    assert len(mail.get("/sim/mails")) == 1


@pytest.mark.parametrize("body", [{"refuse": "999"}, {"refuse": "550", "times": -1}, {"naughty": True}, {"times": "x"}])
def test_a_fault_that_the_server_does_not_know_is_explained(mail: Any, body: dict[str, Any]) -> None:
    answer = requests.post(f"{mail.url}/sim/faults", json=body, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_reset_forgets_letters_and_refusals(mail: Any, client: smtplib.SMTP) -> None:
    client.send_message(letter())
    mail.post("/sim/faults", {"refuse": "550"})

    mail.post("/sim/reset")
    client.send_message(letter(subject="после"))

    assert [(row["id"], row["subject"]) for row in mail.get("/sim/mails")] == [(1, "после")]


def test_odd_letters_are_kept_as_well_as_they_can_be_read(mail: Any, client: smtplib.SMTP) -> None:
    unknown = b"Subject: x\r\nContent-Type: text/plain; charset=klingon\r\n\r\n" + "привет".encode() + b"\r\n"
    only_html = b"Content-Type: text/html; charset=utf-8\r\n\r\n<b>hi</b>\r\n"
    for content in (unknown, only_html, b"\xff\xfe\x00", b""):
        client.sendmail("", ["a@example.ru"], content)

    texts = [row["text"] for row in mail.get("/sim/mails")]

    assert texts[:2] == ["привет\n", "<b>hi</b>\n"]
    assert len(texts) == 4


def test_the_inbox_shows_letters_harmlessly_and_stamps_them_by_the_virtual_clock(
    mail: Any, client: smtplib.SMTP
) -> None:
    mail.post("/sim/clock", {"at": "2030-01-01T12:00:00+03:00"})
    message = letter(subject="<script>alert(1)</script>")
    client.send_message(message)

    page = requests.get(mail.url, timeout=5)

    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "&lt;script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert "1 января 2030, 12:00" in page.text
    assert mail.get("/sim/state")["smtp_port"] == mail.ready["smtp_port"]


def test_letters_outlive_a_restart(start_server: Callable[..., Any]) -> None:
    mail = start_server("mail")
    with smtplib.SMTP("127.0.0.1", mail.ready["smtp_port"], timeout=5) as smtp:
        smtp.send_message(letter())
        assert mail.stop() == 0  # with a client still at the door

    again = start_server("mail")

    assert [row["subject"] for row in again.get("/sim/mails")] == ["Скоро сгорят 300 баллов"]
