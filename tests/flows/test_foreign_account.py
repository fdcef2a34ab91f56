"""Rules or tokens of another account on a database that has one already: nothing of it is followed or written."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import ACCOUNT_ID, Shop, StandingClock, hook_body, settle

from console.words import reason
from flows import inbox, linking, linking_survey, nightly
from flows.runtime import Runtime
from storage import linking as linking_storage

pytestmark = pytest.mark.slow


def remember_account(rt: Runtime, account_id: int) -> None:
    with rt.db.begin() as tx:
        linking_storage.save_account_id(tx, account_id)


def one(rt: Runtime, statement: str) -> Any:
    with rt.db.begin() as tx:
        return tx.execute(sa.text(statement)).scalar_one()


def test_a_paid_deal_of_another_account_makes_no_order_and_waits(rt: Runtime, shop: Shop) -> None:
    remember_account(rt, 111)
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))

    settle(rt)

    assert one(rt, "SELECT count(*) FROM orders") == 0
    assert one(rt, "SELECT count(*) FROM transfer") == 0
    outcome = one(rt, "SELECT outcome FROM inbox WHERE state = 'waiting'")
    assert outcome.startswith("ForeignAccount")
    assert set(shop.fields(deal_id)) == {"Телефон"}, "nothing of ours was written there"


def test_catching_up_follows_no_deal_of_another_account(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    remember_account(rt, 111)
    shop.deal(4_990, status="Оплачен")

    for _ in range(2):
        nightly.run_due(rt, now=clock(), only="catch_up", at_once=True)
        settle(rt)
        clock.forward(minutes=30)

    assert one(rt, "SELECT count(*) FROM inbox") == 0
    assert one(rt, "SELECT count(*) FROM orders") == 0


def test_what_waited_because_of_another_account_goes_on_after_the_right_link(rt: Runtime, shop: Shop) -> None:
    remember_account(rt, 111)
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)
    with pytest.raises(linking_survey.OtherAccount):
        linking.survey(rt)
    remember_account(rt, ACCOUNT_ID)

    linking.survey(rt)
    settle(rt)

    assert one(rt, "SELECT count(*) FROM orders") == 1
    assert one(rt, "SELECT count(*) FROM inbox WHERE state <> 'done'") == 0


def test_the_console_says_that_the_account_is_another() -> None:
    told = reason("ForeignAccount: amoCRM: the access opens account 5, the database is of account 7")

    assert "другой аккаунт" in told.text
