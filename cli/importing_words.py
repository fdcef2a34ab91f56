"""An import in Russian words: what is read from which column, what will happen, what has happened, what to mend.

Owns the words and the JSON of `kopilka import`. Buyers are shown so that they can be checked, not recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flows import phones
from loyalty.importing_columns import FIELDS, TITLES
from loyalty.phrases import roubles, span
from loyalty.wording import count_text, short_date, thousands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cli.importing_file import Table
    from flows.importing import Asked, Summary
    from flows.runtime import Runtime
    from loyalty.importing import Outcome, Row, Verdict
    from loyalty.importing_columns import Columns

SAMPLES = 3
PROBLEMS_SHOWN = 15
PROBLEMS_IN_JSON = 200
ROWS = ("строка", "строки", "строк")
OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    "new": ("новых участников", "новых участников"),
    "update": ("дополнят известных", "дополнено известных"),
    "same": ("уже внесены", "уже были внесены"),
    "changed": ("внесены с другим остатком", "внесены раньше с другим остатком"),
    "credited": ("внесены другим импортом", "внесены другим импортом"),
    "summed": ("сложатся с другой строкой", "сложено с другой строкой"),
    "duplicate": ("повторяют другую строку", "повторяют другую строку"),
    "ambiguous": ("подходят нескольким", "подходят нескольким"),
    "error": ("с ошибкой", "с ошибкой"),
}
"""Before and after the import."""


class Problems:
    """The first rows that need a person, by row."""

    def __init__(self) -> None:
        self.first: list[tuple[int, str, str]] = []
        self.count = 0

    def note(self, row: Row, verdict: Verdict) -> None:
        self.count += 1
        if len(self.first) < PROBLEMS_IN_JSON:
            self.first.append((row.number, verdict.outcome, verdict.reason))


def show_columns(table: Table, columns: Columns, samples: Sequence[Row]) -> None:
    click.echo(table.form)
    for field in FIELDS:
        if field in columns.places:
            click.echo(f"  {TITLES[field]:<22} ← «{columns.header(field)}»")
    if columns.ignored:
        click.echo(f"  не читаем: {', '.join(f'«{one}»' for one in columns.ignored)}")
    for row in samples:
        click.echo(f"  строка {row.number}: {masked(row)}")


def masked(row: Row) -> str:
    """Enough to see that the columns are the right ones."""
    parts = [f"{_hidden(kind, value)}" for kind, value in row.names]
    parts += [f"{row.name[:1]}···"] if row.name else []
    parts += [f"родился ··.··.{row.birthday.year}"] if row.birthday else []
    parts += [f"сегмент {row.segment_code}"] if row.segment_code else []
    until = row.part.expires_on
    ends = "" if until is None else " без срока" if until.year == 9999 else f" по {short_date(until)}"
    told = f"баллы {thousands(row.part.points)}{ends}" if row.trouble is None else row.trouble
    return ", ".join([*parts, told])


def show(rt: Runtime, asked: Asked, summary: Summary, problems: Problems, *, is_done: bool) -> None:
    word = "Внесено" if is_done else "Будет внесено"
    forms = rt.point_forms
    value = roubles(summary.points * rt.programme.point_value_kopecks)
    ends = "не сгорают" if asked.lifetime is None else f"живут {span(asked.lifetime)}"
    click.echo(f"Импорт «{asked.name}»: {count_text(summary.rows, ROWS)}")
    for outcome, words in OUTCOMES.items():
        if summary.outcomes[outcome]:
            click.echo(f"  {words[is_done]:<34} {thousands(summary.outcomes[outcome])}")
    click.echo(f"{word} {count_text(summary.points, forms)}: это до {value} скидки.")
    click.echo(f"  Баллы {ends}, если в строке не назван свой срок. Приветственных баллов и сообщений не будет.")
    _show_remarks(summary)
    for number, _, reason in problems.first[:PROBLEMS_SHOWN]:
        click.echo(f"  строка {number}: {reason}")
    if problems.count > PROBLEMS_SHOWN:
        click.echo(f"  … и ещё {thousands(problems.count - PROBLEMS_SHOWN)}")


def _show_remarks(summary: Summary) -> None:
    if summary.fraction_rows:
        lost = f"{summary.fraction:.2f}".replace(".", ",")
        click.echo(f"  Дроби баллов отброшены: {count_text(summary.fraction_rows, ROWS)}, вместе {lost}.")
    if summary.blank_rows:
        click.echo(f"  Без остатка (пусто или 0): {count_text(summary.blank_rows, ROWS)}.")
    if summary.cards_kept:
        kept = count_text(summary.cards_kept, ROWS)
        click.echo(f"  Номер карты в файле другой, чем у участника: {kept}; карты участников не меняем.")
    for name, count in summary.elsewhere.most_common(3):
        click.echo(f"  Внимание: {count_text(count, ROWS)} о покупателях, которым уже внесён остаток импорта «{name}».")
        if summary.outcomes["credited"]:
            click.echo(f'  Тот же перенос: повторите с --name "{name}". Другие баллы сверх тех: --also-credited.')


def as_data(
    rt: Runtime, asked: Asked, summary: Summary, problems: Problems, files: Mapping[str, Path | None]
) -> dict[str, Any]:
    """The same for a program."""
    return {
        "name": asked.name,
        "rows": summary.rows,
        **{outcome: summary.outcomes[outcome] for outcome in OUTCOMES},
        "points": summary.points,
        "kopecks": summary.points * rt.programme.point_value_kopecks,
        "fractions": {"rows": summary.fraction_rows, "points": f"{summary.fraction:f}"},
        "blank": summary.blank_rows,
        "cards_kept": summary.cards_kept,
        "elsewhere": dict(summary.elsewhere),
        "problems": [{"row": row, "outcome": outcome, "reason": reason} for row, outcome, reason in problems.first],
        "files": {name: None if path is None else str(path) for name, path in files.items()},
    }


def _hidden(kind: str, value: str) -> str:
    if kind == "phone":
        return phones.masked(value)
    if kind == "email":
        return masked_email(value)
    return f"карта ···{value[-4:]}" if kind == "card" else f"контакт {value}"


def masked_email(address: str) -> str:
    """«a···@example.ru»."""
    name, _, host = address.rpartition("@")
    return f"{name[:1]}···@{host}"
