"""A reconciliation as a file for the accountant: CSV that Excel opens in Russian, or XLSX with totals.

Owns columns, widths and colours. A text that a spreadsheet would take for a formula is written as a text.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import xlsxwriter

from config.acquirers import ACQUIRERS
from loyalty.phrases import roubles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reconciled import Line, Verdict

SUFFIXES = (".xlsx", ".csv")
VERDICTS: dict[Verdict, str] = {
    "agrees": "сошлось",
    "repaired": "исправлено",
    "would_repair": "будет исправлено",
    "person": "нужен человек",
    "unasked": "нельзя спросить",
    "away": "банк не ответил",
    "unchecked": "не проверено",
    "elsewhere": "мимо банков",
}
_COLOURS = {
    **dict.fromkeys(("repaired", "would_repair"), "#E8F4E5"),
    **dict.fromkeys(("person", "away", "unchecked"), "#FBE3E0"),
    "unasked": "#F1F1F1",
    "elsewhere": "#FFF6DA",
}
_COLUMNS: tuple[tuple[str, int], ...] = (
    ("Банк", 14),
    ("Платёж", 38),
    ("Когда", 17),
    ("Заказ", 18),
    ("Списано у банка", 16),
    ("Возвращено у банка", 18),
    ("Списано в книге", 16),
    ("Возвращено в книге", 18),
    ("Баллы за заказ", 14),
    ("Итог", 16),
    ("Что найдено и сделано", 80),
)
_MONEY = range(4, 8)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write(path: Path, lines: Sequence[Line], timezone: str) -> None:
    """Writes the whole file or nothing. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent or Path(), suffix=path.suffix)
    partial = Path(name)
    try:
        os.close(descriptor)
        (_write_csv if path.suffix.lower() == ".csv" else _write_xlsx)(partial, lines, timezone)
        partial.chmod(0o640)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def totals(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Per acquirer: what it kept, what our books say of the same sums, what they say of sums that it does not tell, and
    how the lines came out."""
    found = []
    for name in sorted({line.acquirer for line in lines}):
        own = [line for line in lines if line.acquirer == name]
        verdicts: Counter[Verdict] = Counter()
        for line in own:
            verdicts[line.verdict] += line.payments
        ours = sum(one.our_left_kopecks for one in own)
        all_ours = sum((one.our_captured_kopecks or 0) - (one.our_refunded_kopecks or 0) for one in own)
        found.append(
            {
                "acquirer": name,
                "title": title(name),
                "bank_kopecks": sum(one.bank_left_kopecks for one in own),
                "our_kopecks": ours,
                "uncompared_kopecks": all_ours - ours,
                "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS if verdicts[verdict]},
            }
        )
    return found


def title(acquirer: str) -> str:
    known = ACQUIRERS.get(acquirer)
    return (known.title_ru if known is not None else acquirer) or "Без банка"


def money_texts(line: Line) -> tuple[str, str]:
    """Captured and refunded, for the terminal: «у банка 4 990 ₽, в книге 4 900 ₽»."""
    captured = _both("списано", line.bank_captured_kopecks, line.our_captured_kopecks)
    is_refunded = line.bank_refunded_kopecks or line.our_refunded_kopecks
    return captured, _both("возвращено", line.bank_refunded_kopecks, line.our_refunded_kopecks) if is_refunded else ""


def moment_text(line: Line, timezone: str) -> str:
    return "" if line.at is None else f"{line.at.astimezone(ZoneInfo(timezone)):%d.%m.%Y %H:%M}"


def order_text(line: Line) -> str:
    if line.order is None:
        return ""
    return f"сделка {line.order.deal_ref}" if line.order.deal_ref is not None else f"заказ {line.order.shop_ref}"


def _both(word: str, bank: int | None, ours: int | None) -> str:
    told = [f"{side} {roubles(value)}" for side, value in (("у банка", bank), ("в книге", ours)) if value is not None]
    return f"{word}: {', '.join(told)}" if told else ""


def _row(line: Line, timezone: str) -> list[Any]:
    money = (
        line.bank_captured_kopecks,
        line.bank_refunded_kopecks,
        line.our_captured_kopecks,
        line.our_refunded_kopecks,
    )
    earned = "" if line.order is None else line.order.accrued + line.order.welcomed - line.order.reversed
    return [
        title(line.acquirer),
        line.payment_ref,
        moment_text(line, timezone),
        order_text(line),
        *("" if kopecks is None else Decimal(kopecks) / 100 for kopecks in money),
        earned,
        VERDICTS[line.verdict],
        "; ".join(line.notes),
    ]


def _write_csv(path: Path, lines: Sequence[Line], timezone: str) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(name for name, _ in _COLUMNS)
        for line in lines:
            table.writerow(_csv_cell(cell) for cell in _row(line, timezone))


def _csv_cell(cell: Any) -> str:
    """Sums with a comma, as a Russian spreadsheet reads them."""
    if isinstance(cell, Decimal):
        return f"{cell:.2f}".replace(".", ",")
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _write_xlsx(path: Path, lines: Sequence[Line], timezone: str) -> None:
    book = xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False})
    bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    sheet = book.add_worksheet("Сверка")
    for column, (name, width) in enumerate(_COLUMNS):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, name, bold)
    formats = {
        (verdict, is_money): book.add_format(
            ({"bg_color": _COLOURS[verdict]} if verdict in _COLOURS else {})
            | ({"num_format": "#,##0.00"} if is_money else {})
        )
        for verdict in VERDICTS
        for is_money in (False, True)
    }
    for number, line in enumerate(lines, start=1):
        for column, cell in enumerate(_row(line, timezone)):
            look = formats[line.verdict, column in _MONEY]
            if isinstance(cell, Decimal | int):
                sheet.write_number(number, column, cell, look)
            else:
                sheet.write_string(number, column, cell, look)
    sheet.freeze_panes(1, 2)
    sheet.autofilter(0, 0, max(1, len(lines)), len(_COLUMNS) - 1)
    _write_totals(book, lines, bold)
    book.close()


def _write_totals(book: xlsxwriter.Workbook, lines: Sequence[Line], bold: Any) -> None:
    sheet = book.add_worksheet("Итоги")
    money = book.add_format({"num_format": "#,##0.00"})
    heads = [
        "Банк",
        "Осталось у банка",
        "Осталось в книге",
        "Разница",
        "Ещё в книге, банк не говорит",
        *VERDICTS.values(),
    ]
    for column, name in enumerate(heads):
        sheet.set_column(column, column, 18)
        sheet.write_string(0, column, name, bold)
    for number, row in enumerate(totals(lines), start=1):
        sheet.write_string(number, 0, row["title"])
        difference = row["bank_kopecks"] - row["our_kopecks"]
        sums = (row["bank_kopecks"], row["our_kopecks"], difference, row["uncompared_kopecks"])
        for column, kopecks in enumerate(sums, start=1):
            sheet.write_number(number, column, Decimal(kopecks) / 100, money)
        for column, verdict in enumerate(VERDICTS, start=5):
            sheet.write_number(number, column, row["verdicts"].get(verdict, 0))
