"""Members: found by any of their names, made by the shop's programs, kept in step with the CRM, merged.

Owns who a member is. Points are moved by other flows; merging moves whole lots with their dates, never numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows import book, phones, segmenting
from flows.refusals import MemberExists, MemberNotFound, MergeRefused, SeveralMembers
from loyalty.account import Account, Cause
from loyalty.granting import Grant, grant
from storage import addresses, lots, members, merging
from storage import crm as crm_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime

    import sqlalchemy as sa

    from connector.amocrm.contacts import Contact
    from flows.runtime import Runtime
    from storage.members import Member

    Seal = Callable[[sa.Connection, Member], None]
    """Keeps the answer to the request in the transaction that does it."""


@dataclass(frozen=True)
class Person:
    """What a program says of a new member."""

    name: str
    phone: str | None = None
    email: str | None = None
    birthday: date | None = None
    contact_ref: int | None = None


@dataclass(frozen=True)
class Names:
    """By what a member is looked for; exactly one is given."""

    phone: str | None = None
    email: str | None = None
    card: str | None = None
    contact: int | None = None
    member_id: int | None = None


def find(tx: sa.Connection, names: Names) -> Member:
    """The member with this name. Raises MemberNotFound, SeveralMembers, BadPhone, BadEmail."""
    found: Member | None = None
    if names.member_id is not None:
        found = members.living(tx, names.member_id)
    elif names.contact is not None:
        found = members.by_contact(tx, names.contact)
    elif names.card is not None:
        found = members.by_card_number(tx, names.card.replace(" ", ""))
    elif names.phone is not None:
        found = _by_address(tx, "phone", phones.normalised(names.phone))
    elif names.email is not None:
        found = _by_address(tx, "email", phones.email(names.email))
    if found is None:
        raise MemberNotFound
    return found


def create(rt: Runtime, person: Person, *, seal: Seal | None = None) -> Member:
    """A new member with a card; sign-up points if the rules give them; `seal` is called in this very transaction.
    Raises MemberExists, BadPhone, BadEmail."""
    now = rt.now()
    phone = None if person.phone is None else phones.normalised(person.phone)
    email = None if person.email is None else phones.email(person.email)

    def work(tx: sa.Connection) -> Member:
        named: tuple[tuple[addresses.AddressKind, str | None], ...] = (("phone", phone), ("email", email))
        for kind, value in named:
            addresses.lock(tx, kind, value)
            if value is not None and addresses.members_with(tx, kind, value):
                raise MemberExists(kind=kind)
        member, is_new = members.enrol(
            tx, contact_ref=person.contact_ref, name=person.name, card=rt.new_card(), now=now
        )
        if not is_new:
            raise MemberExists(kind="contact")
        addresses.add(tx, member.id, "phone", [phone] if phone else [], now=now)
        addresses.add(tx, member.id, "email", [email] if email else [], now=now)
        if person.birthday is not None:
            members.set_birthday(tx, member.id, person.birthday, now=now)
        welcome_signup(tx, rt, member, now=now)
        made = members.lock(tx, member.id)
        if seal is not None:
            seal(tx, made)
        return made

    return book.run(rt, work)


def welcome_signup(tx: sa.Connection, rt: Runtime, member: Member, *, now: datetime) -> None:
    """Points for joining, once per member; the caller has just made him."""
    rules = rt.programme.welcome
    book.mark_out_of_date(tx, rt, member.id, now=now)
    if rules is None or rules.on != "signup":
        return
    rt.programme_of(tx, rt.rules_version)
    account = Account(member.balance, ())
    plan = Grant(
        key=f"member:{member.id}:signup",
        source="welcome",
        move="welcome",
        points=rules.points,
        at=now,
        delay=rules.activate_after,
        lifetime=rules.expire_after,
    )
    cause = Cause(rule="welcome.points")
    grant(account, plan, timezone=rt.programme.timezone, rules_version=rt.rules_version, cause=cause)
    book.bring_up_to_date(account, rt, now=now)
    book.save(tx, rt, member.id, account, occurred_at=now)


def take_over_contact(tx: sa.Connection, rt: Runtime, member: Member, contact: Contact, birthday: date | None) -> None:
    """What the CRM says of the person now: name, phones, e-mails, birthday. Unreadable phones are left out."""
    now = rt.now()
    if contact.name and contact.name != member.name:
        members.set_name(tx, member.id, contact.name)
        book.mark_out_of_date(tx, rt, member.id, now=now)
    named: tuple[tuple[addresses.AddressKind, Sequence[str]], ...] = (
        ("phone", phones.all_in(contact.phones)),
        ("email", phones.emails_in(contact.emails)),
    )
    for kind, told in named:
        if told:  # a contact that names none does not take away what the member told the site himself
            addresses.replace(tx, member.id, kind, told, now=now)
    if birthday is not None:
        members.set_birthday(tx, member.id, birthday, now=now)


def recognise(tx: sa.Connection, contact: Contact) -> None:
    """A contact we see for the first time may be a person we know by his phone: one who was imported from another
    programme, or made by the site. Only if he alone has that phone, no contact yet, and nothing speaks against it:
    another phone of the contact that is not his, or a name that has no word in common with his. His points are his;
    who is not recognised is a second member whom a person may merge."""
    numbers = phones.all_in(contact.phones)
    for number in sorted(numbers):
        addresses.lock(tx, "phone", number)
    if members.by_contact(tx, contact.id) is not None:
        return
    ids = {one for number in numbers for one in addresses.members_with(tx, "phone", number)}
    known = members.by_ids(tx, ids)
    if len(known) != 1:
        return
    one = next(iter(known.values()))
    own = set(addresses.of_member(tx, one.id, "phone"))
    if one.contact_ref is None and set(numbers) <= own and may_be_same_name(one.name, contact.name):
        members.move_contact(tx, one.id, contact.id)


def may_be_same_name(first: str, second: str) -> bool:
    """«Анна» and «Петрова Анна» may be one person; an empty name says nothing."""
    words = [set(name.casefold().replace("ё", "е").split()) for name in (first, second)]
    return not all(words) or bool(words[0] & words[1])


def merge(rt: Runtime, *, from_id: int, into_id: int) -> Member:
    """Two members are one person: lots, orders, addresses and debts of the first go to the second, dates unchanged; the
    first's card leads to the second. Repeating it changes nothing. Raises MemberNotFound, MergeRefused."""
    now = rt.now()

    def work(tx: sa.Connection) -> Member:
        if from_id == into_id:
            raise MergeRefused("Это один и тот же участник")
        if len(members.by_ids(tx, (from_id, into_id))) < 2:
            raise MemberNotFound
        merging.lock_orders(tx, (from_id, into_id))
        locked = {one: members.lock(tx, one) for one in sorted((from_id, into_id))}
        if locked[from_id].merged_into_id == into_id:
            return locked[into_id]
        if any(one.merged_into_id is not None for one in locked.values()):
            raise MergeRefused("Один из участников уже объединён с другим")
        merging.move(tx, from_id=from_id, into_id=into_id)
        if locked[into_id].manual_segment_code is None and locked[from_id].manual_segment_code is not None:
            members.set_manual_segment(tx, into_id, locked[from_id].manual_segment_code)
        merged = members.lock(tx, into_id)
        account = book.open_account(tx, rt, merged, now=now)
        account.know(lots.open_lots(tx, into_id, enough=account.debt, now=now))
        for lot in account.spendable(now=now):
            account.settle(lot.key)
        book.save(tx, rt, into_id, account, occurred_at=now)
        segmenting.look_again(tx, rt, merged, now=now)
        tell_anew(tx, rt, from_id, into_id)
        return members.lock(tx, into_id)

    return book.run(rt, work)


def tell_anew(tx: sa.Connection, rt: Runtime, *member_ids: int) -> None:
    """Their contacts and cards may show what another one was told: each is read before the next write."""
    states = crm_storage.states(tx, member_ids).values()
    crm_storage.save(tx, [replace(state, pushed_fields=None, pushed_segment=None) for state in states])
    for member_id in sorted(member_ids):
        book.mark_out_of_date(tx, rt, member_id, now=rt.now())


def duplicates_of(tx: sa.Connection, member: Member) -> Sequence[int]:
    """Other members with one of his phones: perhaps the same person."""
    found: dict[int, None] = {}
    for phone in addresses.of_member(tx, member.id, "phone"):
        found |= dict.fromkeys(addresses.members_with(tx, "phone", phone))
    found.pop(member.id, None)
    return tuple(found)


def _by_address(tx: sa.Connection, kind: addresses.AddressKind, value: str) -> Member | None:
    ids = addresses.members_with(tx, kind, value)
    if len(ids) > 1:
        raise SeveralMembers(members=list(ids))
    return members.living(tx, ids[0]) if ids else None
