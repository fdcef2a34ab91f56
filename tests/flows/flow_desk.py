"""A manager at one deal, over HTTP: the simulated CRM tells its own hooks, the product reads and writes its deals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flow_shop_world import ShopWorld
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, posted, settle, tbank_body, yookassa_body

from flows import inbox, lookup, people
from flows.people import Person
from flows.runtime import Runtime
from loyalty.ledger import Balance

REDEEM, ALLOWED, TOTAL, ACCRUED = "Списать бонусов", "Можно списать", "К оплате с бонусами", "Начислено за сделку"
NOBODY = "http://127.0.0.1:9/hook"
ROUNDS_MAX = 6

Run = Callable[..., int]


@dataclass
class Desk:
    """A manager at one deal of a buyer with 2 000 points. Every change is heard by the product before the next."""

    rt: Runtime
    shop: Shop
    world: ShopWorld
    deal_id: int = 0
    contact_id: int = 0
    buyer: int = 0
    heard: set[int] = field(default_factory=set)

    def opens(self, roubles: float = 4_990, *, points: int | None = 2_000) -> None:
        self.shop.crm("POST", "/sim/hook", {"destination": NOBODY})
        self.deal_id, self.contact_id = self.shop.deal(roubles)
        if points is not None:
            person = Person("Анна Петрова", phone="+79000000001", contact_ref=self.contact_id)
            self.buyer = people.create(self.rt, person).id
            if points:
                self.world.give(self.buyer, points)
        self.listen()

    def types(self, value: object) -> None:
        self.shop.crm("POST", f"/sim/deals/{self.deal_id}/fields", {REDEEM: value})
        self.listen()

    def moves(self, stage: str) -> None:
        self.shop.move(self.deal_id, stage)
        self.listen()

    def changes_price(self, roubles: int) -> None:
        headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
        url = f"{self.shop.crm_url}/api/v4/leads/{self.deal_id}"
        assert self.shop.session.patch(url, json={"price": roubles}, headers=headers, timeout=10).status_code == 200
        self.listen()

    def bank_says(self, status: str = "CONFIRMED", **payment: Any) -> None:
        inbox.accept_payment(self.rt, "tbank", posted(tbank_body(self.deal_id, status, **payment)))
        self.listen()

    def notice(self, payment_id: str, event: str = "payment.succeeded") -> None:
        """The other bank only hints: what is true is read from it."""
        inbox.accept_payment(self.rt, "yookassa", posted(yookassa_body(payment_id, event)))
        self.listen()

    def listen(self) -> int:
        """Works every hook that the CRM has told, our own echo too, until it has nothing more to say."""
        for round_number in range(ROUNDS_MAX):
            told = self.shop.crm("GET", "/sim/hooks?limit=500")["deliveries"]
            fresh = [one for one in reversed(told) if one["id"] not in self.heard]
            if round_number and not fresh:
                return round_number
            for one in fresh:
                self.heard.add(one["id"])
                inbox.accept_hook(self.rt, one["body"].encode())
            settle(self.rt)
        raise AssertionError(f"the echo of our own writes has no end: {fresh}")

    @property
    def fields(self) -> dict[str, Any]:
        return dict(self.shop.state(self.deal_id)["deals"][0]["fields"])

    @property
    def feed(self) -> list[str]:
        """What the deal's notes say, without the programme's name, the mark and hard spaces."""
        texts = [note["text"].replace("\xa0", " ") for note in self.shop.state(self.deal_id)["notes"]]
        return [text.partition(". ")[2].partition(" [")[0] for text in texts]

    @property
    def balance(self) -> Balance:
        return self.world.balance(self.buyer)

    @property
    def holds(self) -> list[tuple[str, int]]:
        return self.world.holds_of(self.buyer)

    def check(self) -> None:
        assert self.world.is_whole()
        assert lookup.events(self.rt, states=["parked", "waiting", "working"], limit=10) == ([], [])


def make_desk(rt: Runtime, shop: Shop, clock: StandingClock) -> Desk:
    """Neither wallets nor customers: both follow the member, and other tests look at them."""
    assert rt.file.amocrm is not None
    rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, customers=False))
    rt.google = None
    return Desk(rt, shop, ShopWorld(rt, clock))
