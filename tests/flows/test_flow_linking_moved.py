"""An account that was renamed: its host changes, the tokens follow it, and only to hosts of amoCRM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from kopilka_testing import ACCOUNT_ID, SilentBell, StandingClock
from linking_world import Stage, settings_for, stage_at

from config.settings import load_settings
from connector.errors import NeedsReauth
from flows import health, linking_grant
from flows.runtime import Runtime, build_runtime, prepare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_at(tmp_path_factory.mktemp("moved")) as stage:
        yield stage


@pytest.fixture
def stage(both_servers: Stage) -> Stage:
    both_servers.crm("POST", "/sim/reset", {})
    return both_servers


@pytest.fixture
def made(stage: Stage, environment: dict[str, str], clock: StandingClock, tmp_path: Path) -> Iterator[list[Runtime]]:
    """Two processes of one product, connected."""
    given = load_settings(settings_for(stage, environment, tmp_path, oauth=True), dotenv=None)
    built = [build_runtime(given, bell=SilentBell(), clock=clock) for _ in range(2)]
    prepare(built[0])
    stage.open(built[0])
    assert requests.get(stage.allow(linking_grant.ask(built[0]).url), timeout=10).status_code == 200
    yield built
    for rt in built:
        rt.db.close()


def moved_host(stage: Stage) -> str:
    return stage.crm_url.replace("http://127.0.0.1", "localhost")


def account_id(rt: Runtime) -> int:
    assert rt.crm is not None
    return rt.crm.account().id


def test_a_moved_account_is_followed_by_every_process(made: list[Runtime], stage: Stage) -> None:
    first, second = made
    stage.crm("POST", "/sim/move", {"host": moved_host(stage)})

    assert account_id(first) == ACCOUNT_ID
    assert account_id(second) == ACCOUNT_ID

    assert first.crm_home is not None
    assert first.crm_home.base_url() == f"http://{moved_host(stage)}"
    assert health.facts(first).crm_state == "ok"
    assert first.crm_subdomain is None, "hooks say the new name, so the id alone tells whose they are"


def test_a_move_that_is_noticed_by_an_expired_token_is_followed(
    made: list[Runtime], stage: Stage, clock: StandingClock
) -> None:
    stage.crm("POST", "/sim/move", {"host": moved_host(stage)})
    clock.forward(hours=25)

    assert account_id(made[0]) == ACCOUNT_ID


@pytest.mark.parametrize("host", ["evil.example", "sportgory.amocrm.ru", "localhost.evil.example", "user@localhost:1"])
def test_a_host_that_may_not_see_our_tokens_is_not_believed(made: list[Runtime], stage: Stage, host: str) -> None:
    """A simulator's account moves within this machine only: amoCRM's own hosts are foreign to it."""
    stage.crm("POST", "/sim/move", {"host": host})

    with pytest.raises(Exception, match=r"not found|connected again"):
        account_id(made[0])
    assert made[0].crm_home is not None
    assert made[0].crm_home.base_url() == stage.crm_url


def test_a_token_that_is_revoked_where_it_lives_needs_a_person(made: list[Runtime], stage: Stage) -> None:
    stage.crm("POST", "/sim/revoke", {})

    with pytest.raises(NeedsReauth):
        account_id(made[0])
    assert health.facts(made[0]).crm_state == "needs_reauth"


def test_once_the_rules_file_names_the_new_host_the_remembered_move_counts_no_more(
    made: list[Runtime], stage: Stage
) -> None:
    rt = made[0]
    stage.crm("POST", "/sim/move", {"host": moved_host(stage)})
    account_id(rt)
    assert rt.crm_home is not None

    memory = rt.crm_home._memory

    assert memory is not None
    assert memory.moved_to("https://newname.amocrm.ru") is None


def test_a_lost_answer_after_the_move_ends_with_a_person(
    made: list[Runtime], stage: Stage, clock: StandingClock
) -> None:
    stage.crm("POST", "/sim/move", {"host": moved_host(stage)})
    stage.crm("POST", "/sim/faults", {"drop_token_answer": 1})
    clock.at += timedelta(hours=25)

    with pytest.raises(NeedsReauth):
        account_id(made[0])
    assert health.facts(made[0]).crm_state == "needs_reauth"
