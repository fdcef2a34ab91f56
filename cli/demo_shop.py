"""What the demo's story does in the shop, and how it reads what came of it: over HTTP, as the shop's people would.

Owns waiting for a thing to become true. Tells no story.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.demo_world import World

Found = TypeVar("Found")

PATIENCE_S = 60.0
POLL_S = 0.05


class StoryFailed(Exception):
    """Something that must be true was not. The text says what."""


@dataclass(frozen=True)
class Deal:
    deal_id: int
    contact_id: int


def new_deal(world: World, name: str, kopecks: int, buyer: str) -> Deal:
    """A deal with a buyer nobody knows yet: the story may be played many times in one folder."""
    phone = f"+7900{secrets.randbelow(10**7):07}"
    body = {"name": name, "price_roubles": kopecks / 100, "contact": {"name": buyer, "phone": phone}}
    made = world.call("POST", f"{world.urls['crm']}/sim/deals", body)
    return Deal(made["deal_id"], made["contact_id"])


def pay(world: World, deal: Deal, acquirer: str, *, callbacks: int, hooks: int) -> str:
    """The bank's name of the payment."""
    body = {"acquirer": acquirer, "callbacks": callbacks, "hooks": hooks, "shuffle": True}
    made = world.call("POST", f"{world.urls['crm']}/sim/deals/{deal.deal_id}/pay", body)
    return str(made["payment"]["id"])


def expected(world: World, kopecks: int) -> int:
    """What the rules promise for a first order, counted here without the product's own functions."""
    programme = world.rt.programme
    base = kopecks * programme.accrual.rate_bps // (10_000 * programme.point_value_kopecks)
    welcome = programme.welcome
    if welcome is None:
        return base
    return welcome.points + (base if welcome.with_base else 0)


def account(world: World, deal: Deal) -> dict[str, Any]:
    """The buyer's account over our API."""
    headers = {"Authorization": f"Bearer {world.api_token}"}
    url = f"{world.urls['web']}/api/v1/members?contact={deal.contact_id}"
    return dict(world.call("GET", url, headers=headers))


def member(world: World, deal: Deal, *, net: int) -> dict[str, Any] | None:
    """The buyer's account, once it holds `net` points."""
    found = account(world, deal)
    balance = found.get("balance")
    if balance is None or balance["available"] + balance["pending"] + balance["reserved"] - balance["debt"] != net:
        return None
    return found


def deal_field(world: World, deal_id: int, name: str) -> str | None:
    state = world.call("GET", f"{world.urls['crm']}/sim/state?deal={deal_id}")
    value = state["deals"][0]["fields"].get(name)
    return None if value is None else str(value)


def believed(world: World, payment_id: str) -> int:
    """How many callbacks of a payment the product has accepted; 0 as long as one of them waits."""
    sent = world.call("GET", f"{world.urls['bank']}/sim/callbacks?payment_id={payment_id}")["callbacks"]
    return len(sent) if all(one["accepted"] for one in sent) else 0


def until(look: Callable[[], Found | None], what: str) -> Found:
    """What `look` finds. Raises StoryFailed."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(POLL_S)
    raise StoryFailed(what)
