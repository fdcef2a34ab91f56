"""`kopilka import`: tables of another programme into ours. First a plan, then, if the owner agrees, the points.

Owns options, the question and the files of rejected rows. What happens to a row is `flows/importing.py`.
"""

from __future__ import annotations

import getpass
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.common import EXIT_WARNINGS, fail, print_json, runtime
from cli.importing_crm import amocrm
from cli.importing_left import CHANGED, REJECTS, Left, NotKept, beside
from cli.importing_words import SAMPLES, Problems, as_data, show, show_columns
from cli.inputs import SIGNATURE_CHARS_MAX, shown_text
from cli.night import ProgressLine
from flows.importing_spool import Spool
from loyalty.importing import REJECTED as MENDED
from loyalty.importing_columns import FIELDS, ColumnsUnclear, columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cli.importing_file import Table
    from flows.importing import Asked, Step, Summary
    from flows.importing_spool import Duplicates
    from flows.runtime import Runtime
    from loyalty.importing import Row, Verdict
    from loyalty.importing_columns import Columns
    from loyalty.rules import Duration

NAME_CHARS_MAX = 80
_PASSES = {"read": "Чтение", "look": "Сверка с книгой", "run": "Внесение"}

Last = TypeVar("Last")


@click.group("import")
def import_() -> None:
    """Перенос из другой программы: сначала план, потом, с вашего согласия, баллы."""


import_.add_command(amocrm)


@import_.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--map", "mapped", multiple=True, metavar='ПОЛЕ="СТОЛБЕЦ"', help=f"Поля: {', '.join(FIELDS)}.")
@click.option("--sheet", metavar="ЛИСТ", help="Лист книги .xlsx; по умолчанию первый.")
@click.option("--name", metavar="ИМЯ", help="Имя импорта: повтор с тем же именем не внесёт дважды. По умолчанию файл.")
@click.option("--expires-after", metavar="СРОК", help="180 days, 12 месяцев, never; по умолчанию как в правилах.")
@click.option("--duplicates", type=click.Choice(["error", "sum"]), default="error", help="Покупатель записан дважды.")
@click.option("--also-credited", is_flag=True, help="Внести и тем, кому остаток внёс другой импорт.")
@click.option("--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Куда записать строки с ошибками.")
@click.option("--by", "actor", help="Кто вносит; по умолчанию пользователь этой машины.")
@click.option("--yes", is_flag=True, help="Внести без вопроса.")
@click.option("--dry-run", is_flag=True, help="Только показать план.")
@click.option("--strict", is_flag=True, help="Код выхода 1, если есть строки с ошибками.")
@click.option("--json", "as_json", is_flag=True, help="Ответ для программы.")
def balances(**options: Any) -> None:
    """Остатки баллов покупателей: CSV или XLSX с телефонами и баллами.

    Повторить можно сколько угодно раз: каждому внесётся однажды.
    """
    given = Options(**options)
    with runtime() as rt:
        asked = given.asked(rt)
        table, read_as = _opened(given)
        progress = _Passes()
        spool, samples = _read(rt, table, read_as, progress)
        try:
            is_rejected = _work(_Job(rt, given, asked, table, read_as, spool, progress), samples)
        finally:
            spool.close()
        rt.bell.flush()
    if given.strict and is_rejected:
        sys.exit(EXIT_WARNINGS)


