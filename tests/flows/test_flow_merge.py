"""Two members become one: every point, every date and every card goes on, whatever happens at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import activated, refused_or_done, together
from flow_shop_world import RULES, TICKET, ShopWorld, opened
from kopilka_testing import StandingClock

from flows import adjusting, holds, people, quoting, shop
from flows.adjusting import Adjustment
from flows.people import Names, Person
from flows.refusals import MemberNotFound, MergeRefused
from loyalty.basket import whole_sum
from loyalty.ledger import Balance
from loyalty.programme import Duration, SegmentRule
from loyalty.rules import ActionReward, GiftRules
from storage import addresses, ledger, members

ROUNDS = 4


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        yield made


def merge(world: ShopWorld, gone: int, kept: int) -> Balance:
    return people.merge(world.rt, from_id=gone, into_id=kept).balance


def found(world: ShopWorld, **name: object) -> int:
    with world.rt.db.begin() as tx:
        return people.find(tx, Names(**name)).id  # type: ignore[arg-type]


def test_lots_go_over_with_their_dates_and_the_sum_of_both_is_kept(world: ShopWorld) -> None:
    gone, kept = world.rich(300), world.rich(200)
    june, july = world.clock() + timedelta(days=100), world.clock() + timedelta(days=130)
    world.give(gone, 40, expires_at=june)
    world.give(kept, 50, expires_at=july, told=False)
    world.buy(gone, ref="pending")
    dates = {
        lot.key: (lot.expires_at, lot.activates_at, lot.notified_at) for one in (gone, kept) for lot in world.lots(one)
    }

    assert merge(world, gone, kept) == Balance(available=590, pending=499)

    assert world.balance(gone) == Balance()
    assert {lot.key: (lot.expires_at, lot.activates_at, lot.notified_at) for lot in world.lots(kept)} == dates
    assert world.is_whole()


def test_merging_again_changes_nothing_and_senseless_merges_are_refused(world: ShopWorld) -> None:
    gone, kept, third = world.rich(300), world.rich(200), world.rich(1)
    merge(world, gone, kept)
    before = world.everything()

    assert merge(world, gone, kept) == Balance(available=500)
    for pair in ((gone, third), (third, gone), (kept, gone), (third, third)):
        with pytest.raises(MergeRefused):
            merge(world, *pair)
    with pytest.raises(MemberNotFound):
        merge(world, 999_999, kept)

    assert world.everything() == before


def test_who_was_merged_is_found_by_all_his_names_as_the_one_who_is_left(world: ShopWorld) -> None:
    gone = world.person("Анна", phone="+79161234567", contact_ref=71)
    kept = world.person("Анна П.", phone="+79037654321", email="anna@example.ru", contact_ref=72)

    merge(world, gone.id, kept.id)

    names: list[dict[str, object]] = [
        {"phone": "+79161234567"},
        {"phone": "+79037654321"},
        {"email": "anna@example.ru"},
        {"contact": 71},
        {"contact": 72},
        {"card": gone.card_number},
        {"card": kept.card_number},
        {"member_id": gone.id},
    ]
    assert {found(world, **name) for name in names} == {kept.id}
    with world.rt.db.begin() as tx:
        by_old_card = members.by_card_token(tx, gone.card_token)
        assert by_old_card is not None
        assert by_old_card.id == kept.id
        assert addresses.of_member(tx, kept.id, "phone") == ["+79037654321", "+79161234567"]


def test_a_chain_of_merges_leads_to_the_last(world: ShopWorld) -> None:
    first, second, third = (world.rich(points) for points in (1, 20, 300))
    merge(world, first, second)
    merge(world, second, third)

    assert found(world, member_id=first) == third
    assert world.balance(third) == Balance(available=321)
    with world.rt.db.begin() as tx:
        lines = ledger.history(tx, third)
    assert sorted(line.points for line in lines) == [1, 20, 300]
    assert world.is_whole()


def test_a_debt_of_one_is_paid_by_the_points_of_the_other(world: ShopWorld) -> None:
    debtor = _debtor(world)
    debt = world.balance(debtor).debt
    assert debt == 50

    assert merge(world, debtor, world.rich(200)) == Balance(available=150)
    assert world.is_whole()


def test_a_rich_one_merged_into_a_debtor_pays_too(world: ShopWorld) -> None:
    debtor = _debtor(world)

    assert merge(world, world.rich(30), debtor) == Balance(debt=20)
    assert merge(world, world.rich(30), debtor) == Balance(available=10)
    assert world.is_whole()


def _debtor(world: ShopWorld) -> int:
    world.use(replace(RULES, accrual=replace(RULES.accrual, activate_after=Duration(0, "days"))))
    debtor = world.member()
    world.buy(debtor, ref="source")
    world.buy(debtor, redeem=499, ref="kept")
    shop.give_back(world.rt, "source", units={1: 1}, amount_kopecks=0)
    return debtor


def test_holds_and_orders_go_on_under_the_new_owner(world: ShopWorld) -> None:
    gone, kept = world.rich(500), world.member()
    world.buy(gone, redeem=100, ref="bought")
    held = world.hold(gone, 200, ref="held")

    merge(world, gone, kept)

    assert world.balance(kept) == Balance(pending=489, available=200, reserved=200)
    shop.pay(world.rt, "held", member_id=kept, basket=TICKET, paid_kopecks=None, channel="site")
    shop.give_back(world.rt, "bought", units={1: 1}, amount_kopecks=0)
    assert world.balance(kept) == Balance(pending=479, available=300)
    assert world.holds_of(kept)[-1] == ("captured", held.hold.points)
    assert world.is_whole()


def test_points_due_at_the_merge_become_available_and_what_has_ended_burns(world: ShopWorld) -> None:
    gone, kept = world.member(), world.rich(100)
    world.buy(gone, ref="o")
    world.give(gone, 70, expires_at=world.clock() + timedelta(days=3))
    world.clock.forward(days=20)

    merge(world, gone, kept)
    activated(world.rt, now=world.clock())

    assert world.balance(kept) == Balance(available=599 if ("expire", 70) in world.moves(kept) else 669)
    assert quoting.quote(world.rt, Names(member_id=kept), TICKET, redeem=0).checkout.spending.max_points == 599
    assert world.is_whole()


def test_the_segment_given_by_hand_and_the_birthday_go_over(world: ShopWorld) -> None:
    world.use(
        replace(RULES, segments=(SegmentRule("start", "Стартовый"), SegmentRule("friends", "Друзья", is_manual=True)))
    )
    gone = world.person(birthday=world.clock().date())
    kept = world.person("Анна П.")
    with world.rt.db.begin() as tx:
        members.set_manual_segment(tx, gone.id, "friends")

    merged = people.merge(world.rt, from_id=gone.id, into_id=kept.id)

    assert (merged.manual_segment_code, merged.birthday) == ("friends", world.clock().date())
    assert world.buy(kept.id, ref="o").member.segment_code == "friends"
    with world.rt.db.begin() as tx:
        assert members.by_ids(tx, [gone.id])[gone.id].segment_code is None


def test_what_was_given_once_is_not_given_again_to_the_merged(world: ShopWorld) -> None:
    world.use(replace(RULES, gifts=GiftRules(actions=(ActionReward("form", "Анкета", 100, once=True),))))
    gone, kept = world.member(), world.member()
    adjusting.reward(world.rt, gone, "form", key="a", actor="сайт")
    merge(world, gone, kept)

    assert refused_or_done(lambda: adjusting.reward(world.rt, kept, "form", key="b", actor="сайт")) == "action_limit"
    assert world.balance(kept) == Balance(available=100)


def test_the_next_order_counts_the_orders_of_both(world: ShopWorld) -> None:
    world.use(replace(RULES, segments=(SegmentRule("start", "Стартовый"), SegmentRule("vip", "VIP", min_orders=3))))
    gone, kept = world.member(), world.member()
    for buyer in (gone, kept):
        world.buy(buyer, whole_sum(10_000))

    merge(world, gone, kept)

    assert world.buy(kept, whole_sum(10_000)).member.segment_code == "vip"


# Races


def test_paid_or_returned_at_the_moment_of_the_merge_every_point_arrives_once(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        gone, kept = world.rich(100), world.rich(10)
        deal = world.deal(gone)
        world.buy(gone, ref=f"r{number}")
        works: list[Callable[[], object]] = [
            lambda gone=gone, kept=kept: people.merge(world.rt, from_id=gone, into_id=kept),  # type: ignore[misc]
            lambda deal=deal: world.pay(deal, 100_000),  # type: ignore[misc]
            lambda number=number: shop.give_back(world.rt, f"r{number}", units={1: 1}, amount_kopecks=0),  # type: ignore[misc]
        ]

        together(3, lambda which, works=works: works[which]())

        assert world.balance(gone) == Balance()
        assert world.balance(kept) == Balance(pending=100, available=110)
        assert world.order(deal).member_id == kept
    assert world.is_whole()


def test_a_hold_captured_released_or_run_out_at_the_moment_of_the_merge_is_settled_once(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        gone, kept = world.rich(300), world.rich(10)
        helds = [world.hold(gone, 100, ref=f"h{number}-{which}").hold for which in range(2)]
        deal = world.deal(gone)
        world.wish(deal, 100)
        works: list[Callable[[], object]] = [
            lambda gone=gone, kept=kept: people.merge(world.rt, from_id=gone, into_id=kept),  # type: ignore[misc]
            lambda helds=helds: holds.release(world.rt, helds[0].public_id),  # type: ignore[misc]
            lambda deal=deal: world.pay(deal, 489_000),  # type: ignore[misc]
        ]

        together(3, lambda which, works=works: works[which]())
        holds.release_expired(world.rt, now=world.clock() + timedelta(hours=1))

        assert world.balance(kept) == Balance(pending=489, available=210)
    assert world.is_whole()


def test_requests_for_the_one_who_is_just_being_merged_end_in_points_of_the_other_or_in_a_refusal(
    world: ShopWorld,
) -> None:
    for number in range(ROUNDS):
        gone, kept = world.rich(300), world.rich(10)
        ref = f"n{number}"
        works: list[Callable[[], object]] = [
            lambda gone=gone, kept=kept: people.merge(world.rt, from_id=gone, into_id=kept),  # type: ignore[misc]
            lambda gone=gone: adjusting.adjust(  # type: ignore[misc]
                world.rt, gone, Adjustment(50, "gift", "к празднику", "Ольга", "k")
            ),
            lambda gone=gone, ref=ref: shop.pay(  # type: ignore[misc]
                world.rt, ref, member_id=gone, basket=TICKET, paid_kopecks=None, channel="site"
            ),
            lambda gone=gone, ref=ref: world.hold(gone, 100, ref=f"{ref}-hold"),  # type: ignore[misc]
        ]

        ends = together(4, lambda which, works=works: refused_or_done(works[which]))

        assert ends[0] == "done"
        expected = 310 + 50 * (ends[1] == "done") + 499 * (ends[2] == "done")
        assert world.balance(kept).net == expected, ends
        assert world.balance(gone) == Balance()
    assert world.is_whole()


def test_two_merges_crosswise_at_once_end_in_one_of_them(world: ShopWorld) -> None:
    for _ in range(ROUNDS):
        one, other = world.rich(30), world.rich(5)
        works: list[Callable[[], object]] = [
            lambda one=one, other=other: people.merge(world.rt, from_id=one, into_id=other),  # type: ignore[misc]
            lambda one=one, other=other: people.merge(world.rt, from_id=other, into_id=one),  # type: ignore[misc]
        ]

        ends = together(2, lambda which, works=works: refused_or_done(works[which]))

        assert sorted(ends) == ["done", "merge_refused"]
        assert world.balance(one).net + world.balance(other).net == 35
    assert world.is_whole()


def test_a_member_made_while_his_twin_is_merged_keeps_his_own_name(world: ShopWorld) -> None:
    gone, kept = world.person(phone="+79161234567"), world.person("Пётр", phone="+79037654321")
    works: list[Callable[[], object]] = [
        lambda: people.merge(world.rt, from_id=gone.id, into_id=kept.id),
        lambda: people.create(world.rt, Person("Новая", phone="+79161234567")),
    ]

    ends = together(2, lambda which: refused_or_done(works[which]))

    assert ends == ["done", "member_exists"]
    with world.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM member WHERE merged_into_id IS NULL")).scalar_one() == 1
