"""`kopilka export`: what is known of the members as a table that Excel opens."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.common import fail, print_json, runtime
from cli.exporting_file import SUFFIXES, XLSX_ROWS_MAX, TooLong, write
from cli.importing_words import masked_email
from cli.night import ProgressLine
from flows import phones

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.exporting_file import Value
    from flows.exporting import Exported
    from flows.runtime import Runtime

HEADERS = (
    "Участник",
    "Имя",
    "Телефон",
    "Почта",
    "Номер карты",
    "Сегмент",
    "Баланс",
    "Ожидают",
    "В резерве",
    "Долг",
    "Сгорит раньше всех",
    "Последний день этих баллов",
    "Ссылка на карту",
    "ID контакта",
)


@click.group()
def export() -> None:
    """Выгрузка в таблицу для Excel."""


@export.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--masked", is_flag=True, help="Спрятать телефоны и почту.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def members(file: Path, *, masked: bool, as_json: bool) -> None:
    """Все участники: имена, телефоны, карты, баллы, сегменты. FILE: .csv или .xlsx; прежний файл заменяется.

    По ссылке из столбца «Карта» открывается страница покупателя: храните файл как телефонную книгу.
    """
    if file.suffix.lower() not in SUFFIXES:
        fail(f"Не знаю, как записать {file.name}", f"назовите файл с окончанием {' или '.join(SUFFIXES)}")
    with runtime() as rt:
        rows = _Rows(rt, is_masked=masked)
        try:
            write(file, HEADERS, iter(rows))
        except TooLong:
            fail(f"Участников больше {XLSX_ROWS_MAX}: столько строк в лист не помещается", "назовите файл .csv")
        except OSError as failure:
            fail(
                f"Файл {file} не записать: {failure.strerror}", "проверьте путь, права, место и не открыт ли он в Excel"
            )
    if as_json:
        print_json({"file": str(file), "members": rows.done, "masked": masked})
    else:
        click.echo(f"Выгружено участников: {rows.done}. Файл: {file}")


@dataclass
class _Step:
    done: int
    total: int


class _Rows:
    """The rows, counted while they are written."""

    def __init__(self, rt: Runtime, *, is_masked: bool) -> None:
        self._rt = rt
        self._is_masked = is_masked
        self.done = 0

    def __iter__(self) -> Iterator[list[Value]]:
        from flows import exporting  # noqa: PLC0415

        total = exporting.count(self._rt)
        line = ProgressLine({"members": "Участники"}, is_terminal=sys.stderr.isatty())
        for page in exporting.members(self._rt):
            line("members", _Step(self.done, total))
            for one in page:
                yield _row(one, is_masked=self._is_masked)
            self.done += len(page)
        line.end()


def _row(one: Exported, *, is_masked: bool) -> list[Value]:
    member = one.member
    shown_phones = [phones.masked(phone) for phone in member.phones] if is_masked else member.phones
    shown_emails = [masked_email(email) for email in member.emails] if is_masked else member.emails
    points, last_day = one.burns or (None, None)
    return [
        member.id,
        member.name,
        ", ".join(shown_phones),
        ", ".join(shown_emails),
        member.card_number,
        one.segment,
        member.available,
        member.pending,
        member.reserved,
        member.debt,
        points,
        last_day,
        one.card_url,
        member.contact_ref,
    ]
