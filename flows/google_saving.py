"""«Add to Google Wallet»: the link behind the button, given only once the object behind it exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from connector.errors import ConnectorError
from flows import google
from flows.settle import SetupIncomplete
from storage import google as google_storage
from storage import members, outbox
from wallet.google import save_link

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flows.google import Present
    from flows.runtime import Runtime
    from flows.wallets import Google

TOKEN_CHARS_MAX = 64
RETRY_AFTER_S = 30

_log = structlog.get_logger(__name__)


class GoogleAway(Exception):
    """There is no object yet and Google does not take it now: the buyer may try again."""


def link(rt: Runtime, token: str) -> str | None:
    """The address to send the buyer to; None for an unknown card or without an issuer. Asks Google at most for
    seconds. Raises GoogleAway, WalletError."""
    if rt.google is None or len(token) > TOKEN_CHARS_MAX:
        return None
    with rt.db.begin() as tx:
        member = members.by_card_token(tx, token)
        found = [] if member is None else google.present(tx, rt, rt.google, [member.id])
    one = next((one for one in found if member is not None and one.member_id == member.id), None)
    if member is None or one is None or one.known.is_retired:
        return None
    if not one.is_told:
        _bring_up_to_date(rt, rt.google, one)
    return save_link(
        rt.google.signer.service_account_email,
        rt.google.signer,
        object_id=rt.google.object_id(member.card_serial),
        class_id=rt.google.class_id,
        now=rt.now(),
        prefix=rt.google.save_url,
    )


def _bring_up_to_date(rt: Runtime, issuer: Google, one: Present) -> None:
    """An object that exists but says something old will do: the worker is on its way."""
    try:
        with google.explained():
            google.keep_class(rt, issuer, issuer.hurried)
            if not google.push(rt, issuer.hurried, one) and not one.known.is_made:
                # Another process is at it, or has died at it. Making an object overwrites nothing, so two may try.
                issuer.hurried.insert_object(one.body)
                rt.db.run(lambda tx: _made(tx, rt, one.member_id))
    except (ConnectorError, SetupIncomplete) as failure:
        _log.warning("google_link_stale" if one.known.is_made else "google_link_refused", error=str(failure))
        if not one.known.is_made:
            raise GoogleAway from failure


def _made(tx: sa.Connection, rt: Runtime, member_id: int) -> None:
    """The worker looks at it: the other process may be dead, or the person erased meanwhile."""
    google_storage.note_made(tx, member_id)
    outbox.add(tx, "google", [member_id], now=rt.now())
