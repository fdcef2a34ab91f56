"""Writes to the CRM whose fate is unknown: the answer was lost, the process died, the lease ran out on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import Shop, SilentBell, StandingClock, posted, settle, tbank_body, yookassa_body

from flows import crm, crm_fields, failpoints, inbox, notes, outbox, sweep, working
from flows import settle as settling
from flows.runtime import Runtime
from storage import outbox as outbox_storage

pytestmark = pytest.mark.slow

Run = Callable[..., int]


def paid(rt: Runtime, deal_id: int, **payment: Any) -> None:
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, **payment)))


def lose_a_write(rt: Runtime, shop: Shop, deal_id: int) -> None:
    """The contact's fields are written, the answer is lost."""
    assert rt.crm is not None
    crm_fields.field_ids(rt, rt.crm)  # else the first lost write would be the fields' own creation
    paid(rt, deal_id)
    inbox.drain(rt)
    shop.faults(apply_then_drop=1.0)
    outbox.drain(rt)
    shop.faults(apply_then_drop=0.0)


def outbox_row(rt: Runtime, kind: str) -> sa.Row[Any]:
    with rt.db.begin() as tx:
        return tx.execute(sa.text("SELECT * FROM outbox WHERE kind = :kind"), {"kind": kind}).one()


def pending_at_google(shop: Shop) -> list[int]:
    cards = shop.bank("GET", "/sim/state")["google"]["loyaltyObject"]
    return [card["secondaryLoyaltyPoints"]["balance"]["int"] for card in cards]


def feed(shop: Shop, deal_id: int) -> list[str]:
    """What the deal's notes say, without the programme's name and the mark."""
    texts = [note["text"].replace("\xa0", " ") for note in shop.state(deal_id)["notes"]]
    return [text.partition(". ")[2].rpartition(" [")[0] for text in texts]


