"""A process dies at every window between two durable steps; the others finish its work, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from kopilka_testing import ROOT, Shop, SilentBell, StandingClock, hook_body, posted, settle, tbank_body, yookassa_body

from config.settings import load_settings
from flows import connect, failpoints, health, inbox, lookup, sweep
from flows.runtime import Runtime, build_runtime, prepare
from simulator.settings import CrmSettings
from storage import boxes

pytestmark = pytest.mark.slow

PRICE_ROUBLES = 4_990
PRICE_KOPECKS = 499_000
EARNED = (300, 499)
"""Available and pending points of a first order of that price."""

CASES = [
    ("accept.before_insert", "tbank"),
    ("accept.before_insert", "amocrm"),
    ("accept.before_reply", "tbank"),
    ("accept.before_reply", "amocrm"),
    ("inbox.after_claim", "tbank"),
    ("inbox.after_fetch", "yookassa"),
    ("inbox.after_fetch", "amocrm"),
    ("inbox.before_commit", "tbank"),
    ("inbox.before_commit", "amocrm"),
    ("inbox.after_commit", "tbank"),
    ("inbox.after_commit", "amocrm"),
    ("outbox.after_claim", "tbank"),
    ("outbox.after_remote", "tbank"),
    ("outbox.after_settle", "tbank"),
    ("crm.after_fields", "tbank"),
    ("crm.after_create", "tbank"),
    ("crm.after_segments", "tbank"),
    ("note.after_write", "tbank"),
    ("deal.after_fields", "tbank"),
    ("google.after_class", "tbank"),
    ("google.after_write", "tbank"),
]
WORK_OF = {"crm": "outbox", "note": "outbox", "deal": "outbox", "google": "outbox"}

CLIENT = CrmSettings()
"""The integration that the simulated CRM knows."""

KINDS_OF_DELIVERY = 4
"""The CRM's fields and customer, the note, the deal's fields, Google: a process dies at each of them in turn."""

Run = Callable[..., int]


@pytest.fixture
def oauth_rt(environment: dict[str, str], shop: Shop, clock: StandingClock, tmp_path: Path) -> Iterator[Runtime]:
    """The product connected by OAuth, not yet granted."""
    text = (ROOT / "config" / "programme.yaml").read_text(encoding="utf-8")
    programme = tmp_path / "oauth.yaml"
    programme.write_text(text.replace("https://bonus.sportgory.ru/amocrm/oauth", CLIENT.redirect_uri), encoding="utf-8")
    environment |= {
        "PROGRAMME": str(programme),
        "AMOCRM_CLIENT_ID": CLIENT.client_id,
        "AMOCRM_CLIENT_SECRET": CLIENT.client_secret,
    }
    runtime = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(runtime)
    yield runtime
    runtime.db.close()


class Story:
    """One paid deal, told by one sender."""

    def __init__(self, rt: Runtime, shop: Shop, source: str) -> None:
        self.rt = rt
        self.shop = shop
        self.source = source
        self.deal_id, self.contact_id = shop.deal(PRICE_ROUBLES)
        if source == "amocrm":
            shop.move(self.deal_id, "Оплачен")
            self.body = hook_body(self.deal_id)
        elif source == "yookassa":
            self.body = yookassa_body(shop.pay(self.deal_id, PRICE_KOPECKS))
        else:
            self.body = tbank_body(self.deal_id, kopecks=PRICE_KOPECKS)

    def send(self) -> None:
        if self.source == "amocrm":
            inbox.accept_hook(self.rt, self.body)
        else:
            inbox.accept_payment(self.rt, self.source, posted(self.body))

    def check(self) -> None:
        """One accrual, told to the CRM once, and nothing left to do."""
        self.check_buyer()
        every_row_is_done(self.rt)

    def check_buyer(self) -> None:
        account = lookup.by_contact(self.rt, self.contact_id)
        assert account is not None
        assert (account.member.balance.available, account.member.balance.pending) == EARNED
        assert sorted(line.move for line in account.lines) == ["accrue", "activate", "welcome"]
        state = self.shop.state(self.deal_id)
        fields = state["contacts"][0]["fields"]
        assert (fields["Бонусы: баланс"], fields["Бонусы: ожидают"]) == tuple(map(str, EARNED))
        assert [customer["segments"] for customer in state["customers"]] == [["Стартовый"]]
        assert len(state["notes"]) == 1
        assert state["deals"][0]["fields"]["Начислено за сделку"] == str(sum(EARNED))
        assert health.verify_ledger(self.rt).is_whole


def every_row_is_done(rt: Runtime) -> None:
    facts = health.facts(rt)
    for box in (facts.inbox, facts.outbox):
        assert (box["waiting"], box["working"], box["parked"]) == (0, 0, 0)


def finish_after_the_lease(rt: Runtime, clock: StandingClock) -> None:
    """What the others do: the sweep takes back the dead process's rows and works."""
    clock.forward(seconds=rt.settings.lease_s + 1)
    sweep.sweep_once(rt)
    settle(rt)


