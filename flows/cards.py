"""The buyer's card: what its page shows, the signed Apple pass, the Google save link. Made on demand, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flows import explaining
from loyalty import burning, segments
from storage import ledger, lots, members
from wallet.card import Card
from wallet.card_apple import card_pkpass, design_images
from wallet.google import save_link

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from flows.explaining import Cited
    from flows.runtime import Runtime
    from storage.members import Member

HISTORY_LINES = 20
TOKEN_CHARS_MAX = 64


@dataclass(frozen=True)
class CardPage:
    """Everything the page shows. `next_points` become available on `card.next_activation_on`; `history` in words."""

    member: Member
    card: Card
    next_points: int
    history: Sequence[Cited]


def page(rt: Runtime, token: str) -> CardPage | None:
    """The page behind a card link; None for an unknown one."""
    with rt.db.begin() as tx:
        member = members.by_card_token(tx, token) if len(token) <= TOKEN_CHARS_MAX else None
        if member is None:
            return None
        soon = lots.next_activation(tx, member.id)
        history = explaining.cited(tx, rt, ledger.statement(tx, member.id, limit=HISTORY_LINES))
        return CardPage(member, card_of(tx, rt, member), soon[0] if soon else 0, history)


def apple_pass(rt: Runtime, token: str) -> bytes | None:
    """The signed .pkpass of a card; None for an unknown link. Raises WalletError."""
    card = _card(rt, token)
    if card is None or rt.signer is None:
        return None
    return card_pkpass(card, rt.design, rt.signer)


def google_link(rt: Runtime, token: str) -> str | None:
    """«Добавить в Google Wallet»; None for an unknown link or when Google is not configured."""
    card = _card(rt, token)
    google = rt.google
    if card is None or google is None:
        return None
    return save_link(
        google.signer.service_account_email,
        google.signer,
        object_id=google.object_id(card.serial),
        class_id=google.class_id,
        now=rt.now(),
    )


def card_of(tx: sa.Connection, rt: Runtime, member: Member) -> Card:
    """A member's card as it is now."""
    soon = lots.next_activation(tx, member.id)
    burn = lots.next_burn(tx, member.id)
    segment = segments.by_code(member.segment_code, rt.programme.segments)
    zone = ZoneInfo(rt.programme.timezone)
    return Card(
        serial=member.card_serial,
        number=member.card_number,
        member_name=member.name,
        segment_title=None if segment is None else segment.title,
        available_points=member.balance.available - member.balance.debt,
        pending_points=member.balance.pending,
        next_activation_on=soon[1].astimezone(zone).date() if soon else None,
        nearest_burn=None if burn is None else (burn[0], burning.last_valid_day(burn[1], rt.programme.timezone)),
        card_url=rt.card_url(member.card_token),
    )


def logo_png(rt: Runtime) -> bytes:
    """The programme's logo, for Google's servers to fetch."""
    files = design_images(rt.design).files
    return files.get("logo@2x.png") or files.get("logo.png") or files["icon.png"]


def _card(rt: Runtime, token: str) -> Card | None:
    shown = page(rt, token)
    return None if shown is None else shown.card
