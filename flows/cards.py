"""The buyer's card: what its page shows. Made on demand, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from config.card_badges import kind_of
from flows import explaining
from flows.order_sheet import FOR_EVER
from loyalty import burning, calendar, segments
from storage import apple_phones, ledger, lots, members, segment_review
from storage import google as google_storage
from wallet.card import Card, NextSegment
from wallet.google_pictures import google_hero, google_logo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.explaining import Cited
    from flows.runtime import Runtime
    from storage.members import Member

HISTORY_LINES = 20
TOKEN_CHARS_MAX = 64


@dataclass(frozen=True)
class CardPage:
    """Everything the page shows. `next_points` become available on `card.next_activation_on`; `history` in words;
    `tier_percent` of the way to `card.next_segment` is behind him; the card `is_in_apple` or `is_in_google` Wallet."""

    member: Member
    card: Card
    next_points: int
    history: Sequence[Cited]
    tier_percent: int
    is_in_apple: bool
    is_in_google: bool


def page(rt: Runtime, token: str) -> CardPage | None:
    """The page behind a card link; None for an unknown one."""
    with rt.db.begin() as tx:
        member = members.by_card_token(tx, token) if len(token) <= TOKEN_CHARS_MAX else None
        if member is None:
            return None
        soon = lots.next_activation(tx, member.id)
        history = explaining.cited(tx, rt, ledger.statement(tx, member.id, limit=HISTORY_LINES))
        card = card_of(tx, rt, member)
        google = google_storage.cards(tx, [member.id]).get(member.id)
        return CardPage(
            member=member,
            card=card,
            next_points=soon[0] if soon else 0,
            history=history,
            tier_percent=_tier_percent(rt, card.next_segment),
            is_in_apple=apple_phones.is_installed(tx, member.id),
            is_in_google=google is not None and bool(google.is_saved),
        )


def card_of(tx: sa.Connection, rt: Runtime, member: Member) -> Card:
    """A member's card as it is now."""
    return cards_of(tx, rt, [member])[member.id]


def cards_of(tx: sa.Connection, rt: Runtime, people: Sequence[Member]) -> dict[int, Card]:
    """The same of many members, in as many queries as for one."""
    ids = [member.id for member in people]
    soon, burns = lots.next_activations(tx, ids), lots.next_burns(tx, ids)
    goals = _next_segments(tx, rt, people)
    return {one.id: _card(rt, one, soon.get(one.id), burns.get(one.id), goals.get(one.id)) for one in people}


def _card(
    rt: Runtime,
    member: Member,
    soon: tuple[int, datetime] | None,
    burn: tuple[int, datetime] | None,
    next_segment: NextSegment | None,
) -> Card:
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
        segment_code=None if segment is None else segment.code,
        next_segment=next_segment,
    )


def _next_segments(tx: sa.Connection, rt: Runtime, people: Sequence[Member]) -> dict[int, NextSegment]:
    """What each still lacks for his next segment, by the orders that count now."""
    programme = rt.programme
    if not programme.segments:
        return {}
    window_from = calendar.ago(rt.now(), programme.segment_policy.window or FOR_EVER, programme.timezone)
    codes = {member.id: member.segment_code for member in people}
    found = {}
    for bought in segment_review.of_members(tx, list(codes), window_from=window_from):
        code, purchases = codes[bought.member_id], bought.purchases
        goal = segments.next_goal(code, purchases, programme.segments, programme.segment_policy)
        if goal is not None:
            found[bought.member_id] = NextSegment(goal.title, goal.orders, goal.kopecks, goal.needs_both)
    return found


def _tier_percent(rt: Runtime, left: NextSegment | None) -> int:
    """How far he has come: of what is needed, by the measure that is nearest to its end, or farthest if it needs both.

    What a rule names and `left` does not is done."""
    rule = next((one for one in rt.programme.segments if left is not None and one.title == left.title), None)
    if left is None or rule is None:
        return 0
    needs = ((rule.min_orders, left.orders), (rule.min_spent_kopecks, left.kopecks))
    shares = [100 - 100 * min(lacking or 0, whole) // whole for whole, lacking in needs if whole]
    return (min if left.needs_both else max)(shares, default=0)


def badge(rt: Runtime, name: str) -> tuple[bytes, str] | None:
    """An official button as the owner gave it, and its media type; None where he gave none. Raises OSError."""
    path = rt.file.card.badges.get(name)
    content = b"" if path is None else path.read_bytes()
    kind = kind_of(content)
    return None if kind is None else (content, kind)


def logo_png(rt: Runtime) -> bytes:
    """The programme's logo, for Google's servers to fetch."""
    return google_logo(rt.design)


def hero_png(rt: Runtime) -> bytes | None:
    """The wide picture of Google's card; None where the card has no strip."""
    return google_hero(rt.design)