@pytest.mark.parametrize(("name", "source"), CASES, ids=[f"dies at {name} of {source}" for name, source in CASES])
def test_work_cut_off_at_a_failpoint_is_finished_once(
    rt: Runtime, shop: Shop, clock: StandingClock, run: Run, name: str, source: str
) -> None:
    story = Story(rt, shop, source)
    work = WORK_OF.get(name.partition(".")[0], name.partition(".")[0])
    if work != "accept":
        story.send()
    if work == "outbox":
        inbox.drain(rt)

    deaths = [run(work, source, failpoint=name, body=story.body) for _ in range(_deaths(name))]
    story.send()
    finish_after_the_lease(rt, clock)

    assert set(deaths) == {failpoints.EXIT_CODE}
    story.check()


def test_a_row_that_was_answered_but_never_rung_for_is_found_by_the_sweep(rt: Runtime, shop: Shop, run: Run) -> None:
    story = Story(rt, shop, "tbank")

    assert run("accept", "tbank", failpoint="accept.before_reply", body=story.body) == failpoints.EXIT_CODE
    sweep.sweep_once(rt)
    settle(rt)

    story.check()


def test_a_row_that_kills_every_worker_is_parked_and_its_neighbours_are_done(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    poison, neighbour = Story(rt, shop, "tbank"), Story(rt, shop, "amocrm")
    poison.send()
    neighbour.send()

    for _ in range(boxes.CRASHES_MAX):
        with rt.db.begin() as tx:  # what a worker leaves behind that dies whenever it works this row
            tx.execute(
                sa.text("UPDATE inbox SET state = 'working', leased_until = :now WHERE source = 'tbank'"),
                {"now": clock()},
            )
            boxes.reclaim_expired(tx, "inbox", now=clock())
    settle(rt)

    neighbour.check_buyer()
    parked, _ = lookup.events(rt, states=["parked"], limit=10)
    assert [(row.source, row.crashes) for row in parked] == [("tbank", boxes.CRASHES_MAX)]


def test_a_token_lost_between_the_answer_and_its_saving_asks_for_a_person_and_stops_nothing_else(
    shop: Shop, clock: StandingClock, environment: dict[str, str], run: Run, oauth_rt: Runtime
) -> None:
    rt = oauth_rt
    connect.exchange(rt, shop.crm("POST", "/sim/grant", {})["code"])
    story = Story(rt, shop, "tbank")
    story.send()
    settle(rt)
    clock.forward(hours=23, minutes=58)
    late_deal, contact_id = shop.deal(PRICE_ROUBLES, buyer="Борис Иванов")
    inbox.accept_payment(rt, "tbank", posted(tbank_body(late_deal, payment_id=2)))

    died = run("inbox", failpoint="tokens.after_answer")
    clock.forward(minutes=3)  # the claim on the refresh lapses, nobody waits for the dead
    finish_after_the_lease(rt, clock)
    lost = health.facts(rt)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(story.deal_id, "REFUNDED")))
    settle(rt)
    refunded = lookup.by_contact(rt, story.contact_id)

    assert died == failpoints.EXIT_CODE
    assert lost.crm_state == "needs_reauth"
    assert lost.inbox["waiting"] == 1
    assert refunded is not None
    assert refunded.member.balance.pending == 0
    assert health.verify_ledger(rt).is_whole

    connect.exchange(rt, shop.crm("POST", "/sim/grant", {})["code"])
    clock.forward(hours=1)
    settle(rt)

    every_row_is_done(rt)
    assert shop.fields(late_deal)["Бонусы: баланс"] == "300"
    account = lookup.by_contact(rt, contact_id)
    assert account is not None
    assert account.member.balance.pending == EARNED[1]


def _deaths(name: str) -> int:
    return KINDS_OF_DELIVERY if name in ("outbox.after_remote", "outbox.after_settle") else 1


def test_every_failpoint_has_its_test() -> None:
    # above; tests/webhooks/test_webhooks_api_once.py; tests/flows/test_crm_bonus.py, test_call_lists.py
    elsewhere = {"tokens.after_answer", "api.after_commit", "bonus.after_write", "task.after_write"}
    elsewhere |= {"apple.after_tag", "apple.after_push"}  # test_apple_phones.py
    elsewhere |= {"google.before_message"}  # test_google_messages.py

    assert {name for name, _ in CASES} | elsewhere == set(failpoints.NAMES)
