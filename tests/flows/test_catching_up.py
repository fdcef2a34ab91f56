"""Hooks that were lost, disabled or never sent: what changed in the CRM is found all the same, over HTTP."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, hook_body, posted, settle, tbank_body

from flows import catching_up, connect, inbox, lookup, nightly, people
from flows.people import Names
from flows.runtime import Runtime

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> StandingClock:
    """The CRM's own: what it says of times is compared with ours."""
    return StandingClock(datetime.now(UTC))


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    return make_desk(rt, shop, clock)


def looks(desk: Desk, clock: StandingClock, *, after_minutes: float = 20) -> str:
    """The job, some time later; everything it asks for is worked."""
    clock.at = max(clock.at, datetime.now(UTC)) + timedelta(minutes=after_minutes)
    [done] = nightly.run_due(desk.rt, now=clock(), only="catch_up", at_once=True)
    assert done.error is None, done
    settle(desk.rt)
    return done.text


def in_the_next_second() -> None:
    """The CRM tells changes in whole seconds."""
    time.sleep(1.1)


def patch(desk: Desk, path: str, body: Any) -> None:
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    url = f"{desk.shop.crm_url}/api/v4{path}"
    assert desk.shop.session.patch(url, json=body, headers=headers, timeout=10).status_code == 200


