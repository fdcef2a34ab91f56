"""Cards that are given out and how many of them wait to be refreshed: before a new design, and while it is carried out.

Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows import apple_design
from flows.google_setup import CALLS_PER_SECOND
from storage import apple, apple_phones, google, outbox

if TYPE_CHECKING:
    from flows.runtime import Runtime


@dataclass(frozen=True)
class Cards:
    """`waiting`: cards of one wallet that still say something old, those planned for later too; `left_s`: until the
    last of them has its turn."""

    given_out: int
    on_phones: int
    waiting: int
    left_s: float


@dataclass(frozen=True)
class Standing:
    """A wallet that is not set up is None. `is_new_look`: the rules file has a design that no card wears yet."""

    apple: Cards | None
    google: Cards | None
    is_new_look: bool

    @property
    def minutes_for_all(self) -> int:
        """How long a new look takes to reach every card."""
        apple_cards = 0 if self.apple is None else self.apple.given_out
        google_cards = 0 if self.google is None else self.google.given_out
        return max(-(-apple_cards // apple_design.CARDS_PER_MINUTE), -(-google_cards // (CALLS_PER_SECOND * 60)))


def standing(rt: Runtime) -> Standing:
    known = (rt.directory.recall(apple_design.ENTRY) or {}).get("digest")
    with rt.db.begin() as tx:
        on_iphones = None
        if rt.apple is not None:
            waiting, last_s = outbox.planned(tx, "apple", now=rt.now())
            on_iphones = Cards(apple.count(tx), apple_phones.count(tx), waiting, last_s)
        at_google = None
        if rt.google is not None:
            totals = google.totals(tx)
            waiting, last_s = outbox.planned(tx, "google", now=rt.now())
            at_google = Cards(totals.made, totals.saved, waiting, max(last_s, waiting / CALLS_PER_SECOND))
    return Standing(on_iphones, at_google, is_new_look=known is not None and known != apple_design.look_digest(rt))
