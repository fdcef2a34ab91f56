"""The web service that iPhones ask: every status of Apple's, and the mistakes that other servers make."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from flask.testing import FlaskClient
from kopilka_testing import SECRET_KEY, StandingClock, settle
from web_testing import metric
from werkzeug.test import TestResponse

from flows import apple_cards, people, personal_data, planning
from flows.adjusting import Adjustment, adjust
from flows.people import Person
from flows.runtime import Runtime
from storage import apple_phones
from storage.members import Member
from webhooks import passes
from webhooks.app import create_app

PHONE = "0123456789abcdef0123456789abcdef"
PUSH_TOKEN = "ab" * 32
OTHER_TOKEN = "cd" * 32
TYPE = "pass.demo.kopilka"
PKPASS = "application/vnd.apple.pkpass"
NEW_KEY = "bmV3LXNlY3JldC1rZXktdGhhdC1pcy1sb25nLWVub3VnaC0zMg"

_numbers = itertools.count(1)


class Desk:
    """A shop with one member whose card is on a phone, over Flask's client."""

    def __init__(self, rt: Runtime, clock: StandingClock) -> None:
        self.rt = rt
        self.clock = clock
        self.client: FlaskClient = create_app(rt).test_client()
        self.member = self.enrol("Анна Петрова")
        self.serial = self.member.card_serial
        self.token = str(content_of(self.download(self.member))["authenticationToken"])

    def enrol(self, name: str) -> Member:
        return people.create(self.rt, Person(name=name, phone=f"+7900200{next(_numbers):04d}"))

    def download(self, member: Member) -> bytes:
        reply = self.client.get(f"/c/{member.card_token}/card.pkpass")
        assert reply.status_code == 200
        return reply.data

    def earn(self, points: int = 10, member: Member | None = None) -> None:
        asked = Adjustment(points=points, reason="gift", comment="тест", actor="тест", key=f"k{next(_numbers)}")
        adjust(self.rt, (member or self.member).id, asked)

    def path(self, phone: str = PHONE, serial: str | None = None, pass_type: str = TYPE) -> str:
        return f"/passes/v1/devices/{phone}/registrations/{pass_type}/{serial or self.serial}"

    def auth(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"ApplePass {token or self.token}"}

    def register(self, push_token: str = PUSH_TOKEN, **where: str) -> int:
        return self.client.post(self.path(**where), json={"pushToken": push_token}, headers=self.auth()).status_code

    def changes(self, since: str | None = None, phone: str = PHONE, pass_type: str = TYPE) -> TestResponse:
        query = {} if since is None else {"passesUpdatedSince": since}
        return self.client.get(f"/passes/v1/devices/{phone}/registrations/{pass_type}", query_string=query)

    def fetch(self, since: str | None = None, *, token: str | None = None, serial: str | None = None) -> TestResponse:
        headers = self.auth(token) | ({} if since is None else {"If-Modified-Since": since})
        return self.client.get(f"/passes/v1/passes/{TYPE}/{serial or self.serial}", headers=headers)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.rt.db.begin() as tx:
            return [tuple(row) for row in tx.execute(sa.text(query))]


@pytest.fixture
def desk(wallets: None, rt: Runtime, clock: StandingClock) -> Desk:
    return Desk(rt, clock)


def content_of(pkpass: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(pkpass)) as archive:
        found: dict[str, Any] = json.loads(archive.read("pass.json"))
    return found


def balance_of(pkpass: bytes) -> str:
    return str(content_of(pkpass)["storeCard"]["headerFields"][0]["value"])


def test_a_card_says_where_to_ask_and_with_which_token(desk: Desk) -> None:
    content = content_of(desk.download(desk.member))

    assert content["webServiceURL"] == "https://bonus.sportgory.ru/passes"
    assert len(content["authenticationToken"]) == 43
    assert content_of(desk.download(desk.enrol("Борис")))["authenticationToken"] != content["authenticationToken"]


# Registration.


