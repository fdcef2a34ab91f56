"""How long the certificates behind the cards still last: for doctor, /metrics and a word in the log 30, 14 and 3 days
before the end, once each. Owns the days; reads no file, the running signer knows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from wallet.certificates import ALERT_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from flows.jobs import Run
    from flows.runtime import Runtime

TITLES: Mapping[str, str] = {"pass": "сертификат карты Apple", "wwdr": "промежуточный сертификат Apple WWDR"}
MENDS: Mapping[str, str] = {
    "pass": "kopilka wallet renew --dry-run: новый для того же типа карты, установленные карты продолжат жить",
    "wwdr": "скачайте новый WWDR с apple.com/certificateauthority и назовите его в card.apple.wwdr",
}
WARN_DAYS, ERROR_DAYS = ALERT_DAYS[0], ALERT_DAYS[-1]

_log = structlog.get_logger(__name__)


def left(rt: Runtime) -> dict[str, timedelta]:
    """What is left of each; negative once it has ended. Empty where no Apple cards are given out."""
    return {} if rt.signer is None else {which: end - rt.now() for which, end in rt.signer.ends.items()}


def crossed(end: datetime, *, since: datetime | None, now: datetime) -> int | None:
    """The nearest threshold, in days, that was passed after `since` (None: ever); 0 is the end itself."""
    for days in (0, *reversed(ALERT_DAYS)):
        at = end - timedelta(days=days)
        if at <= now:
            return days if since is None or at > since else None
    return None


def look(run: Run) -> Iterator[None]:
    """The job: a line in the log for each threshold passed since the last run, however long ago that was."""
    ends = {} if run.rt.signer is None else run.rt.signer.ends
    for which, end in ends.items():
        days = max(0, (end - run.now).days)
        threshold = crossed(end, since=run.last_finished_at, now=run.now)
        if threshold is not None:
            tell = _log.error if threshold <= ERROR_DAYS else _log.warning
            tell("certificate_ends", which=which, days_left=days, ends_at=end.isoformat(), mend=MENDS[which])
        counts = {f"{which}_days": days - run.counts.get(f"{which}_days", 0)}
        run.piece(lambda _tx, counts=counts: run.progress.plus(**counts))  # type: ignore[misc]
    yield


def summary(counts: Mapping[str, int]) -> str:
    parts = [
        f"{TITLES[which]}: осталось дней {counts[f'{which}_days']}" for which in TITLES if f"{which}_days" in counts
    ]
    return ", ".join(parts) or "карты Apple не выпускаются"
