"""Payments that do not name their deal, over HTTP with the simulated CRM: by the payer, by a person, never by the sum.

And what the deal says of its money."""

from __future__ import annotations

import pytest
from flow_desk import Desk, make_desk
from kopilka_testing import Shop, StandingClock, posted, settle, tbank_body

from flows import inbox, lookup, matching, payments
from flows.matching import PaymentMatched, PaymentNotFound
from flows.runtime import Runtime
from loyalty.events import Payer, PaymentFacts, RefundFacts
from loyalty.ledger import Balance
from storage import payments as payments_storage

pytestmark = pytest.mark.slow

PHONE = "+79000000001"


@pytest.fixture
def desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    return make_desk(rt, shop, clock)


def told(desk: Desk, order: str, *, kopecks: int = 499_000, payment_id: int = 1, **data: str) -> None:
    """A bank's callback about an order of somebody else's making."""
    inbox.accept_payment(
        desk.rt, "tbank", posted(tbank_body(0, kopecks=kopecks, payment_id=payment_id, OrderId=order, Data=data))
    )
    settle(desk.rt)
    desk.listen()


def parked(desk: Desk) -> list[str]:
    return [str(row.outcome) for row in lookup.events(desk.rt, states=["parked"], limit=9)[0]]


def test_the_payers_only_open_deal_of_that_price_is_meant(desk: Desk) -> None:
    desk.opens()

    told(desk, "SITE-77", phone="8 900 000-00-01")

    assert desk.world.order(desk.deal_id).kept_kopecks == 499_000
    assert desk.balance == Balance(available=2_300, pending=499)
    desk.check()


def test_the_price_less_the_reserved_points_is_a_price_of_the_deal_too(desk: Desk) -> None:
    desk.opens()
    desk.types(500)

    told(desk, "SITE-77", kopecks=449_000, phone=PHONE)

    assert desk.holds == [("captured", 500)]


@pytest.mark.parametrize("data", [{}, {"phone": PHONE}, {"phone": "8-800-555-35-35"}, {"email": "a@b"}])
def test_a_sum_alone_finds_no_deal_and_a_person_says_which_it_is(desk: Desk, data: dict[str, str]) -> None:
    desk.opens(5_000 if data.get("phone") == PHONE else 4_990)

    told(desk, "SITE-77", **data)

    assert desk.balance == Balance(available=2_000)
    [reason] = parked(desk)
    assert "kopilka payments match tbank:1" in reason
    assert (str(desk.deal_id) in reason) == (data.get("phone") == PHONE)
    [waiting] = matching.waiting(desk.rt, limit=9)
    assert (waiting.payment_ref, waiting.captured_kopecks) == ("1", 499_000)

    matching.assign(desk.rt, "tbank:1", desk.deal_id, by="Ольга")
    settle(desk.rt)
    desk.listen()

    assert desk.balance == Balance(available=2_300, pending=499)
    assert (matching.waiting(desk.rt, limit=9), parked(desk)) == ([], [])
    matching.assign(desk.rt, "tbank:1", desk.deal_id, by="Ольга")
    with pytest.raises(PaymentMatched):
        matching.assign(desk.rt, "tbank:1", desk.deal_id + 1, by="Ольга")
    with pytest.raises(PaymentNotFound):
        matching.assign(desk.rt, "tbank:9", desk.deal_id, by="Ольга")


def test_money_that_is_only_held_asks_nobody(desk: Desk) -> None:
    desk.opens()
    inbox.accept_payment(desk.rt, "tbank", posted(tbank_body(0, "AUTHORIZED", payment_id=1, OrderId="SITE-1")))
    settle(desk.rt)

    assert (parked(desk), matching.waiting(desk.rt, limit=9)) == ([], [])


def test_the_deal_says_what_became_of_its_money(desk: Desk) -> None:
    desk.opens()
    desk.bank_says()
    assert {key: desk.fields[key] for key in ("Оплата", "Оплачено", "Возвращено", "Эквайринг", "Дата оплаты")} == {
        "Оплата": "оплачено",
        "Оплачено": "4990",
        "Возвращено": "0",
        "Эквайринг": "Т-Банк",
        "Дата оплаты": desk.fields["Дата оплаты"],
    }

    desk.bank_says("REFUNDED")

    assert (desk.fields["Оплата"], desk.fields["Возвращено"]) == ("возвращено", "4990")
    desk.check()


def test_a_deal_paid_in_full_is_put_into_its_stage_once(desk: Desk) -> None:
    from dataclasses import replace

    names = desk.rt.crm_names
    desk.rt.file = replace(desk.rt.file, amocrm=replace(names, move_paid_deals=True))
    desk.opens()

    desk.bank_says(kopecks=100_000, payment_id=1)
    assert not desk.world.order(desk.deal_id).is_stage_paid
    desk.bank_says(kopecks=399_000, payment_id=2)
    assert desk.world.order(desk.deal_id).is_stage_paid

    desk.moves("Ждёт оплаты")
    desk.bank_says(kopecks=1_000, payment_id=3)
    assert not desk.world.order(desk.deal_id).is_stage_paid, "whoever moved it back knows why"
    desk.check()


@pytest.mark.parametrize("stage", ["Отправлен", "Возврат"])
def test_a_deal_that_went_further_than_paid_is_not_put_back(desk: Desk, stage: str) -> None:
    from dataclasses import replace

    desk.rt.file = replace(desk.rt.file, amocrm=replace(desk.rt.crm_names, move_paid_deals=True))
    desk.opens()
    desk.shop.move(desk.deal_id, stage)  # its hook is late

    inbox.accept_payment(desk.rt, "tbank", posted(tbank_body(desk.deal_id)))
    settle(desk.rt)

    assert desk.shop.state(desk.deal_id)["deals"][0]["status"] == stage
    desk.listen()
    desk.check()


def test_refunds_with_names_count_once_each_and_a_won_dispute_gives_the_points_back(desk: Desk) -> None:
    desk.opens()
    desk.bank_says()
    order = desk.world.order(desk.deal_id)

    def heard(*refunds: RefundFacts) -> int:
        facts = PaymentFacts("tbank", "8742591", desk.deal_id, 0, 0, "refunded", None, False, refunds=refunds)
        now = desk.rt.now()
        with desk.rt.db.begin() as tx:
            fresh = payments.orders.lock(tx, order.id)
            payments_storage.save(tx, order.id, facts, now=now)
            payments.points.converge_order(tx, desk.rt, fresh, occurred_at=now, now=now)
        return desk.world.order(desk.deal_id).kept_kopecks

    with desk.rt.db.begin() as tx:
        ref = payments_storage.of_order(tx, order.id)[0].payment_ref
    assert ref == "8742591"
    assert heard(RefundFacts("a", 100_000)) == 399_000
    assert heard(RefundFacts("a", 100_000), RefundFacts("b", 100_000)) == 299_000
    assert heard(RefundFacts("d", 299_000, "chargeback")) == 0
    assert heard(RefundFacts("d", 299_000, "chargeback", is_undone=True)) == 299_000
    assert heard(RefundFacts("d", 299_000, "chargeback")) == 299_000, "told late, it is still undone"
    settle(desk.rt)
    desk.listen()
    desk.check()


def test_a_payer_is_no_part_of_what_is_kept(desk: Desk) -> None:
    """Phones and addresses stay in the callback's body, which is forgotten in time."""
    assert Payer().phone == ""
    with desk.rt.db.begin() as tx:
        assert payments_storage.unmatched(tx, limit=1) == []
