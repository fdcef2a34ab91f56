"""To which deal a payment belongs when it does not say so itself.

Owns the choice among deals that somebody who knows the payer found; reads nothing. Never chooses by the amount alone:
that only tells apart the deals of one person. Source: acquirers reference, section 13.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Found = Literal["order number", "phone", "e-mail"]


@dataclass(frozen=True)
class Candidate:
    """A deal that may be meant; `dues_kopecks` are the sums it may be paid with: its price, or what is left of it when
    reserved points are taken off."""

    deal_ref: int
    name: str
    dues_kopecks: tuple[int, ...]
    is_open: bool
    found_by: Found


@dataclass(frozen=True)
class Choice:
    """`deal_ref` None: a person must decide; `suggested` are the likeliest deals, best first."""

    deal_ref: int | None
    found_by: Found | None
    suggested: tuple[Candidate, ...]


SUGGESTED_MAX = 5


def choose(candidates: Sequence[Candidate], amount_kopecks: int) -> Choice:
    """The deal with this order number; else the only open deal of the payer that costs just this. With two that do, or
    with one that costs something else, a person decides."""
    numbered = [one for one in candidates if one.found_by == "order number"]
    fitting = [one for one in candidates if one.is_open and amount_kopecks > 0 and amount_kopecks in one.dues_kopecks]
    chosen = numbered if len(numbered) == 1 else [] if numbered else fitting
    ordered = tuple(sorted(candidates, key=lambda one: _distance(one, amount_kopecks)))[:SUGGESTED_MAX]
    if len({one.deal_ref for one in chosen}) == 1:
        return Choice(chosen[0].deal_ref, chosen[0].found_by, ordered)
    return Choice(None, None, ordered)


def _distance(one: Candidate, amount_kopecks: int) -> tuple[bool, bool, int, int]:
    """Smaller is likelier: by its number, open, near the amount, newer."""
    nearest = min((abs(due - amount_kopecks) for due in one.dues_kopecks), default=amount_kopecks)
    return one.found_by != "order number", not one.is_open, nearest, -one.deal_ref
