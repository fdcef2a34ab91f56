"""The class of cards and a member's loyalty object at Google, made equal to the design and to the ledger. Only where
the owner has configured an issuer.

A level, not an edge: what is sent is the present state, so a write may be repeated. One process at a time writes one
object, because an older state that lands after a newer one would stay.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from connector.errors import ConnectorError, NeedsReauth, RateLimited
from connector.google_wallet import NoRights
from flows import cards, google_messages
from flows.google_button import Button, button, is_demo_mode
from flows.settle import UNSURE_FOR, SetupIncomplete, written_once
from storage import google as google_storage
from storage import google_notices, members
from storage.db import DatabaseAway
from storage.google import GoogleCard
from wallet.google import loyalty_class, loyalty_object, retired_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from connector.google_wallet import GoogleWallet
    from flows.runtime import Runtime
    from flows.wallets import Google

__all__ = ["Button", "Present", "button", "is_demo_mode", "keep_class", "present", "push", "refresh", "retire"]

CLASS_AGAIN_AFTER = timedelta(minutes=1)
"""While old and new processes run side by side, each with its design, the class changes no oftener than this."""
BUSY_AGAIN_S = 5.0
REVIEWED_BADLY = frozenset({"REJECTED", "rejected", "DRAFT", "draft"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Present:
    """An object as it must be now, and what is known of it at Google."""

    body: Mapping[str, Any]
    digest: str
    points: int
    known: GoogleCard

    @property
    def member_id(self) -> int:
        return self.known.member_id

    @property
    def is_told(self) -> bool:
        return self.known.digest == self.digest

    @property
    def is_wanted(self) -> bool:
        """Nobody looks at a card that its owner has deleted; only what must not stay there is still changed. Of who
        was erased before he had an object none is made."""
        return self.known.is_saved is not False or (self.known.is_retired and self.known.is_made)

    @property
    def is_news(self) -> bool:
        """The balance has moved since the card last told one: worth a word from the phone."""
        return self.known.told_points not in (None, self.points) and not self.known.is_retired


def refresh(rt: Runtime, member_ids: Sequence[int]) -> dict[int, str]:
    """Sends the objects that differ from what Google has. Raises ConnectorError, SetupIncomplete, WalletError."""
    google = connected(rt)
    with explained():
        keep_class(rt, google, google.api)
        with rt.db.begin() as tx:
            found = present(tx, rt, google, member_ids)
        is_busy = False
        for one in found:
            if one.is_wanted and not one.is_told:
                is_busy |= not push(rt, google.api, one)
        google_messages.warn_of_burning(rt, google, [one.known for one in found if one.is_wanted])
    if is_busy:
        raise RateLimited("google wallet: another process is writing this card", retry_after_s=BUSY_AGAIN_S)
    return {one: _outcome(found, one) for one in member_ids}


def present(tx: sa.Connection, rt: Runtime, google: Google, member_ids: Iterable[int]) -> list[Present]:
    """The objects of these members and of those who were merged into them; of the latter only such as exist."""
    shown = members.shown(tx, member_ids)
    known = google_storage.cards(tx, {*shown, *(one.person.id for one in shown.values())})
    found = []
    for one in shown.values():
        own = known.get(one.id, GoogleCard(one.id))
        if one.is_merged and one.id not in known:
            continue
        object_id = google.object_id(one.card_serial)
        card = replace(cards.card_of(tx, rt, one.person), serial=one.card_serial)
        # Two cards of one person on a phone are one too many; a lone old one goes on.
        is_double = one.is_merged and known.get(one.person.id, GoogleCard(0)).is_saved is True
        body = (
            retired_object(object_id=object_id, class_id=google.class_id)
            if own.is_retired
            else loyalty_object(
                card,
                rt.design,
                object_id=object_id,
                class_id=google.class_id,
                account_name=one.person.name if rt.design.show_name else None,
                state="INACTIVE" if is_double else "ACTIVE",
            )
        )
        found.append(Present(body, digest_of(body), 0 if own.is_retired else card.available_points, own))
    return found


def push(rt: Runtime, api: GoogleWallet, one: Present) -> bool:
    """Writes one object; False: another process is at it or has just been. Raises ConnectorError."""
    now = rt.now()

    def begin(tx: sa.Connection) -> tuple[bool, int | None]:
        """Remembered before the write: whoever comes after our death sends it again."""
        if not google_storage.begin_card(tx, one.known, now=now, until=now + UNSURE_FOR):
            return False, None
        is_loud = one.is_news and one.known.is_made
        allowance = google_messages.allowance(now)
        return True, google_notices.spend(tx, one.member_id, allowance, now=now) if is_loud else None

    is_ours, notice_id = rt.db.run(begin)
    if not is_ours:
        return False
    try:
        with written_once():
            api.put_object(one.body, is_made=one.known.is_made, notify=notice_id is not None)
    except ConnectorError as failure:
        if not failure.ambiguous:
            rt.db.run(lambda tx: _leave(tx, one.member_id, notice_id))
        raise
    rt.failpoints.reach("google.after_write")
    rt.db.run(lambda tx: google_storage.end_card(tx, one.member_id, digest=one.digest, points=one.points, now=rt.now()))
    return True


def keep_class(rt: Runtime, google: Google, api: GoogleWallet) -> None:
    """The class says what the design says; one that does already costs a look at our database. Raises
    ConnectorError."""
    body = class_body(rt, google)
    digest, now = digest_of(body), rt.now()
    with rt.db.begin() as tx:
        known = google_storage.class_state(tx, google.class_id)
    if known.digest == digest or (known.is_made and known.told_at and now - known.told_at < CLASS_AGAIN_AFTER):
        return
    if not rt.db.run(lambda tx: google_storage.begin_class(tx, google.class_id, now=now, until=now + UNSURE_FOR)):
        if known.is_made:
            return
        raise RateLimited("google wallet: another process is making the class", retry_after_s=BUSY_AGAIN_S)
    cleared = sorted(set(known.fields) - body.keys())
    try:
        with written_once():
            told = api.put_class(body, is_made=known.is_made, cleared=cleared)
    except ConnectorError as failure:
        if not failure.ambiguous:
            rt.db.run(lambda tx: google_storage.leave_class(tx, google.class_id))
        raise
    rt.failpoints.reach("google.after_class")
    status = told.get("reviewStatus")
    review = status[:40] if isinstance(status, str) else None
    rt.db.run(
        lambda tx: google_storage.end_class(
            tx, google.class_id, digest=digest, fields=sorted(body), review_status=review, now=rt.now()
        )
    )
    _log.info("google_class_told", review_status=review, is_new=not known.is_made)


def class_body(rt: Runtime, google: Google) -> dict[str, Any]:
    """What the class must say by the present design."""
    hero = cards.hero_png(rt)
    return loyalty_class(
        rt.design,
        google.issuer_id,
        google.class_suffix,
        logo_url=_picture_url(rt, "logo", cards.logo_png(rt)),
        hero_url=None if hero is None else _picture_url(rt, "hero", hero),
        callback_url=google.callback_url,
        country_code=google.country_code,
    )


def _picture_url(rt: Runtime, name: str, picture: bytes) -> str:
    """Google keeps a picture by its address: another picture needs another one."""
    return f"{rt.settings.public_url}/c/{name}.png?v={hashlib.sha256(picture).hexdigest()[:12]}"


def review_trouble(rt: Runtime) -> str | None:
    """What keeps the class from being shown, in Google's word; None: nothing that we know of, or no database."""
    if rt.google is None:
        return None
    try:
        with rt.db.begin() as tx:
            status = google_storage.class_state(tx, rt.google.class_id).review_status
    except DatabaseAway:
        return None
    return status if status in REVIEWED_BADLY else None


