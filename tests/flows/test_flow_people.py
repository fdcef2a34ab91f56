"""Who a member is: found by any of his names, made once, his phones as one text whatever was typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import refused_or_done, together
from flow_shop_world import RULES, ShopWorld, opened
from hypothesis import given
from hypothesis import strategies as st
from kopilka_testing import Shop, StandingClock, hook_body, settle

from flows import inbox, people, phones
from flows.people import Names
from flows.refusals import BadEmail, BadPhone, MemberExists, MemberNotFound, SeveralMembers
from flows.runtime import Runtime
from loyalty.ledger import Balance
from loyalty.programme import WelcomeRules
from storage import addresses, members
from storage.members import Member

ROUNDS = 4
ANNA = "+79161234567"


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        yield made


def find(world: ShopWorld, **name: object) -> Member:
    with world.rt.db.begin() as tx:
        return people.find(tx, Names(**name))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "phone"),
    [
        ("8 (916) 123-45-67", ANNA),
        ("89161234567", ANNA),
        ("9161234567", ANNA),
        ("7 916 123 45 67", ANNA),
        ("+7 916 123-45-67 доб. 12", ANNA),
        ("٨٩١٦١٢٣٤٥٦٧", ANNA),
        ("8 (495) 123-45-67", "+74951234567"),
        ("87011234567", "+77011234567"),
        ("+375 29 123-45-67", "+375291234567"),
    ],
)
def test_a_phone_is_one_text_however_it_is_typed(typed: str, phone: str) -> None:
    assert phones.normalised(typed) == phone
    assert phones.normalised(phone) == phone


@pytest.mark.parametrize(
    "typed", ["8 800 555-35-35", "+7 800 555 35 35", "112", "8916123456", "891612345678", "", "телефон", "1" * 500]
)
def test_what_is_no_persons_phone_is_refused(typed: str) -> None:
    with pytest.raises(BadPhone):
        phones.normalised(typed)


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_phones_and_addresses(text: str) -> None:
    for phone in phones.all_in([text, text]):
        assert phones.normalised(phone) == phone
    for address in phones.emails_in([text]):
        assert phones.email(address) == address


def test_of_a_contacts_phones_the_readable_ones_are_kept_each_once() -> None:
    typed = ["8 916 123-45-67, 8 (903) 765-43-21", "+79161234567", "8-800-555-35-35", "звонить вечером", ""]

    assert phones.all_in(typed) == (ANNA, "+79037654321")
    assert phones.all_in([f"+7916{number:07}" for number in range(50)]) == tuple(
        f"+7916{number:07}" for number in range(phones.PHONES_MAX)
    )
    assert phones.masked(ANNA) == "+7 916 ···-··-67"


@pytest.mark.parametrize("typed", ["anna", "anna@", "anna@localhost", "a b@example.ru", "a@b.c", f"{'x' * 260}@b.ru"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(BadEmail):
        phones.email(typed)


def test_addresses_are_kept_in_small_letters_each_once() -> None:
    assert phones.emails_in(["Anna@Example.RU; anna@example.ru", "не почта", " b@example.ru "]) == (
        "anna@example.ru",
        "b@example.ru",
    )


def test_a_member_is_found_by_each_of_his_names(world: ShopWorld) -> None:
    anna = world.person(phone="8 916 123-45-67", email="Anna@Example.ru", contact_ref=77, birthday=date(1990, 5, 17))
    world.person("Борис", phone="+79037654321")
    spaced = f"{anna.card_number[:4]} {anna.card_number[4:]}"

    found = [
        find(world, phone="9161234567"),
        find(world, email="ANNA@example.ru"),
        find(world, card=spaced),
        find(world, contact=77),
        find(world, member_id=anna.id),
    ]

    assert {member.id for member in found} == {anna.id}
    assert anna.birthday == date(1990, 5, 17)
    assert anna.birthday_set_at == world.clock()


@pytest.mark.parametrize(
    "name",
    [{"phone": "+79990000000"}, {"email": "no@example.ru"}, {"card": "770000"}, {"contact": 5}, {"member_id": 5}],
)
def test_who_is_not_there_is_not_found(world: ShopWorld, name: dict[str, object]) -> None:
    with pytest.raises(MemberNotFound):
        find(world, **name)


def test_a_phone_of_two_members_asks_which_of_them(world: ShopWorld) -> None:
    anna, boris = world.person(phone=ANNA), world.person("Борис")
    with world.rt.db.begin() as tx:
        addresses.add(tx, boris.id, "phone", [ANNA], now=world.clock())

    with pytest.raises(SeveralMembers) as refused:
        find(world, phone=ANNA)

    assert refused.value.details == {"members": [anna.id, boris.id]}
    with world.rt.db.begin() as tx:
        assert people.duplicates_of(tx, anna) == (boris.id,)


def test_a_member_is_not_made_twice_and_nothing_of_the_second_stays(world: ShopWorld) -> None:
    world.person(phone=ANNA, email="anna@example.ru", contact_ref=77)
    before = world.everything()

    for known, kind in (
        ({"phone": "89161234567"}, "phone"),
        ({"email": "ANNA@example.ru", "phone": "+79990000000"}, "email"),
        ({"contact_ref": 77}, "contact"),
    ):
        with pytest.raises(MemberExists) as refused:
            world.person("Другая", **known)
        assert refused.value.details == {"kind": kind}
    with pytest.raises(BadPhone):
        world.person(phone="8 800 555-35-35")

    assert world.everything() == before


def test_signing_up_brings_its_points_once(world: ShopWorld) -> None:
    world.use(replace(RULES, welcome=WelcomeRules(points=200, on="signup")))

    member = world.person(phone=ANNA)
    with pytest.raises(MemberExists):
        world.person(phone=ANNA)
    world.buy(member.id, ref="o")

    assert member.balance == Balance(available=200)
    assert world.balance(member.id) == Balance(pending=499, available=200)
    assert [move for move, _ in world.moves(member.id)] == ["welcome", "activate", "accrue"]
    assert world.is_whole()


def test_two_programs_that_enrol_one_phone_at_once_make_one_member(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        phone = f"+7916000000{number}"

        ends = together(3, lambda _, phone=phone: refused_or_done(lambda: world.person(phone=phone)))

        assert sorted(ends) == ["done", "member_exists", "member_exists"]
        assert find(world, phone=phone).balance == Balance()


def test_two_phones_enrolled_crosswise_at_once_do_not_wait_in_a_circle(world: ShopWorld) -> None:
    for number in range(ROUNDS):
        phone, email = f"+7916111000{number}", f"a{number}@example.ru"

        ends = together(
            2, lambda _, phone=phone, email=email: refused_or_done(lambda: world.person(phone=phone, email=email))
        )

        assert sorted(ends) == ["done", "member_exists"]


def test_a_contact_with_two_phones_is_found_by_either_and_a_toll_free_one_by_none(rt: Runtime, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(status="Оплачен")
    typed = ["8 916 123-45-67", "+7 (903) 765-43-21", "8 (800) 555-35-35"]
    shop.crm("POST", f"/sim/contacts/{contact_id}/fields", {"Телефон": typed, "Email": "Anna@Example.ru"})

    inbox.accept_hook(rt, hook_body(deal_id))
    settle(rt)

    with rt.db.begin() as tx:
        member = members.by_contact(tx, contact_id)
        assert member is not None
        assert addresses.of_member(tx, member.id, "phone") == ["+79037654321", ANNA]
        for phone in typed[:2]:
            assert people.find(tx, Names(phone=phone)).id == member.id
        assert people.find(tx, Names(email="anna@example.ru")).id == member.id
        with pytest.raises(BadPhone):
            people.find(tx, Names(phone=typed[2]))


def test_two_contacts_with_one_phone_are_two_members_who_are_told_apart(rt: Runtime, shop: Shop) -> None:
    refs = []
    for number in range(2):
        deal_id, contact_id = shop.deal(status="Оплачен") if number == 0 else _deal_of_a_twin(shop)
        inbox.accept_hook(rt, hook_body(deal_id))
        refs.append(contact_id)
    settle(rt)

    with rt.db.begin() as tx:
        assert len({members.by_contact(tx, ref).id for ref in refs}) == 2  # type: ignore[union-attr]
        with pytest.raises(SeveralMembers):
            people.find(tx, Names(phone="+79000000001"))


def _deal_of_a_twin(shop: Shop) -> tuple[int, int]:
    """Another contact who is given the same phone by hand."""
    person = {"name": "Анна П.", "phone": "+79000000002"}
    made = shop.crm(
        "POST", "/sim/deals", {"name": "Заказ", "price_roubles": 100, "contact": person, "status": "Оплачен"}
    )
    shop.crm("POST", f"/sim/contacts/{made['contact_id']}/fields", {"Телефон": ["+79000000001"]})
    return made["deal_id"], made["contact_id"]


def test_names_and_dates_of_the_crm_are_taken_over_when_the_buyer_is_read(rt: Runtime, shop: Shop) -> None:
    person = {"name": "Ева", "phone": "+79990001122", "email": "Eva@Example.ru", "birthday": "1990-05-17"}
    made = shop.crm(
        "POST", "/sim/deals", {"name": "Заказ", "price_roubles": 100, "contact": person, "status": "Оплачен"}
    )

    inbox.accept_hook(rt, hook_body(made["deal_id"]))
    settle(rt)

    with rt.db.begin() as tx:
        member = members.by_contact(tx, made["contact_id"])
        assert member is not None
        assert (member.name, member.birthday) == ("Ева", date(1990, 5, 17))
        assert addresses.of_member(tx, member.id, "email") == ["eva@example.ru"]
        assert tx.execute(sa.text("SELECT count(*) FROM member")).scalar_one() == 1