@dataclass(frozen=True)
class Options:
    """What was typed."""

    file: Path
    mapped: Sequence[str]
    sheet: str | None
    name: str | None
    expires_after: str | None
    duplicates: Duplicates
    also_credited: bool
    rejects: Path | None
    actor: str | None
    yes: bool
    dry_run: bool
    strict: bool
    as_json: bool

    def asked(self, rt: Runtime) -> Asked:
        from flows import importing  # noqa: PLC0415

        who = shown_text("--by", self.actor or getpass.getuser(), SIGNATURE_CHARS_MAX)
        actor, ends = f"kopilka: {who}", self._lifetime(rt)
        return importing.Asked(self.import_name, actor, ends, self.duplicates, self.also_credited)

    @property
    def import_name(self) -> str:
        """The file's own name; its mended rejects belong to the same import."""
        own = self.file.name
        while own.endswith(REJECTS):
            own = own.removesuffix(REJECTS)
        text = self.name if self.name is not None else Path(own).stem
        name = shown_text("--name", unicodedata.normalize("NFC", text), NAME_CHARS_MAX)
        if ":" in name:
            fail(f"В имени импорта «{name}» двоеточие", 'назовите его иначе: --name "перенос"')
        return name

    @property
    def named(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in self.mapped:
            name, separator, header = one.partition("=")
            if not separator or name.strip() not in FIELDS:
                fail(f"Не понимаю --map {one}", f'пишите --map balance="Столбец"; поля: {", ".join(FIELDS)}')
            found[name.strip()] = header.strip()
        return found

    def _lifetime(self, rt: Runtime) -> Duration | None:
        from config import fields  # noqa: PLC0415
        from flows import importing  # noqa: PLC0415

        if self.expires_after is None:
            return importing.lifetime(rt)
        try:
            return fields.lifetime(self.expires_after)
        except fields.FieldError as failure:
            fail(f"--expires-after: {failure.message}", failure.fix)


@dataclass
class _Job:
    rt: Runtime
    given: Options
    asked: Asked
    table: Table
    columns: Columns
    spool: Spool
    progress: _Passes


@dataclass
class _Passes:
    """One line of progress for each pass over the rows."""

    line: ProgressLine = field(default_factory=lambda: ProgressLine(_PASSES, is_terminal=sys.stderr.isatty()))

    def last(self, name: str, steps: Iterator[Step | Last]) -> Last:
        """Tells the steps; what comes after them is the result."""
        from flows.importing import Step  # noqa: PLC0415

        for one in steps:
            if not isinstance(one, Step):
                self.line.end()
                return one
            self.line(name, one)
        raise RuntimeError("a pass ended without its result")


def _opened(given: Options) -> tuple[Table, Columns]:
    from cli.importing_file import FileUnreadable, open_table  # noqa: PLC0415

    named = given.named
    try:
        table = open_table(given.file, sheet=given.sheet, named=list(named.values()))
        return table, columns(table.headers, named)
    except (FileUnreadable, ColumnsUnclear) as failure:
        fail(failure.message, failure.mend)
    except OSError as failure:
        fail(f"Файл {given.file} не прочитать: {failure.strerror}", "проверьте путь и права")


def _read(rt: Runtime, table: Table, read_as: Columns, progress: _Passes) -> tuple[Spool, list[Row]]:
    from cli.importing_file import FileUnreadable  # noqa: PLC0415
    from flows import importing  # noqa: PLC0415

    try:
        spool = progress.last("read", importing.read(rt, table.rows, read_as))
    except FileUnreadable as failure:
        fail(failure.message, failure.mend)
    except importing.TooManyRows:
        fail(f"Строк больше {importing.ROWS_MAX}", "разделите таблицу на части и внесите их с одним --name")
    except OSError as failure:
        fail(f"Файл не дочитать: {failure.strerror}", "проверьте диск и место в папке временных файлов")
    return spool, [row for row, _ in zip(spool, range(SAMPLES), strict=False)]


def _work(job: _Job, samples: list[Row]) -> bool:
    """The plan, the question, the import. Are there rows to mend?"""
    from flows import importing  # noqa: PLC0415

    given = job.given
    problems = Problems()
    planned = job.progress.last("look", importing.look(job.rt, job.spool, job.asked, _only_problems(problems)))
    if not given.as_json:
        show_columns(job.table, job.columns, samples)
        show(job.rt, job.asked, planned, problems, is_done=False)
    if not _is_agreed(given, planned):
        if given.as_json:
            _print(job, planned, problems, {}, is_applied=False)
        return planned.rejected > 0
    return _import(job)


def _is_agreed(given: Options, planned: Summary) -> bool:
    if given.dry_run:
        return False
    if not planned.outcomes["new"] and not planned.outcomes["update"]:
        if not given.yes and not given.as_json:
            click.echo("Вносить нечего. Строки с ошибками в файл: та же команда с --yes")
        return given.yes
    if given.yes:
        return True
    if given.as_json or not sys.stdin.isatty():
        if not given.as_json:
            click.echo("Пока ничего не внесено. Внести: та же команда с --yes")
        return False
    if click.confirm("Внести?", default=False):
        return True
    click.echo("Ничего не внесено.")
    return False


def _import(job: _Job) -> bool:
    from flows import importing  # noqa: PLC0415

    problems = Problems()
    with Left(job.columns) as rejects, Left(job.columns) as changed:

        def tell(row: Row, verdict: Verdict) -> None:
            if verdict.outcome in MENDED:
                problems.note(row, verdict)
                rejects.add(row, verdict.reason)
            elif verdict.outcome == "changed":
                problems.note(row, verdict)
                changed.add(row, verdict.reason)

        done = job.progress.last("run", importing.run(job.rt, job.spool, job.asked, tell))
        files = _kept(job, rejects, changed)
    if job.given.as_json:
        _print(job, done, problems, files, is_applied=True)
        return done.rejected > 0
    show(job.rt, job.asked, done, problems, is_done=True)
    if files["rejects"] is not None:
        click.echo(f"Строки с ошибками и причинами: {files['rejects']}. Исправьте их и повторите:")
        click.echo(f'  kopilka import balances "{files["rejects"]}" --name "{job.asked.name}"')
    if files["changed"] is not None:
        click.echo(f"Внесённые раньше с другим остатком: {files['changed']}")
    return done.rejected > 0


def _kept(job: _Job, rejects: Left, changed: Left) -> Mapping[str, Path | None]:
    given = job.given
    try:
        return {
            "rejects": rejects.keep(given.rejects or beside(given.file, REJECTS)),
            "changed": changed.keep(beside(given.rejects or given.file, CHANGED)),
        }
    except NotKept as failure:
        mend = "повторите с --rejects ДРУГОЙ_ФАЙЛ: внесённое не внесётся снова"
        fail(f"Баллы внесены, но файл {failure.path} не записать: {failure.reason}", mend)


def _only_problems(problems: Problems) -> Any:
    def tell(row: Row, verdict: Verdict) -> None:
        if verdict.outcome in MENDED or verdict.outcome == "changed":
            problems.note(row, verdict)

    return tell


def _print(
    job: _Job, summary: Summary, problems: Problems, files: Mapping[str, Path | None], *, is_applied: bool
) -> None:
    read_as = {field: job.columns.header(field) for field in job.columns.places}
    about = {"file": str(job.given.file), "form": job.table.form, "columns": read_as, "ignored": job.columns.ignored}
    print_json({"applied": is_applied, **about, **as_data(job.rt, job.asked, summary, problems, files)})
