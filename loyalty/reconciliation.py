"""Do the acquirer and our books say the same of one payment, and if not, who is to believe whom?

Owns the comparison of sums. An acquirer's totals only grow, so more money there is taken over without asking; less
money there than in our books is nothing a program may decide. Source: acquirers reference, sections 13.5 and 13.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from loyalty.events import PaymentFacts, RefundFacts

Finding = Literal["agrees", "unheard", "more", "less", "nothing"]
"""`unheard`: money moved and nobody told us. `more`: it moved since we last heard. `less`: our books say more than the
acquirer does. `nothing`: no money moved, and we know nothing either. A payment without money whose state has changed
(a hold that ended) is `more` too."""

NOTHING_TAKEN = ("failed", "voided")


@dataclass(frozen=True)
class Known:
    """A payment in our books. `refunded_kopecks` is the total the acquirer told, `refunds` those with names; `status`
    is the last one heard, "" if nobody asks for it."""

    captured_kopecks: int
    refunded_kopecks: int
    is_refund_total: bool
    refunds: Mapping[str, RefundFacts]
    status: str = ""

    @property
    def given_back_kopecks(self) -> int:
        return given_back(
            self.captured_kopecks,
            self.refunded_kopecks,
            self.refunds.values(),
            is_total=self.is_refund_total,
        )

    @property
    def told_back_kopecks(self) -> int:
        """Of that, what an acquirer told as a total."""
        return given_back(self.captured_kopecks, self.refunded_kopecks, (), is_total=self.is_refund_total)


def told_back_kopecks(told: PaymentFacts) -> int:
    """What the acquirer says was given back."""
    return given_back(told.captured_kopecks, told.refunded_kopecks, told.refunds, is_total=told.refund_is_total)


def given_back(captured: int, refunded: int, refunds: Iterable[RefundFacts], *, is_total: bool) -> int:
    named = sum(one.kopecks for one in refunds if not one.is_undone)
    return max(captured if is_total else 0, refunded, named)


def judge(told: PaymentFacts, known: Known | None) -> Finding:
    """`told`: everything the acquirer says now; unless that is the whole payment, zero there means that it does not
    say."""
    if known is None:
        return "unheard" if told.captured_kopecks or told_back_kopecks(told) or told.refund_is_total else "nothing"
    if _is_less(told, known):
        return "less"
    if _after(known, told) != known:
        return "more"
    is_without_money = told.captured_kopecks == known.captured_kopecks == 0
    return "more" if is_without_money and known.status not in ("", told.status) else "agrees"


def _is_less(told: PaymentFacts, known: Known) -> bool:
    """Whether our books say more than the acquirer does of what was taken, or of what went back as a total. Where all
    went back nothing is left to differ: a payment that was undone on its own day shows no sum."""
    if told.refund_is_total:
        return False
    if told.is_whole and told_back_kopecks(told) < known.told_back_kopecks:
        return True
    is_told = told.is_whole or told.captured_kopecks > 0 or told.status in NOTHING_TAKEN
    return is_told and told.captured_kopecks < known.captured_kopecks


def _after(known: Known, told: PaymentFacts) -> Known:
    """Our books after they have taken over what is told: the merge of `storage/payments.py`."""
    refunds = dict(known.refunds)
    for one in told.refunds:
        before = refunds.get(one.ref, one)
        is_undone = before.is_undone or one.is_undone
        refunds[one.ref] = RefundFacts(one.ref, max(before.kopecks, one.kopecks), before.kind, is_undone)
    return Known(
        captured_kopecks=max(known.captured_kopecks, told.captured_kopecks),
        refunded_kopecks=max(known.refunded_kopecks, told.refunded_kopecks),
        is_refund_total=known.is_refund_total or told.refund_is_total,
        refunds=refunds,
        status=known.status,
    )