def test_a_new_registration_is_created_and_a_repeated_one_is_known(desk: Desk) -> None:
    statuses = [desk.register(), desk.register(), desk.register()]

    assert statuses == [201, 200, 200]
    assert desk.rows("SELECT library_id, push_token FROM apple_device") == [(PHONE, PUSH_TOKEN)]
    assert len(desk.rows("SELECT FROM apple_registration")) == 1


def test_hundreds_of_repeats_write_nothing_within_a_second(desk: Desk) -> None:
    desk.register()
    before = desk.rows("SELECT xmin::text FROM apple_device")

    assert {desk.register() for _ in range(200)} == {200}
    assert desk.rows("SELECT xmin::text FROM apple_device") == before


def test_a_new_push_token_takes_the_place_of_the_old_one(desk: Desk) -> None:
    desk.register()

    assert desk.register(OTHER_TOKEN) == 200
    assert desk.rows("SELECT push_token FROM apple_device") == [(OTHER_TOKEN,)]
    assert desk.rows("SELECT told_tag FROM apple_registration") == [(0,)]  # pushes to the old one may be lost


def test_a_card_that_changed_since_it_was_given_out_is_marked_at_once(desk: Desk) -> None:
    desk.clock.forward(hours=2)

    desk.register()

    assert desk.rows("SELECT told_tag FROM apple_registration") == [(0,)]
    assert desk.rows("SELECT count(*) FROM outbox WHERE kind = 'apple' AND state = 'waiting'") == [(1,)]


def test_a_card_that_has_just_been_given_out_is_not_asked_for_again(desk: Desk) -> None:
    desk.register()
    settle(desk.rt)

    assert desk.rows("SELECT FROM outbox WHERE kind = 'apple'") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"pushToken": null}',
        b'{"pushToken": 7}',
        b'{"pushToken": ""}',
        b'{"pushToken": "../../3/device/x"}',
        b'{"pushToken": "' + b"a" * 31 + b'"}',
        b'{"pushToken": "' + b"a" * 201 + b'"}',
        b"\xff\xfe",
        b"[" * 3_000,
    ],
)
def test_a_registration_without_a_push_token_is_refused(desk: Desk, body: bytes) -> None:
    reply = desk.client.post(desk.path(), data=body, headers=desk.auth())

    assert reply.status_code == 400
    assert desk.rows("SELECT FROM apple_device") == []


def test_a_registration_may_not_be_long(desk: Desk) -> None:
    body = json.dumps({"pushToken": PUSH_TOKEN, "more": "x" * 5_000})

    assert desk.client.post(desk.path(), data=body, headers=desk.auth()).status_code == 413


@pytest.mark.parametrize("phone", ["x" * 101, "%00", "a%20b", "%F0%9F%98%80"])
def test_a_phone_has_a_name_of_letters(desk: Desk, phone: str) -> None:
    assert desk.register(phone=phone) == 401
    assert desk.changes(phone=phone).status_code == 204


# Who may ask.


def requests_of(desk: Desk, serial: str, headers: dict[str, str], pass_type: str = TYPE) -> list[TestResponse]:
    path = desk.path(serial=serial, pass_type=pass_type)
    return [
        desk.client.post(path, json={"pushToken": PUSH_TOKEN}, headers=headers),
        desk.client.delete(path, headers=headers),
        desk.client.get(f"/passes/v1/passes/{pass_type}/{serial}", headers=headers),
    ]


