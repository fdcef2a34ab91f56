"""`kopilka plan`, `apply` and `balance` as their users type them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner, Result
from kopilka_testing import START, Shop, StandingClock, posted, settle, tbank_body

from cli.balance import balance
from cli.rules import apply, plan
from flows import inbox
from flows.runtime import Runtime
from storage import addresses, members, rules

pytestmark = pytest.mark.slow

Kopilka = Callable[..., Result]


@pytest.fixture
def kopilka(
    rt: Runtime,
    environment: dict[str, str],
    clock: StandingClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Kopilka:
    """Runs a command with the installation and on the day of this test."""
    monkeypatch.chdir(tmp_path)
    clock_file = tmp_path / "clock.json"

    def run(command: click.Command, *arguments: str, answer: str | None = None, **changed: str) -> Result:
        clock_file.write_text(json.dumps({"offset_s": (clock() - datetime.now(UTC)).total_seconds()}))
        env = {**environment, "CLOCK_FILE": str(clock_file), **changed}
        return CliRunner().invoke(command, list(arguments), env=env, input=answer)

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


def edit(rt: Runtime, old: str, new: str) -> None:
    text = rt.file.path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    rt.file.path.write_text(text.replace(old, new), encoding="utf-8")


def in_force(rt: Runtime) -> tuple[int, str]:
    """The base rate that decides now, and who applied it."""
    with rt.db.begin() as tx:
        applied = rules.applied(tx)
    assert applied is not None
    return applied.programme.accrual.rate_bps, applied.applied_by


def paid_deal(rt: Runtime, shop: Shop) -> int:
    """A member with 799 points; his contact in the CRM."""
    deal_id, contact_id = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    return contact_id


def plain(result: Result) -> str:
    return result.output.replace("\u00a0", " ")


def test_a_plan_without_changes_says_so_and_ends_with_0(rt: Runtime, kopilka: Kopilka) -> None:
    result = kopilka(plan, "--exit-code")

    assert result.exit_code == 0
    assert "Менять нечего" in result.output


def test_a_plan_prints_changes_places_cost_and_what_to_do_next(
    rt: Runtime, shop: Shop, kopilka: Kopilka, clock: StandingClock
) -> None:
    paid_deal(rt, shop)
    edit(rt, "rate: 15%, max_share: 50%", "rate: 20%, max_share: 50%")
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    clock.forward(days=1)

    result = kopilka(plan)

    line = rt.file.line_of("accrual.rate")
    assert result.exit_code == 0
    assert f"Изменится базовая ставка: 10 % → 12 %, затронет 1 участника\n    accrual.rate, строка {line}" in plain(
        result
    )
    assert "Изменится ставка сегмента vip: 15 % → 20 %, сейчас никого не затронет" in plain(result)
    assert "Если пересчитать 1 заказ за 90 дней: было бы 598 баллов вместо 499 (+99, +19,8 %), разница 99 ₽." in (
        plain(result)
    )
    assert "остаются по прежним правилам" in result.output
    assert "Применить: kopilka apply" in result.output
    assert kopilka(plan, "--exit-code").exit_code == 1


def test_a_plan_for_programs_is_one_object(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")

    found = json.loads(kopilka(plan, "--json").output)

    assert found["is_changed"] is True
    assert found["in_force"] == rt.rules_version != found["proposed"]
    [change] = found["changes"]
    assert (change["rule"], change["concerns"], change["members"]) == ("accrual.rate", "segments", 0)
    assert change["line"] == rt.file.line_of("accrual.rate")
    assert set(found["cost"]) >= {"orders", "before_points", "after_points", "points", "kopecks"}


def test_a_file_with_errors_plans_and_applies_nothing(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 10   ")

    for command in (plan, apply):
        result = kopilka(command)
        assert result.exit_code == 2
        assert "kopilka check" in result.output
    assert in_force(rt)[0] == 1_000


def test_apply_shows_the_plan_asks_and_then_applies(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")

    refused = kopilka(apply, answer="n\n")
    rate_then = in_force(rt)[0]
    agreed = kopilka(apply, "--by", "Иванова", answer="y\n")

    assert (refused.exit_code, rate_then) == (0, 1_000)
    assert "Ничего не изменено" in refused.output
    assert agreed.exit_code == 0
    assert "10 % → 12 %" in plain(agreed)
    assert in_force(rt) == (1_200, "Иванова")
    assert "Менять нечего" in kopilka(apply).output


def test_apply_says_when_running_processes_must_be_started_anew(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    rate_alone = kopilka(apply, "--yes")
    edit(rt, "confirm: none ", "confirm: pin\n  pin: env:REDEEM_PIN  # ")
    edit(rt, "# mail: {", "mail: {")

    with_pin = kopilka(apply, "--yes", REDEEM_PIN="2468", MAIL_PASSWORD="x")
    again = kopilka(apply, "--yes", REDEEM_PIN="2468", MAIL_PASSWORD="x")
    edit(rt, "port: 587, security: starttls", "port: 465, security: tls")
    mail_alone = kopilka(apply, "--yes", REDEEM_PIN="2468", MAIL_PASSWORD="x")

    asked = "Внимание: перезапустите kopilka web и worker: ПИН"
    assert (asked in rate_alone.output, asked in again.output) == (False, False)
    assert with_pin.output.endswith("изменилось: redeem.confirm, redeem.pin, mail.\n")
    assert asked in with_pin.output
    assert "Менять нечего" in mail_alone.output
    assert mail_alone.output.endswith("изменилось: mail.\n")


def test_apply_without_a_person_needs_yes(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")

    silent = kopilka(apply, answer="")
    rate_then = in_force(rt)[0]
    agreed = kopilka(apply, "--yes")

    assert (silent.exit_code, rate_then) == (2, 1_000)
    assert "Как исправить: kopilka apply --yes" in silent.output
    assert agreed.exit_code == 0
    assert in_force(rt)[0] == 1_200


def test_the_history_is_told_to_people_and_programs(rt: Runtime, kopilka: Kopilka) -> None:
    edit(rt, "  rate: 10%  ", "  rate: 12%  ")
    kopilka(apply, "--yes", "--by", "Иванова")

    told = plain(kopilka(plan, "--history"))
    last, first = json.loads(kopilka(plan, "--history", "--json").output)

    assert "Иванова\n    Изменится базовая ставка: 10 % → 12 %\n" in told
    assert "первый запуск" in told
    assert (last["by"], [one["rule"] for one in last["changes"]]) == ("Иванова", ["accrual.rate"])
    assert first["changes"] == []


def test_a_balance_is_told_line_by_line_with_rules_and_versions(rt: Runtime, shop: Shop, kopilka: Kopilka) -> None:
    contact_id = paid_deal(rt, shop)

    result = kopilka(balance, "--contact", str(contact_id))

    text = plain(result)
    line = rt.file.line_of("accrual.rate")
    assert result.exit_code == 0, result.output
    assert "доступно 300 баллов, ожидают 499, в резерве 0, долг 0" in text
    assert "300 — приветственные, действуют по" in text
    assert "499 — заказ " in text
    assert "+499 за заказ" in text
    assert f"accrual.rate, строка {line}, правила {rt.rules_version}" in text
    assert text.endswith("Итого 799 баллов\n")


def test_a_balance_for_programs_sums_up(rt: Runtime, shop: Shop, kopilka: Kopilka) -> None:
    contact_id = paid_deal(rt, shop)

    found = json.loads(kopilka(balance, "--contact", str(contact_id), "--json").output)

    assert found["balance"] == {"pending": 499, "available": 300, "reserved": 0, "debt": 0, "net": 799}
    assert sum(line["points"] for line in found["lines"]) == 799
    for name in ("pending", "available", "reserved", "debt"):
        assert sum(line["change"][name] for line in found["lines"]) == found["balance"][name]
    assert sum(part["points"] for part in found["parts"]) == 799
    assert sum(burn["points"] for burn in found["burns"]) == 300


def test_a_balance_of_a_past_day_is_what_it_was(
    rt: Runtime, shop: Shop, kopilka: Kopilka, clock: StandingClock
) -> None:
    contact_id = paid_deal(rt, shop)

    def on(day: str) -> Any:
        return json.loads(kopilka(balance, "--contact", str(contact_id), "--at", day, "--json").output)["balance"]

    assert START.date().isoformat() == "2026-03-01"
    assert on("2026-02-28")["net"] == 0
    clock.forward(days=2)
    assert on("2026-03-02")["net"] == 799


def test_a_member_is_found_by_phone_card_and_number(rt: Runtime, shop: Shop, kopilka: Kopilka) -> None:
    contact_id = paid_deal(rt, shop)
    with rt.db.begin() as tx:
        member = members.by_contact(tx, contact_id)
        assert member is not None
        addresses.add(tx, member.id, "phone", ["+79161234567"], now=rt.now())

    for name in (str(member.id), member.card_number, "8 916 123-45-67"):
        assert json.loads(kopilka(balance, name, "--json").output)["member"]["id"] == member.id


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "Не сказано, чей остаток"),
        (("1", "--contact", "2"), "Не сказано, чей остаток"),
        (("999999",), "Участник не найден"),
        (("nobody@shop.ru",), "Участник не найден"),
        (("a@b@c",), "почты"),
        (("--contact", "999999"), "Участник не найден"),
    ],
)
def test_a_member_who_is_not_there_is_refused_with_the_mend(
    rt: Runtime, kopilka: Kopilka, arguments: tuple[str, ...], named: str
) -> None:
    result = kopilka(balance, *arguments)

    assert result.exit_code == 2
    assert named in result.output
    assert "Как исправить: " in result.output


@pytest.mark.parametrize("day", ["2199-01-01", "вчера", "0001-01-01"])
def test_a_moment_that_is_none_is_refused(rt: Runtime, shop: Shop, kopilka: Kopilka, day: str) -> None:
    contact_id = paid_deal(rt, shop)

    result = kopilka(balance, "--contact", str(contact_id), "--at", day)

    assert result.exit_code == 2
    assert "Как исправить: " in result.output


def test_two_members_of_one_phone_are_named_not_guessed(rt: Runtime, shop: Shop, kopilka: Kopilka) -> None:
    with rt.db.begin() as tx:
        ids = []
        for contact_ref in (1, 2):
            made, _ = members.enrol(tx, contact_ref=contact_ref, name="Анна", card=rt.new_card(), now=rt.now())
            addresses.add(tx, made.id, "phone", ["+79161234567"], now=rt.now())
            ids.append(str(made.id))

    result = kopilka(balance, "+79161234567")

    assert result.exit_code == 2
    assert f"повторите с номером одного из участников: {', '.join(ids)}" in result.output
