"""`kopilka amocrm link`, `check --online` and `doctor` as their user types them, against amoCRM over HTTP."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import structlog
from click.testing import CliRunner, Result
from kopilka_testing import CRM_TOKEN, ROOT, SilentBell
from linking_world import Stage, settings_for, stage_at

from cli.main import main
from config.settings import load_settings
from flows.runtime import Runtime, build_runtime, prepare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_at(tmp_path_factory.mktemp("link")) as stage:
        yield stage


@pytest.fixture
def stage(both_servers: Stage) -> Stage:
    both_servers.crm("POST", "/sim/reset", {})
    both_servers.shut()
    return both_servers


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its process; here that process is everybody's."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.fixture
def installed(
    stage: Stage, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Callable[..., Result]]]:
    """Sets a product up, its web side open, and gives the command that talks to it."""
    monkeypatch.chdir(tmp_path)
    opened: list[Runtime] = []

    def install(*, oauth: bool = False, **names: str) -> Callable[..., Result]:
        given = settings_for(stage, environment, tmp_path, oauth=oauth, **names)
        rt = build_runtime(load_settings(given, dotenv=None), bell=SilentBell())
        opened.append(rt)
        prepare(rt)
        stage.open(rt)
        stage.given = given

        def run(*arguments: str, typed: str | None = None, **changed: str) -> Result:
            return CliRunner().invoke(main, list(arguments), env={**given, **changed}, input=typed)

        return run

    yield install
    for rt in opened:
        rt.db.close()


def test_one_command_leads_from_nothing_to_proven(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed()

    result = kopilka("amocrm", "link", "--yes")

    assert result.exit_code == 0, result.output
    told = result.output
    assert re.findall(r"^\d", told, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert "создать поле контакта «Бонусы: баланс» (число)" in told
    assert "создать сегмент покупателей «VIP»" in told
    assert re.search(r"Хук пришёл через \d+ мс, сделка \d+ прочитана обратно", told)
    assert stage.hooks()[0]["destination"] not in told
    assert CRM_TOKEN not in told


def test_linking_again_says_that_nothing_is_to_be_made(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed()
    kopilka("amocrm", "link", "--yes")

    again = kopilka("amocrm", "link", typed="y\n")

    assert again.exit_code == 0, again.output
    assert "создавать нечего" in again.output
    assert "Прежних адресов отписано: 1" in again.output
    assert len(stage.hooks()) == 1


def test_a_dry_run_and_a_no_change_nothing(installed: Callable[..., Callable[..., Result]], stage: Stage) -> None:
    kopilka = installed()

    shown, refused = kopilka("amocrm", "link", "--dry-run"), kopilka("amocrm", "link", typed="n\n")

    assert (shown.exit_code, refused.exit_code) == (0, 2)
    assert "создать поле контакта" in shown.output
    assert "Ничего не изменено" in refused.output
    assert stage.hooks() == []
    assert stage.api("GET", "/customers/segments") is None


def test_a_wrong_stage_is_told_with_the_nearest_and_stops_everything(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed(**{"paid_status: Оплачен ": "paid_status: Оплачено "})

    result = kopilka("amocrm", "link", "--yes")

    assert result.exit_code == 2
    assert "нет этапа «Оплачено»; есть похожее «Оплачен»" in result.output
    assert "как исправить: впишите paid_status: Оплачен" in result.output
    assert stage.hooks() == []
    assert stage.api("GET", "/customers/segments") is None


def test_where_no_hook_comes_link_says_what_to_check(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed()
    stage.shut()

    result = kopilka("amocrm", "link", "--yes", "--wait", "1")

    assert result.exit_code == 2
    assert "хук не пришёл" in result.output
    assert "PUBLIC_URL" in result.output
    assert "https" in result.output
    assert "брандмауэр" in result.output


def test_without_a_round_trip_the_address_stays(installed: Callable[..., Callable[..., Result]], stage: Stage) -> None:
    kopilka = installed()
    stage.shut()

    first, second = (kopilka("amocrm", "link", "--yes", "--no-round-trip") for _ in range(2))

    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert "не проверено" in first.output
    assert len(stage.hooks()) == 1


def test_with_oauth_link_waits_for_the_owner(installed: Callable[..., Callable[..., Result]], stage: Stage) -> None:
    """The command is a process of its own here, as the owner's browser is another."""
    installed(oauth=True)
    command = [sys.executable, "-u", "-m", "cli.main", "amocrm", "link", "--yes"]
    env = {**os.environ, **stage.given, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(2)]
        url = head[1].strip()
        page = requests.get(stage.allow(url), timeout=10)
        rest = process.stdout.read()

    assert page.status_code == 200
    assert process.returncode == 0, rest
    assert "ключи зашифрованы и сохранены" in rest
    assert "Хук пришёл через" in rest


