"""Each request of a program is carried out once, whatever is repeated, and answered alike each time.

A key is claimed before the work and gets its final answer after it, or within the work's own transaction where doing it
twice would harm (`Claimed.seal`). What a process leaves behind that dies in between is taken over after the lease.
Only the answers of what was done are kept. What was malformed, refused or failed has changed nothing and leaves
nothing, so it can be sent again with the same key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from flows.refusals import Denied
from storage import idempotency
from storage.idempotency import Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from flows.runtime import Runtime

LEASE = timedelta(seconds=60)
"""A request that has not been answered for so long is taken for dead. One that waits for locks may live as long (five
tries of three seconds for each row): where doing it twice would harm, its seal finds the claim lost and undoes it."""
KEPT_FOR = timedelta(hours=24)
PRUNE_STEP_ROWS = 5_000
PRUNE_STEPS_MAX = 100
LOOKS_MAX = 3
RETRY_AFTER_S = 1

_log = structlog.get_logger(__name__)


class KeyConflict(Denied):
    code, status = "idempotency_conflict", 409
    title, hint = "С этим Idempotency-Key уже приходил другой запрос", "для другого запроса возьмите новый ключ"


class KeyInProgress(Denied):
    code, status = "idempotency_in_progress", 409
    title, hint = "Запрос с этим Idempotency-Key ещё выполняется", "повторите тот же запрос через секунду"


class ClaimLost(Exception):
    """Another process took this request over; whatever was begun is rolled back."""


@dataclass(frozen=True)
class Answer:
    """What the caller gets, to the byte. `is_replay`: it was given before."""

    status: int
    body: bytes
    is_replay: bool = False


@dataclass(frozen=True)
class Claimed:
    """A request at work."""

    claim: Claim

    @property
    def key(self) -> str:
        """A name for what the request does, the same at every repetition and unlike that of any other request."""
        return f"{self.claim.token_id}:{self.claim.digest.hex()[:16]}:{self.claim.key}"

    def seal(self, tx: sa.Connection, answer: Answer) -> None:
        """Stores the answer in the transaction that does the work: both come true, or neither. Raises ClaimLost."""
        if not idempotency.settle(tx, self.claim, status=answer.status, body=answer.body):
            raise ClaimLost(f"key of token {self.claim.token_id}")


def once(rt: Runtime, *, token_id: int, key: str, digest: bytes, work: Callable[[Claimed], Answer]) -> Answer:
    """The answer to the request: stored if there is one, else that of `work`. Raises KeyConflict, KeyInProgress, and
    whatever `work` raises; then nothing is stored."""
    own = Claim(token_id, key, digest, rt.now())
    stored = _claim(rt, own)
    if stored is not None:
        return stored
    try:
        answer = work(Claimed(own))
    except ClaimLost as failure:
        raise KeyInProgress(retry_after_s=RETRY_AFTER_S) from failure
    except BaseException:
        with rt.db.autocommit() as single:
            idempotency.forget(single, own)
        raise
    rt.failpoints.reach("api.after_commit")
    with rt.db.autocommit() as single:
        idempotency.settle(single, own, status=answer.status, body=answer.body)
    return answer


def prune(rt: Runtime) -> int:
    """Forgets keys that are older than a day, in small steps. Returns how many."""
    before = rt.now() - KEPT_FOR
    pruned = 0
    for _ in range(PRUNE_STEPS_MAX):
        with rt.db.begin() as tx:
            step = idempotency.prune(tx, before=before, limit=PRUNE_STEP_ROWS)
        pruned += step
        if step < PRUNE_STEP_ROWS:
            break
    return pruned


def _claim(rt: Runtime, own: Claim) -> Answer | None:
    """None: the claim is ours. Else the answer that was given before."""
    for _ in range(LOOKS_MAX):
        with rt.db.autocommit() as single:
            if idempotency.claim(single, own, lapsed_at=own.claimed_at - LEASE):
                return None
            known = idempotency.look(single, own)
        if known is None:
            continue  # it was given up between the two statements
        if known.digest != own.digest:
            raise KeyConflict
        if known.status is not None:
            return Answer(known.status, known.body, is_replay=True)
        break
    raise KeyInProgress(retry_after_s=RETRY_AFTER_S)
