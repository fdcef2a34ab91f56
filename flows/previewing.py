"""A card to be looked at before anybody has it: a sample's or a member's, as the very pass that would be signed.

Owns the sample's numbers. Signs nothing, writes nothing; a sample needs no database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from flows import cards, explaining
from flows.refusals import SegmentUnknown
from flows.wallets import DEMO_PASS_TYPE_ID, DEMO_TEAM_ID, design_of
from loyalty import segments
from loyalty.segments import Purchases
from storage import members
from wallet.card import Card, NextSegment
from wallet.card_apple import apple_pass
from wallet.preview_html import preview_html
from wallet.preview_png import preview_pngs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from config.model import ProgrammeFile
    from flows.runtime import Runtime
    from loyalty.rules import SegmentRule

SAMPLE_POINTS = 1_240
SAMPLE_NAME = "Анна Петрова"
SAMPLE_URL = "https://club.example.ru/c/obrazec"
_PENDING = 468
_PENDING_FOR = timedelta(days=14)
_BURN = 341
_BURN_IN = timedelta(days=30)


@dataclass(frozen=True)
class Previewed:
    """What would be signed: pass.json and the pictures beside it."""

    pass_json: bytes = field(repr=False)
    images: Mapping[str, bytes] = field(repr=False)
    language: str

    def html(self) -> str:
        """One self-contained page. Raises WalletError."""
        return preview_html(self.pass_json, self.images, language=self.language)

    def pngs(self) -> tuple[bytes, bytes]:
        """Front and back. Raises WalletError."""
        return preview_pngs(self.pass_json, self.images)


def of_sample(
    file: ProgrammeFile, *, today: date, segment_code: str | None = None, points: int = SAMPLE_POINTS
) -> Previewed:
    """The card of nobody, in the lowest segment unless one is named. Raises SegmentUnknown, WalletError, OSError."""
    programme, number = file.programme, file.card
    rule = _segment(file, segment_code)
    bought = Purchases(1) if rule is None else Purchases(rule.min_orders or 1, rule.min_spent_kopecks or 0)
    code = None if rule is None else rule.code
    goal = segments.next_goal(code, bought, programme.segments, programme.segment_policy)
    card = Card(
        serial="sample",
        number=number.number_prefix.ljust(number.number_length - 1, "0") + "1",
        member_name=SAMPLE_NAME,
        segment_title=None if rule is None else rule.title,
        available_points=points,
        pending_points=_PENDING,
        next_activation_on=today + _PENDING_FOR,
        nearest_burn=(_BURN, today + _BURN_IN),
        card_url=SAMPLE_URL,
        segment_code=code,
        next_segment=None if goal is None else NextSegment(goal.title, goal.orders, goal.kopecks, goal.needs_both),
    )
    return _passed(file, card)


def of_member(rt: Runtime, who: str) -> Previewed:
    """The card of a member by phone, mail, number or id, as it is now. Raises as `explaining.member_named`."""
    member_id = explaining.member_named(rt, who)
    with rt.db.begin() as tx:
        member = members.shown(tx, [member_id])[member_id].person
        card = cards.card_of(tx, rt, member)
    return _passed(rt.file, card)


def _segment(file: ProgrammeFile, code: str | None) -> SegmentRule | None:
    rules = file.programme.segments
    if code is None:
        return next(iter(rules), None)
    rule = segments.by_code(code, rules)
    if rule is None:
        known = ", ".join(one.code for one in rules) or "нет ни одного"
        raise SegmentUnknown(f"В правилах есть: {known}")
    return rule


def _passed(file: ProgrammeFile, card: Card) -> Previewed:
    apple = file.card.apple
    pass_ = apple_pass(
        card,
        design_of(file),
        pass_type_id=DEMO_PASS_TYPE_ID if apple is None else apple.pass_type_id,
        team_id=DEMO_TEAM_ID if apple is None else apple.team_id,
        demo=apple is None,
    )
    return Previewed(pass_.pass_json(), pass_.images.files, file.card.language)
