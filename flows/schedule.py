"""Which jobs are done by the clock, in which order and how often. Running them is `nightly.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from typing import TYPE_CHECKING

from flows import (
    activating,
    apple_design,
    burning,
    catching_up,
    certificate_ends,
    drifting,
    gifts,
    google_fresh,
    holds,
    notices,
    payment_links,
    reconciling,
    segment_review,
)
from loyalty.notices import notify_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flows.jobs import Run, Work
    from loyalty.programme import Programme


@dataclass(frozen=True)
class Scheduled:
    """A job. Due either `every` so often, or each day `at` a local time."""

    name: str
    title: str
    work: Work
    summary: Callable[[Mapping[str, int]], str]
    every: timedelta | None = None
    at: Callable[[Programme], time] | None = None


def _release_holds(run: Run) -> Iterator[None]:
    done = holds.release_expired(run.rt, now=run.now)
    run.piece(lambda _tx: run.progress.plus(done=done, members=done))
    yield


def _clock(hour: int, minute: int) -> Callable[[Programme], time]:
    return lambda _programme: time(hour, minute)


JOBS: Sequence[Scheduled] = (
    Scheduled(
        name="holds",
        title="Просроченные резервы",
        work=_release_holds,
        summary=lambda counts: f"снято резервов: {counts.get('members', 0)}",
        every=timedelta(minutes=1),
    ),
    Scheduled(
        name="activate",
        title="Активация баллов",
        work=activating.activate,
        summary=activating.summary,
        every=timedelta(minutes=1),
    ),
    Scheduled(
        name="catch_up",
        title="Пропущенное в amoCRM",
        work=catching_up.catch_up,
        summary=catching_up.summary,
        every=catching_up.EVERY,
    ),
    Scheduled(
        name="apple_design",
        title="Оформление карт Apple",
        work=apple_design.carry_out,
        summary=apple_design.summary,
        every=apple_design.EVERY,
    ),
    Scheduled(
        name="google",
        title="Вид карт Google",
        work=google_fresh.renew,
        summary=google_fresh.summary,
        every=google_fresh.EVERY,
    ),
    Scheduled(name="burn", title="Сгорание", work=burning.burn, summary=burning.summary, at=_clock(0, 5)),
    Scheduled(name="gifts", title="Подарки", work=gifts.give, summary=gifts.summary, at=_clock(0, 10)),
    Scheduled(
        name="held",
        title="Замороженные деньги",
        work=reconciling.held,
        summary=reconciling.summary,
        every=timedelta(hours=1),
    ),
    Scheduled(
        name="links",
        title="Ссылки на оплату",
        work=payment_links.give_up_stale,
        summary=payment_links.summary,
        every=timedelta(minutes=1),
    ),
    Scheduled(
        name="reconcile",
        title="Сверка с банками и CRM",
        work=reconciling.nightly,
        summary=reconciling.summary,
        at=_clock(3, 30),
    ),
    Scheduled(
        name="drift",
        title="Поля контактов в amoCRM",
        work=drifting.look,
        summary=drifting.summary,
        at=_clock(2, 30),
    ),
    Scheduled(
        name="segments",
        title="Сегменты",
        work=segment_review.review,
        summary=segment_review.summary,
        at=_clock(4, 0),
    ),
    Scheduled(
        name="certificates",
        title="Сроки сертификатов карт",
        work=certificate_ends.look,
        summary=certificate_ends.summary,
        at=_clock(9, 0),
    ),
    Scheduled(
        name="notices",
        title="Предупреждения о сгорании",
        work=notices.plan,
        summary=notices.summary,
        at=notify_at,
    ),
)
"""In the order in which they run: what has burnt is not told of, what was given tonight is."""
