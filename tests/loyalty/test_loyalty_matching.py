"""Which of the payer's deals a payment is for: by its number, or the only open one of that price, or nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.matching import SUGGESTED_MAX, Candidate, Found, choose


def deal(ref: int, *dues: int, is_open: bool = True, by: Found = "phone") -> Candidate:
    return Candidate(ref, f"Сделка {ref}", dues, is_open, by)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([], None),
        ([deal(1, 499_000)], 1),
        ([deal(1, 449_000)], None),
        ([deal(1, 499_000, is_open=False)], None),
        ([deal(1, 499_000), deal(2, 100_000)], 1),
        ([deal(1, 499_000), deal(2, 499_000)], None),
        ([deal(1, 100, by="order number"), deal(2, 499_000)], 1),
        ([deal(1, 100, is_open=False, by="order number")], 1),
        ([deal(1, by="order number"), deal(2, by="order number"), deal(3, 499_000)], None),
        ([deal(1, 499_000), deal(1, 499_000, by="e-mail")], 1),
        ([deal(1)], None),
    ],
)
def test_a_deal_is_chosen_only_if_no_other_may_be_meant(candidates: list[Candidate], chosen: int | None) -> None:
    assert choose(candidates, 499_000).deal_ref == chosen


def test_no_money_fits_no_deal_though_points_pay_all_of_it() -> None:
    assert choose([deal(1, 0)], 0).deal_ref is None


def test_the_likeliest_are_suggested_first() -> None:
    far, near, closed = deal(1, 10), deal(2, 480_000), deal(3, 499_000, is_open=False)
    number = deal(4, by="order number")

    found = choose([far, closed, near, number, deal(5, by="order number")], 499_000).suggested

    assert [one.deal_ref for one in found] == [5, 4, 2, 1, 3]


@given(
    st.lists(
        st.builds(
            deal,
            st.integers(1, 6),
            st.sampled_from([100, 499_000]),
            is_open=st.booleans(),
            by=st.sampled_from(["phone", "e-mail", "order number"]),
        ),
        max_size=8,
    ),
    st.randoms(),
)
def test_the_order_of_the_candidates_never_matters(candidates: list[Candidate], chance: object) -> None:
    shuffled = list(candidates)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    first, second = choose(candidates, 499_000), choose(shuffled, 499_000)

    assert first.deal_ref == second.deal_ref
    assert len(first.suggested) <= SUGGESTED_MAX