def test_a_code_by_hand_is_taken_once(installed: Callable[..., Callable[..., Result]], stage: Stage) -> None:
    kopilka = installed(oauth=True)
    code = stage.crm("POST", "/sim/grant")["code"]

    first = kopilka("amocrm", "link", "--yes", "--code", code)
    second = kopilka("amocrm", "link", "--yes", "--code", code)

    assert first.exit_code == 0, first.output
    assert second.exit_code == 2
    assert "код уже использован" in second.output
    assert code not in first.output + second.output
    assert kopilka("amocrm", "link", "--yes").exit_code == 0, "the access of the first stays"


def test_where_the_redirect_does_not_lead_here_the_code_is_asked_for(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed(oauth=True)
    code = stage.crm("POST", "/sim/grant")["code"]

    result = kopilka("amocrm", "link", "--yes", typed=f"{code}\n", PUBLIC_URL="http://127.0.0.1:9")

    assert "redirect_uri в файле правил ведёт не на http://127.0.0.1:9/amocrm/oauth" in result.output
    assert "1. Доступ: получен" in result.output


def test_a_dry_run_without_access_says_why_it_cannot(installed: Callable[..., Callable[..., Result]]) -> None:
    result = installed(oauth=True)("amocrm", "link", "--dry-run")

    assert result.exit_code == 2
    assert "Доступа ещё нет" in result.output


def test_a_dead_long_lived_token_is_told_with_its_mend(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed()
    stage.crm("POST", "/sim/revoke", {})

    linked, checked = kopilka("amocrm", "link", "--yes"), kopilka("check", "--online")
    stage.crm("POST", "/sim/reset", {})

    assert (linked.exit_code, checked.exit_code) == (2, 2)
    assert "AMOCRM_TOKEN" in linked.output
    assert "[amocrm-no-access]" in checked.output


def test_check_online_names_line_nearest_and_mend(
    installed: Callable[..., Callable[..., Result]], tmp_path: Path
) -> None:
    kopilka = installed(**{"paid_status: Оплачен ": "paid_status: Оплачено "})
    lines = (tmp_path / "linking.yaml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "paid_status:" in text and "#" in text)

    result = kopilka("check", "--online")
    data = json.loads(kopilka("check", "--online", "--json").output)

    assert result.exit_code == 2
    assert f"linking.yaml:{line}: ошибка [amocrm-status-missing]" in result.output
    assert "есть похожее «Оплачен»" in result.output
    assert "как исправить: впишите paid_status: Оплачен" in result.output
    found = {one["code"]: one for one in data["online"]}
    assert found["amocrm-status-missing"]["line"] == line
    assert found["amocrm-hook-missing"]["fix"] == "kopilka amocrm link"
    assert all(one["fix"] for one in data["online"] if one["severity"] != "ok")


def test_check_online_is_silent_of_what_is_right_and_changes_nothing(
    installed: Callable[..., Callable[..., Result]], stage: Stage
) -> None:
    kopilka = installed()
    before = kopilka("check", "--online", "--strict")
    assert stage.hooks() == []
    kopilka("amocrm", "link", "--yes")

    after = kopilka("check", "--online", "--strict")

    assert before.exit_code == 2
    assert "ошибок 0, предупреждений 0" in after.output
    assert "online" not in json.loads(kopilka("check", "--json").output)


def test_check_online_of_a_broken_file_asks_nobody(
    installed: Callable[..., Callable[..., Result]], tmp_path: Path
) -> None:
    kopilka = installed()
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 7\n", encoding="utf-8")

    result = kopilka("check", "--online", "--file", str(broken))

    assert result.exit_code == 2
    assert "С amoCRM не сверено" in result.output


def test_doctor_shows_the_account_and_the_hook(installed: Callable[..., Callable[..., Result]], stage: Stage) -> None:
    kopilka = installed()
    before = kopilka("doctor")
    kopilka("amocrm", "link", "--yes")
    stage.api("POST", "/webhooks", {"destination": stage.hooks()[0]["destination"], "settings": ["add_lead"]})

    narrow = json.loads(kopilka("doctor", "--json").output)

    assert "amoCRM: вебхук не подписан" in before.output
    assert "как исправить: kopilka amocrm link" in before.output
    (hook,) = [one for one in narrow if one["code"] == "amocrm-hook-events"]
    assert "на 1 из 8 событий" in hook["text"]


def test_doctor_of_a_product_without_access_says_link(installed: Callable[..., Callable[..., Result]]) -> None:
    result = installed(oauth=True)("doctor")

    assert "amoCRM не подключена" in result.output
    assert "kopilka amocrm link" in result.output
