"""Members: enrolment, card numbers, names as they come."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from storage_making import NOW, VERSION, at_once, make_account, make_hold, make_member

from storage import addresses, members, merging
from storage.db import Database
from storage.members import Member, NewCard


def test_a_contact_is_enrolled_once_and_keeps_his_card(db: Database) -> None:
    with db.begin() as tx:
        first = make_member(tx, 501, name="Анна")
    with db.begin() as tx:
        again = make_member(tx, 501, name="Анна Петрова")

    assert (again.id, again.card_token, again.card_number) == (first.id, first.card_token, first.card_number)
    assert again.name == "Анна Петрова"


def test_two_workers_that_enrol_one_contact_get_one_member(db: Database) -> None:
    def enrol(token: str) -> tuple[Member, bool]:
        card = NewCard(token=token, serial=token, number_prefix="77", number_length=10)
        with db.begin() as tx:
            return members.enrol(tx, contact_ref=501, name="Анна", card=card, now=NOW)

    made = at_once([lambda token=f"t{number}": enrol(token) for number in range(6)])  # type: ignore[misc]

    assert len({member.id for member, _ in made}) == len({member.card_token for member, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Ан\x00на", "Анна"),
        ("Анна \ud83d", "Анна ?"),
        ("Анна 👩‍👧", "Анна 👩‍👧"),
        ("я" * 300, "я" * 200),
        ("'; DROP TABLE member; --", "'; DROP TABLE member; --"),
    ],
)
def test_a_name_that_the_crm_gives_never_stops_the_enrolment(db: Database, name: str, stored: str) -> None:
    with db.begin() as tx:
        assert make_member(tx, name=name).name == stored


@pytest.mark.parametrize(("prefix", "length"), [("77", 10), ("", 6), ("", 20), ("7", 20), ("123456789012", 18)])
def test_card_numbers_have_the_wanted_shape_and_differ(db: Database, prefix: str, length: int) -> None:
    with db.begin() as tx:
        numbers = [
            members.enrol(
                tx, contact_ref=number, name="", card=NewCard(f"t{number}", f"s{number}", prefix, length), now=NOW
            )[0].card_number
            for number in range(1, 40)
        ]

    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == length and number.startswith(prefix) and number.isdecimal() for number in numbers)


def test_a_member_is_found_by_what_names_him(db: Database) -> None:
    with db.begin() as tx:
        anna, boris = make_member(tx, 501, name="Анна"), make_member(tx, 502, name="Борис")

    with db.begin() as tx:
        assert members.by_contact(tx, 501) == anna
        assert members.by_card_token(tx, boris.card_token) == boris
        assert members.by_ids(tx, [anna.id, boris.id, 99]) == {anna.id: anna, boris.id: boris}
        assert members.known_contacts(tx, [502, 503]) == {502: "Борис"}
        assert (members.by_contact(tx, 503), members.by_card_token(tx, "no")) == (None, None)
        assert members.count(tx) == 2


def test_a_birthday_is_news_once_and_its_date_of_knowing_stays(db: Database) -> None:
    later = NOW + timedelta(days=3)
    with db.begin() as tx:
        anna = make_member(tx)
        assert members.set_birthday(tx, anna.id, date(1990, 5, 17), now=NOW)
        assert not members.set_birthday(tx, anna.id, date(1990, 5, 17), now=later)
        assert members.lock(tx, anna.id).birthday_set_at == NOW
        assert members.set_birthday(tx, anna.id, date(1990, 5, 18), now=later)
        assert members.lock(tx, anna.id).birthday_set_at == later


def test_a_member_without_a_contact_is_made_each_time(db: Database) -> None:
    with db.begin() as tx:
        made = [
            members.enrol(tx, contact_ref=None, name="", card=NewCard(f"t{one}", f"s{one}", "77", 10), now=NOW)
            for one in range(2)
        ]
        assert [is_new for _, is_new in made] == [True, True]
        assert made[0][0].contact_ref is None
        with pytest.raises(LookupError):
            _ = made[0][0].contact
        members.move_contact(tx, made[0][0].id, 501)
        assert members.by_contact(tx, 501) == members.lock(tx, made[0][0].id)
    with pytest.raises(sa.exc.IntegrityError), db.begin() as tx:
        members.move_contact(tx, made[1][0].id, 501)


def test_addresses_are_added_once_replaced_and_shared_by_duplicates(db: Database) -> None:
    with db.begin() as tx:
        anna, boris = make_member(tx), make_member(tx)
        addresses.add(tx, anna.id, "phone", ["+72", "+71"], now=NOW)
        addresses.add(tx, anna.id, "phone", ["+71", "+73"], now=NOW + timedelta(days=1))
        addresses.add(tx, anna.id, "email", ["a@b.ru"], now=NOW)
        addresses.add(tx, boris.id, "phone", ["+73"], now=NOW)
        assert addresses.of_member(tx, anna.id, "phone") == ["+71", "+72", "+73"]
        assert addresses.members_with(tx, "phone", "+73") == [anna.id, boris.id]

        addresses.replace(tx, anna.id, "phone", ["+72", "+74"], now=NOW + timedelta(days=2))

        assert addresses.of_member(tx, anna.id, "phone") == ["+72", "+74"]
        assert addresses.of_member(tx, anna.id, "email") == ["a@b.ru"]
        assert addresses.members_with(tx, "phone", "+73") == [boris.id]
        addresses.replace(tx, anna.id, "phone", [], now=NOW)
        assert addresses.of_member(tx, anna.id, "phone") == []


def test_whoever_was_merged_answers_as_the_other_and_keeps_nothing(db: Database) -> None:
    gone, kept, last = make_account(db), make_account(db), make_account(db)
    hold = make_hold(db, gone, 40)
    with db.begin() as tx:
        addresses.add(tx, gone.member.id, "phone", ["+71", "+72"], now=NOW)
        addresses.add(tx, kept.member.id, "phone", ["+71"], now=NOW)
        tx.execute(
            sa.text(
                "INSERT INTO message (key, member_id, kind, subject, state, created_at, due_at, closed_at)"
                " VALUES ('p', :id, 'redeem_code', '', 'planned', :now, :now, NULL),"
                " ('s', :id, 'redeem_code', '', 'sent', :now, :now, :now)"
            ),
            {"id": gone.member.id, "now": NOW},
        )
        merging.move(tx, from_id=gone.member.id, into_id=kept.member.id)
        merging.move(tx, from_id=kept.member.id, into_id=last.member.id)

    with db.begin() as tx:
        owner = members.living(tx, gone.member.id)
        assert owner is not None
        assert owner.id == last.member.id
        assert (owner.balance.pending, owner.balance.reserved) == (260, 40)
        assert members.by_card_token(tx, gone.member.card_token) == owner
        assert members.by_card_number(tx, gone.member.card_number) == owner
        assert members.by_contact(tx, gone.member.contact) == owner
        assert make_member(tx, gone.member.contact) == owner
        assert addresses.members_with(tx, "phone", "+72") == [owner.id]
        assert addresses.of_member(tx, gone.member.id, "phone") == []
        for table in ("lot", "orders", "hold"):
            owners = tx.execute(sa.text(f"SELECT DISTINCT member_id FROM {table}")).scalars().all()
            assert list(owners) == [owner.id], table
        told = tx.execute(sa.text("SELECT key, member_id FROM message ORDER BY key")).all()
        assert told == [("p", owner.id), ("s", owner.id)]
        assert tx.execute(sa.text("SELECT rules_version FROM hold")).scalar_one() == VERSION
        assert hold.member_id == gone.member.id
