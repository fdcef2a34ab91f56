"""Tokens of the API below the web: replaced, counted, shared by processes; keys that expire."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from kopilka_testing import StandingClock

from flows import access, idempotency
from flows.idempotency import Answer, Claimed
from flows.runtime import Runtime


def test_a_token_that_is_made_again_keeps_its_name_and_loses_its_past(rt: Runtime, clock: StandingClock) -> None:
    access.create_token(rt, "site", ["read", "hold"], "site")
    access.revoke_token(rt, "site")
    clock.forward(days=1)

    token = access.create_token(rt, "site", ["quote"], "till")

    (known,) = access.tokens(rt)
    assert (known.scopes, known.channel, known.revoked_at, known.last_used_at) == (("quote",), "till", None, None)
    assert access.admit(rt, token) is not None


def test_the_database_holds_no_token_in_clear(rt: Runtime) -> None:
    token = access.create_token(rt, "site")

    with rt.db.begin() as tx:
        row = str(tx.execute(sa.text("SELECT * FROM api_token")).one())

    assert token not in row
    assert token.removeprefix(access.TOKEN_PREFIX) not in row


def test_calls_of_many_threads_are_counted_together(rt: Runtime) -> None:
    token = access.create_token(rt, "site")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: access.admit(rt, token, per_second=2), range(40)))

    waiting = [one for one in found if one is not None and one.wait_s > 0]
    assert len(waiting) == 40 - 2 * access.WINDOW_S
    assert all(one.wait_s <= access.WINDOW_S for one in waiting)


@pytest.mark.parametrize("token", ["", "x", "kop_" + "я" * 20, "k" * 10_000, "kop_\x00"])
def test_what_is_no_token_opens_nothing(rt: Runtime, token: str) -> None:
    assert access.admit(rt, token) is None


def test_a_claim_given_up_can_be_taken_at_once(rt: Runtime) -> None:
    access.create_token(rt, "site")
    with rt.db.begin() as tx:
        token_id = int(tx.execute(sa.text("SELECT id FROM api_token")).scalar_one())

    def fail(claimed: Claimed) -> Answer:
        raise RuntimeError(claimed.key)

    def succeed(claimed: Claimed) -> Answer:
        return Answer(200, claimed.key.encode())

    with pytest.raises(RuntimeError):
        idempotency.once(rt, token_id=token_id, key="k", digest=b"one", work=fail)
    first = idempotency.once(rt, token_id=token_id, key="k", digest=b"one", work=succeed)
    again = idempotency.once(rt, token_id=token_id, key="k", digest=b"one", work=fail)

    assert (first.is_replay, again.is_replay) == (False, True)
    assert first.body == again.body
    with pytest.raises(idempotency.KeyConflict):
        idempotency.once(rt, token_id=token_id, key="k", digest=b"two", work=succeed)