def test_a_wrong_token_and_an_unknown_card_get_the_same_answer(desk: Desk) -> None:
    other = content_of(desk.download(desk.enrol("Борис")))["authenticationToken"]
    unknown_serial = "f" * 32
    right_for_nobody = desk.rt.keys.code("apple pass", unknown_serial)
    wrong = [
        (desk.serial, {}),
        (desk.serial, {"Authorization": ""}),
        (desk.serial, {"Authorization": "ApplePass"}),
        (desk.serial, {"Authorization": f"Bearer {desk.token}"}),
        (desk.serial, {"Authorization": desk.token}),
        (desk.serial, desk.auth(other)),
        (desk.serial, desk.auth(desk.token[:-1])),
        (desk.serial, desk.auth(desk.token + "A")),
        (desk.serial, {"Authorization": "ApplePass \u00ff\u00fe"}),
        (desk.serial, {"Authorization": "ApplePass " + "x" * 5_000}),
        (unknown_serial, desk.auth()),
        (unknown_serial, desk.auth(right_for_nobody)),
        ("x" * 65, desk.auth()),
        ("", desk.auth(desk.rt.keys.code("apple pass", ""))),
    ]

    replies = [reply for serial, headers in wrong if serial for reply in requests_of(desk, serial, headers)]

    assert {reply.status_code for reply in replies} == {401}
    assert len({(reply.data, tuple(sorted(reply.headers.items()))) for reply in replies}) == 1
    assert desk.rows("SELECT FROM apple_device") == []


def test_another_pass_type_is_nobodys(desk: Desk) -> None:
    desk.register()

    replies = requests_of(desk, desk.serial, desk.auth(), "pass.com.other")

    assert {reply.status_code for reply in replies} == {401}
    assert desk.changes(pass_type="pass.com.other").status_code == 204


def test_the_scheme_may_be_written_in_any_case(desk: Desk) -> None:
    reply = desk.client.get(
        f"/passes/v1/passes/{TYPE}/{desk.serial}", headers={"Authorization": f"applepass  {desk.token}"}
    )

    assert reply.status_code == 200


def test_a_shop_without_apple_knows_no_pass(wallets: None, desk: Desk, another_runtime: Callable[..., Runtime]) -> None:
    client = create_app(another_runtime(DEMO_WALLET_DIR="")).test_client()

    assert client.get(f"/passes/v1/passes/{TYPE}/{desk.serial}", headers=desk.auth()).status_code == 401
    assert client.get(f"/passes/v1/devices/{PHONE}/registrations/{TYPE}").status_code == 204


def test_without_https_cards_are_given_out_that_never_ask(
    wallets: None, desk: Desk, another_runtime: Callable[..., Runtime]
) -> None:
    client = create_app(another_runtime(PUBLIC_URL="http://10.0.0.7")).test_client()

    content = content_of(client.get(f"/c/{desk.member.card_token}/card.pkpass").data)

    assert "webServiceURL" not in content
    assert "authenticationToken" not in content


# Rotation of SECRET_KEY.


def test_installed_cards_outlive_a_rotation_of_the_key(desk: Desk, another_runtime: Callable[..., Runtime]) -> None:
    desk.register()
    rotated = Desk.__new__(Desk)
    rotated.__dict__.update(desk.__dict__)
    rotated.rt = another_runtime(SECRET_KEY=f"{NEW_KEY},{SECRET_KEY}")
    rotated.client = create_app(rotated.rt).test_client()

    fetched = rotated.fetch()
    settle(rotated.rt)

    assert fetched.status_code == 200
    assert content_of(fetched.data)["authenticationToken"] == desk.token
    assert content_of(rotated.download(desk.member))["authenticationToken"] == desk.token  # also added once more
    assert rotated.fetch(fetched.headers["Last-Modified"]).status_code == 304  # nothing was pushed for it
    newcomer = rotated.enrol("Борис")
    token = content_of(rotated.download(newcomer))["authenticationToken"]
    assert rotated.fetch(token=token, serial=newcomer.card_serial).status_code == 200
    assert desk.fetch(token=token, serial=newcomer.card_serial).status_code == 401


def test_without_the_old_key_its_cards_are_strangers(desk: Desk, another_runtime: Callable[..., Runtime]) -> None:
    client = create_app(another_runtime(SECRET_KEY=NEW_KEY)).test_client()

    assert client.get(f"/passes/v1/passes/{TYPE}/{desk.serial}", headers=desk.auth()).status_code == 401


# Which cards have changed.


def test_an_unknown_phone_has_no_changes(desk: Desk) -> None:
    reply = desk.changes(phone="f" * 32)

    assert (reply.status_code, reply.data) == (204, b"")


