"""Phones are told that a member's card has changed: a new tag if it really has, then one push per phone.

A phone that was told keeps the tag up to which it was, so a push that failed or a process that died in between is made
up for by the next try, and a phone that knows already is left alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from connector.errors import ConnectorError, NeedsReauth
from flows import apple_cards
from flows.settle import NotYet, SetupIncomplete
from storage import apple, apple_phones

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from connector.apns import Apns, Push
    from flows.runtime import Runtime
    from storage.apple_phones import Phone

REGISTERED_TO_THE = timedelta(seconds=1)
"""A phone that says so again within this time is not written down again."""

_log = structlog.get_logger(__name__)


def refresh(rt: Runtime, member_ids: Sequence[int]) -> dict[int, str]:
    """Brings the cards of these people up to date and pushes to their phones. Raises ConnectorError, SetupIncomplete,
    NotYet, WalletError."""
    updates = rt.apple
    if updates is None:
        raise SetupIncomplete("Карты Apple не обновляются: проверьте card.apple и PUBLIC_URL (нужен https)")
    with rt.db.begin() as tx:
        rows = apple.cards_of(tx, member_ids)
    if rows:
        apple_cards.settled(rt, rows)
    rt.failpoints.reach("apple.after_tag")
    with rt.db.begin() as tx:
        phones = apple_phones.untold(tx, list(rows)) if rows else ()
    if not phones:
        return dict.fromkeys(member_ids, "карта Apple: телефоны знают")
    if updates.push is None:
        return dict.fromkeys(member_ids, "карта Apple обновлена, push не отправлен: учебный сертификат")
    _tell(rt, updates.push, phones)
    return dict.fromkeys(member_ids, "карта Apple: телефонам сказано")


def _tell(rt: Runtime, apns: Apns, phones: Sequence[Phone]) -> None:
    """One push per phone, also where two rows have its token: a phone that was set up anew."""
    began = rt.now()
    tokens = sorted({phone.push_token for phone in phones})
    pushes = dict(zip(tokens, _judged(apns.push(tokens)), strict=True))
    rt.failpoints.reach("apple.after_push")
    with rt.db.begin() as tx:
        apple_phones.note_told(tx, [one for one in phones if pushes[one.push_token].outcome == "sent"])
        left = [
            one
            for one in phones
            if (until := _dead_since(pushes[one.push_token], began)) is not None
            and not apple_phones.forget(tx, one, unless_registered_after=until)
        ]
        apple.count_pushes(tx, Counter(_outcome(push) for push in pushes.values()))
    _raise_worst([push.failure for push in pushes.values() if push.failure is not None])
    if left:
        raise NotYet(f"телефонов, которые зарегистрировались снова, пока Apple считала их ушедшими: {len(left)}")


def _judged(pushes: Sequence[Push]) -> Sequence[Push]:
    """Where Apple took one push our certificate is right, so a token of another topic is its phone's own fault: else
    one such phone would hold up everybody in its batch. Where all are foreign, it may be the certificate."""
    if not any(push.outcome == "sent" for push in pushes):
        return pushes
    return [replace(push, failure=None) if push.outcome == "foreign" else push for push in pushes]


def _dead_since(push: Push, began: datetime) -> datetime | None:
    """A phone that has registered later than this is alive, whatever Apple says; None: nothing speaks against it."""
    if push.failure is not None:
        return None
    if push.outcome == "gone":
        return (push.gone_at or began) - REGISTERED_TO_THE
    return began - REGISTERED_TO_THE if push.outcome in ("bad", "foreign") else None


def _outcome(push: Push) -> str:
    return push.outcome if push.failure is None else push.failure.code


def _raise_worst(failures: Sequence[ConnectorError]) -> None:
    """What a person must mend comes before what passes by itself."""
    for failure in failures:
        if isinstance(failure, NeedsReauth):
            raise SetupIncomplete(
                f"Apple не приняла сертификат карт ({failure}). Проверьте, что он не истёк, не отозван и выписан на "
                "тот же тип карты: kopilka doctor. Новый впишите в card.apple.certificate и перезапустите; карты на "
                "телефонах останутся и обновятся"
            ) from failure
    if failures:
        raise max(failures, key=lambda one: (one.retryable, one.retry_after_s or 0.0))