def retire(tx: sa.Connection, rt: Runtime, member_id: int) -> None:
    """For who erases a person: his object at Google expires and says nothing more. The caller marks him out of date
    (kind `google`) in the same transaction; what Google itself has kept of earlier states is not ours to delete."""
    if rt.google is not None:
        google_storage.retire(tx, member_id)


def connected(rt: Runtime) -> Google:
    if rt.google is None:
        raise SetupIncomplete("Google Wallet не настроен: заполните card.google в файле правил")
    return rt.google


@contextmanager
def explained() -> Iterator[None]:
    """What only a person can mend is told in his words; the work waits for him."""
    try:
        yield
    except NoRights as failure:
        raise SetupIncomplete(
            f"Google не пускает сервисный аккаунт к этому издателю ({failure}). В Google Wallet Console откройте "
            "«Users» и пригласите адрес client_email из файла ключа с ролью Developer; проверьте card.google.issuer_id"
        ) from failure
    except NeedsReauth as failure:
        raise SetupIncomplete(
            f"Google не приняла ключ сервисного аккаунта ({failure}). Проверьте, что ключ не удалён и API Google "
            "Wallet включён в проекте; выпустите новый ключ JSON, впишите его в card.google.key и перезапустите. "
            "Карты на телефонах останутся и обновятся"
        ) from failure


def digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _leave(tx: sa.Connection, member_id: int, notice_id: int | None) -> None:
    google_storage.leave_card(tx, member_id)
    if notice_id is not None:
        google_notices.take_back(tx, notice_id)


def _outcome(found: Sequence[Present], member_id: int) -> str:
    own = next((one for one in found if one.member_id == member_id), None)
    if own is not None and not own.is_wanted:
        return "карта Google удалена с телефона, не обновляем"
    return "карта Google обновлена"
