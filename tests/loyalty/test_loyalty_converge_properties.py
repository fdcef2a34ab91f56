"""Properties of the rules over random histories: whatever the order and number of the messages, the book is whole and
ends where the facts say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loyalty_book import PAID_AT, RULES, Book, days

from loyalty import accrual, activation
from loyalty.accrual import OrderState, PointsMissing, WelcomeState
from loyalty.ledger import Lot, Transfer, account_changes
from loyalty.orders import OrderFacts, PaymentTotals, kept_kopecks
from loyalty.programme import AccrualRules, Duration, Programme, WelcomeRules

NO_WELCOME = replace(RULES, welcome=None)
INSTEAD = replace(RULES, welcome=WelcomeRules(points=300, with_base=False))

sums = st.integers(0, 600_000)
order_ids = st.integers(1, 3)
payment_messages = st.tuples(
    st.just("payment"), order_ids, st.sampled_from("pq"), sums, sums, st.sampled_from([False, False, True])
)
stage_readings = st.tuples(st.just("stage"), order_ids, st.booleans(), sums)
days_passing = st.tuples(st.just("days"), st.integers(1, 20))
histories = st.lists(st.one_of(payment_messages, stage_readings, days_passing), max_size=25)
programmes = st.builds(
    Programme,
    name=st.just("Клуб"),
    timezone=st.sampled_from(["Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "UTC"]),
    point_value_kopecks=st.sampled_from([1, 100, 300]),
    accrual=st.builds(
        AccrualRules,
        rate_bps=st.sampled_from([0, 1, 333, 1_000, 10_000]),
        activate_after=st.sampled_from([Duration(0, "days"), Duration(14, "days"), Duration(1, "months")]),
        expire_after=st.sampled_from([None, Duration(180, "days")]),
    ),
    welcome=st.sampled_from([None, WelcomeRules(points=300), WelcomeRules(points=300, with_base=False)]),
)


def play(book: Book, history: list[tuple[object, ...]]) -> None:
    """Tells the book one fact after the other; after each the book must be whole."""
    now = PAID_AT
    for kind, *fact in history:
        if kind == "days":
            now += timedelta(days=fact[0])  # type: ignore[arg-type]
            book.activate(now)
        elif kind == "stage":
            order_id, is_paid, price = fact
            book.stage(order_id, is_paid=is_paid, price=price)  # type: ignore[arg-type]
            book.converge(order_id, now)  # type: ignore[arg-type]
        else:
            order_id, payment, captured, refunded, is_total = fact
            book.pay(order_id, captured, refunded, payment=payment, is_total=is_total)  # type: ignore[arg-type]
            book.converge(order_id, now)  # type: ignore[arg-type]
        assert list(book.faults()) == []


@given(programme=programmes, history=histories)
def test_after_any_history_the_book_is_whole_and_converging_again_changes_nothing(
    programme: Programme, history: list[tuple[object, ...]]
) -> None:
    book = Book(programme)

    play(book, history)

    for order_id in book.orders:
        assert not book.converge(order_id)


@given(programme=programmes, history=histories)
def test_points_of_every_order_are_a_function_of_its_facts_alone(
    programme: Programme, history: list[tuple[object, ...]]
) -> None:
    book = Book(programme)

    play(book, history)

    is_instead = programme.welcome is not None and not programme.welcome.with_base
    for order_id, order in book.orders.items():
        base = order.kept_kopecks * programme.accrual.rate_bps // (10_000 * programme.point_value_kopecks)
        carries = book.points_of(order_id, "welcome") > 0
        assert book.points_of(order_id, "accrual") == (0 if carries and is_instead else base)
    is_welcome = programme.welcome is not None and any(order.kept_kopecks for order in book.orders.values())
    assert sum(book.points_of(order_id, "welcome") for order_id in book.orders) == (300 if is_welcome else 0)


@given(data=st.data(), facts=st.lists(payment_messages, min_size=1, max_size=8))
def test_payment_messages_in_any_order_and_number_end_in_the_same_points(
    data: st.DataObject, facts: list[tuple[object, ...]]
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(facts), max_size=8))
    shuffled = data.draw(st.permutations(facts + repeats))
    told_in_order, told_at_random = Book(RULES), Book(RULES)

    play(told_in_order, facts)
    play(told_at_random, list(shuffled))

    assert told_at_random.net == told_in_order.net
    for order_id in told_in_order.orders:
        assert told_at_random.points_of(order_id, "accrual") == told_in_order.points_of(order_id, "accrual")


@given(data=st.data(), payments=st.lists(payment_messages, max_size=5), stages=st.lists(stage_readings, max_size=5))
def test_stage_changes_between_payment_messages_end_where_the_last_stage_says(
    data: st.DataObject, payments: list[tuple[object, ...]], stages: list[tuple[object, ...]]
) -> None:
    """The deal is read, not heard of: its stages come in their own order, payments fall anywhere between them."""
    places = data.draw(st.permutations(["payment"] * len(payments) + ["stage"] * len(stages)))
    queues = {"payment": list(data.draw(st.permutations(payments))), "stage": list(stages)}
    plain, mixed = Book(RULES), Book(RULES)

    play(plain, [*stages, *payments])
    play(mixed, [queues[place].pop(0) for place in places])

    assert mixed.net == plain.net


@given(programme=programmes, history=histories)
def test_everything_refunded_leaves_no_points_at_all(programme: Programme, history: list[tuple[object, ...]]) -> None:
    book = Book(programme)
    play(book, history)

    for order_id, order in book.orders.items():
        book.stage(order_id, is_paid=False, price=0)
        for payment in list(order.payments):
            book.pay(order_id, 0, payment=payment, is_total=True)
        book.converge(order_id)

    assert (book.net, book.balance("issued")) == (0, -book.balance("reversed"))
    assert list(book.faults()) == []


@given(programme=programmes, history=histories)
def test_points_that_are_due_move_once_and_all(programme: Programme, history: list[tuple[object, ...]]) -> None:
    book = Book(programme)
    play(book, history)
    net = book.net
    last_day = max((lot.activates_at for lot in book.lots.values()), default=PAID_AT)

    book.activate(last_day)

    assert (book.balance("pending"), book.net) == (0, net)
    assert not book.activate(last_day + days(1_000))


@given(programme=programmes, history=histories)
def test_nothing_becomes_available_before_its_day(programme: Programme, history: list[tuple[object, ...]]) -> None:
    book = Book(programme)
    play(book, history)
    waiting = [lot for lot in book.lots.values() if lot.pending]

    for lot in waiting:
        decision = activation.activate([lot], debt=0, now=lot.activates_at - timedelta(microseconds=1))
        assert not decision


@given(
    debt=st.integers(0, 500),
    pending=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_activation_pays_the_debt_first_and_loses_nothing(debt: int, pending: list[tuple[int, int]]) -> None:
    lots = [a_lot(f"lot-{number}", pending=points, day=day) for number, (points, day) in enumerate(pending)]
    total = sum(points for points, _ in pending)

    decision = activation.activate(lots, debt=debt, now=PAID_AT + days(3))

    changes = account_changes(decision.transfers)
    assert changes["pending"] == -total
    assert changes["debt"] == -min(debt, total)
    assert changes["available"] == max(0, total - debt)
    days_of_debt = [lot_day(lots, transfer) for transfer in decision.transfers if transfer.credit == "debt"]
    days_of_rest = [lot_day(lots, transfer) for transfer in decision.transfers if transfer.credit == "available"]
    assert max(days_of_debt, default=PAID_AT) <= min(days_of_rest, default=PAID_AT + days(3))


@given(
    payments=st.lists(st.builds(PaymentTotals, sums, sums, st.booleans()), max_size=4),
    is_stage_paid=st.booleans(),
    price=sums,
)
def test_money_kept_is_never_negative_and_never_more_than_came(
    payments: list[PaymentTotals], is_stage_paid: bool, price: int
) -> None:
    kept = kept_kopecks(OrderFacts(tuple(payments), is_stage_paid, price), RULES.accrual)

    assert 0 <= kept <= max(sum(payment.captured_kopecks for payment in payments), price)


@pytest.mark.parametrize(
    ("earn_on", "payments", "is_stage_paid", "kept"),
    [
        (("payment", "stage"), (PaymentTotals(100, 0),), True, 100),
        (("payment", "stage"), (), True, 777),
        (("payment", "stage"), (), False, 0),
        (("payment", "stage"), (PaymentTotals(0, 0),), True, 777),
        (("payment", "stage"), (PaymentTotals(100, 0), PaymentTotals(50, 20)), False, 130),
        (("payment", "stage"), (PaymentTotals(100, 150),), True, 0),
        (("payment", "stage"), (PaymentTotals(100, 0, is_refund_total=True),), True, 0),
        (("payment",), (), True, 0),
        (("stage",), (), True, 777),
        (("payment", "stage"), (PaymentTotals(0, 0, is_refund_total=True),), True, 0),
        (("payment", "stage"), (PaymentTotals(0, 50),), True, 0),
        (("stage",), (PaymentTotals(100, 0),), True, 777),
        (("stage",), (PaymentTotals(100, 30),), True, 747),
        (("stage",), (PaymentTotals(777, 0, is_refund_total=True),), True, 0),
        (("stage",), (PaymentTotals(0, 0, is_refund_total=True),), True, 0),
        (("stage",), (PaymentTotals(100, 0),), False, 0),
    ],
)
def test_a_payment_that_moved_money_decides_and_the_stage_stands_in_until_there_is_one(
    earn_on: tuple[str, ...], payments: tuple[PaymentTotals, ...], is_stage_paid: bool, kept: int
) -> None:
    rules = replace(RULES.accrual, earn_on=earn_on)

    assert kept_kopecks(OrderFacts(payments, is_stage_paid, 777), rules) == kept


def test_a_refund_takes_what_still_waits_before_what_is_available_and_the_newest_first() -> None:
    lots = (
        a_lot("old", available=100, day=0),
        a_lot("waiting-old", pending=100, day=1),
        a_lot("waiting-new", pending=100, day=2),
    )

    decision = accrual.converge(order_with(lots, kept_kopecks=50_000), WelcomeState(1, (), 1))

    assert [(transfer.debit, transfer.lot_key, transfer.points) for transfer in decision.transfers] == [
        ("pending", "waiting-new", 100),
        ("pending", "waiting-old", 100),
        ("available", "old", 50),
    ]


def test_a_lot_that_lost_its_points_stops_the_decision_instead_of_taking_from_others() -> None:
    lost = replace(a_lot("lost", pending=100), earned=300)

    with pytest.raises(PointsMissing):
        accrual.converge(order_with((lost,), kept_kopecks=0), WelcomeState(1, (), 0))


def test_a_transfer_of_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="moves nothing"):
        a_transfer(points=0)
    with pytest.raises(ValueError, match="moves nothing"):
        a_transfer(credit="issued")


def a_lot(key: str, *, pending: int = 0, available: int = 0, day: int = 0) -> Lot:
    return Lot(
        key=key,
        source="accrual",
        order_id=1,
        rules_version="v1",
        earned=pending + available,
        reversed=0,
        pending=pending,
        available=available,
        reserved=0,
        activates_at=PAID_AT + days(day),
        expires_at=None,
    )


def a_transfer(*, points: int = 1, credit: str = "pending") -> Transfer:
    return Transfer(
        key="k",
        move="accrue",
        debit="issued",
        credit=credit,  # type: ignore[arg-type]
        points=points,
        lot_key="l",
        order_id=1,
        rules_version="v1",
    )


def order_with(lots: tuple[Lot, ...], *, kept_kopecks: int) -> OrderState:
    return OrderState(
        order_id=1,
        revision=7,
        kept_kopecks=kept_kopecks,
        paid_at=PAID_AT,
        lots=lots,
        programme=NO_WELCOME,
        rules_version="v1",
    )


def lot_day(lots: list[Lot], transfer: Transfer) -> object:
    return next(lot.activates_at for lot in lots if lot.key == transfer.lot_key)
