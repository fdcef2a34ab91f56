"""What all processes share about the CRM: one refresh at a time, one rate, one circuit, one directory."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from storage_making import NOW, at_once

from storage import access
from storage.access import Turn
from storage.db import Database

NAME = "amocrm"
LAPSE = timedelta(minutes=2)
PER_SECOND = 50.0


@pytest.fixture
def db(shared_db: Database) -> Database:
    return shared_db


def save_pair(db: Database, fingerprint: str = "first", *, sealed_pair: bytes = b"sealed") -> None:
    with db.begin() as tx:
        access.save_tokens(
            tx,
            NAME,
            sealed_pair=sealed_pair,
            expires_at=NOW + timedelta(days=1),
            refresh_fingerprint=fingerprint,
            now=NOW,
        )


def claim(db: Database, fingerprint: str = "first", now: object = NOW) -> bool:
    with db.autocommit() as connection:
        return access.claim_refresh(connection, NAME, fingerprint=fingerprint, lapse=LAPSE, now=now)  # type: ignore[arg-type]


def state(db: Database) -> tuple[str, str | None]:
    with db.begin() as tx:
        pair = access.load_tokens(tx, NAME)
    assert pair is not None
    return pair.state, pair.reason


def turn(db: Database, name: str = NAME) -> Turn:
    with db.autocommit() as connection:
        return access.next_turn(connection, name, per_second=PER_SECOND, wait_max_s=60)


def test_of_many_who_want_to_refresh_one_may(db: Database) -> None:
    save_pair(db)

    won = at_once([lambda: claim(db)] * 8)

    assert sorted(won) == [False] * 7 + [True]
    assert state(db) == ("refreshing", None)


def test_a_fresh_pair_ends_the_claim_and_the_old_token_claims_nothing(db: Database) -> None:
    save_pair(db)
    assert claim(db)

    save_pair(db, "second", sealed_pair=b"other")

    assert state(db) == ("ok", None)
    assert not claim(db, "first")
    assert claim(db, "second")


def refreshed(db: Database, claimed: str = "first") -> bool:
    with db.autocommit() as connection:
        return access.save_refreshed(
            connection,
            NAME,
            claimed_fingerprint=claimed,
            sealed_pair=b"refreshed",
            expires_at=NOW + timedelta(days=2),
            refresh_fingerprint="refreshed",
            now=NOW,
        )


def stored(db: Database) -> bytes:
    with db.begin() as tx:
        pair = access.load_tokens(tx, NAME)
    assert pair is not None
    return pair.sealed_pair


def test_a_refreshed_pair_is_stored_by_the_holder_of_the_claim_once(db: Database) -> None:
    save_pair(db)
    assert not refreshed(db), "nobody has claimed it"
    assert claim(db)

    assert refreshed(db)
    assert not refreshed(db)

    assert stored(db) == b"refreshed"
    assert state(db) == ("ok", None)
    assert claim(db, "refreshed")


def test_a_refresh_in_flight_does_not_overwrite_what_the_owner_has_just_granted(db: Database) -> None:
    save_pair(db)
    assert claim(db)
    save_pair(db, "second", sealed_pair=b"granted anew")

    assert not refreshed(db)

    assert stored(db) == b"granted anew"
    assert claim(db, "second")


def test_neither_a_refresh_in_flight_nor_its_give_back_undoes_an_uninstall(db: Database) -> None:
    save_pair(db)
    assert claim(db)
    with db.begin() as tx:
        access.mark_tokens(tx, NAME, state="needs_reauth", reason="отключили", now=NOW)

    assert not refreshed(db)
    with db.begin() as tx:
        access.mark_tokens(tx, NAME, state="ok", reason=None, now=NOW, fingerprint="first")

    assert state(db) == ("needs_reauth", "отключили")


def test_the_claim_of_a_dead_process_lapses(db: Database) -> None:
    save_pair(db)
    assert claim(db)

    assert not claim(db, now=NOW + LAPSE)
    taken_over = at_once([lambda: claim(db, now=NOW + LAPSE + timedelta(seconds=1))] * 4)
    assert sorted(taken_over) == [False] * 3 + [True]


def test_an_unused_claim_is_given_back(db: Database) -> None:
    save_pair(db)
    assert claim(db)

    with db.begin() as tx:
        access.mark_tokens(tx, NAME, state="ok", reason=None, now=NOW, fingerprint="first")

    assert claim(db)


def test_a_late_give_back_of_an_old_claim_does_not_touch_the_new_pair(db: Database) -> None:
    save_pair(db, "second")
    assert claim(db, "second")

    with db.begin() as tx:
        access.mark_tokens(tx, NAME, state="ok", reason=None, now=NOW, fingerprint="first")

    assert state(db) == ("refreshing", None)


def test_a_connection_that_needs_a_person_is_not_refreshed_until_he_connects(db: Database) -> None:
    save_pair(db)
    with db.begin() as tx:
        access.mark_tokens(tx, NAME, state="needs_reauth", reason="ключ отозван", now=NOW)
    assert state(db) == ("needs_reauth", "ключ отозван")
    assert not claim(db)

    save_pair(db, "second")

    assert state(db) == ("ok", None)


def test_without_a_stored_pair_there_is_nothing_to_claim(db: Database) -> None:
    with db.begin() as tx:
        assert access.load_tokens(tx, NAME) is None
    assert not claim(db)


def test_moments_handed_out_to_many_are_spaced_by_the_rate(db: Database) -> None:
    turns_each, workers = 5, 4

    def take() -> list[float]:
        moments = []
        for _ in range(turns_each):
            given = turn(db)
            assert given.closed_s == 0.0
            moments.append(time.monotonic() + given.wait_s)
        return moments

    moments = sorted(moment for taken in at_once([take] * workers) for moment in taken)

    assert len(moments) == turns_each * workers
    # The wait is told by the server's clock and added to ours: a busy machine may blur the first and the last moment.
    assert moments[-1] - moments[0] >= 0.7 * (len(moments) - 1) / PER_SECOND


def test_moments_are_exactly_one_step_apart_while_many_wait(db: Database) -> None:
    with db.autocommit() as connection:
        access.next_turn(connection, NAME, per_second=1.0, wait_max_s=60)
        access.pause_gate(connection, NAME, seconds=100)
        waits = [access.next_turn(connection, NAME, per_second=1.0, wait_max_s=200).wait_s for _ in range(4)]

    assert waits == sorted(waits)
    assert [round(wait) for wait in waits] == [101, 102, 103, 104]


def test_a_gate_that_was_idle_hands_out_the_present_not_the_past(db: Database) -> None:
    turn(db)
    time.sleep(0.1)

    waits = [turn(db).wait_s for _ in range(3)]

    assert waits[0] == 0.0
    assert waits[2] > 0.0


def test_gates_of_two_names_do_not_wait_for_each_other(db: Database) -> None:
    with db.autocommit() as connection:
        turn(db)
        access.pause_gate(connection, NAME, seconds=100)

    assert turn(db).wait_s > 99
    assert turn(db, "another").wait_s == 0.0


def test_a_pause_never_shortens_a_longer_one(db: Database) -> None:
    turn(db)
    with db.autocommit() as connection:
        access.pause_gate(connection, NAME, seconds=100)
        access.pause_gate(connection, NAME, seconds=1)

    assert turn(db).wait_s > 99


@pytest.mark.parametrize("is_first_call", [True, False])
def test_a_closed_gate_hands_out_nothing_and_says_why(db: Database, is_first_call: bool) -> None:
    if not is_first_call:
        turn(db)
    with db.autocommit() as connection:
        access.close_gate(connection, NAME, seconds=60, reason="403: адрес заблокирован")
        first, second = turn(db), turn(db)

    assert 59 < first.closed_s <= 60
    assert first.reason == "403: адрес заблокирован"
    assert not first.is_taken
    assert not second.is_taken
    with db.begin() as tx:
        assert 59 < access.gate_closed_s(tx, NAME) <= 60


@pytest.mark.parametrize("is_first_call", [True, False])
def test_a_pause_counts_even_before_the_first_call(db: Database, is_first_call: bool) -> None:
    if not is_first_call:
        turn(db)
    with db.autocommit() as connection:
        access.pause_gate(connection, NAME, seconds=60)

    assert turn(db).wait_s > 59


def test_a_gate_opens_again_by_itself(db: Database) -> None:
    turn(db)
    with db.autocommit() as connection:
        access.close_gate(connection, NAME, seconds=0.05, reason="403")
    assert turn(db).closed_s > 0

    time.sleep(0.1)

    assert turn(db).closed_s == 0.0
    with db.begin() as tx:
        assert access.gate_closed_s(tx, NAME) == 0.0
        assert access.gate_closed_s(tx, "never used") == 0.0


def test_the_directory_remembers_until_it_is_too_old(db: Database) -> None:
    with db.begin() as tx:
        access.remember_entry(tx, "fields", {"Бонусы: баланс": 7}, now=NOW)
        access.remember_entry(tx, "fields", {"Бонусы: баланс": 8}, now=NOW + timedelta(minutes=1))

    with db.begin() as tx:
        assert access.directory_entry(tx, "fields", not_before=NOW) == {"Бонусы: баланс": 8}
        assert access.directory_entry(tx, "fields", not_before=NOW + timedelta(hours=1)) is None
        assert access.directory_entry(tx, "stages", not_before=NOW) is None


def test_a_turn_that_would_come_too_late_is_not_taken_from_the_others(shared_db: Database) -> None:
    with shared_db.autocommit() as connection:
        access.pause_gate(connection, NAME, seconds=30)
        refused = [access.next_turn(connection, NAME, per_second=1.0, wait_max_s=8) for _ in range(20)]
        taken = access.next_turn(connection, NAME, per_second=1.0, wait_max_s=60)

    assert not any(turn.is_taken for turn in refused)
    assert taken.is_taken
    assert taken.wait_s < 32
