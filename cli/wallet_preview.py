"""`kopilka wallet preview`: the card as a phone shows it, drawn from the very pass that would be signed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.common import EXIT_ERRORS, explained, fail, runtime
from cli.refused import denied_is_told
from config.clock import system_clock
from config.programme import check_programme
from config.settings import programme_path, read_environment

if TYPE_CHECKING:
    from config.model import ProgrammeFile
    from flows.previewing import Previewed

MAX_POINTS = 999_999_999


@click.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="Файл правил. По умолчанию PROGRAMME из окружения или config/programme.yaml.",
)
@click.option("--segment", help="Код сегмента из файла правил. По умолчанию низший.")
@click.option("--balance", type=click.IntRange(-MAX_POINTS, MAX_POINTS), help="Сколько баллов показать.")
@click.option("--member", "who", help="Карта участника: номер участника, телефон, почта или номер карты. Нужна база.")
@click.option(
    "--sample", "who", flag_value="", help="Карта выдуманного покупателя (так и без этого ключа); база не нужна."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Папка для файлов.")
@click.option("--format", "kind", type=click.Choice(["png", "html"]), help="Только картинки или только страница.")
@click.option("--open", "is_opened", is_flag=True, help="Открыть страницу в браузере.")
def preview(
    *,
    path: Path | None,
    segment: str | None,
    balance: int | None,
    who: str | None,
    out: Path,
    kind: str | None,
    is_opened: bool,
) -> None:
    """Показать карту с обеих сторон, как на телефоне."""
    if who and any(one is not None for one in (path, segment, balance)):
        fail("--member показывает карту такой, какая она есть", "уберите --file, --segment и --balance")
    with explained(), denied_is_told():
        found = _member(who) if who else _sample(path, segment, balance)
        written = _write(found, out, kind)
    for one in written:
        click.echo(f"Готово: {one}")
    pages = [one for one in written if one.suffix == ".html"]
    if is_opened and pages:
        click.launch(str(pages[0]))
    elif is_opened:
        fail("Открывать нечего: страница не записана", "уберите --format png")


def _sample(path: Path | None, segment: str | None, points: int | None) -> Previewed:
    from flows import previewing  # noqa: PLC0415 - draws with Pillow, which takes a while to import

    shown = previewing.SAMPLE_POINTS if points is None else points
    return previewing.of_sample(_checked(path), today=system_clock().date(), segment_code=segment, points=shown)


def _checked(path: Path | None) -> ProgrammeFile:
    env = read_environment()
    result = check_programme(path or programme_path(env), env)
    if result.programme_file is None:
        click.echo(result.render(), err=True)
        sys.exit(EXIT_ERRORS)
    return result.programme_file


def _member(who: str) -> Previewed:
    from flows import previewing  # noqa: PLC0415

    with runtime() as rt:
        return previewing.of_member(rt, who)


def _write(found: Previewed, out: Path, kind: str | None) -> list[Path]:
    files: dict[str, bytes] = {}
    if kind != "html":
        files["card-front.png"], files["card-back.png"] = found.pngs()
    if kind != "png":
        files["card.html"] = found.html().encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (out / name).write_bytes(data)
    except OSError as failure:
        fail(f"Файл не записать: {failure.strerror}", "проверьте папку --out")
    return [out / name for name in files]
