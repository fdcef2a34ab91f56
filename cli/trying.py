"""`kopilka try`: what one paid order would earn, each line citing its rule and the line of the file. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cli.common import explained, fail, print_json
from config.clock import system_clock
from config.programme import check_programme
from config.settings import programme_path, read_environment
from loyalty import accrual, segments
from loyalty.ledger import Lot
from loyalty.wording import count_text, full_date, thousands

if TYPE_CHECKING:
    from config.model import ProgrammeFile

ROUBLES_MAX = Decimal(10**10)
YEARS = (1970, 2200)
_TITLES = {"welcome": ("Приветственные", "welcome.points"), "accrual": ("За покупку", "accrual.rate")}


@dataclass(frozen=True)
class Explained:
    """One step of the calculation. `rule` is its path in the file, `line` where it stands (0: a built-in default)."""

    text: str
    rule: str
    line: int


@click.command("try")
@click.option("--order", "roubles", required=True, help="Сумма оплаты в рублях, например 4990 или 999,99.")
@click.option("--kept-orders", type=click.IntRange(0, 1_000_000), default=0, help="Сколько заказов было раньше.")
@click.option("--at", "at", default=None, help="Когда оплачено, например 2026-01-10T12:00. По умолчанию сейчас.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Файл правил.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def try_(*, roubles: str, kept_orders: int, at: str | None, path: Path | None, as_json: bool) -> None:
    """Посчитать на примере: сколько баллов даст оплата, когда они станут доступны и когда сгорят."""
    kopecks = _kopecks(roubles)
    with explained():
        env = read_environment()
    checked = check_programme(path or programme_path(env), env)
    file = checked.programme_file
    if file is None:
        fail("В файле правил есть ошибки", "kopilka check покажет каждую ошибку с местом в файле")
    paid_at = _instant(at, file.programme.timezone)
    points, lines = explain(file, kopecks, kept_orders=kept_orders, paid_at=paid_at)
    if as_json:
        print_json({"earned": points, "explain": [vars(line) for line in lines], "rules_version": file.version})
        return
    width = max(len(line.text) for line in lines)
    for line in lines:
        where = f"{line.rule}, строка {line.line}" if line.line else line.rule
        click.echo(f"{line.text:<{width}}  {where}")


def explain(file: ProgrammeFile, kopecks: int, *, kept_orders: int, paid_at: datetime) -> tuple[int, list[Explained]]:
    """Points of a paid order of a member who keeps `kept_orders` others, and why: the very decision of the product."""
    programme = file.programme
    words = (programme.point_words.one, programme.point_words.few, programme.point_words.many)
    order = accrual.OrderState(
        order_id=1,
        revision=0,
        kept_kopecks=kopecks,
        paid_at=paid_at,
        lots=(),
        programme=programme,
        rules_version=file.version,
    )
    greeted = () if kept_orders == 0 else (_greeting_of_long_ago(paid_at),)
    decision = accrual.converge(order, accrual.WelcomeState(1, greeted, kept_orders + 1))
    lines = [_cited(file, f"Оплата {_roubles(kopecks)} ₽, {percent(programme.accrual.rate_bps)}", "accrual.rate")]
    for opening, transfer in zip(decision.openings, decision.transfers, strict=True):
        section = "welcome" if opening.source == "welcome" else "accrual"
        title, rule = _TITLES[section]
        lines.append(_cited(file, f"{title}: {count_text(transfer.points, words)}", rule))
        lines.append(_cited(file, f"  доступны {_day(opening.activates_at, file)}", f"{section}.activate_after"))
        ends = "  без срока" if opening.expires_at is None else f"  действуют по {_last_day(opening.expires_at, file)}"
        lines.append(_cited(file, ends, f"{section}.expire_after"))
    segment = segments.segment_for(kept_orders + (kopecks > 0), programme.segments)
    if segment is not None:
        lines.append(_cited(file, f"Сегмент «{segment.title}»", "segments"))
    total = sum(transfer.points for transfer in decision.transfers)
    return total, [*lines, _cited(file, f"Всего {count_text(total, words)}", f"правила версии {file.version}")]


def percent(bps: int) -> str:
    """Basis points as people write them: 1250 -> «12,5 %»."""
    whole, rest = divmod(bps, 100)
    return f"{whole}{f',{rest:02}'.rstrip('0') if rest else ''}\u00a0%"


def _greeting_of_long_ago(paid_at: datetime) -> Lot:
    """Who has bought before has had his welcome points."""
    return Lot("earlier", "welcome", 0, "", 1, 0, 0, 1, 0, paid_at, None)


def _cited(file: ProgrammeFile, text: str, rule: str) -> Explained:
    return Explained(text, rule, file.lines.get(rule, 0))


def _day(instant: datetime, file: ProgrammeFile) -> str:
    return full_date(instant.astimezone(ZoneInfo(file.programme.timezone)).date())


def _last_day(expires_at: datetime, file: ProgrammeFile) -> str:
    """Expiry is an exclusive instant: the last valid day is the one before it."""
    return _day(expires_at - timedelta(microseconds=1), file)


def _roubles(kopecks: int) -> str:
    whole, rest = divmod(kopecks, 100)
    return thousands(whole) + (f",{rest:02}" if rest else "")


def _kopecks(text: str) -> int:
    try:
        amount = Decimal(text.replace(",", ".").replace(" ", "").replace("\u00a0", ""))
    except InvalidOperation:
        fail(f"Не понимаю сумму {text!r}", "пишите рубли: 4990 или 999,99")
    if (
        not amount.is_finite()
        or amount < 0
        or amount > ROUBLES_MAX
        or amount * 100 != (amount * 100).to_integral_value()
    ):
        fail(f"Сумма {text!r} не годится", "от 0 до 10 млрд рублей, не мельче копейки")
    return int(amount * 100)


def _instant(text: str | None, timezone: str) -> datetime:
    if text is None:
        return system_clock()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        fail(f"Не понимаю дату {text!r}", "пишите 2026-01-10 или 2026-01-10T12:00")
    if not YEARS[0] <= given.year <= YEARS[1]:
        fail(f"Год {given.year} не годится", f"от {YEARS[0]} до {YEARS[1]}")
    local = given if given.tzinfo else given.replace(tzinfo=ZoneInfo(timezone))
    return local.astimezone(UTC)
