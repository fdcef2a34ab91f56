"""The `kopilka` command as its user types it: exit codes, words, and the mend at the end of every error."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from click.testing import CliRunner, Result
from kopilka_testing import ROOT, SECRET_KEY, Shop, hook_body, posted, settle, tbank_body

from cli.main import COMMANDS, main
from cli.services.postgres import RunningPostgres, create_database, drop_database
from flows import inbox
from flows.runtime import Runtime

OTHER_KEY = "b3RoZXItc2VjcmV0LWtleS10aGF0LWlzLWxvbmctZW5vdWdoLTMy"


@pytest.fixture
def kopilka(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command with the installation of this test; keyword arguments change its environment."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **changed: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={**environment, **changed})

    return run


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its process; here that process is everybody's."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(kopilka: Callable[..., Result], command: str) -> None:
    result = kopilka(command, "--help")

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 2


def test_try_counts_a_first_order_and_cites_rule_and_line(kopilka: Callable[..., Result]) -> None:
    result = kopilka("try", "--order", "4990", "--at", "2026-01-10T12:00")

    assert result.exit_code == 0
    assert "Всего 799\u00a0баллов" in result.output
    assert "24\u00a0января\u00a02026" in result.output
    assert "действуют по 23\u00a0июля\u00a02026" in result.output
    rules = (ROOT / "config" / "programme.yaml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(rules, 1) if text.strip().startswith("rate:"))
    assert f"accrual.rate, строка {line}" in result.output


def test_try_for_a_program_gives_the_same_sum(kopilka: Callable[..., Result]) -> None:
    result = kopilka("try", "--order", "999,99", "--kept-orders", "2", "--json")

    assert json.loads(result.output)["earned"] == 99


@pytest.mark.parametrize("roubles", ["", "много", "-1", "1.005", "NaN", "1e30"])
def test_try_refuses_a_sum_that_is_none(kopilka: Callable[..., Result], roubles: str) -> None:
    result = kopilka("try", f"--order={roubles}")

    assert result.exit_code == 2
    assert "Как исправить: " in result.output


def test_doctor_names_each_trouble_with_its_mend(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    result = kopilka("doctor")

    assert result.exit_code == 2, "the sweep has never run here"
    assert "Обход не работает" in result.output
    assert "kopilka sweep --forever" in result.output
    assert "Redis недоступен" in result.output
    assert "Книга баллов сходится" in result.output


def test_doctor_for_a_program_is_a_list_of_checks(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    findings = json.loads(kopilka("doctor", "--json").output)

    assert {finding["level"] for finding in findings} >= {"ok", "warning", "error"}
    assert all(finding["mend"] for finding in findings if finding["level"] != "ok")


def test_a_changed_key_refuses_to_start_and_says_how_to_recover(rt: Runtime, kopilka: Callable[..., Result]) -> None:
    result = kopilka("sweep", SECRET_KEY=OTHER_KEY)

    assert result.exit_code == 2
    assert "верните прежний SECRET_KEY" in result.output
    assert OTHER_KEY not in result.output


def test_a_rotated_key_is_accepted_while_the_old_one_stands_behind_it(
    rt: Runtime, kopilka: Callable[..., Result]
) -> None:
    result = kopilka("verify-ledger", SECRET_KEY=f"{OTHER_KEY},{SECRET_KEY}")

    assert result.exit_code == 0


def test_a_lost_key_may_be_replaced_on_purpose(
    rt: Runtime, kopilka: Callable[..., Result], environment: dict[str, str]
) -> None:
    answer = CliRunner().invoke(
        main, ["init", "--accept-new-key"], env={**environment, "SECRET_KEY": OTHER_KEY}, input="y\n"
    )

    assert answer.exit_code == 0
    assert kopilka("verify-ledger", SECRET_KEY=OTHER_KEY).exit_code == 0


def test_init_writes_the_key_once_and_for_its_owner_only(
    kopilka: Callable[..., Result], environment: dict[str, str], tmp_path: Path
) -> None:
    dotenv = tmp_path / ".env"
    without_key = {name: value for name, value in environment.items() if name != "SECRET_KEY"}

    first = CliRunner().invoke(main, ["init"], env=without_key)
    written = dotenv.read_text(encoding="utf-8")
    second = CliRunner().invoke(main, ["init"], env=without_key)

    assert first.exit_code == 0, first.output
    assert second.exit_code == 0, second.output
    assert dotenv.read_text(encoding="utf-8") == written
    assert written.count("SECRET_KEY=") == 1
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert written.split("=", 1)[1].strip() not in first.output


def test_a_missing_setting_is_named_with_its_mend(kopilka: Callable[..., Result]) -> None:
    result = kopilka("web", DATABASE_URL="")

    assert result.exit_code == 2
    assert "DATABASE_URL" in result.output
    assert "как исправить" in result.output


def test_a_database_that_is_away_is_said_in_words(kopilka: Callable[..., Result]) -> None:
    result = kopilka("verify-ledger", DATABASE_URL="postgresql+psycopg://nobody:x@127.0.0.1:1/none")

    assert result.exit_code == 2
    assert "База PostgreSQL не отвечает" in result.output
    assert "Traceback" not in result.output


def test_verify_ledger_proves_a_whole_book_and_names_a_damaged_account(
    rt: Runtime, shop: Shop, kopilka: Callable[..., Result]
) -> None:
    deal_id, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    whole = kopilka("verify-ledger", "--json")
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = available + 1"))

    damaged = kopilka("verify-ledger")

    assert whole.exit_code == 0
    assert json.loads(whole.output)["sum"] == 0
    assert damaged.exit_code == 2
    assert "НЕ сходится" in damaged.output
    assert "Как исправить" in damaged.output


def test_what_waits_for_a_person_is_listed_and_can_be_worked_again(
    rt: Runtime, shop: Shop, kopilka: Callable[..., Result]
) -> None:
    deal_id, _ = shop.deal(4_990)
    payment_id = shop.pay(deal_id, 499_000, "tbank")
    shop.refund(payment_id, 100)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id, "PARTIAL_REFUNDED", payment_id=int(payment_id))))
    settle(rt)
    listed = kopilka("events")
    number = json.loads(kopilka("events", "--json").output)["inbox"][0]["id"]

    replayed = kopilka("events", "replay", f"in:{number}")

    assert "нужен человек" in listed.output
    assert replayed.exit_code == 0
    assert json.loads(kopilka("events", "--state", "waiting", "--json").output)["inbox"][0]["id"] == number
    assert kopilka("events", "replay", "in:999999").exit_code == 2
    assert kopilka("events", "replay", "пятое").exit_code == 2


def test_sweep_finishes_what_is_due_without_redis(rt: Runtime, shop: Shop, kopilka: Callable[..., Result]) -> None:
    deal_id, _ = shop.deal(4_990, status="Оплачен")
    inbox.accept_hook(rt, hook_body(deal_id))

    result = kopilka("sweep")

    assert result.exit_code == 0
    assert shop.fields(deal_id)["Бонусы: баланс"] == "300"


def test_migrate_twice_is_once(kopilka: Callable[..., Result]) -> None:
    first, second = kopilka("migrate"), kopilka("migrate")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.output == second.output


def test_the_readme_installation_works_from_the_example_file(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dotenv = tmp_path / ".env"
    dotenv.write_bytes((ROOT / ".env.example").read_bytes())
    without_key = {name: value for name, value in environment.items() if name != "SECRET_KEY"}

    result = CliRunner().invoke(main, ["init"], env=without_key)

    assert result.exit_code == 0, result.output
    assert dotenv.read_text(encoding="utf-8").count("\nSECRET_KEY=") == 1
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert CliRunner().invoke(main, ["verify-ledger"], env=without_key).exit_code == 0


def test_a_long_lived_token_connects_without_a_code_and_again(
    rt: Runtime, shop: Shop, kopilka: Callable[..., Result]
) -> None:
    first, second = kopilka("amocrm", "connect"), kopilka("amocrm", "connect")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert "Вебхук подписан" in first.output
    assert "код авторизации не нужен" in kopilka("amocrm", "connect", "--code", "x").output


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "вчера"])
def test_try_refuses_a_day_that_no_calendar_needs(kopilka: Callable[..., Result], day: str) -> None:
    result = kopilka("try", "--order", "100", "--at", day)

    assert result.exit_code == 2
    assert "Как исправить: " in result.output


def test_a_database_without_our_schema_is_told_to_migrate(
    environment: dict[str, str], postgres_server: RunningPostgres
) -> None:
    url = create_database(postgres_server.url, "without_schema")

    result = CliRunner().invoke(main, ["sweep"], env={**environment, "DATABASE_URL": url})
    drop_database(postgres_server.url, "without_schema")

    assert result.exit_code == 2
    assert "kopilka migrate" in result.output
