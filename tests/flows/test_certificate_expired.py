"""A certificate that has ended stops the cards and nothing else: points go on, the page opens, the doctor says it."""

from __future__ import annotations

from datetime import timedelta

from kopilka_testing import SilentBell, StandingClock

from cli.doctor import examine
from flows import people
from flows.people import Person
from flows.runtime import Runtime, build_runtime, prepare
from webhooks.app import create_app


def test_the_product_starts_with_an_ended_certificate_and_only_the_card_is_refused(
    rt: Runtime, clock: StandingClock
) -> None:
    assert rt.signer is not None
    member = people.create(rt, Person("Анна Петрова", phone="+79161234567"))
    clock.forward(days=(rt.signer.ends["pass"] - clock() + timedelta(days=2)).days)

    started = build_runtime(rt.settings, bell=SilentBell(), clock=clock)
    prepare(started)
    web = create_app(started).test_client()
    page, card = web.get(f"/c/{member.card_token}"), web.get(f"/c/{member.card_token}/card.pkpass")
    metrics = web.get("/metrics").text
    findings = {one.text: one.level for one in examine(started)}
    started.db.close()

    assert page.status_code == 200
    assert (card.status_code, card.headers["Retry-After"]) == (503, "300")
    assert "магазин уже знает" in card.text
    assert any(line.startswith("kopilka_certificate_expires_seconds") and " -" in line for line in metrics.splitlines())
    assert findings
