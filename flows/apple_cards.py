"""What an Apple card says now against what it was last known to say: new content gets a new tag.

The content is built from the present state, never stored. A tag is given only if nobody else has given one since the
row was read, and the row is read before the content: so a row never names older content than the one it was given for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from flows import cards
from storage import apple, members, outbox
from wallet.card_apple import card_pkpass, signers_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.apple import AppleCard
    from storage.members import Shown
    from wallet.card import Card
    from wallet.signing import Signer

PASS_TOKEN = "apple pass"  # noqa: S105 - the name of a purpose
ATTEMPTS = 4
"""Each failed one means that somebody else has brought the card up to date meanwhile."""

LOOK_AGAIN = timedelta(minutes=10)
"""After a change that a question found and no mark: time for all processes to have one design and the same rules."""


class NoAppleCards(Exception):
    """The shop has no certificate, or no address where a phone could ask."""


@dataclass(frozen=True)
class Present:
    """A card as it is now; `row` is None if it was never given out. `card` has no token yet."""

    shown: Shown
    row: AppleCard | None
    card: Card
    digest: str

    @property
    def is_told(self) -> bool:
        return self.row is not None and self.row.digest == self.digest


def apple_pass(rt: Runtime, link_token: str) -> bytes | None:
    """The signed .pkpass behind a card link; None for an unknown one. Without an address where a phone could ask, the
    card stays as it is. Raises WalletError."""
    shown = cards.page(rt, link_token)
    if shown is None or rt.signer is None:
        return None
    if rt.apple is None:
        return card_pkpass(shown.card, rt.design, rt.signer)
    found = give_out(rt, shown.member.id)
    key_name = None if found.row is None else found.row.key_name
    return built(rt, found, token=token_of(rt, found.shown.card_serial, key_name=key_name))


def token_of(rt: Runtime, serial: str, *, key_name: str | None = None) -> str:
    """What a phone must show to ask for this card. Installed cards cannot take another, so each keeps the key that it
    was first given out with."""
    return rt.keys.code(PASS_TOKEN, serial, key_name=key_name)


def present(tx: sa.Connection, rt: Runtime, member_ids: Iterable[int]) -> dict[int, Present]:
    """Cards under these ids as they are now; a merged member's shows the person he is. Raises WalletError,
    NoAppleCards."""
    signer, service_url = _set_up(rt)
    ids = list(member_ids)
    rows = apple.cards(tx, ids)
    shown = members.shown(tx, ids)
    now = cards.cards_of(tx, rt, list({shown[one].person.id: shown[one].person for one in ids}.values()))
    found = {}
    for member_id in ids:
        one = shown[member_id]
        card = replace(
            now[one.person.id],
            serial=one.card_serial,
            authentication_token=token_of(rt, one.card_serial),
            web_service_url=service_url,
        )
        digest = signers_pass(card, rt.design, signer).digest()
        found[member_id] = Present(one, rows.get(member_id), card, digest)
    return found


def give_out(rt: Runtime, member_id: int) -> Present:
    """The card on its way to a phone: from now on every change of it is marked. Raises like `present`."""

    def known(tx: sa.Connection) -> None:
        if not apple.cards(tx, [member_id]):
            open_row(tx, rt, member_id)

    rt.db.run(known)
    found = settled(rt, [member_id], marks=True)[member_id]
    row = found.row
    if row is not None and found.is_told:
        rt.db.run(lambda tx: apple.note_issued(tx, member_id, row.tag, now=rt.now()))
    return found


def open_row(tx: sa.Connection, rt: Runtime, member_id: int) -> AppleCard:
    """The card's row, under the person's lock: what changes before is in it, what changes after marks it."""
    person_id = members.shown(tx, [member_id])[member_id].person.id
    while (locked := members.lock(tx, person_id)).merged_into_id is not None:
        person_id = locked.merged_into_id
    found = present(tx, rt, [member_id])[member_id]
    apple.lock_tags(tx)
    return apple.add(
        tx,
        member_id,
        person_id=person_id,
        key_name=rt.keys.fingerprints[0],
        digest=found.digest,
        now=rt.now(),
    )


def settled(rt: Runtime, member_ids: Iterable[int], *, marks: bool = False) -> Mapping[int, Present]:
    """Cards whose rows say what they say now. `marks`: the worker looks later at those that did not, because it may
    know of no change, or this process may be the one that is behind. Raises like `present`."""
    waiting, done = list(member_ids), dict[int, Present]()
    for _ in range(ATTEMPTS):
        with rt.db.begin() as tx:
            found = present(tx, rt, waiting)
        done |= found
        waiting = sorted(one for one, now in found.items() if now.row is not None and not now.is_told)
        if not waiting:
            break
        rt.db.run(partial(_give_tags, found=found, member_ids=waiting, now=rt.now(), marks=marks))
    return done


def built(rt: Runtime, found: Present, *, token: str) -> bytes:
    """The signed .pkpass: the same bytes for the same content and token. Raises WalletError, NoAppleCards."""
    signer, _ = _set_up(rt)
    signer.require_valid(rt.now())
    signed_at = None if found.row is None else found.row.modified_at
    return card_pkpass(replace(found.card, authentication_token=token), rt.design, signer, signed_at=signed_at)


def _give_tags(
    tx: sa.Connection, *, found: Mapping[int, Present], member_ids: Iterable[int], now: datetime, marks: bool
) -> None:
    """Short: others wait for the lock."""
    apple.lock_tags(tx)
    people = set()
    for member_id in member_ids:
        row = found[member_id].row
        if row is not None and apple.change(tx, row, found[member_id].digest, now=now):
            people.add(row.person_id)
    if marks:
        outbox.add(tx, "apple", people, now=now, due_at=now + LOOK_AGAIN)


def _set_up(rt: Runtime) -> tuple[Signer, str]:
    if rt.signer is None or rt.apple is None:
        raise NoAppleCards
    return rt.signer, rt.apple.service_url