def test_without_a_tag_all_cards_of_the_phone_are_told_and_with_it_only_later_ones(desk: Desk) -> None:
    desk.register()
    first = desk.changes()
    told = first.get_json()

    assert first.status_code == 200
    assert first.content_type == "application/json"
    assert told["serialNumbers"] == [desk.serial]
    assert isinstance(told["lastUpdated"], str)
    assert desk.changes(told["lastUpdated"]).status_code == 204

    desk.earn()
    assert desk.changes(told["lastUpdated"]).status_code == 204  # the worker has not looked yet
    settle(desk.rt)
    later = desk.changes(told["lastUpdated"]).get_json()
    assert later["serialNumbers"] == [desk.serial]
    assert int(later["lastUpdated"]) > int(told["lastUpdated"])
    assert desk.changes(later["lastUpdated"]).status_code == 204


def test_all_changed_cards_are_told_and_not_only_the_latest(desk: Desk) -> None:
    others = [desk.enrol(f"Участник {number}") for number in range(3)]
    for member in others:
        token = content_of(desk.download(member))["authenticationToken"]
        path = desk.path(serial=member.card_serial)
        assert desk.client.post(path, json={"pushToken": PUSH_TOKEN}, headers=desk.auth(token)).status_code == 201
    desk.register()
    tag = desk.changes().get_json()["lastUpdated"]
    for member in others[:2]:
        desk.earn(member=member)
        settle(desk.rt)

    told = desk.changes(tag).get_json()

    assert told["serialNumbers"] == [member.card_serial for member in others[:2]]


def test_cards_of_other_phones_are_not_told(desk: Desk) -> None:
    desk.register()
    desk.register(phone="f" * 32)
    desk.client.delete(desk.path(), headers=desk.auth())

    assert desk.changes().status_code == 204
    assert desk.changes(phone="f" * 32).get_json()["serialNumbers"] == [desk.serial]


@pytest.mark.parametrize("tag", ["", "yesterday", "-1", "1e9", "9" * 400, "999999999999999999", "٣", "0", "1 OR 1=1"])
def test_a_tag_that_we_never_gave_shows_everything(desk: Desk, tag: str) -> None:
    desk.register()

    assert desk.changes(tag).get_json()["serialNumbers"] == [desk.serial]


def test_a_change_that_leaves_the_card_as_it_was_is_not_told(desk: Desk) -> None:
    desk.register()
    tag = desk.changes().get_json()["lastUpdated"]
    desk.earn(10)
    desk.earn(-10)

    settle(desk.rt)

    assert desk.changes(tag).status_code == 204


# The card itself.


def test_the_card_is_fetched_with_its_date_and_then_is_not_modified(desk: Desk) -> None:
    first = desk.fetch()
    again = desk.fetch(first.headers["Last-Modified"])

    assert (first.status_code, first.content_type) == (200, PKPASS)
    assert parsedate_to_datetime(first.headers["Last-Modified"]) <= desk.clock()
    assert "no-store" not in first.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")


def test_equal_content_has_equal_bytes_whoever_asks(desk: Desk) -> None:
    first = desk.fetch().data
    desk.clock.forward(hours=5)

    assert desk.fetch().data == first
    assert desk.download(desk.member) == first


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "",
        "0",
        "1700000000.5",
        "Mon, 99 Foo 2026 00:00:00 GMT",
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "x" * 3_000,
    ],
)
def test_a_date_that_is_none_fetches_the_card(desk: Desk, date: str) -> None:
    assert desk.fetch(date).status_code == 200


def test_a_date_of_another_life_of_the_database_fetches_the_card(desk: Desk) -> None:
    assert desk.fetch("Fri, 01 Jan 2038 00:00:00 GMT").status_code == 200
    assert desk.fetch("Fri, 01 Jan 2010 00:00:00 GMT").status_code == 200