def test_a_lost_write_is_looked_at_once_more_and_only_when_it_cannot_land_any_more(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, _ = shop.deal()
    lose_a_write(rt, shop, deal_id)
    clock.forward(seconds=10)
    settle(rt)
    row = outbox_row(rt, "crm")

    assert shop.fields(deal_id)["Бонусы: ожидают"] == "499"
    assert (row.state, row.claims) == ("waiting", 2)
    assert timedelta(seconds=60) < row.due_at - clock() <= settling.UNSURE_FOR

    clock.forward(seconds=settling.UNSURE_FOR.total_seconds())
    settle(rt)

    assert (outbox_row(rt, "crm").state, outbox_row(rt, "crm").claims) == ("done", 3)


def test_an_old_write_that_lands_after_a_newer_one_is_corrected(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    deal_id, contact_id = shop.deal()
    lose_a_write(rt, shop, deal_id)
    clock.forward(seconds=10)
    settle(rt)
    assert rt.crm is not None
    field_id = crm_fields.field_ids(rt, rt.crm)["pending"]
    rt.crm.update_contacts([crm.ContactChange(contact_id, {field_id: 7})])  # the late one

    clock.forward(seconds=settling.UNSURE_FOR.total_seconds())
    settle(rt)

    assert shop.fields(deal_id)["Бонусы: ожидают"] == "499"


def test_fields_written_by_a_process_that_died_are_corrected_even_if_the_points_went_back(
    rt: Runtime, shop: Shop, clock: StandingClock, run: Run
) -> None:
    first, _ = shop.deal()
    second, _ = shop.deal()
    paid(rt, first)
    settle(rt)
    paid(rt, second, payment_id=2)
    inbox.drain(rt)

    died = run("outbox", failpoint="crm.after_fields")
    told_by_the_dead = shop.fields(first)["Бонусы: ожидают"]
    paid(rt, second, status="REFUNDED", payment_id=2)
    clock.forward(seconds=rt.settings.lease_s + 1)
    sweep.sweep_once(rt)
    settle(rt)

    assert died == failpoints.EXIT_CODE
    assert told_by_the_dead == "998"
    assert shop.fields(first)["Бонусы: ожидают"] == "499"


def test_a_google_card_written_by_a_process_that_died_is_corrected_even_if_the_points_went_back(
    rt: Runtime, shop: Shop, clock: StandingClock, run: Run
) -> None:
    first, _ = shop.deal()
    second, _ = shop.deal()
    paid(rt, first)
    settle(rt)
    paid(rt, second, payment_id=2)
    inbox.drain(rt)

    died = run("outbox", failpoint="google.after_write")
    told_by_the_dead = pending_at_google(shop)
    paid(rt, second, status="REFUNDED", payment_id=2)
    clock.forward(seconds=rt.settings.lease_s + 1)
    sweep.sweep_once(rt)
    settle(rt)

    assert died == failpoints.EXIT_CODE
    assert told_by_the_dead == [998]
    assert pending_at_google(shop) == [499]


def test_a_segment_written_by_a_process_that_died_is_corrected_even_if_the_buyer_fell_back(
    rt: Runtime, shop: Shop, clock: StandingClock, run: Run
) -> None:
    deals = [shop.deal()[0] for _ in range(3)]
    for payment_id, deal_id in enumerate(deals[:2]):
        paid(rt, deal_id, payment_id=payment_id)
    settle(rt)
    paid(rt, deals[2], payment_id=3)
    inbox.drain(rt)

    died = run("outbox", failpoint="crm.after_segments")
    told_by_the_dead = shop.state(deals[0])["customers"][0]["segments"]
    paid(rt, deals[2], status="REFUNDED", payment_id=3)
    clock.forward(seconds=rt.settings.lease_s + 1)
    sweep.sweep_once(rt)
    settle(rt)

    assert died == failpoints.EXIT_CODE
    assert told_by_the_dead == ["Постоянный"]
    assert shop.state(deals[0])["customers"][0]["segments"] == ["Стартовый"]


def test_a_buyer_who_gave_everything_back_is_in_no_segment(rt: Runtime, shop: Shop) -> None:
    deal_id, _ = shop.deal()
    paid(rt, deal_id)
    settle(rt)

    paid(rt, deal_id, status="REFUNDED")
    settle(rt)

    assert shop.fields(deal_id).get("Сегмент карты", "") == ""
    assert [customer["segments"] for customer in shop.state(deal_id)["customers"]] == [[]]


def test_a_note_whose_answer_was_lost_counts_when_the_next_change_is_told(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, _ = shop.deal()
    payment_id = shop.pay(deal_id, 499_000)
    inbox.accept_payment(rt, "yookassa", posted(yookassa_body(payment_id)))
    settle(rt)
    shop.faults(apply_then_drop=1.0)
    for _ in range(2):
        shop.refund(payment_id, 100_000)
        inbox.accept_payment(rt, "yookassa", posted(yookassa_body(payment_id)))
        settle(rt)
    shop.faults(apply_then_drop=0.0)

    clock.forward(seconds=settling.UNSURE_FOR.total_seconds())
    settle(rt)

    assert feed(shop, deal_id) == [
        "Начислено 799 баллов. Всего за сделку: 799 баллов (300 приветственные + 499 за покупку).",
        "Снято 100 баллов. Всего за сделку: 699 баллов (300 приветственные + 399 за покупку).",
        "Снято 100 баллов. Всего за сделку: 599 баллов (300 приветственные + 299 за покупку).",
    ]


def test_a_note_that_may_still_land_is_not_written_again_before_it_cannot(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, _ = shop.deal()
    paid(rt, deal_id)
    inbox.drain(rt)
    shop.faults(apply_then_drop=1.0)

    outbox.drain(rt)

    assert outbox_row(rt, "note").due_at - clock() == settling.UNSURE_FOR


def test_welcome_points_go_back_with_the_order_that_carried_them_and_only_its_deal_is_told(
    rt: Runtime, shop: Shop
) -> None:
    first, _ = shop.deal()
    second, _ = shop.deal()
    paid(rt, first)
    settle(rt)
    paid(rt, second, payment_id=2)
    settle(rt)

    paid(rt, first, status="REFUNDED")
    settle(rt)

    assert feed(shop, first)[-1] == "Снято 799 баллов. Всего за сделку: 0 баллов."
    assert len(feed(shop, second)) == 1
    assert shop.fields(first)["Бонусы: ожидают"] == "499"


@pytest.mark.parametrize(("kind", "work"), [("note", notes.write), ("crm", crm.refresh)], ids=["note", "customer"])
def test_a_worker_that_was_too_slow_writes_nothing_that_others_have_written(
    rt: Runtime, shop: Shop, clock: StandingClock, kind: Any, work: Callable[..., object]
) -> None:
    deal_id, _ = shop.deal()
    paid(rt, deal_id)
    inbox.drain(rt)
    with rt.db.begin() as tx:
        rows = outbox_storage.claim(tx, kind, now=clock(), lease=rt.lease, limit=10)

    def hold() -> None:
        clock.forward(seconds=rt.settings.lease_s + 1)
        sweep.sweep_once(rt)
        settle(rt)
        settling.hold(rt, "outbox", [row.claim for row in rows])

    with pytest.raises(settling.ClaimLost):
        work(rt, [row.target_id for row in rows], hold)

    assert len(shop.state(deal_id)["notes"]) == 1
    assert len(shop.state(deal_id)["customers"]) == 1


def test_holding_a_batch_leases_it_anew(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    deal_id, _ = shop.deal()
    paid(rt, deal_id)
    inbox.drain(rt)
    with rt.db.begin() as tx:
        rows = outbox_storage.claim(tx, "note", now=clock(), lease=rt.lease, limit=10)

    clock.forward(seconds=rt.settings.lease_s - 1)
    settling.hold(rt, "outbox", [row.claim for row in rows])
    clock.forward(seconds=rt.settings.lease_s - 1)

    assert sweep.sweep_once(rt).reclaimed == 0


def test_a_job_ends_before_its_time_limit_and_rings_for_the_next(rt: Runtime, clock: StandingClock) -> None:
    def slow_drain(_: Runtime, *, stop_at: Any) -> int:
        while clock() < stop_at:
            clock.forward(seconds=20)
        return 1

    working.job(rt, "inbox", slow_drain)()

    assert isinstance(rt.bell, SilentBell)
    assert ("inbox", 0) in rt.bell.rings
