"""When failed work is tried again, as data.

Two kinds of failure. The other side is unwell (down, slow, limiting us, disconnected): the work itself is fine, so it
is tried for ever with a bounded gap. This very row cannot be done (no contact in the deal, a bug): the schedule runs
out and the row is parked for a person.
"""

from __future__ import annotations

from datetime import timedelta

SCHEDULE_S = (5, 30, 120, 600, 3_600, 21_600, 86_400)
"""Gaps after the 1st, 2nd … failure of a row that may never succeed; after the last it is parked."""

REMOTE_GAP_MAX_S = 600
"""The other side is looked at again at least this often."""

ADVICE_FACTOR_MAX = 2
"""A Retry-After is respected up to this many times the planned gap."""


def gap_after(failures: int) -> timedelta | None:
    """Gap before the next try of a row that failed `failures` times before; None: park it."""
    return timedelta(seconds=SCHEDULE_S[failures]) if failures < len(SCHEDULE_S) else None


def remote_gap_after(failures: int, *, advised_s: float | None) -> timedelta:
    """Gap while the other side is unwell; what it advises counts, within bounds."""
    planned = min(SCHEDULE_S[min(failures, len(SCHEDULE_S) - 1)], REMOTE_GAP_MAX_S)
    if advised_s is None:
        return timedelta(seconds=planned)
    return timedelta(seconds=min(max(planned, advised_s), max(planned * ADVICE_FACTOR_MAX, REMOTE_GAP_MAX_S)))