def test_two_changes_in_one_second_are_two_dates(desk: Desk) -> None:
    desk.register()
    seen = []
    for _ in range(4):
        desk.earn()
        settle(desk.rt)
        reply = desk.fetch(seen[-1] if seen else None)
        assert reply.status_code == 200
        desk.clock.forward(milliseconds=100)
        if "Last-Modified" in reply.headers:
            seen.append(reply.headers["Last-Modified"])
    desk.clock.forward(seconds=10)
    last = desk.fetch()

    assert len(set(seen)) == len(seen)
    assert balance_of(last.data) == "40" or balance_of(last.data).endswith("40")
    assert desk.fetch(last.headers["Last-Modified"]).status_code == 304


def test_a_date_ahead_of_the_clock_is_not_said(desk: Desk) -> None:
    desk.earn()
    reply = desk.fetch()  # within the second in which the card was made

    assert reply.status_code == 200
    assert "Last-Modified" not in reply.headers
    desk.clock.forward(seconds=2)
    assert "Last-Modified" in desk.fetch().headers


def test_a_clock_that_goes_back_never_says_not_modified_wrongly(desk: Desk) -> None:
    desk.clock.forward(hours=1)
    desk.earn()
    before = desk.fetch().headers["Last-Modified"]
    desk.clock.forward(hours=-1)
    desk.earn()

    reply = desk.fetch(before)

    assert reply.status_code == 200
    assert "Last-Modified" not in reply.headers


def test_a_card_fetched_before_the_worker_saw_the_change_is_the_new_one_and_others_are_still_told(desk: Desk) -> None:
    desk.register()
    desk.register(OTHER_TOKEN, phone="f" * 32)
    tag = desk.changes(phone="f" * 32).get_json()["lastUpdated"]
    desk.clock.forward(minutes=1)
    desk.earn(77)

    early = desk.fetch()
    settle(desk.rt)

    assert balance_of(early.data).endswith("77")
    assert desk.changes(tag, phone="f" * 32).get_json()["serialNumbers"] == [desk.serial]
    assert desk.fetch(early.headers["Last-Modified"]).status_code == 304


def test_a_merged_members_card_shows_the_person_he_is(desk: Desk) -> None:
    desk.register()
    settle(desk.rt)
    tag = desk.changes().get_json()["lastUpdated"]
    kept = desk.enrol("Анна Сидорова")
    desk.earn(500, member=kept)
    desk.clock.forward(minutes=1)

    people.merge(desk.rt, from_id=desk.member.id, into_id=kept.id)
    settle(desk.rt)
    merged = desk.changes(tag).get_json()
    desk.clock.forward(minutes=1)
    desk.earn(11, member=kept)
    settle(desk.rt)
    content = content_of(desk.fetch().data)

    assert merged["serialNumbers"] == [desk.serial]
    assert desk.changes(merged["lastUpdated"]).get_json()["serialNumbers"] == [desk.serial]
    assert content["serialNumber"] == desk.serial
    assert content["barcodes"][0]["message"] == kept.card_number
    assert content["storeCard"]["headerFields"][0]["value"].endswith("11")


def test_an_expired_certificate_gives_no_cards_and_says_to_come_later(
    wallets: None, rt: Runtime, clock: StandingClock
) -> None:
    desk = Desk(rt, clock)
    clock.forward(days=366 * 12)

    reply = desk.fetch()

    page = desk.client.get(f"/c/{desk.member.card_token}/card.pkpass")

    assert (reply.status_code, page.status_code) == (503, 503)
    assert reply.headers["Retry-After"] == page.headers["Retry-After"] == "300"


def test_a_phone_that_outlived_the_row_of_its_card_is_served(desk: Desk) -> None:
    with desk.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM apple_card"))

    assert desk.fetch().status_code == 200
    assert desk.register() == 201


def test_an_erased_persons_phone_is_turned_away_and_forgotten(desk: Desk) -> None:
    desk.register()
    settle(desk.rt)

    personal_data.erase(desk.rt, desk.member.id)
    settle(desk.rt)

    assert (desk.fetch().status_code, desk.register()) == (401, 401)
    assert desk.changes().status_code == 204
    assert desk.rows("SELECT push_token FROM apple_device") == []
    assert desk.rows("SELECT FROM apple_card") == []


