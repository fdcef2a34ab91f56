"""A payment reaches the card on a phone: real HTTP/2 pushes, a real web service, phones that check what they get."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from apple_world import AppleWorld, web_server
from kopilka_testing import Shop, SilentBell, StandingClock, posted, settle, tbank_body

from cli.demo_wallet import make_wallet_folder
from cli.services.process import free_port
from config.settings import load_settings
from flows import failpoints, inbox, lookup, people
from flows.runtime import Runtime, build_runtime, prepare
from simulator.apns import FakeApns, PushFaults
from simulator.phone import PassRefused, Phone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def tls_folder(server_folder: Path) -> Path:
    """Keys of a length that TLS takes."""
    return make_wallet_folder(server_folder / "wallet-tls")


@pytest.fixture
def apns(tls_folder: Path, clock: StandingClock) -> Iterator[FakeApns]:
    server = FakeApns(tls_folder, tls_folder / "ca.pem", now_ms=lambda: int(clock().timestamp() * 1000))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def environment(environment: dict[str, str], tls_folder: Path, apns: FakeApns, tmp_path: Path) -> dict[str, str]:
    return {
        **environment,
        "PUBLIC_URL": f"http://127.0.0.1:{free_port(str(tmp_path))}",
        "DEMO_WALLET_DIR": str(tls_folder),
        "APNS_URL": apns.url,
        "APNS_CA_FILE": str(apns.ca_file),
    }


@pytest.fixture
def rt(environment: dict[str, str], shop: Shop, clock: StandingClock) -> Iterator[Runtime]:
    runtime = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(runtime)
    yield runtime
    assert runtime.apple is not None
    assert runtime.apple.push is not None
    runtime.apple.push.close()
    runtime.db.close()


@pytest.fixture
def world(rt: Runtime, apns: FakeApns, clock: StandingClock, tls_folder: Path) -> Iterator[AppleWorld]:
    with web_server(rt, int(rt.settings.public_url.rpartition(":")[2])):
        made = AppleWorld(rt, apns, clock, tls_folder / "ca.pem")
        yield made
        made.hang_up()


def rows(rt: Runtime, query: str) -> list[tuple[object, ...]]:
    with rt.db.begin() as tx:
        return [tuple(row) for row in tx.execute(sa.text(query))]


def balance(phone: Phone, serial: str) -> str:
    return str(phone.shown[serial]["balance"]).replace("\u00a0", "")


def test_a_payment_is_pushed_and_the_phone_shows_the_new_balance(world: AppleWorld, shop: Shop) -> None:
    deal_id, contact_id = shop.deal(4_990)
    inbox.accept_payment(world.rt, "tbank", posted(tbank_body(deal_id)))
    settle(world.rt)
    account = lookup.by_contact(world.rt, contact_id)
    assert account is not None
    phone = world.phone(account.member)
    serial = account.member.card_serial
    before = phone.shown[serial]
    world.clock.forward(days=1)

    world.earn(account.member, 400)
    world.settle()

    assert before["balance"] == "300"
    assert balance(phone, serial) == "700"
    assert phone.statuses == [("register", 201), ("list", 200), ("fetch", 200)]
    assert phone.complaints == []
    assert world.apns.connections == 1


def test_phones_without_news_are_left_alone(world: AppleWorld) -> None:
    anna, boris = world.enrol(), world.enrol("Борис")
    phone, other = world.phone(anna), world.phone(boris)
    world.clock.forward(minutes=1)

    world.earn(anna)
    world.settle()
    world.settle()

    assert world.apns.pushes == [phone.push_token]
    assert other.statuses == [("register", 201)]


def test_one_push_tells_of_all_cards_of_a_phone(world: AppleWorld) -> None:
    family = [world.enrol(f"Участник {number}") for number in range(4)]
    phone = world.phone(*family)
    phone.pushed()  # the first question is without a tag and tells of all cards
    phone.complaints.clear()
    phone.statuses.clear()
    world.clock.forward(minutes=1)
    for member in family[:3]:
        world.earn(member)

    world.settle()

    assert world.apns.pushes == [phone.push_token]
    assert [status for what, status in phone.statuses if what == "fetch"] == [200] * 3
    assert phone.complaints == []


def test_a_phone_that_was_away_gets_every_change_by_its_tag(world: AppleWorld) -> None:
    anna, boris = world.enrol(), world.enrol("Борис")
    phone = world.phone(anna, boris)
    world.apns.on_push.clear()
    for member in (anna, boris, anna):
        world.clock.forward(minutes=1)
        world.earn(member)
        world.settle()

    phone.pushed()
    phone.pushed()

    assert (balance(phone, anna.card_serial), balance(phone, boris.card_serial)) == ("20", "10")
    assert [status for what, status in phone.statuses if what == "list"] == [200, 204]
    assert phone.complaints == []


def test_a_removed_card_is_pushed_no_more(world: AppleWorld) -> None:
    anna = world.enrol()
    phone = world.phone(anna)
    phone.remove(anna.card_serial)

    world.earn(anna)
    world.settle()

    assert world.apns.pushes == []


def test_a_phone_that_is_gone_is_forgotten_unless_it_came_back_later(world: AppleWorld) -> None:
    anna = world.enrol()
    gone, back = world.phone(anna), world.phone(anna)
    gone_at = world.clock() + timedelta(minutes=1)
    world.clock.forward(minutes=2)
    back.register(anna.card_serial)
    stamp = int(gone_at.timestamp() * 1000)
    for phone in (gone, back):
        world.apns.faults.of_token[phone.push_token] = PushFaults(status=410, gone_at_ms=stamp)
    world.earn(anna)
    world.settle()

    assert rows(world.rt, "SELECT push_token FROM apple_device") == [(back.push_token,)]
    world.apns.faults = PushFaults()
    world.clock.forward(hours=1)
    world.settle()
    assert balance(back, anna.card_serial) == "10"
    assert rows(world.rt, "SELECT state FROM outbox WHERE kind = 'apple'") == [("done",)]


def test_a_token_that_is_none_is_forgotten(world: AppleWorld) -> None:
    anna = world.enrol()
    phone, other = world.phone(anna), world.phone(anna)
    world.clock.forward(minutes=2)
    world.apns.faults.of_token[phone.push_token] = PushFaults(status=400)

    world.earn(anna)
    world.settle()

    assert rows(world.rt, "SELECT push_token FROM apple_device") == [(other.push_token,)]
    assert balance(other, anna.card_serial) == "10"
    assert sorted(rows(world.rt, "SELECT * FROM apple_push")) == [("bad", 1), ("sent", 1)]


@pytest.mark.parametrize(
    "faults", [PushFaults(status=429), PushFaults(status=503), PushFaults(status=500), PushFaults(drop=9)]
)
def test_what_passes_by_itself_is_tried_again_for_those_who_were_not_told(
    world: AppleWorld, faults: PushFaults
) -> None:
    anna = world.enrol()
    unlucky, lucky = world.phone(anna), world.phone(anna)
    world.clock.forward(minutes=2)
    world.apns.faults.of_token[unlucky.push_token] = faults
    world.earn(anna)
    world.settle()
    waiting = rows(world.rt, "SELECT state FROM outbox WHERE kind = 'apple'")

    world.apns.faults = PushFaults()
    world.clock.forward(hours=1)
    world.settle()

    assert waiting == [("waiting",)]
    assert world.apns.pushes.count(lucky.push_token) <= 2
    assert (balance(unlucky, anna.card_serial), balance(lucky, anna.card_serial)) == ("10", "10")
    assert rows(world.rt, "SELECT state FROM outbox WHERE kind = 'apple'") == [("done",)]


def test_a_token_of_another_app_is_one_phones_fault_where_apple_took_others(world: AppleWorld) -> None:
    anna, boris = world.enrol(), world.enrol("Борис")
    foreign, other = world.phone(anna), world.phone(boris)
    world.clock.forward(minutes=2)
    world.apns.faults.of_token[foreign.push_token] = PushFaults(status=400, reason="DeviceTokenNotForTopic")

    world.earn(anna)
    world.earn(boris)
    world.settle()

    assert rows(world.rt, "SELECT push_token FROM apple_device") == [(other.push_token,)]
    assert rows(world.rt, "SELECT DISTINCT state FROM outbox WHERE kind = 'apple'") == [("done",)]
    assert sorted(rows(world.rt, "SELECT * FROM apple_push")) == [("foreign", 1), ("sent", 1)]


def test_tokens_that_are_all_foreign_are_the_certificates_fault(world: AppleWorld) -> None:
    anna = world.enrol()
    world.phone(anna)
    world.clock.forward(minutes=2)
    world.apns.faults = PushFaults(status=400, reason="DeviceTokenNotForTopic")

    world.earn(anna)
    world.settle()

    assert rows(world.rt, "SELECT count(*) FROM apple_device") == [(1,)]
    assert rows(world.rt, "SELECT state FROM outbox WHERE kind = 'apple'") == [("waiting",)]


def test_a_refused_certificate_says_what_to_do_and_everything_is_made_up_for(world: AppleWorld) -> None:
    anna = world.enrol()
    phone = world.phone(anna)
    world.clock.forward(minutes=2)
    world.apns.faults = PushFaults(status=403)
    world.earn(anna)
    world.settle()
    told = rows(world.rt, "SELECT state, outcome FROM outbox WHERE kind = 'apple'")

    world.apns.faults = PushFaults()
    world.clock.forward(days=1)
    world.settle()

    assert told[0][0] == "waiting"
    assert "сертификат карт" in str(told[0][1])
    assert "kopilka doctor" in str(told[0][1])
    assert balance(phone, anna.card_serial) == "10"


def test_a_broken_or_ended_connection_is_opened_anew_without_a_retry(world: AppleWorld) -> None:
    anna = world.enrol()
    phone = world.phone(anna)
    for number, break_it in enumerate((world.apns.cut, lambda: None, world.apns.cut), start=1):
        world.clock.forward(minutes=2)
        break_it()
        time.sleep(0.05)
        world.earn(anna)
        world.settle()
        assert balance(phone, anna.card_serial) == str(number * 10)
    assert world.apns.connections <= 3


@pytest.mark.parametrize("place", ["apple.after_tag", "apple.after_push", "outbox.after_remote"])
def test_a_worker_that_dies_on_the_way_to_the_phone_leaves_it_told(world: AppleWorld, place: str, run: object) -> None:
    anna = world.enrol()
    phone = world.phone(anna)
    world.clock.forward(minutes=2)
    settle(world.rt)
    world.earn(anna)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE outbox SET state = 'done' WHERE kind <> 'apple'"))

    died = run("outbox", failpoint=place)  # type: ignore[operator]
    world.clock.forward(minutes=10)
    from flows import sweep

    sweep.sweep_once(world.rt)
    world.settle()

    assert died == failpoints.EXIT_CODE
    assert balance(phone, anna.card_serial) == "10"
    assert phone.complaints == []
    assert rows(world.rt, "SELECT state FROM outbox WHERE kind = 'apple'") == [("done",)]


def test_a_merged_persons_phone_shows_the_winners_card_under_its_own_serial(world: AppleWorld) -> None:
    anna, kept = world.enrol(), world.enrol("Анна Сидорова")
    phone = world.phone(anna)
    world.earn(kept, 300)
    world.clock.forward(minutes=1)
    world.settle()

    people.merge(world.rt, from_id=anna.id, into_id=kept.id)
    world.settle()
    merged = balance(phone, anna.card_serial)
    world.clock.forward(minutes=1)
    world.earn(kept, 5)
    world.settle()

    assert (merged, balance(phone, anna.card_serial)) == ("300", "305")
    assert phone.complaints == []


def test_a_phone_takes_no_pass_of_a_foreign_authority(world: AppleWorld, wallet_folder: Path) -> None:
    stranger = Phone(wallet_folder / "ca.pem", library_id="a" * 32, push_token="b" * 64)

    with pytest.raises(PassRefused, match="did not verify"):
        stranger.add(world.download(world.enrol()))


def test_a_thousand_phones_are_told_with_one_push_each_over_one_connection(world: AppleWorld) -> None:
    members = [world.enrol(f"Участник {number}") for number in range(100)]
    pkpass = [world.download(member) for member in members]
    del pkpass
    with world.rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO apple_device (library_id, push_token, registered_at) "
                "SELECT 'phone-' || n, lpad(to_hex(n), 64, '0'), :now FROM generate_series(1, 1000) AS n"
            ),
            {"now": world.clock()},
        )
        tx.execute(  # every phone has two cards, both of people whom one batch brings up to date
            sa.text(
                "INSERT INTO apple_registration (device_id, member_id, told_tag) "
                "SELECT device.id, card.member_id, card.tag FROM apple_device device "
                "JOIN apple_card card ON (card.member_id + device.id) % 50 = 0"
            )
        )
    world.clock.forward(minutes=1)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = available + 1"))
        tx.execute(
            sa.text(
                "INSERT INTO outbox (kind, target_id, created_at, due_at) "
                "SELECT 'apple', member_id, :now, :now FROM apple_card ORDER BY member_id % 50, member_id"
            ),
            {"now": world.clock()},
        )

    world.settle()

    assert len(world.apns.pushes) == len(set(world.apns.pushes)) == 1_000
    assert world.apns.connections == 1
    assert rows(world.rt, "SELECT * FROM apple_push") == [("sent", 1_000)]
    untold = "SELECT FROM apple_registration JOIN apple_card USING (member_id) WHERE told_tag < tag"
    assert rows(world.rt, untold) == []
