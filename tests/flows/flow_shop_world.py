"""A shop whose site, till and bot spend and return points: what tests of orders, holds and members tell and look at.

The product without a CRM, an acquirer and a wallet: nothing to talk to, so a world is made in twenty milliseconds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flow_points_world import World
from kopilka_testing import ROOT, SECRET_KEY, SilentBell, StandingClock

from config.programme import load_programme
from config.settings import load_settings
from flows import book, deal_redemption, holds, people, shop
from flows.deal_redemption import Wish
from flows.holds import Held
from flows.people import Person
from flows.runtime import build_runtime, prepare
from flows.shop import OrderResult
from loyalty.account import Account, Cause
from loyalty.basket import Basket, Line, whole_sum
from loyalty.ledger import Lot, LotOpening
from loyalty.programme import AccrualRules, Duration, Programme
from loyalty.rules import Exclusions, RedeemRules
from storage import holds as holds_storage
from storage import lots, members, orders
from storage.holds import Hold
from storage.members import Member
from storage.orders import Order

RULES_FILE = """\
version: 1
programme: {name: Клуб, timezone: Europe/Moscow}
accrual: {rate: 10%}
"""
RULES = Programme(
    name="Клуб",
    timezone="Europe/Moscow",
    accrual=AccrualRules(
        rate_bps=1_000,
        activate_after=Duration(14, "days"),
        expire_after=Duration(180, "days"),
        exclude=Exclusions(on_sale="yes"),
    ),
    redeem=RedeemRules(max_share_bps=3_000, exclude=Exclusions(on_sale="yes")),
)
"""10 % active after 14 days, 30 % may be paid with points, goods on sale take no part."""

TICKET = whole_sum(499_000)
V05 = Basket(
    lines=(
        Line(300_000, sku="A"),
        Line(200_000, sku="B"),
        Line(150_000, sku="C", discount_kopecks=50_000, is_on_sale=True),
    ),
    promo_kopecks=60_000,
    delivery_kopecks=35_000,
)
"""The basket of the worked examples V05-V07."""

TABLES = ("member", "orders", "hold", "lot", "transfer", "member_address", "outbox", "message")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class ShopWorld(World):
    """Orders of the shop's own programs beside deals; points that fell from the sky."""

    clock: StandingClock

    def rich(self, points: int, *, expires_at: datetime | None = None) -> int:
        """A member with available points from before."""
        member_id = self.member()
        self.give(member_id, points, expires_at=expires_at)
        return member_id

    def give(self, member_id: int, points: int, *, expires_at: datetime | None = None, told: bool = True) -> str:
        """One more lot; its key. `told`: the owner of what ends was warned."""
        key = f"opening:{next(_numbers)}"
        now = self.rt.now()
        with self.rt.db.begin() as tx:
            member = members.lock(tx, member_id)
            self.rt.programme_of(tx, self.rt.rules_version)
            account = Account(member.balance, ())
            opening = LotOpening(key, "opening", None, self.rt.rules_version, now, expires_at)
            lot = account.open(opening)
            account.move("opening", points, ("opening", "available"), key=key, cause=Cause(rule="import"), lot=lot)
            account.settle(key)
            book.save(tx, self.rt, member_id, account, occurred_at=now)
            if told and expires_at is not None:
                tx.execute(sa.text("UPDATE lot SET notified_at = :now WHERE key = :key"), {"now": now, "key": key})
        return key

    def hold(
        self, member_id: int, points: int, basket: Basket = TICKET, *, ref: str | None = None, channel: str = "site"
    ) -> Held:
        ref = ref or f"order-{next(_numbers)}"
        return holds.make(self.rt, member_id, order_ref=ref, basket=basket, points=points, channel=channel)

    def buy(
        self,
        member_id: int,
        basket: Basket = TICKET,
        *,
        redeem: int = 0,
        ref: str | None = None,
        channel: str = "site",
        paid_channel: str | None = None,
    ) -> OrderResult:
        """The order is held for, if points are to be spent, and paid."""
        ref = ref or f"order-{next(_numbers)}"
        if redeem:
            self.hold(member_id, redeem, basket, ref=ref, channel=channel)
        return shop.pay(
            self.rt, ref, member_id=member_id, basket=basket, paid_kopecks=None, channel=paid_channel or channel
        )

    def take_back(self, ref: str, **units: int) -> OrderResult:
        """`take_back("o", line_2=1)`: one unit of the second line."""
        counts = {int(name.removeprefix("line_")): count for name, count in units.items()}
        return shop.give_back(self.rt, ref, units=counts, amount_kopecks=0)

    def wish(
        self, deal_ref: int, points: int | None, *, code: str = "", price: int = 499_000, lost: bool = False
    ) -> Order:
        """The manager's fields of an unpaid deal, as its reading from the CRM finds them."""
        now = self.rt.now()

        def save(tx: sa.Connection) -> Order:
            order = orders.open_order(tx, deal_ref, now=now)
            assert order.member_id is not None
            orders.save_deal(tx, order.id, member_id=order.member_id, price_kopecks=price, is_stage_paid=False)
            fresh = orders.by_ids(tx, [order.id])[order.id]
            deal_redemption.follow(tx, self.rt, fresh, Wish(points, code, is_lost=lost), now=now)
            return orders.by_ids(tx, [order.id])[order.id]

        return self.rt.db.run(save)

    def person(self, name: str = "Анна", **known: Any) -> Member:
        """A member made by the shop's program."""
        return people.create(self.rt, Person(name, **known))

    def shop_order(self, ref: str) -> Order:
        return shop.look(self.rt, ref).order

    def open_hold(self, order: Order) -> Hold | None:
        if order.hold_id is None:
            return None
        with self.rt.db.begin() as tx:
            return holds_storage.by_id(tx, order.hold_id)

    def holds_of(self, member_id: int) -> list[tuple[str, int]]:
        """State and points of every hold, oldest first."""
        with self.rt.db.begin() as tx:
            found = tx.execute(
                sa.text("SELECT state, points FROM hold WHERE member_id = :id ORDER BY id"), {"id": member_id}
            )
            return [(row.state, row.points) for row in found]

    def lots(self, member_id: int) -> Sequence[Lot]:
        """Lots that still hold points, in the order in which they are spent."""
        with self.rt.db.begin() as tx:
            return lots.all_open(tx, member_id)

    def moves(self, member_id: int) -> list[tuple[str, int]]:
        return [(one.move, one.points) for one in self.transfers(member_id)]

    def entries(self, member_id: int) -> list[tuple[Any, ...]]:
        """What the ledger says of a member, without the names that differ from one history to an equal one."""
        return [
            (re.sub(r"\d+", "N", one.key), one.move, one.debit, one.credit, one.points, one.rules_version, one.rule,
             one.actor, one.reason, one.occurred_at, one.recorded_at, one.source)
            for one in self.transfers(member_id)
        ]  # fmt: skip

    def everything(self) -> tuple[str, ...]:
        """A digest of every row that a request could touch."""
        with self.rt.db.begin() as tx:
            digest = "SELECT COALESCE(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {} AS t"
            return tuple(tx.execute(sa.text(digest.format(table))).scalar_one() for table in TABLES)

    def is_whole(self) -> bool:
        """Raises AssertionError with what is wrong."""
        verdict = self.verdict()
        assert verdict.is_whole, verdict.faults
        return True


def shipped_rules() -> Programme:
    """Those of the rules file that comes with the product."""
    names = ("AMOCRM_CLIENT_ID", "AMOCRM_CLIENT_SECRET", "YOOKASSA_SHOP_ID", "YOOKASSA_SECRET", "TBANK_TERMINAL")
    secrets = dict.fromkeys((*names, "TBANK_PASSWORD"), "x")
    return load_programme(ROOT / "config" / "programme.yaml", secrets).programme


@contextmanager
def opened(database_url: str, clock: StandingClock, folder: Path, programme: Programme = RULES) -> Iterator[ShopWorld]:
    """A shop that opens with these rules."""
    path = folder / "programme.yaml"
    path.write_text(RULES_FILE, encoding="utf-8")
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "https://bonus.sportgory.ru",
        "SECRET_KEY": SECRET_KEY,
        "PROGRAMME": str(path),
    }
    rt = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    try:
        prepare(rt)
        world = ShopWorld(rt, clock)
        world.use(programme)
        yield world
    finally:
        rt.db.close()
