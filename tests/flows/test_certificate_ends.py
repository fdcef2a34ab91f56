"""A certificate's end is spoken of 30, 14 and 3 days before it, once each: in the log, in doctor, in /metrics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kopilka_testing import START, StandingClock
from pass_forge import Authority, Leaf
from structlog.testing import capture_logs

from cli import doctor
from flows import certificate_ends, nightly
from flows.runtime import Runtime
from wallet.signing import Signer
from webhooks.app import create_app


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(START)


@pytest.fixture
def signed(rt: Runtime, authority: Authority) -> Runtime:
    """With a certificate of 45 days, none of a demo's."""
    rt.signer = signer(authority, ends_days=45)
    return rt


def signer(authority: Authority, *, ends_days: int) -> Signer:
    key = authority.leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf, wwdr = (one.public_bytes(Encoding.PEM) for one in (authority.leaf(Leaf(ends_days=ends_days)), authority.wwdr))
    return Signer.from_pem(leaf, key, wwdr, now=authority.now)


def night(rt: Runtime, now: datetime) -> list[dict[str, Any]]:
    """What the job says of certificates in this night's log."""
    with capture_logs() as logs:
        [result] = nightly.run_due(rt, now=now, only="certificates", at_once=True)
    assert result.error is None
    return [dict(line) for line in logs if line["event"] == "certificate_ends"]


def test_each_threshold_is_told_once(signed: Runtime, clock: StandingClock) -> None:
    told = []
    for day in range(47):
        clock.at = START + timedelta(days=day)
        told += [(day, line["which"], line["days_left"], line["log_level"]) for line in night(signed, clock())]

    assert told == [
        (15, "pass", 30, "warning"),
        (31, "pass", 14, "warning"),
        (42, "pass", 3, "error"),
        (45, "pass", 0, "error"),
    ]


def test_a_night_that_was_missed_is_caught_up(signed: Runtime, clock: StandingClock) -> None:
    assert night(signed, clock()) == []
    clock.forward(days=33)

    [line] = night(signed, clock())

    assert (line["days_left"], line["log_level"]) == (12, "warning")
    assert "kopilka wallet renew" in line["mend"]
    assert night(signed, clock()) == []


def test_a_renewed_certificate_is_silent_again(signed: Runtime, clock: StandingClock, authority: Authority) -> None:
    clock.forward(days=43)
    assert len(night(signed, clock())) == 1

    signed.signer = signer(authority, ends_days=400)
    clock.forward(days=1)

    assert night(signed, clock()) == []


def test_the_job_sums_up_what_is_left(signed: Runtime) -> None:
    [result] = nightly.run_due(signed, now=signed.now(), only="certificates", at_once=True)

    assert result.text == (
        "сертификат карты Apple: осталось дней 45, промежуточный сертификат Apple WWDR: осталось дней 3000"
    )


def test_without_apple_cards_there_is_nothing_to_tell(rt: Runtime) -> None:
    rt.signer = None

    assert night(rt, rt.now()) == []
    assert certificate_ends.left(rt) == {}


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (0, "ok", "годен ещё 45 дн."),
        (15, "warning", "кончится через 30 дн."),
        (42, "error", "кончится через 3 дн."),
        (46, "error", "истёк"),
    ],
)
def test_doctor_says_how_long_a_certificate_lasts(
    signed: Runtime, clock: StandingClock, days: int, level: str, words: str
) -> None:
    clock.forward(days=days)

    [found] = [one for one in doctor.examine(signed) if one.text.startswith("Сертификат карты Apple")]

    assert found.level == level
    assert words in found.text
    assert bool(found.mend) == (level != "ok")


def test_metrics_count_the_seconds_down(signed: Runtime, clock: StandingClock) -> None:
    clock.forward(days=40)

    text = create_app(signed).test_client().get("/metrics").text

    assert 'kopilka_certificate_expires_seconds{which="pass"} 432000.0' in text
    assert 'kopilka_certificate_expires_seconds{which="wwdr"}' in text
