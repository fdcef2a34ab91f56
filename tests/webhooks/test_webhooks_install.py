"""The grant page's redirect and the uninstall hook, over HTTP: by the owner's browser, by amoCRM and by a forger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from kopilka_testing import ACCOUNT_ID, Shop, SilentBell, StandingClock, hook_body, settle
from linking_world import CLIENT_ID, CLIENT_SECRET, Stage, settings_for, stage_at, with_query

from config.settings import load_settings
from connector.amocrm.installing import uninstall_signature
from flows import connect, health, linking, linking_grant
from flows.runtime import Runtime, build_runtime, prepare
from storage import linking as linking_storage
from webhooks.app import create_app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_at(tmp_path_factory.mktemp("install")) as stage:
        yield stage


@pytest.fixture
def stage(both_servers: Stage) -> Stage:
    both_servers.crm("POST", "/sim/reset", {})
    both_servers.shut()
    return both_servers


@pytest.fixture
def oauth_rt(stage: Stage, environment: dict[str, str], clock: StandingClock, tmp_path: Path) -> Iterator[Runtime]:
    """The product with OAuth keys, not connected yet, its web side open."""
    given = settings_for(stage, environment, tmp_path, oauth=True)
    rt = build_runtime(load_settings(given, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(rt)
    stage.open(rt)
    yield rt
    rt.db.close()


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10, allow_redirects=False)


def state_of(rt: Runtime) -> str:
    return health.facts(rt).crm_state


def test_the_owner_allows_and_we_are_connected(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)
    assert grant.arrives_here

    page = get(stage.allow(grant.url))

    assert page.status_code == 200
    assert "kopilka amocrm link продолжит сама" in page.text
    waited = linking_grant.wait(oauth_rt, grant)
    assert waited is not None
    assert waited.outcome == "connected"
    assert state_of(oauth_rt) == "ok"
    assert linking.survey(oauth_rt).account.id == ACCOUNT_ID


def test_whoever_waits_is_told_when_the_owner_says_no(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)

    page = get(stage.allow(grant.url, "deny"))

    assert "Доступ не разрешён" in page.text
    waited = linking_grant.wait(oauth_rt, grant)
    assert waited is not None
    assert waited.outcome == "denied"
    assert state_of(oauth_rt) == "not_connected"


def test_a_forged_state_spends_nothing(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)
    true = stage.allow(grant.url)

    for state in ("", "x", "A" * 32, "А" * 5_000, "\x00"):
        assert get(with_query(true, state=state)).status_code == 400
    assert get(with_query(true, state=None)).status_code == 400

    assert state_of(oauth_rt) == "not_connected"
    assert get(true).status_code == 200, "the owner's own answer still works"


def test_a_state_works_once(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)
    redirect = stage.allow(grant.url)
    get(redirect)
    other_code = stage.crm("POST", "/sim/grant")["code"]

    again, forged = get(redirect), get(with_query(redirect, code=other_code))

    assert "уже использована" in again.text
    assert (again.status_code, forged.status_code) == (400, 400)
    assert state_of(oauth_rt) == "ok"
    assert stage.crm("GET", "/sim/state")["tokens"]["issued"] == 1


def test_the_same_redirect_twice_at_once_spends_one_code(oauth_rt: Runtime, stage: Stage) -> None:
    redirect = stage.allow(linking_grant.ask(oauth_rt).url)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(get(redirect).status_code)) for _ in range(6)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(statuses) == [200, 400, 400, 400, 400, 400]
    assert state_of(oauth_rt) == "ok"


def test_a_state_older_than_fifteen_minutes_is_late(oauth_rt: Runtime, stage: Stage, clock: StandingClock) -> None:
    grant = linking_grant.ask(oauth_rt)
    redirect = stage.allow(grant.url)
    clock.forward(minutes=15)

    page = get(redirect)

    assert "15 минут" in page.text
    assert state_of(oauth_rt) == "not_connected"
    assert linking_grant.wait(oauth_rt, grant) is None


@pytest.mark.parametrize(
    "referer",
    [
        "evil.example",
        "sportgory.amocrm.ru.evil.example",
        "evil.example/sportgory.amocrm.ru",
        "sportgory.amocrm.ru@evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:1",
        "other.amocrm.ru",
        "https://sportgory.amocrm.ru:443#@evil.example",
        "[::1",
        "",
    ],
)
def test_a_foreign_host_gets_neither_the_secret_nor_the_code(oauth_rt: Runtime, stage: Stage, referer: str) -> None:
    redirect = stage.allow(linking_grant.ask(oauth_rt).url)

    page = get(with_query(redirect, referer=referer))

    assert page.status_code == 400
    assert "другой аккаунт" in page.text
    assert state_of(oauth_rt) == "not_connected"
    assert get(redirect).status_code == 200, "the right account may be chosen with the same link"


def test_an_answer_to_another_integration_is_refused(oauth_rt: Runtime, stage: Stage) -> None:
    redirect = stage.allow(linking_grant.ask(oauth_rt).url)

    assert get(with_query(redirect, client_id="22222222-2222-4333-8444-555555555555")).status_code == 400
    assert get(with_query(redirect, code=None)).status_code == 400
    assert state_of(oauth_rt) == "not_connected"


def test_a_code_that_amocrm_no_longer_takes_is_told(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)
    redirect = stage.allow(grant.url)
    stage.crm("POST", "/sim/clock", {"skip_s": 21 * 60})
    try:
        page = get(redirect)
    finally:
        stage.crm("POST", "/sim/clock", {})

    assert page.status_code == 400
    waited = linking_grant.wait(oauth_rt, grant)
    assert waited is not None
    assert (waited.outcome, waited.reason) == ("refused", "код старше 20 минут")


def test_a_code_by_hand_works_once(oauth_rt: Runtime, stage: Stage) -> None:
    code = stage.crm("POST", "/sim/grant")["code"]

    first, second = linking_grant.exchange(oauth_rt, code), linking_grant.exchange(oauth_rt, code)

    assert (first.outcome, second.outcome) == ("connected", "refused")
    assert second.reason == "код уже использован"
    assert state_of(oauth_rt) == "ok", "the first pair stays"


def test_a_lost_answer_is_told_as_lost_and_a_new_link_heals_it(oauth_rt: Runtime, stage: Stage) -> None:
    grant = linking_grant.ask(oauth_rt)
    redirect = stage.allow(grant.url)
    stage.crm("POST", "/sim/faults", {"drop_token_answer": 1})

    page = get(redirect)

    assert page.status_code == 502
    assert "код при этом истрачен" in page.text.casefold()
    waited = linking_grant.wait(oauth_rt, grant)
    assert waited is not None
    assert waited.outcome == "lost"
    assert get(stage.allow(linking_grant.ask(oauth_rt).url)).status_code == 200
    assert state_of(oauth_rt) == "ok"


def test_a_lost_answer_leaves_the_access_that_was_there(oauth_rt: Runtime, stage: Stage) -> None:
    get(stage.allow(linking_grant.ask(oauth_rt).url))
    redirect = stage.allow(linking_grant.ask(oauth_rt).url)
    stage.crm("POST", "/sim/faults", {"drop_token_answer": 1})

    get(redirect)

    assert state_of(oauth_rt) == "ok"
    assert linking.survey(oauth_rt).account.id == ACCOUNT_ID


def uninstall(stage: Stage, **changed: str | None) -> requests.Response:
    account = str(changed.get("account_id", ACCOUNT_ID))
    query: dict[str, str | None] = {
        "account_id": account,
        "client_uuid": CLIENT_ID,
        "signature": uninstall_signature(CLIENT_SECRET, client_uuid=CLIENT_ID, account_id=account),
        **changed,
    }
    return get(with_query(f"{stage.public_url}/amocrm/uninstalled", **query))


@pytest.fixture
def connected(oauth_rt: Runtime, stage: Stage) -> Runtime:
    assert get(stage.allow(linking_grant.ask(oauth_rt).url)).status_code == 200
    linking.survey(oauth_rt)
    return oauth_rt


@pytest.mark.parametrize("old", [False, True])
def test_an_uninstalled_integration_needs_a_person_and_the_rest_runs_on(
    connected: Runtime, stage: Stage, old: bool
) -> None:
    told = stage.crm("POST", "/sim/uninstall", {"url": f"{stage.public_url}/amocrm/uninstalled", "old": old})

    facts = health.facts(connected)
    assert told["status"] == 200
    assert (facts.crm_state, facts.crm_reason) == ("needs_reauth", "интеграцию отключили в amoCRM")
    assert requests.post(stage.public_url + connected.hook_path(), data=b"x=1", timeout=5).status_code == 204
    assert get(stage.allow(linking_grant.ask(connected).url)).status_code == 200
    assert state_of(connected) == "ok"


def test_what_waited_for_access_is_done_as_soon_as_there_is_one(connected: Runtime, stage: Stage) -> None:
    rt = connected
    stage.crm("POST", "/sim/uninstall", {"url": f"{stage.public_url}/amocrm/uninstalled"})
    deal_id = stage.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 4990})["deal_id"]
    requests.post(stage.public_url + rt.hook_path(), data=hook_body(deal_id), timeout=5)
    settle(rt)
    assert waiting(rt) == 1

    assert get(stage.allow(linking_grant.ask(rt).url)).status_code == 200
    settle(rt)

    assert waiting(rt) == 0


def test_an_access_to_another_account_is_not_stored_and_wakes_nothing(connected: Runtime, stage: Stage) -> None:
    rt = connected
    stage.crm("POST", "/sim/uninstall", {"url": f"{stage.public_url}/amocrm/uninstalled"})
    deal_id = stage.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 4990})["deal_id"]
    requests.post(stage.public_url + rt.hook_path(), data=hook_body(deal_id), timeout=5)
    settle(rt)
    with rt.db.begin() as tx:
        linking_storage.save_account_id(tx, 111)
    grant = linking_grant.ask(rt)

    page = get(stage.allow(grant.url))
    settle(rt)

    assert page.status_code == 400
    assert "Это другой аккаунт" in page.text
    waited = linking_grant.wait(rt, grant)
    assert waited is not None
    assert waited.outcome == "foreign"
    assert state_of(rt) == "needs_reauth", "the tokens of the other account were thrown away"
    assert waiting(rt) == 1


def waiting(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM inbox WHERE state = 'waiting'")).scalar_one())


@pytest.mark.parametrize(
    "changed",
    [
        {"signature": ""},
        {"signature": None},
        {"signature": "0" * 64},
        {"signature": "é" * 64},
        {"signature": "0" * 5_000},
        {"client_uuid": "22222222-2222-4333-8444-555555555555"},
        {"client_uuid": None},
    ],
)
def test_a_forged_uninstall_changes_nothing(connected: Runtime, stage: Stage, changed: dict[str, Any]) -> None:
    reply = uninstall(stage, **changed)

    assert reply.status_code == 403
    assert state_of(connected) == "ok"


def test_an_uninstall_of_another_account_is_not_ours(connected: Runtime, stage: Stage) -> None:
    assert uninstall(stage, account_id="777").status_code == 200
    assert uninstall(stage, account_id="None").status_code == 200
    assert state_of(connected) == "ok"


def test_an_old_uninstall_that_is_sent_again_after_a_new_link_changes_nothing(connected: Runtime, stage: Stage) -> None:
    stage.crm("POST", "/sim/uninstall", {"url": f"{stage.public_url}/amocrm/uninstalled"})
    assert state_of(connected) == "needs_reauth"
    get(stage.allow(linking_grant.ask(connected).url))
    minute_later(connected)

    again = uninstall(stage)

    assert again.status_code == 200
    assert state_of(connected) == "ok"


def minute_later(rt: Runtime) -> None:
    """The gate of such messages goes by the database's own clock."""
    with rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM rate_gate WHERE name = :name"), {"name": linking_grant.UNINSTALL_GATE})


