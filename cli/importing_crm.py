"""`kopilka import amocrm`: a running shop's people and purchases, shown first and written when the owner agrees.

Owns the options and the terminal's words. What is read and written is `flows/crm_import.py`.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from zoneinfo import ZoneInfo

import click

from cli.common import fail, print_json, runtime
from cli.night import ProgressLine, progress_text
from loyalty.phrases import roubles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.crm_import import Asked, CrmImport, Step
    from flows.crm_import_preview import Preview
    from flows.runtime import Runtime

KINDS = {"deal": "сделка", "contact": "контакт", "customer": "покупатель"}
REJECTS_FILE = "amocrm-import-rejects.csv"
_AGAIN = "повторите ту же команду: она продолжит с того же места"


@click.command("amocrm")
@click.option(
    "--pipeline", "pipelines", multiple=True, metavar="ВОРОНКА", help="Ещё и эта воронка; можно несколько раз."
)
@click.option("--all-contacts", is_flag=True, help="Участниками станут все контакты, а не только покупавшие.")
@click.option("--no-push", is_flag=True, help="Не записывать новых участников в поля amoCRM.")
@click.option("--dry-run", is_flag=True, help="Только прочитать и показать, что изменится.")
@click.option("--anew", is_flag=True, help="Прочитать amoCRM заново, даже если она прочитана недавно.")
@click.option("--yes", is_flag=True, help="Не спрашивать.")
@click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False), default=Path(REJECTS_FILE), show_default=True,
    help="Куда записать, что не вошло и почему.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def amocrm(**options: Any) -> None:
    """Первый перенос из amoCRM: покупатели, контакты и выигранные сделки.

    Участники получают историю покупок и сразу верный сегмент. Баллы за прошлое не начисляются: прежние остатки
    внесёт kopilka import balances. Сообщений никто не получает. Прерванный перенос продолжается той же командой,
    повтор ничего не меняет.
    """
    given = Options(**options)
    with runtime() as rt:
        one = _begun(rt, given)
        try:
            _work(rt, one, given)
        except (KeyboardInterrupt, click.Abort):
            one.pause()
            fail("Перенос остановлен", _AGAIN)


@dataclass(frozen=True)
class Options:
    """What was typed."""

    pipelines: Sequence[str]
    all_contacts: bool
    no_push: bool
    dry_run: bool
    anew: bool
    yes: bool
    rejects: Path
    as_json: bool

    def asked(self) -> Asked:
        from flows.crm_import import Asked  # noqa: PLC0415

        return Asked(tuple(self.pipelines), self.all_contacts, not self.no_push)


def _work(rt: Runtime, one: CrmImport, given: Options) -> None:
    """Reads, shows, asks and writes; an import that was being written already goes on."""
    from flows.crm_import import READING, READY  # noqa: PLC0415

    if one.phase in (*READING, READY):
        _walk(one, one.read())
        click.echo("Считаю, что изменится…", err=True)
        found = one.preview()
        if not given.as_json:
            _show(found, rt.programme.timezone)
        if not _is_agreed(found, given):
            _leave(one, found, given)
            return
    elif given.dry_run:
        one.pause()
        fail("Перенос уже начат и записан наполовину", "доведите его до конца той же командой без --dry-run")
    else:
        click.echo("Продолжаю начатый перенос.", err=True)
    _walk(one, one.write())
    left_out = _write_rejects(one, given.rejects)
    counts = dict(one.counts)
    one.finish()
    rt.bell.flush()
    if given.as_json:
        print_json({"is_dry_run": False, "rejects": left_out, "counts": counts})
        return
    _tell_done(counts)
    _tell_rejects(left_out, given.rejects)


def _leave(one: CrmImport, found: Preview, given: Options) -> None:
    """Nothing is written, what was read stays for a while."""
    left_out = _write_rejects(one, given.rejects)
    one.pause()
    if given.as_json:
        print_json({"is_dry_run": True, "rejects": left_out, **asdict(found)})
        return
    _tell_rejects(left_out, given.rejects)
    click.echo("Ничего не изменено. Прочитанное хранится 12 часов: перенос начнётся сразу.")


def _begun(rt: Runtime, given: Options) -> CrmImport:
    from flows.crm_import import ImportRunning, OtherOptions, begin  # noqa: PLC0415
    from flows.errors import SetupIncomplete  # noqa: PLC0415

    try:
        return begin(rt, given.asked(), anew=given.anew)
    except SetupIncomplete as failure:
        fail(str(failure), "kopilka init поможет заполнить файл правил")
    except ImportRunning as failure:
        until = failure.until.astimezone(ZoneInfo(rt.programme.timezone))
        mend = f"дождитесь его конца; если тот процесс был убит, повторите после {until:%H:%M:%S}"
        fail("Перенос из amoCRM уже идёт в другом процессе", mend)
    except OtherOptions as failure:
        fail("Начат и не закончен перенос с другими параметрами", f"доведите его до конца: {failure.words}")


def _walk(one: CrmImport, steps: Iterator[Step]) -> None:
    """Does the steps with the progress in sight; whatever stops them, the next run goes on."""
    from flows.crm_import import TITLES, ReadLongAgo  # noqa: PLC0415
    from flows.errors import ConnectorError, SetupIncomplete  # noqa: PLC0415
    from flows.jobs import JobLost  # noqa: PLC0415

    line = _Line(TITLES, is_terminal=sys.stderr.isatty())
    try:
        for step in steps:
            line(step.phase, step)
        line.end()
    except ConnectorError as failure:
        _stopped(one, line, f"amoCRM не ответила: {failure}", _AGAIN)
    except SetupIncomplete as failure:
        _stopped(one, line, str(failure), "поправьте и повторите команду")
    except ReadLongAgo:
        _stopped(one, line, "amoCRM прочитана больше 12 часов назад", "повторите ту же команду: она прочитает заново")
    except JobLost:
        line.end()
        fail("Перенос перешёл к другому процессу", "следите за ним там")


def _stopped(one: CrmImport, line: _Line, message: str, mend: str) -> NoReturn:
    line.end()
    one.pause()
    fail(message, mend)


class _Line(ProgressLine):
    """Says that a total is a guess where it is one."""

    def _tell(self, progress: Any, now: float) -> None:
        if not progress.is_guess:
            super()._tell(progress, now)
            return
        self._told = now
        rate = (progress.done - self._done_before) / max(now - self._began, 0.001)
        words = progress_text(progress.done, progress.total, rate).replace(" из ", " из примерно ")
        line = f"{self._titles[self._name]}: {words}"
        click.echo(f"\r{line:<100}" if self._is_terminal else line, err=True, nl=not self._is_terminal)
        self._is_open = self._is_terminal


def _show(found: Preview, timezone: str) -> None:
    totals = found.totals
    click.echo(f"В amoCRM: выигранных сделок {totals.deals} на {roubles(totals.kopecks)}", nl=False)
    if totals.first_at is not None and totals.last_at is not None:
        zone = ZoneInfo(timezone)
        first, last = totals.first_at.astimezone(zone), totals.last_at.astimezone(zone)
        click.echo(f", с {first:%d.%m.%Y} по {last:%d.%m.%Y}")
        click.echo("  по годам: " + ", ".join(f"{year}: {deals}" for year, deals in found.years))
    else:
        click.echo()
    click.echo(f"Контактов: {totals.contacts}, из них покупателей («Покупатели»): {totals.customers}")
    click.echo(f"Станут участниками: {found.new_members}; уже участники: {totals.known}")
    notes = (
        (totals.without_phone, "без телефона: найти их можно по карте и контакту"),
        (totals.same_phone, "с телефоном, который есть и у другого контакта: разные участники, их объединяет человек"),
        (found.recognised, "участников без контакта узнаны по телефону: история и баллы будут вместе"),
        (totals.elsewhere, "с телефоном участника без контакта, но не точно он: проверьте, не один ли это человек"),
        (totals.gone, "контактов сделок в amoCRM больше нет"),
        (totals.without_contact, "сделок без контакта: в историю не войдут"),
        (totals.without_price, "сделок без суммы: покупками не считаются"),
        (totals.old_orders, "сделок Копилка уже знает: не изменятся"),
        (totals.fresh, "сделок выиграны только что: пойдут обычным путём, с баллами"),
    )
    for count, words in notes:
        if count:
            click.echo(f"  {count} {words}")
    click.echo("Сегмент                     было   станет")
    for line in found.segments:
        click.echo(f"  {line.title:<22} {line.before:>8} {line.after:>8}")
    click.echo("Баллы за прошлое: нет; прежние остатки внесёт kopilka import balances")
    if found.push_s is not None:
        click.echo(f"После переноса новые участники попадут в поля amoCRM примерно за {_duration(found.push_s)}")


def _is_agreed(found: Preview, given: Options) -> bool:
    """A program says --yes if it means it."""
    if given.dry_run:
        return False
    if given.yes or (found.new_members + found.recognised == 0 and found.totals.deals == found.totals.old_orders):
        return True
    return not given.as_json and click.confirm("Перенести?", default=False)


def _tell_done(counts: dict[str, int]) -> None:
    parts = [f"новых участников {counts.get('members', 0)}", f"покупок в истории {counts.get('orders', 0)}"]
    parts += [f"узнано по телефону {counts['recognised']}"] if counts.get("recognised") else []
    parts += [f"связано с покупателями {counts['linked']}"] if counts.get("linked") else []
    click.echo(f"Перенесено: {', '.join(parts)}.")


def _write_rejects(one: CrmImport, path: Path) -> int:
    """The file, if there is anything to tell. Returns how many lines."""
    found = one.rejects()
    first = next(found, None)
    if first is None:
        return 0
    count = 0
    try:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.writer(file, delimiter=";")
            table.writerow(["что", "номер в amoCRM", "почему"])
            for reject in chain((first,), found):
                table.writerow([KINDS[reject.kind], reject.ref, reject.reason])
                count += 1
    except OSError as failure:
        one.pause()
        fail(f"Файл {path} не записать: {failure.strerror}", "укажите другой: --rejects путь")
    return count


def _tell_rejects(count: int, path: Path) -> None:
    if count:
        click.echo(f"Не вошло или требует внимания: {count}, причины в файле {path}")


def _duration(seconds: int) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} мин" if minutes < 120 else f"{minutes // 60} ч {minutes % 60} мин"
