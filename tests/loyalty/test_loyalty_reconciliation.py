"""Whom to believe when bank and books differ; the pure merge and the database's own are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.events import PaymentFacts, RefundFacts, together
from loyalty.reconciliation import Known, judge, told_back_kopecks

PAID = PaymentFacts("stripe", "pi_1", 7, 499_000, 0, "captured", datetime(2026, 3, 1, tzinfo=UTC), is_test=False)
BOOKS = Known(499_000, 0, is_refund_total=False, refunds={})
WHOLE = replace(PAID, is_whole=True)
HELD = Known(0, 0, is_refund_total=False, refunds={}, status="authorised")
refunds = st.builds(
    RefundFacts, st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["refund", "chargeback"]), st.booleans()
)
facts = st.builds(
    lambda captured, refunded, total, some: replace(
        PAID,
        captured_kopecks=captured,
        refunded_kopecks=refunded,
        refund_is_total=total,
        refunds=tuple({one.ref: one for one in some}.values()),
    ),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.lists(refunds, max_size=3),
)


@pytest.mark.parametrize(
    ("told", "known", "finding"),
    [
        (PAID, None, "unheard"),
        (replace(PAID, captured_kopecks=0), None, "nothing"),
        (replace(PAID, captured_kopecks=0, refund_is_total=True), None, "unheard"),
        (PAID, BOOKS, "agrees"),
        (replace(PAID, captured_kopecks=0), BOOKS, "agrees"),
        (replace(PAID, captured_kopecks=500_000), BOOKS, "more"),
        (replace(PAID, captured_kopecks=498_999), BOOKS, "less"),
        (replace(PAID, refunded_kopecks=1), BOOKS, "more"),
        (PAID, replace(BOOKS, refunded_kopecks=1), "agrees"),
        (WHOLE, replace(BOOKS, refunded_kopecks=1), "less"),
        (WHOLE, replace(BOOKS, is_refund_total=True), "less"),
        (WHOLE, replace(BOOKS, refunds={"a": RefundFacts("a", 1)}), "agrees"),
        (replace(WHOLE, captured_kopecks=0, status="authorised"), BOOKS, "less"),
        (replace(PAID, captured_kopecks=0, status="voided"), BOOKS, "less"),
        (replace(PAID, captured_kopecks=0, status="failed"), BOOKS, "less"),
        (replace(WHOLE, captured_kopecks=0, status="voided", refund_is_total=True), BOOKS, "more"),
        (replace(PAID, captured_kopecks=0, status="voided"), HELD, "more"),
        (replace(PAID, captured_kopecks=0, status="authorised"), HELD, "agrees"),
        (replace(PAID, status="refunded"), replace(BOOKS, status="captured"), "agrees"),
        (replace(PAID, refunds=(RefundFacts("b", 1),)), replace(BOOKS, refunds={"a": RefundFacts("a", 1)}), "more"),
        (
            replace(PAID, refunds=(RefundFacts("a", 1, is_undone=True),)),
            replace(BOOKS, refunds={"a": RefundFacts("a", 1)}),
            "more",
        ),
        (replace(PAID, refunds=(RefundFacts("a", 1),)), replace(BOOKS, refunds={"a": RefundFacts("a", 1)}), "agrees"),
    ],
)
def test_the_judgement(told: PaymentFacts, known: Known | None, finding: str) -> None:
    assert judge(told, known) == finding


@given(facts, facts, facts)
def test_messages_put_together_mean_the_same_in_any_order(a: PaymentFacts, b: PaymentFacts, c: PaymentFacts) -> None:
    one, other = together(together(a, b), c), together(a, together(c, b))

    assert (one.captured_kopecks, one.refunded_kopecks, one.refund_is_total) == (
        other.captured_kopecks,
        other.refunded_kopecks,
        other.refund_is_total,
    )
    undone = lambda facts: {refund.ref for refund in facts.refunds if refund.is_undone}  # noqa: E731
    assert undone(one) == undone(other)
    assert together(a, a) == replace(a, refunds=tuple(sorted(a.refunds, key=lambda refund: refund.ref)))


@given(facts)
def test_what_was_taken_over_agrees(told: PaymentFacts) -> None:
    books = Known(
        told.captured_kopecks, told.refunded_kopecks, told.refund_is_total, {one.ref: one for one in told.refunds}
    )

    assert judge(told, books) == "agrees"
    assert books.given_back_kopecks == told_back_kopecks(told)