def test_a_deal_paid_while_hooks_were_lost_earns_at_the_next_look(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    assert looks(desk, clock, after_minutes=0) == "всё известно", "a new installation begins now"
    in_the_next_second()
    desk.shop.move(desk.deal_id, "Оплачен")  # nobody tells us

    text = looks(desk, clock)

    assert text.startswith("сделок без хука: 1")
    assert desk.world.order(desk.deal_id).kept_kopecks == 499_000
    assert looks(desk, clock) == "всё известно"


def test_what_a_hook_has_told_is_not_read_again(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    looks(desk, clock, after_minutes=0)
    desk.moves("Оплачен")
    clock.at = max(clock.at, datetime.now(UTC)) + timedelta(seconds=5)
    desk.listen()
    before = {row.id: row.arrivals for row in lookup.events(desk.rt, states=["done"], limit=50)[0]}

    looks(desk, clock, after_minutes=1)

    after = {row.id: row.arrivals for row in lookup.events(desk.rt, states=["done"], limit=50)[0]}
    assert after.keys() == before.keys()


@pytest.mark.parametrize("harm", ["disabled", "gone"])
def test_a_subscription_that_is_disabled_or_gone_is_made_anew(desk: Desk, clock: StandingClock, harm: str) -> None:
    desk.opens()
    connect.set_up(desk.rt)
    looks(desk, clock, after_minutes=0)
    destination = f"{desk.rt.settings.public_url}{desk.rt.hook_path()}"
    if harm == "gone":
        assert desk.rt.crm is not None
        desk.rt.crm.unsubscribe(destination)
    else:
        desk.shop.crm("POST", "/sim/hook", {"disable": destination})
    in_the_next_second()
    desk.shop.move(desk.deal_id, "Оплачен")

    text = looks(desk, clock)

    assert "вебхук подписан заново" in text
    assert desk.rt.crm is not None
    [ours] = [one for one in desk.rt.crm.webhooks() if one.destination == destination]
    assert not ours.is_disabled
    health = desk.rt.directory.recall(catching_up.HOOKS)
    assert health is not None
    assert health["state"] == "mended"


def test_a_deal_deleted_and_restored_unheard_is_followed(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    looks(desk, clock, after_minutes=0)
    desk.moves("Оплачен")
    assert desk.world.order(desk.deal_id).kept_kopecks == 499_000
    in_the_next_second()
    desk.shop.crm("POST", f"/sim/deals/{desk.deal_id}/delete", {})

    assert "удалённых" in looks(desk, clock)

    assert desk.world.order(desk.deal_id).kept_kopecks == 0


def test_a_phone_changed_in_the_crm_finds_the_member_and_the_old_one_does_not(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    looks(desk, clock, after_minutes=0)
    phone = {"field_code": "PHONE", "values": [{"value": "+7 916 123-45-67", "enum_code": "WORK"}]}
    patch(desk, "/contacts", [{"id": desk.contact_id, "name": "Анна Орлова", "custom_fields_values": [phone]}])

    assert "изменившихся покупателей: 1" in looks(desk, clock)

    with desk.rt.db.begin() as tx:
        found = people.find(tx, Names(phone="+79161234567"))
    assert (found.id, found.name) == (desk.buyer, "Анна Орлова")
    assert "изменившихся" not in looks(desk, clock)


def test_while_the_crm_is_away_nothing_is_forgotten(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    looks(desk, clock, after_minutes=0)
    in_the_next_second()
    desk.shop.move(desk.deal_id, "Оплачен")
    desk.shop.faults(error_500=1.0)
    clock.forward(hours=5)
    nightly.run_due(desk.rt, now=clock(), only="catch_up", at_once=True)
    state = next(one for one in nightly.states(desk.rt) if one.name == "catch_up")
    assert state.due_at <= clock() + catching_up.AGAIN
    desk.shop.faults(error_500=0.0)

    looks(desk, clock, after_minutes=2)

    assert desk.world.order(desk.deal_id).kept_kopecks == 499_000


def test_a_payment_of_an_unheard_deal_waits_for_nobody(desk: Desk, clock: StandingClock) -> None:
    """The acquirer's word reads the deal by itself; the look afterwards finds nothing to do."""
    desk.opens()
    looks(desk, clock, after_minutes=0)
    inbox.accept_payment(desk.rt, "tbank", posted(tbank_body(desk.deal_id)))
    settle(desk.rt)
    kept = desk.world.order(desk.deal_id).kept_kopecks

    looks(desk, clock)

    assert (kept, desk.world.order(desk.deal_id).kept_kopecks) == (499_000, 499_000)
    assert desk.world.is_whole()


def test_a_list_of_many_pages_is_read_whole_though_it_changes_meanwhile(
    desk: Desk, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of two rows, and after each request a deal of the first page is touched."""
    from connector.amocrm import changes

    monkeypatch.setattr(changes, "PAGE_ROWS", 2)
    desk.opens()
    looks(desk, clock, after_minutes=0)
    in_the_next_second()
    ids = [desk.shop.deal(1_000)[0] for _ in range(5)]
    assert desk.rt.crm is not None
    since = datetime.now(UTC) - timedelta(seconds=30)
    seen: set[int] = set()

    for page in desk.rt.crm.changed_deals(since):
        seen |= {one.id for one in page}
        patch(desk, f"/leads/{ids[0]}", {"name": f"Заказ {len(seen)}"})
        if len(seen) > 50:
            break

    assert set(ids) <= seen


def test_a_first_look_that_fails_does_not_forget_what_came_after(desk: Desk, clock: StandingClock) -> None:
    desk.opens()
    desk.shop.faults(error_500=1.0)
    nightly.run_due(desk.rt, now=clock(), only="catch_up", at_once=True)
    in_the_next_second()
    desk.shop.faults(error_500=0.0)
    desk.shop.move(desk.deal_id, "Оплачен")

    looks(desk, clock)

    assert desk.world.order(desk.deal_id).kept_kopecks == 499_000


def test_our_own_write_takes_no_address_away(desk: Desk, clock: StandingClock) -> None:
    """The site told a phone; the contact in the CRM has none."""
    made = desk.shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 10, "contact": {"name": "Вера"}})
    member = people.create(desk.rt, people.Person("Вера", phone="+79161112233", contact_ref=made["contact_id"]))
    looks(desk, clock, after_minutes=0)
    patch(desk, "/contacts", [{"id": made["contact_id"], "name": "Вера С."}])

    looks(desk, clock)

    with desk.rt.db.begin() as tx:
        assert people.find(tx, Names(phone="+79161112233")).id == member.id


def test_a_deal_closed_before_the_programme_began_earns_nothing_when_touched(desk: Desk, clock: StandingClock) -> None:
    import sqlalchemy as sa

    desk.opens()
    desk.shop.move(desk.deal_id, "Успешно реализовано")
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM orders WHERE counted_at IS NULL"))
        tx.execute(sa.text("UPDATE installation SET created_at = now() + interval '1 hour'"))

    inbox.accept_hook(desk.rt, hook_body(desk.deal_id))
    settle(desk.rt)

    assert desk.balance.pending == 0
    told = [str(row.outcome) for row in lookup.events(desk.rt, states=["done"], limit=9)[0]]
    assert any("до начала программы" in one for one in told), told
