"""Members: enrolment, card numbers, names as they come."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from storage_making import NOW, at_once, make_account, make_member

from storage import members
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


def test_members_whose_points_are_due_come_longest_waiting_first(db: Database) -> None:
    first, second, third = make_account(db), make_account(db), make_account(db)
    with db.begin() as tx:
        for account, hours in ((first, -1), (second, -3), (third, 1)):
            tx.execute(
                sa.text("UPDATE lot SET activates_at = :now + make_interval(hours => :hours) WHERE key = :key"),
                {"now": NOW, "hours": hours, "key": account.lot_key},
            )

    with db.begin() as tx:
        assert members.with_due_lots(tx, now=NOW, limit=9) == [second.member.id, first.member.id]
        assert members.with_due_lots(tx, now=NOW, limit=1) == [second.member.id]