def test_the_first_uninstall_is_not_believed_either_before_amocrm_is_asked(connected: Runtime, stage: Stage) -> None:
    reply = uninstall(stage)

    assert reply.status_code == 200
    assert state_of(connected) == "ok"


def test_an_uninstall_cuts_nobody_off_while_amocrm_cannot_be_asked(connected: Runtime, stage: Stage) -> None:
    stage.crm("POST", "/sim/faults", {"error_500": 1.0})

    assert uninstall(stage).status_code == 200
    assert state_of(connected) == "ok"


def test_however_many_uninstalls_come_amocrm_is_asked_once_a_minute(connected: Runtime) -> None:
    signature = uninstall_signature(CLIENT_SECRET, client_uuid=CLIENT_ID, account_id=str(ACCOUNT_ID))

    def told() -> str:
        return linking_grant.uninstalled(
            connected, account_id=str(ACCOUNT_ID), client_uuid=CLIENT_ID, signature=signature
        )

    done = [told() for _ in range(5)]
    minute_later(connected)

    assert [*done, told()] == ["alive", "busy", "busy", "busy", "busy", "alive"]


def test_a_second_true_uninstall_is_believed_after_asking(connected: Runtime, stage: Stage) -> None:
    uninstall(stage)
    get(stage.allow(linking_grant.ask(connected).url))
    minute_later(connected)

    stage.crm("POST", "/sim/uninstall", {"url": f"{stage.public_url}/amocrm/uninstalled"})

    assert state_of(connected) == "needs_reauth"


def test_with_a_long_lived_token_there_is_nothing_to_uninstall_or_grant(rt: Runtime, shop: Shop) -> None:
    del shop
    client = create_app(rt).test_client()

    assert client.get("/amocrm/oauth?state=x&code=y&referer=sportgory.amocrm.ru").status_code == 400
    assert client.get("/amocrm/uninstalled?account_id=1&client_uuid=2&signature=3").status_code == 403
    with pytest.raises(connect.SetupIncomplete):
        linking_grant.ask(rt)


def test_neither_address_takes_another_method_or_shows_what_it_was_given(rt: Runtime) -> None:
    client = create_app(rt).test_client()
    page = client.get("/amocrm/oauth?error=<script>&state=<b>secret-state</b>&code=secret-code")

    assert client.post("/amocrm/oauth").status_code == 405
    assert client.post("/amocrm/uninstalled").status_code == 405
    assert "secret" not in page.text
    assert "<script>" not in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
