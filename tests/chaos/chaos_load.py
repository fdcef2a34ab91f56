"""What a shop does all day, by the dice: new deals paid through all banks, refunds, managers who move deals about."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from chaos_town import Town

PAID_STAGE = "Оплачен"
REGULARS = 10
NEWCOMERS = 0.15
"""The share of deals whose buyer comes for the first time."""
BANKS = ("tbank", "yookassa", "cloudpayments", "robokassa", "sber", "alfabank", "prodamus", "paykeeper", "stripe")
TELL_OF_PARTS = ("yookassa", "cloudpayments", "sber", "alfabank", "stripe")
TELL_OF_THE_WHOLE = ("tbank", *TELL_OF_PARTS)
"""T-Bank does not say how much of a payment it gave back. The others tell of no refund at all: whatever the shop gives
back there is learnt by asking, and nobody is asked here."""


@dataclass
class Load:
    """`moved_back`: deals that stood in the paid stage and left it; they may rightly have earned more than once."""

    town: Town
    dice: random.Random
    events: Counter[str] = field(default_factory=Counter)
    moved_back: set[int] = field(default_factory=set)
    _unpaid: list[tuple[int, int]] = field(default_factory=list)
    _paid: list[tuple[int, str]] = field(default_factory=list)
    _stages: list[str] = field(default_factory=list)

    def step(self) -> None:
        """One event."""
        acts = ((self._order, 6), (self._refund, 2), (self._move, 2), (self._paid_in_cash, 1))
        act = self.dice.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        act()

    def _order(self) -> None:
        deal_id, kopecks = self._deal()
        acquirer = self.dice.choice(BANKS)
        self._pay(deal_id, kopecks, acquirer)

    def _deal(self) -> tuple[int, int]:
        kopecks = self.dice.randrange(10_000, 2_000_000)
        is_new = self.dice.random() < NEWCOMERS
        buyer = self.events["deal"] + REGULARS if is_new else self.dice.randrange(REGULARS)
        body = {
            "name": f"Заказ {sum(self.events.values())}",
            "price_roubles": kopecks / 100,
            "contact": {"name": f"Покупатель {buyer}", "phone": f"+7900111{buyer:04}"},
        }
        self.events["deal"] += 1
        return self.town.crm("POST", "/sim/deals", body)["deal_id"], kopecks

    def _pay(self, deal_id: int, kopecks: int, acquirer: str) -> None:
        self.events[f"paid {acquirer}"] += 1
        body: dict[str, Any] = {
            "acquirer": acquirer,
            "amount_kopecks": kopecks,
            "callbacks": self.dice.randint(1, 3),
            "hooks": self.dice.randint(1, 3),
            "shuffle": True,
        }
        self.town.crm("POST", f"/sim/deals/{deal_id}/pay", body)
        if acquirer in TELL_OF_THE_WHOLE:
            self._paid.append((deal_id, acquirer))

    def _paid_in_cash(self) -> None:
        """Only the stage says that it is paid."""
        deal_id, _ = self._deal()
        self.events["cash"] += 1
        self._move_to(deal_id, PAID_STAGE)

    def _refund(self) -> None:
        """The whole, or where a part is told a part, perhaps several."""
        if not self._paid:
            return
        place = self.dice.randrange(len(self._paid))
        deal_id, acquirer = self._paid[place]
        view = self.town.crm("GET", f"/sim/state?deal={deal_id}")["deals"][0]["payments"]
        left = sum(payment["captured"] - payment["refunded"] for payment in view if payment["status"] == "captured")
        if left <= 1:
            self._paid.pop(place)
            return
        is_part = acquirer in TELL_OF_PARTS and self.dice.random() < 0.8
        self.events[f"refund {acquirer}"] += 1
        amount = {"amount_kopecks": self.dice.randrange(1, left)} if is_part else {}
        self.town.crm("POST", f"/sim/deals/{deal_id}/refund", amount)
        if not is_part:
            self._paid.pop(place)

    def _move(self) -> None:
        """A manager moves some deal to any stage."""
        deals = self.town.crm("GET", "/sim/state")["deals"]
        deal = self.dice.choice(deals)
        stages = sorted({one["status"] for one in deals} | {PAID_STAGE, "Успешно реализовано"})
        self.events["move"] += 1
        self.moved_back.add(deal["id"])
        self._move_to(deal["id"], self.dice.choice(stages))

    def _move_to(self, deal_id: int, stage: str) -> None:
        self.town.crm("POST", f"/sim/deals/{deal_id}/move", {"status": stage, "hooks": self.dice.randint(1, 3)})
