"""The class and the objects at Google: made, kept in step, once each, and honest about what failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import Shop, SilentBell, StandingClock, posted, settle, tbank_body

from config.settings import load_settings
from flows import (
    adjusting,
    failpoints,
    google,
    google_fresh,
    google_saving,
    google_setup,
    inbox,
    lookup,
    nightly,
    outbox,
    people,
    personal_data,
    sweep,
)
from flows.adjusting import Adjustment
from flows.runtime import Runtime, build_runtime, prepare
from flows.settle import SetupIncomplete
from storage import google as google_storage
from storage.members import Member

pytestmark = pytest.mark.slow

Run = Callable[..., int]
Json = dict[str, Any]


class Town:
    """A shop and its Google."""

    def __init__(self, rt: Runtime, shop: Shop, clock: StandingClock) -> None:
        self.rt, self.shop, self.clock = rt, shop, clock
        self.payment_id = 100

    def paid(
        self, buyer: str = "Анна Петрова", kopecks: int = 499_000, *, deal: tuple[int, int] | None = None
    ) -> Member:
        self.payment_id += 1
        contact = {"name": buyer, "phone": f"+7900100{self.payment_id:04}"}
        asked = {"name": "Заказ", "price_roubles": kopecks / 100, "contact": contact}
        made = self.shop.crm("POST", "/sim/deals", asked)
        body = tbank_body(made["deal_id"], kopecks=kopecks, payment_id=self.payment_id)
        inbox.accept_payment(self.rt, "tbank", posted(body))
        inbox.drain(self.rt)
        account = lookup.by_contact(self.rt, made["contact_id"])
        assert account is not None
        return account.member

    def google(self) -> Json:
        return dict(self.shop.bank("GET", "/sim/state")["google"])

    def object_of(self, member: Member) -> Json | None:
        found = [one for one in self.google()["loyaltyObject"] if one["id"].endswith(member.card_serial)]
        return found[0] if found else None

    def faults(self, **asked: Any) -> Json:
        return dict(self.shop.bank("POST", "/sim/google/faults", asked))

    def calls(self) -> int:
        return int(self.shop.bank("GET", "/sim/google/faults")["calls"])

    def change(self, member: Member, points: int) -> None:
        self.payment_id += 1
        asked = Adjustment(points, "gift", "тест", "тест", f"test:{self.payment_id}")
        adjusting.adjust(self.rt, member.id, asked)

    def saved(self, member: Member, *, is_saved: bool = True) -> None:
        at_ms = int(self.clock().timestamp() * 1000)
        with self.rt.db.begin() as tx:
            google_storage.note_event(tx, member.id, is_saved=is_saved, at_ms=at_ms)

    def row(self, member: Member) -> Any:
        with self.rt.db.begin() as tx:
            return google_storage.cards(tx, [member.id]).get(member.id)

    def outbox_row(self, member: Member) -> Any:
        with self.rt.db.begin() as tx:
            statement = sa.text("SELECT * FROM outbox WHERE kind = 'google' AND target_id = :id")
            return tx.execute(statement, {"id": member.id}).one()


@pytest.fixture
def town(rt: Runtime, shop: Shop, clock: StandingClock) -> Town:
    return Town(rt, shop, clock)


@pytest.fixture
def second(environment: dict[str, str], rt: Runtime, clock: StandingClock) -> Iterator[Runtime]:
    """Another process over the same database."""
    other = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(other)
    yield other
    other.db.close()


def test_the_class_and_the_object_are_made_and_then_left_alone(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    first = town.calls()
    outbox.drain(town.rt)
    google.refresh(town.rt, [member.id])

    found = town.object_of(member)
    assert found is not None
    assert (found["state"], found["loyaltyPoints"]["balance"]) == ("ACTIVE", {"int": 300})
    assert "accountName" not in found
    assert len(town.google()["loyaltyClass"]) == 1
    assert town.google()["loyaltyClass"][0]["callbackOptions"] == {
        "url": "https://bonus.sportgory.ru/webhooks/google-wallet"
    }
    assert town.calls() == first == 2


def test_a_design_that_changes_changes_the_class_and_nothing_that_somebody_else_set(town: Town) -> None:
    rt, google_of = town.rt, town.rt.google
    assert google_of is not None
    settle(rt)
    google.keep_class(rt, google_of, google_of.api)
    google_of.api.put_class({"id": google_of.class_id, "homepageUri": {"uri": "https://theirs.ru"}}, is_made=True)
    town.clock.forward(minutes=2)
    rt.design = replace(rt.design, background="#112233", back=(("Новое", "правило"),))

    google.keep_class(rt, google_of, google_of.api)
    calls = town.calls()
    google.keep_class(rt, google_of, google_of.api)

    own = town.google()["loyaltyClass"][0]
    assert (own["hexBackgroundColor"], own["homepageUri"]) == ("#112233", {"uri": "https://theirs.ru"})
    assert [one["header"] for one in own["textModulesData"]] == ["Новое"]
    assert own["reviewStatus"] == "APPROVED"
    assert town.calls() == calls


def test_a_field_that_was_ours_and_is_no_more_is_cleared(town: Town) -> None:
    rt, google_of = town.rt, town.rt.google
    assert google_of is not None
    google.keep_class(rt, google_of, google_of.api)
    town.clock.forward(minutes=2)

    google.keep_class(rt, replace(google_of, callback_url=None), google_of.api)

    assert "callbackOptions" not in town.google()["loyaltyClass"][0]


def test_what_the_design_does_not_have_is_the_owners_in_googles_console(town: Town) -> None:
    rt, google_of = town.rt, town.rt.google
    assert google_of is not None
    rt.design = replace(rt.design, back=(), offers=(), places=())
    google.keep_class(rt, google_of, google_of.api)
    theirs = {"merchantLocations": [{"latitude": 55.7, "longitude": 37.6}], "textModulesData": [{"id": "theirs"}]}
    google_of.api.put_class({"id": google_of.class_id, **theirs}, is_made=True)
    town.clock.forward(minutes=2)
    rt.design = replace(rt.design, background="#112233")

    google.keep_class(rt, google_of, google_of.api)

    own = town.google()["loyaltyClass"][0]
    assert (own["hexBackgroundColor"], {name: own[name] for name in theirs}) == ("#112233", theirs)


def test_two_processes_with_two_designs_do_not_change_the_class_to_and_fro_all_the_time(
    town: Town, second: Runtime
) -> None:
    assert town.rt.google is not None
    assert second.google is not None
    second.design = replace(second.design, background="#112233")

    for _ in range(10):
        google.keep_class(town.rt, town.rt.google, town.rt.google.api)
        google.keep_class(second, second.google, second.google.api)

    assert town.calls() == 1


def test_a_class_that_google_rejects_is_told_to_the_owner(town: Town) -> None:
    assert town.rt.google is not None
    town.faults(rejected=True)
    google.keep_class(town.rt, town.rt.google, town.rt.google.api)

    assert google.review_trouble(town.rt) == "REJECTED"


def test_a_changed_design_marks_every_card_once_and_is_counted(town: Town) -> None:
    members = [town.paid(f"Покупатель {number}") for number in range(3)]
    settle(town.rt)
    nightly.run_due(town.rt, now=town.clock(), only="google", at_once=True)
    settle(town.rt)
    town.clock.forward(minutes=10)
    town.rt.design = replace(town.rt.design, barcode="pdf417")

    results = [nightly.run_due(town.rt, now=town.clock(), only="google", at_once=True)[0].text for _ in range(2)]
    settle(town.rt)

    assert results == ["карт Google к обновлению: 3", google_fresh.summary({})]
    assert {one["barcode"]["type"] for one in town.google()["loyaltyObject"]} == {"PDF_417"}
    assert len(members) == 3


@pytest.mark.parametrize("fault", ["quota_403", "error_429", "error_503"])
def test_what_google_refuses_for_a_while_comes_later_and_is_not_lost(town: Town, fault: str) -> None:
    member = town.paid()
    town.faults(**{fault: 2})
    settle(town.rt)
    assert town.object_of(member) is None
    assert town.outbox_row(member).state == "waiting"

    for _ in range(3):
        town.clock.forward(minutes=10)
        settle(town.rt)

    assert town.object_of(member) is not None
    assert town.outbox_row(member).state == "done"


def test_a_lost_answer_is_looked_at_again_when_it_cannot_land_any_more(town: Town) -> None:
    first = town.paid()
    settle(town.rt)
    town.change(first, 50)
    town.faults(lose_answers=1)
    settle(town.rt)

    assert town.row(first).digest is None
    town.clock.forward(seconds=91)
    settle(town.rt)

    found = town.object_of(first)
    assert found is not None
    assert found["loyaltyPoints"]["balance"] == {"int": 350}
    assert town.outbox_row(first).state == "done"


def test_a_service_account_without_rights_waits_for_a_person_and_says_which(town: Town) -> None:
    member = town.paid()
    town.faults(no_rights=True)
    settle(town.rt)

    row = town.outbox_row(member)
    assert row.state == "waiting"
    assert "Google Wallet Console" in row.outcome
    town.faults(no_rights=False)
    town.clock.forward(hours=2)
    settle(town.rt)
    assert town.object_of(member) is not None


def test_the_phone_speaks_of_a_changed_balance_three_times_a_day_and_no_more(town: Town, second: Runtime) -> None:
    member = town.paid()
    settle(town.rt)
    town.saved(member)
    for points in range(1, 6):
        town.change(member, points)
        settle(town.rt if points % 2 else second)

    def sounds() -> list[str]:
        notices = town.google()["notices"].values()
        return [one["what"] for row in notices for one in row["sounds"]]

    assert sounds() == ["balance"] * 3
    with town.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM google_notice WHERE is_loud")).scalar_one() == 3
    found = town.object_of(member)
    assert found is not None
    assert found["loyaltyPoints"]["balance"] == {"int": 315}
    assert "notifyPreference" not in found


def test_a_notice_that_was_refused_is_not_counted(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    town.faults(quota_403=1)
    town.change(member, 5)
    settle(town.rt)

    with town.rt.db.begin() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM google_notice")).scalar_one() == 0


def test_notices_are_forgotten_once_no_day_counts_them(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    town.change(member, 5)
    settle(town.rt)
    counted = []
    for hours in (0, 47, 2):
        town.clock.forward(hours=hours)
        nightly.run_due(town.rt, now=town.clock(), only="google", at_once=True)
        with town.rt.db.begin() as tx:
            counted.append(tx.execute(sa.text("SELECT count(*) FROM google_notice")).scalar_one())

    assert counted == [1, 1, 0]


def test_a_card_deleted_from_the_phone_is_not_refreshed_until_it_is_saved_again(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    town.saved(member, is_saved=False)
    calls = town.calls()
    town.change(member, 5)
    settle(town.rt)

    assert town.calls() == calls
    assert town.outbox_row(member).outcome == "карта Google удалена с телефона, не обновляем"
    link = google_saving.link(town.rt, member.card_token)  # who wants it back gets it as it is now
    found = town.object_of(member)
    assert link is not None
    assert found is not None
    assert found["loyaltyPoints"]["balance"] == {"int": 305}


def test_an_object_exists_before_its_link_is_given_whatever_the_worker_does(town: Town) -> None:
    member = town.paid()
    assert town.object_of(member) is None

    link = google_saving.link(town.rt, member.card_token)

    assert link is not None
    assert len(link.rpartition("/")[2]) <= 1800
    assert town.object_of(member) is not None
    calls = town.calls()
    google_saving.link(town.rt, member.card_token)
    assert town.calls() == calls


def test_without_google_there_is_no_link_to_nothing_but_one_to_what_exists(town: Town) -> None:
    assert town.rt.google is not None
    google.keep_class(town.rt, town.rt.google, town.rt.google.api)
    member = town.paid()
    town.faults(error_503=50)
    with pytest.raises(google_saving.GoogleAway):
        google_saving.link(town.rt, member.card_token)
    town.faults(error_503=0)
    google_saving.link(town.rt, member.card_token)
    town.change(member, 5)
    town.faults(error_503=50)

    assert google_saving.link(town.rt, member.card_token) is not None


def test_a_worker_that_died_at_an_object_does_not_keep_its_buyer_waiting(town: Town, run: Run) -> None:
    member = town.paid()
    assert run("outbox", failpoint="google.after_write") == failpoints.EXIT_CODE
    assert town.row(member).is_made is False

    assert google_saving.link(town.rt, member.card_token) is not None
    assert town.row(member).is_made is True


def test_a_worker_that_died_at_the_class_is_followed_by_another(town: Town, run: Run) -> None:
    member = town.paid()
    assert run("outbox", failpoint="google.after_class") == failpoints.EXIT_CODE
    town.clock.forward(seconds=town.rt.settings.lease_s + 1)
    sweep.sweep_once(town.rt)
    settle(town.rt)

    assert town.object_of(member) is not None
    assert town.outbox_row(member).state == "done"


def test_only_one_of_two_processes_writes_an_object(town: Town, second: Runtime) -> None:
    members = [town.paid(f"Покупатель {number}") for number in range(4)]
    outbox.drain(town.rt)
    for member in members:
        town.change(member, 7)
    before = town.calls()
    barrier, failures = threading.Barrier(2), []

    def work(rt: Runtime) -> None:
        barrier.wait()
        try:
            google.refresh(rt, [member.id for member in members])
        except Exception as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(one,)) for one in (town.rt, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        assert "another process is writing" in str(failure)

    google.refresh(town.rt, [member.id for member in members])
    assert [one["loyaltyPoints"]["balance"]["int"] for one in town.google()["loyaltyObject"]] == [307] * 4
    assert town.calls() - before == 4


def test_a_merged_card_lives_on_and_is_put_away_only_beside_the_other(town: Town) -> None:
    kept, gone = town.paid("Анна Петрова"), town.paid("Борис Иванов")
    settle(town.rt)
    people.merge(town.rt, from_id=gone.id, into_id=kept.id)
    settle(town.rt)
    alone = town.object_of(gone)
    town.saved(kept)
    town.change(kept, 3)
    settle(town.rt)
    beside = town.object_of(gone)

    assert alone is not None
    assert beside is not None
    assert (alone["state"], alone["accountId"]) == ("ACTIVE", kept.card_number)
    assert beside["state"] == "INACTIVE"


def test_an_erased_persons_object_expires_and_forgets_him(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    with town.rt.db.begin() as tx:
        google.retire(tx, town.rt, member.id)
    google.refresh(town.rt, [member.id])

    found = town.object_of(member)
    assert found is not None
    assert found["state"] == "EXPIRED"
    assert not {"accountId", "accountName", "barcode", "loyaltyPoints"} & found.keys()
    assert google_saving.link(town.rt, member.card_token) is None


def test_nothing_is_made_of_who_was_erased_before_he_had_an_object(town: Town) -> None:
    member = town.paid()
    personal_data.erase(town.rt, member.id)
    settle(town.rt)

    assert town.object_of(member) is None
    assert town.outbox_row(member).state == "done"


def test_an_erased_persons_state_that_was_read_before_is_not_written_after(town: Town) -> None:
    member = town.paid()
    settle(town.rt)
    town.change(member, 5)
    assert town.rt.google is not None
    with town.rt.db.begin() as tx:
        [before] = google.present(tx, town.rt, town.rt.google, [member.id])
    personal_data.erase(town.rt, member.id)

    assert google.push(town.rt, town.rt.google.api, before) is False


def test_an_object_made_beside_the_worker_is_looked_at_by_it(
    town: Town,
) -> None:
    """The buyer presses the button and is erased before the link is there."""
    member = town.paid()
    assert town.rt.google is not None
    google.keep_class(town.rt, town.rt.google, town.rt.google.api)
    with town.rt.db.begin() as tx:
        [before] = google.present(tx, town.rt, town.rt.google, [member.id])
    personal_data.erase(town.rt, member.id)
    settle(town.rt)
    google_saving._bring_up_to_date(town.rt, town.rt.google, before)
    settle(town.rt)

    found = town.object_of(member)
    assert found is not None
    assert (found["state"], "accountId" in found) == ("EXPIRED", False)


def test_the_rate_is_shared_and_kept_under_googles(town: Town, second: Runtime) -> None:
    town.faults(requests_per_second=20)
    members = [town.paid(f"Покупатель {number}") for number in range(30)]
    ids = [member.id for member in members]
    google.refresh(town.rt, ids[:1])
    threads = [
        threading.Thread(target=google.refresh, args=(rt, part))
        for rt, part in ((town.rt, ids[1:15]), (second, ids[15:]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(town.google()["loyaltyObject"]) == 30
    assert town.faults()["refused"] == 0


@pytest.mark.parametrize(
    ("zone", "host", "chosen", "kind"),
    [
        ("Europe/Moscow", "sportgory.amocrm.ru", "auto", "save_to_phone"),
        ("Asia/Vladivostok", "sportgory.kommo.com", "auto", "save_to_phone"),
        ("Asia/Almaty", "sportgory.amocrm.ru", "auto", "wallet"),
        ("America/New_York", "sportgory.kommo.com", "auto", "wallet"),
        ("UTC", "sportgory.amocrm.ru", "auto", "save_to_phone"),
        ("Etc/UTC", "sportgory.kommo.com", "auto", "wallet"),
        ("Europe/Moscow", "sportgory.amocrm.ru", "wallet", "wallet"),
        ("America/New_York", "sportgory.kommo.com", "save_to_phone", "save_to_phone"),
    ],
)
def test_the_button_is_that_of_the_country(rt: Runtime, zone: str, host: str, chosen: Any, kind: str) -> None:
    assert rt.google is not None
    assert rt.file.amocrm is not None
    programme = replace(rt.file.programme, timezone=zone)
    rt.file = replace(rt.file, programme=programme, amocrm=replace(rt.file.amocrm, host=host))
    rt.google = replace(rt.google, identity=replace(rt.google.identity, button=chosen))

    found = google.button(rt)
    assert found is not None
    assert found.kind == kind
    assert (found.note is None) == (not google_setup.is_russian(rt.file))
    assert found.demo_note is not None


def test_without_an_issuer_there_is_no_button_and_no_link(rt: Runtime) -> None:
    rt.google = None

    assert google.button(rt) is None
    assert google_saving.link(rt, "x") is None
    with pytest.raises(SetupIncomplete):
        google.refresh(rt, [1])
