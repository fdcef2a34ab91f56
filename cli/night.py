"""The night by hand: what is due, what it did, and running it with the progress in sight."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from cli.common import fail, print_json, runtime

if TYPE_CHECKING:
    from datetime import datetime

BAR_CELLS = 24
TERMINAL_EVERY_S = 0.2
LINES_EVERY_S = 10.0
_NOTHING_DUE = "Сейчас делать нечего. Не дожидаясь срока: kopilka night --now"
_ELSEWHERE = "Это уже делает другой процесс. Как идёт: kopilka night --list"


@click.command()
@click.option("--job", "name", metavar="NAME", help="Только эта работа; имена покажет --list.")
@click.option("--now", "at_once", is_flag=True, help="Не дожидаясь срока.")
@click.option("--list", "is_list", is_flag=True, help="Показать работы, их сроки и последние итоги.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def night(*, name: str | None, at_once: bool, is_list: bool, as_json: bool) -> None:
    """Ночные работы: сгорание, подарки, сегменты, предупреждения. Повтор и опоздание безвредны."""
    from flows import nightly, schedule  # noqa: PLC0415

    known = [job.name for job in schedule.JOBS]
    if name is not None and name not in known:
        fail(f"Нет работы {name!r}", f"выберите из: {', '.join(known)}")
    with runtime() as rt:
        if is_list:
            _show(nightly.states(rt), rt.programme.timezone, as_json=as_json)
            return
        progress = ProgressLine({job.name: job.title for job in schedule.JOBS}, is_terminal=sys.stderr.isatty())
        results = nightly.run_due(rt, now=rt.now(), only=name, at_once=at_once, on_progress=progress)
        progress.end()
        rt.bell.flush()
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            click.echo(f"{result.title}: {result.error or result.text}")
        if not results:
            click.echo(_ELSEWHERE if at_once else _NOTHING_DUE)
    if any(result.error for result in results):
        fail("Не всё получилось", "причина выше; работа продолжится сама через 10 минут")


class ProgressLine:
    """Count, rate and remaining time on stderr: a bar that moves on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, titles: dict[str, str], *, is_terminal: bool) -> None:
        self._titles = titles
        self._is_terminal = is_terminal
        self._every_s = TERMINAL_EVERY_S if is_terminal else LINES_EVERY_S
        self._name = ""
        self._began = self._told = time.monotonic()
        self._done_before = 0
        self._is_open = False

    def __call__(self, name: str, progress: Any) -> None:
        now = time.monotonic()
        if name != self._name:
            self.end()
            self._name, self._began, self._told, self._done_before = name, now, now, progress.done
            if progress.total is not None and progress.done < progress.total:
                self._tell(progress, now)
        elif now - self._told >= self._every_s:
            self._tell(progress, now)

    def end(self) -> None:
        """Leaves the bar's line."""
        if self._is_open:
            click.echo(err=True)
            self._is_open = False

    def _tell(self, progress: Any, now: float) -> None:
        self._told = now
        rate = (progress.done - self._done_before) / max(now - self._began, 0.001)
        line = f"{self._titles[self._name]}: {progress_text(progress.done, progress.total, rate)}"
        if self._is_terminal:
            click.echo(f"\r{line:<100}", err=True, nl=False)
            self._is_open = True
        else:
            click.echo(line, err=True)


def progress_text(done: int, total: int | None, rate: float) -> str:
    """`[████······] 12000 из 200000, 9500 в секунду, осталось 0:20`."""
    if total is None:
        return f"{done}, {rate:.0f} в секунду"
    cells = round(BAR_CELLS * min(1.0, done / total)) if total else BAR_CELLS
    bar = f"[{'█' * cells}{'·' * (BAR_CELLS - cells)}] {done} из {total}"
    if rate <= 0:
        return bar
    left_s = round(max(0, total - done) / rate)
    return f"{bar}, {rate:.0f} в секунду, осталось {left_s // 60}:{left_s % 60:02}"


def _show(states: list[Any], timezone: str, *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(state) for state in states])
        return
    for state in states:
        click.echo(_line(state, ZoneInfo(timezone)))


def _line(state: Any, zone: ZoneInfo) -> str:
    parts = [f"{state.name:<9} {state.title:<26} срок {_moment(state.due_at, zone)}"]
    if state.is_running:
        of_total = "" if state.total is None else f" из {state.total}"
        parts.append(f"идёт: {state.done}{of_total}")
    if state.last_finished_at is not None:
        parts.append(f"было {_moment(state.last_finished_at, zone)}: {state.last_result}")
    if state.last_error is not None:
        parts.append(f"ошибка: {state.last_error}")
    return "; ".join(parts)


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%d.%m.%Y %H:%M}"