def test_a_phone_with_another_persons_card_survives_an_erasure(desk: Desk) -> None:
    other = desk.enrol("Борис")
    token = content_of(desk.download(other))["authenticationToken"]
    desk.client.post(desk.path(serial=other.card_serial), json={"pushToken": PUSH_TOKEN}, headers=desk.auth(token))
    desk.register()

    personal_data.erase(desk.rt, desk.member.id)

    assert desk.changes().get_json()["serialNumbers"] == [other.card_serial]


def test_what_a_process_with_the_old_design_gave_out_is_put_right(desk: Desk) -> None:
    desk.register()
    settle(desk.rt)
    desk.clock.forward(hours=2)
    old = desk.rt.design
    new = replace(old, background="#123456", segments={})
    desk.rt.design = new
    assert desk.fetch().status_code == 200

    desk.rt.design = old  # a web server that was not started anew yet
    behind = content_of(desk.fetch().data)
    tag = desk.changes().get_json()["lastUpdated"]
    desk.rt.design = new
    desk.clock.forward(minutes=11)
    settle(desk.rt)

    assert behind["backgroundColor"] != content_of(desk.fetch().data)["backgroundColor"] == "rgb(18, 52, 86)"
    assert desk.changes(tag).get_json()["serialNumbers"] == [desk.serial]


def test_a_change_that_one_phone_found_by_itself_is_told_to_the_others(desk: Desk) -> None:
    desk.register()
    settle(desk.rt)
    desk.clock.forward(hours=2)
    desk.rt.design = replace(desk.rt.design, background="#123456", segments={})

    desk.fetch()
    desk.clock.forward(minutes=11)

    assert desk.rows("SELECT state, due_at FROM outbox WHERE kind = 'apple'") == [
        ("waiting", desk.clock() - timedelta(minutes=11) + apple_cards.LOOK_AGAIN)
    ]


def test_a_web_server_shows_the_rules_that_another_process_has_applied(desk: Desk, rt: Runtime) -> None:
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET segment_code = 'regular'"))
    before = rt.active
    text = rt.file.path.read_text(encoding="utf-8")
    rt.file.path.write_text(text.replace("title: Постоянный", "title: Близкий"), encoding="utf-8")
    planning.apply(rt, "Иванова")
    rt.active, rt.rules_looked_at = before, 0.0  # as in a process that did not apply them

    fetched = desk.fetch().data
    rt.active, rt.rules_looked_at = before, 0.0
    page = desk.client.get(f"/c/{desk.member.card_token}/card.pkpass").data

    assert "Близкий" in json.dumps(content_of(fetched), ensure_ascii=False)
    assert "Близкий" in json.dumps(content_of(page), ensure_ascii=False)


# Taking it off.


def test_a_card_that_is_added_again_from_an_old_file_is_told_though_its_phone_knows_the_tag(desk: Desk) -> None:
    desk.register()
    tag = desk.changes().get_json()["lastUpdated"]
    date = desk.fetch().headers["Last-Modified"]
    desk.client.delete(desk.path(), headers=desk.auth())
    desk.clock.forward(hours=2)

    desk.register()

    assert desk.changes(tag).get_json()["serialNumbers"] == [desk.serial]
    assert desk.fetch(date).status_code == 304


def test_a_change_between_download_and_adding_is_told(desk: Desk) -> None:
    desk.clock.forward(hours=2)
    desk.earn(1)
    desk.clock.forward(seconds=5)
    desk.download(desk.member)
    desk.clock.forward(seconds=5)
    desk.earn(2)  # joins the mark that is older than the download
    desk.clock.forward(seconds=5)
    settle(desk.rt)

    desk.register()

    assert desk.rows("SELECT told_tag FROM apple_registration") == [(0,)]


