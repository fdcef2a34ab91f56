"""Words that a Google card says about its own state: points that end soon. Never an offer.

Google shows three notices of a card in a day, whether by a message or by a changed balance: they are counted together
in our database, over all processes, and what is over goes as a silent message. A card holds ten messages; we keep at
most `OWN_KEPT` and touch nobody else's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from connector.errors import ConnectorError, NeedsReauth, NotFound
from connector.google_wallet import NoticesSpent
from flows import notices
from loyalty.wording import count_text, full_date
from storage import google_notices
from storage.google_notices import Allowance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flows.runtime import Runtime
    from flows.wallets import Google
    from loyalty.notices import Notice
    from storage.google import GoogleCard

LOUD_MOST = 3
LOUD_WITHIN = timedelta(hours=24)
MESSAGES_MOST = 10
OWN_KEPT = 4
OWN_PREFIX = "kopilka-"

_log = structlog.get_logger(__name__)


def allowance(now: datetime) -> Allowance:
    return Allowance(LOUD_MOST, now - LOUD_WITHIN)


def warn_of_burning(rt: Runtime, google: Google, known: Sequence[GoogleCard]) -> None:
    """One message per notice that is due, on cards that are on a phone. Raises NeedsReauth; other failures cost the
    message, not the card: it shows the date anyway."""
    ids = {card.member_id for card in known if card.is_saved and not card.is_retired}
    if not ids:
        return
    with rt.db.begin() as tx:
        due = notices.due(tx, rt, sorted(ids), now=rt.now())
        told = google_notices.told(tx, [_id(notice, member_id) for member_id, notice in due])
    nearest: dict[int, Notice] = {}
    for member_id, notice in due:  # by the day they end on
        nearest.setdefault(member_id, notice)
    for member_id, notice in nearest.items():
        if _id(notice, member_id) not in told:
            _tell(rt, google, member_id, notice)


def _tell(rt: Runtime, google: Google, member_id: int, notice: Notice) -> None:
    now = rt.now()
    message_id = _id(notice, member_id)
    with rt.db.begin() as tx:
        serial = google_notices.lock(tx, member_id)
        if serial is None:
            return
        reserved = google_notices.add_message(tx, member_id, message_id, allowance(now), now=now)
    if reserved is None:
        return
    notice_id, is_loud = reserved
    object_id = google.object_id(serial)
    try:
        make_room(google, object_id)
        rt.failpoints.reach("google.before_message")
        _say(rt, google, object_id, notice, message_id, is_loud=is_loud)
    except ConnectorError as failure:
        if not failure.ambiguous:
            with rt.db.begin() as tx:
                google_notices.take_back(tx, notice_id)
        if isinstance(failure, NeedsReauth):
            raise
        if not isinstance(failure, NotFound) and failure.retryable and not failure.ambiguous:
            raise
        _log.warning("google_message_lost", error=failure.code)


def _say(rt: Runtime, google: Google, object_id: str, notice: Notice, message_id: str, *, is_loud: bool) -> None:
    try:
        google.api.add_message(object_id, message(rt, notice, message_id, is_loud=is_loud))
    except NoticesSpent:  # by somebody else than us
        if not is_loud:
            raise
        google.api.add_message(object_id, message(rt, notice, message_id, is_loud=False))


def make_room(google: Google, object_id: str) -> None:
    """Our oldest messages go before one more comes; the others stay as they are. The card keeps the newest last."""
    there = google.api.messages(object_id)
    own = [one for one in there if str(one.get("id", "")).startswith(OWN_PREFIX)]
    spare = min(OWN_KEPT - 1, max(0, MESSAGES_MOST - 1 - (len(there) - len(own))))
    gone = {id(one) for one in own[: max(0, len(own) - spare)]}
    if gone:
        google.api.keep_messages(object_id, [one for one in there if id(one) not in gone])


def message(rt: Runtime, notice: Notice, message_id: str, *, is_loud: bool) -> Mapping[str, Any]:
    """The body of addMessage's message."""
    points = count_text(notice.points, rt.point_forms)
    return {
        "id": message_id,
        "header": "Баллы скоро сгорят",
        "body": f"{points} действуют по {full_date(notice.burn_on)}",
        "messageType": "TEXT_AND_NOTIFY" if is_loud else "TEXT",
    }


def _id(notice: Notice, member_id: int) -> str:
    return OWN_PREFIX + notice.key(member_id).replace(":", "-")
