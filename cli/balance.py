"""`kopilka balance`: what a member's points are made of, line by line, now or at a past moment. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.common import fail, print_json, runtime
from cli.inputs import instant
from cli.refused import denied_is_told
from flows.present import spaced_number
from loyalty.phrases import moment, valid_until
from loyalty.wording import count_text, thousands

if TYPE_CHECKING:
    from flows.explaining import BalanceReport, Cited
    from flows.runtime import Runtime
    from loyalty.ledger import Balance

LINES_SHOWN = 200
CONTACT_MAX = 2**63 - 1


@click.command()
@click.argument("member", required=False)
@click.option("--contact", type=click.IntRange(1, CONTACT_MAX), help="Номер контакта amoCRM вместо участника.")
@click.option("--at", "at", help="Остаток на прошедший момент: 2026-03-01 (начало дня) или 2026-03-01T12:00.")
@click.option("--all", "is_all", is_flag=True, help=f"Все строки; иначе последние {LINES_SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы: все строки.")
def balance(member: str | None, *, contact: int | None, at: str | None, is_all: bool, as_json: bool) -> None:
    """Из чего сложился остаток участника: каждая строка с событием, правилом и версией правил.

    MEMBER: номер участника, карты, телефон или почта.
    """
    if (member is None) == (contact is None):
        fail("Не сказано, чей остаток", "kopilka balance +79161234567 или kopilka balance --contact 30112")
    with runtime() as rt:
        report = _report(rt, member, contact, at)
        if as_json:
            print_json(_data(report))
            return
        for line in _head(rt, report):
            click.echo(line)
        _print_history(rt, report, lines_max=None if is_all else LINES_SHOWN)


def _report(rt: Runtime, member: str | None, contact: int | None, at: str | None) -> BalanceReport:
    from flows import explaining  # noqa: PLC0415

    moment_asked = None if at is None else instant(at, rt.programme.timezone)
    with denied_is_told():
        if contact is not None:
            member_id = explaining.member_of_contact(rt, contact)
        else:
            member_id = explaining.member_named(rt, member or "")
        return explaining.balance_at(rt, member_id, moment_asked)


def _head(rt: Runtime, report: BalanceReport) -> list[str]:
    member, found = report.member, report.balance
    forms, zone = rt.point_forms, rt.programme.timezone
    lines = [
        f"{member.name}, карта {spaced_number(member.card_number)}, участник {member.id}",
        f"На {moment(report.at, zone)}: доступно {count_text(found.available, forms)}, ожидают "
        f"{thousands(found.pending)}, в резерве {thousands(found.reserved)}, долг {thousands(found.debt)}",
    ]
    if report.parts:
        lines += ["", "Из чего состоит:", *(f"  {part.text}" for part in report.parts)]
    if report.burns:
        lines += ["", "Когда сгорит:"]
        lines += [f"  {thousands(burn.points)} — {valid_until(burn.at, zone)}" for burn in report.burns]
    return lines


def _print_history(rt: Runtime, report: BalanceReport, *, lines_max: int | None) -> None:
    zone = rt.programme.timezone
    lines = report.lines if lines_max is None else report.lines[-lines_max:]
    earlier = report.balance.net - sum(one.line.points for one in lines)
    click.echo("\nКак получилось:")
    if len(lines) < len(report.lines):
        click.echo(f"  ещё {len(report.lines) - len(lines)} строк раньше: {thousands(earlier)} (покажет --all)")
    for one in lines:
        click.echo(f"  {moment(one.at, zone)}  {one.line.text}")
        click.echo(f"      {one.line.event}; {_where(one)}")
    click.echo(f"Итого {count_text(report.balance.net, rt.point_forms)}")


def _where(one: Cited) -> str:
    place = f", строка {one.rule_line}" if one.rule_line else ""
    return f"{one.line.rule}{place}, правила {one.line.rules_version}"


def _data(report: BalanceReport) -> dict[str, Any]:
    member = report.member
    return {
        "member": {
            "id": member.id,
            "name": member.name,
            "contact": member.contact_ref,
            "card_number": member.card_number,
            "segment": member.segment_code,
        },
        "at": report.at.isoformat(),
        "balance": _accounts(report.balance),
        "lines": [
            {
                "id": one.id,
                "at": one.at.isoformat(),
                "move": one.move,
                "text": one.line.text,
                "points": one.line.points,
                "event": one.line.event,
                "rule": one.line.rule,
                "line": one.rule_line,
                "rules_version": one.line.rules_version,
                "change": _accounts(one.line.change),
            }
            for one in report.lines
        ],
        "parts": [vars(part) for part in report.parts],
        "burns": [
            {"points": burn.points, "on": None if burn.on is None else burn.on.isoformat()} for burn in report.burns
        ],
    }


def _accounts(found: Balance) -> dict[str, int]:
    return {**vars(found), "net": found.net}