def test_a_card_has_so_many_phones_and_the_longest_known_go(desk: Desk) -> None:
    names = [f"{number:032x}" for number in range(apple_phones.PHONES_MAX + 2)]

    statuses = {desk.register(f"{number:064x}", phone=name) for number, name in enumerate(names)}

    assert statuses == {201}
    assert desk.rows("SELECT library_id FROM apple_device ORDER BY id") == [(name,) for name in names[2:]]
    assert desk.rows("SELECT count(*) FROM apple_registration") == [(apple_phones.PHONES_MAX,)]


def test_a_phone_without_a_proper_name_takes_nothing_off(desk: Desk) -> None:
    assert desk.client.delete(desk.path(phone="%00abc"), headers=desk.auth()).status_code == 401


def test_a_card_is_taken_off_and_its_last_phone_is_forgotten(desk: Desk) -> None:
    desk.register()

    statuses = [desk.client.delete(desk.path(), headers=desk.auth()).status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert desk.rows("SELECT FROM apple_device") == []
    assert desk.fetch().status_code == 200  # the file may be added again
    assert desk.register() == 201


def test_a_phone_with_another_card_stays_known(desk: Desk) -> None:
    other = desk.enrol("Борис")
    token = content_of(desk.download(other))["authenticationToken"]
    desk.client.post(desk.path(serial=other.card_serial), json={"pushToken": PUSH_TOKEN}, headers=desk.auth(token))
    desk.register()

    desk.client.delete(desk.path(), headers=desk.auth())

    assert desk.changes().get_json()["serialNumbers"] == [other.card_serial]


# The log.


def written(desk: Desk, body: Any) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        assert desk.client.post("/passes/v1/log", data=data).status_code == 200
    return [entry["text"] for entry in logs if entry["event"] == "phone_says"]


def test_what_phones_complain_of_is_logged_without_tokens(desk: Desk) -> None:
    complaint = f"Get serial #s task (for device {PHONE}; token {desk.token}) error\x1b[31m"

    said = written(desk, {"logs": [complaint]})

    assert said == ["Get serial #s task (for device …; token …) error [31m"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", {"logs": "x"}, {"logs": [1, None, {}]}, {"logs": None}, b"x" * 20_000]
)
def test_whatever_is_logged_is_taken(desk: Desk, body: Any) -> None:
    assert written(desk, body) == []


def test_the_log_is_bounded_in_lines_length_and_time(desk: Desk) -> None:
    first = written(desk, {"logs": ["a b " * 110] * 20})
    rest = [line for _ in range(30) for line in written(desk, {"logs": ["x"] * 10})]

    assert len(first) == passes.LOG_LINES_MAX
    assert {len(line) for line in first} == {passes.LOG_LINE_CHARS_MAX}
    assert len(first) + len(rest) <= passes.LOG_LINES_PER_MINUTE + 2


# Methods and numbers.


def test_other_methods_are_not_allowed(desk: Desk) -> None:
    assert desk.client.get(desk.path()).status_code == 405
    assert desk.client.post(f"/passes/v1/passes/{TYPE}/{desk.serial}").status_code == 405
    assert desk.client.get("/passes/v1/log").status_code == 405
    assert desk.client.get("/passes/v2/log").status_code == 404


def test_the_first_fetch_after_a_change_is_measured_from_the_change(desk: Desk) -> None:
    desk.register()
    desk.fetch()
    desk.clock.forward(minutes=1)
    desk.earn()
    desk.clock.forward(seconds=4)
    settle(desk.rt)
    desk.clock.forward(seconds=3)
    desk.fetch()
    desk.fetch()

    text = desk.client.get("/metrics").get_data(as_text=True)

    assert metric(text, "kopilka_card_fresh_seconds_count") == 1
    assert metric(text, "kopilka_card_fresh_seconds_sum") == 7


def test_a_member_without_a_card_on_a_phone_costs_no_row(desk: Desk) -> None:
    desk.earn(member=desk.enrol("Борис"))

    assert desk.rows("SELECT FROM outbox WHERE kind = 'apple'") == []
