"""`kopilka import balances` as the owner types it, over files as Excel writes them; killed and resumed."""

from __future__ import annotations

import codecs
import csv
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import psycopg
import pytest
import sqlalchemy as sa
import xlsxwriter
from click.testing import CliRunner, Result
from kopilka_testing import ROOT, until

from cli.importing import import_
from cli.importing_file import FileUnreadable, open_table
from flows import health
from flows.runtime import Runtime

pytestmark = pytest.mark.slow

Kopilka = Callable[..., Result]
ANNA, BORIS = "+79161234567", "+79037654321"
CSV = """Выгрузка на 01.03, всех клиентов
ФИО;Телефон;Бонусы;Дата сгорания;Комментарий
Анна Петрова;8 (916) 123-45-67;1 234,50 р.;31.12.2030;ё
Борис;7,9037654321E+10;300;;"с
переводом"

Вера;7,91612E+10;5;;
"""


@pytest.fixture
def kopilka(rt: Runtime, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kopilka:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, answer: str | None = None, command: click.Command = import_) -> Result:
        return CliRunner().invoke(command, ["balances", *arguments], env=environment, input=answer)

    return run


def done(result: Result, code: int = 0) -> dict[str, object]:
    """The JSON of a command that ended as it should."""
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def points(rt: Runtime) -> dict[str, int]:
    """Available points by phone."""
    statement = (
        "SELECT a.value, m.available FROM member m JOIN member_address a ON a.member_id = m.id AND kind = 'phone'"
    )
    with rt.db.begin() as tx:
        return {row.value: row.available for row in tx.execute(sa.text(statement))}


def table(path: Path, count: int) -> Path:
    with path.open("w", encoding="cp1251", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Имя", "Телефон", "Почта", "Баланс"])
        rows.writerows(["Иван", f"8916{one:07}", f"ivan{one}@example.ru", "1 000,50"] for one in range(count))
    return path


@pytest.mark.parametrize(
    ("encode", "form"),
    [
        (CSV.encode, "UTF-8, точка с запятой"),
        (lambda: codecs.BOM_UTF8 + CSV.encode(), "UTF-8, точка с запятой"),
        (lambda: CSV.encode("cp1251"), "CP1251, точка с запятой"),
        (lambda: CSV.replace(";", "\t").replace("\n", "\r\n").encode("utf-16"), "UTF-16, табуляция"),
        (lambda: codecs.BOM_UTF16_BE + CSV.encode("utf-16-be"), "UTF-16, точка с запятой"),
        (lambda: CSV.encode("utf-16-le"), "UTF-16-LE, точка с запятой"),
        (lambda: b"sep=;\r\n" + CSV.encode(), "UTF-8, точка с запятой"),
    ],
)
def test_every_encoding_and_delimiter_of_excel_is_read(
    kopilka: Kopilka, rt: Runtime, encode: Callable[[], bytes], form: str
) -> None:
    Path("o.csv").write_bytes(encode())

    told = done(kopilka("o.csv", "--yes", "--json"))

    assert form in str(told["form"])
    assert (told["new"], told["error"], told["ignored"]) == (2, 1, ["Комментарий"])
    assert points(rt) == {ANNA: 1_234, BORIS: 300}


def test_commas_and_quotes_are_told_from_sums(kopilka: Kopilka, rt: Runtime) -> None:
    Path("o.csv").write_text('Phone,Points,Name\n"+7 916 123-45-67","1,234.50","Ivanov, Ivan"\n')

    done(kopilka("o.csv", "--yes", "--json"))

    assert points(rt) == {ANNA: 1_234}


def test_a_workbook_is_read_with_its_numbers_and_dates(kopilka: Kopilka, rt: Runtime, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "o.xlsx", {"default_date_format": "dd.mm.yyyy"})
    book.add_worksheet("Пустой")
    sheet = book.add_worksheet("Клиенты")
    sheet.write_row(2, 1, ["Телефон", "Остаток баллов", "Сгорание"])
    sheet.write_row(3, 1, [79161234567, 500.75])
    sheet.write_datetime(3, 3, date(2030, 12, 31))
    sheet.write_row(4, 1, ["8 903 765-43-21"])
    sheet.write_formula(4, 2, "=100+200", value=300)
    sheet.write_number(4, 3, 47848)
    book.close()

    wrong = kopilka("o.xlsx", "--sheet", "Лист9")
    told = done(kopilka("o.xlsx", "--sheet", "Клиенты", "--yes", "--json"))

    assert "есть листы: «Пустой», «Клиенты»" in wrong.output
    assert told["form"] == "XLSX, лист «Клиенты»"
    assert told["fractions"] == {"rows": 1, "points": "0.75"}
    assert points(rt) == {ANNA: 500, BORIS: 300}
    with rt.db.begin() as tx:
        ends = tx.execute(sa.text("SELECT DISTINCT (expires_at AT TIME ZONE 'Europe/Moscow')::date FROM lot")).scalars()
        assert list(ends) == [date(2031, 1, 1)]


def test_without_yes_only_a_plan_is_shown(kopilka: Kopilka, rt: Runtime) -> None:
    Path("o.csv").write_text(CSV)

    shown, dry = kopilka("o.csv"), kopilka("o.csv", "--dry-run", "--yes")

    for result in (shown, dry):
        assert result.exit_code == 0
        assert "телефон                ← «Телефон»" in result.output
        assert "не читаем: «Комментарий»" in result.output
        assert "+7 916 ···-··-67, А···, баллы 1\u00a0234 по 31.12.2030" in result.output
        assert "Будет внесено 1\u00a0534\u00a0балла: это до 1\u00a0534\u00a0₽ скидки" in result.output
        assert "строка 6: телефон: Excel округлил номер" in result.output
        assert "1234567" not in result.output
    assert "та же команда с --yes" in shown.output
    assert points(rt) == {}
    assert sorted(one.name for one in Path().iterdir() if "csv" in one.name) == ["o.csv"]
    assert kopilka("o.csv", "--strict").exit_code == 1


def test_rejected_rows_are_mended_and_brought_by_the_same_import(kopilka: Kopilka, rt: Runtime) -> None:
    Path("o.csv").write_text(CSV)
    first = kopilka("o.csv", "--yes", "--strict")
    again = done(kopilka("o.csv", "--yes", "--json"))
    left = Path("o.csv.rejects.csv")
    [row] = list(csv.DictReader(left.read_text("utf-8-sig").splitlines(), delimiter=";"))

    left.write_text(left.read_text("utf-8-sig").replace("7,91612E+10", "8 916 000-00-01"), encoding="utf-8-sig")
    mended = done(kopilka(str(left), "--yes", "--json"))

    assert first.exit_code == 1
    assert (row["Строка файла"], row["ФИО"], row["Телефон"]) == ("6", "Вера", "7,91612E+10")
    assert "выгрузите столбец как текст" in row["Что не так"]
    assert again["files"] == {"rejects": "o.csv-2.rejects.csv", "changed": None}  # the first is being mended
    assert (again["same"], again["points"]) == (2, 0)
    assert (mended["name"], mended["new"], mended["ignored"]) == ("o", 1, ["Комментарий"])
    assert points(rt) == {ANNA: 1_234, BORIS: 300, "+79160000001": 5}


def test_what_spreadsheets_would_calculate_is_harmless_in_the_rejects_and_readable_again(kopilka: Kopilka) -> None:
    Path("o.csv").write_text("Телефон;Баланс;Имя\n+7 800 555-35-35;-5;=1+1\n")

    kopilka("o.csv", "--yes")
    cells = Path("o.csv.rejects.csv").read_text("utf-8-sig").splitlines()[1]
    again = done(kopilka("o.csv.rejects.csv", "--json"))

    assert cells.startswith("'+7 800 555-35-35;'-5;'=1+1;2;")
    assert again["error"] == 1


def test_a_balance_that_was_changed_since_is_written_beside(kopilka: Kopilka, rt: Runtime) -> None:
    Path("o.csv").write_text("Телефон;Баланс\n89161234567;300\n")
    kopilka("o.csv", "--yes")
    Path("o.csv").write_text("Телефон;Баланс\n89161234567;500\n")

    told = done(kopilka("o.csv", "--yes", "--json", "--strict"))

    assert told["changed"] == 1
    assert "в файле 500, внесено 300" in Path("o.csv.changed.csv").read_text("utf-8-sig")
    assert points(rt) == {ANNA: 300}


def test_a_renamed_file_with_yes_credits_nobody_twice_and_says_so(kopilka: Kopilka, rt: Runtime) -> None:
    for name in ("o.csv", "o (1).csv"):
        Path(name).write_text("Телефон;Баланс\n89161234567;300\n")
    kopilka("o.csv", "--yes")

    shown = kopilka("o (1).csv", "--yes", "--strict")
    told = done(kopilka("o (1).csv", "--yes", "--json", "--also-credited"))

    assert shown.exit_code == 1
    assert 'повторите с --name "o"' in shown.output
    assert "уже внёс импорт «o»" in Path("o (1).csv.rejects.csv").read_text("utf-8-sig")
    assert (told["update"], told["points"]) == (1, 300)
    assert points(rt) == {ANNA: 600}


@pytest.mark.parametrize(
    ("content", "arguments", "mend"),
    [
        (b"", (), "выгрузите таблицу снова"),
        ("Кто;Сколько\nя;5\n".encode(), (), "--map balance="),
        (CSV.encode(), ("--map", "balanse=Бонусы"), "поля: phone, email"),
        (CSV.encode(), ("--map", "balance=Бонус"), "возможно, «Бонусы»?"),
        (CSV.encode(), ("--expires-after", "вечность"), "14 days"),
        (CSV.encode(), ("--name", "a:b"), "--name"),
        (CSV.encode(), ("--sheet", "Лист1"), "--sheet"),
        (CSV.encode() + b"\xff\xfe", (), "выгрузите таблицу снова"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, (), ".xlsx"),
        (b"PK\x03\x04" + b"x" * 600, (), "откройте её в Excel"),
        ('Телефон;Баланс\n"8916;5\n'.encode() + b"x;y\n" * 50_000, (), "внесённое не повторится"),
        (b";".join(b"c%d" % one for one in range(300)), (), "не больше 200"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_mend(
    kopilka: Kopilka, rt: Runtime, content: bytes, arguments: tuple[str, ...], mend: str
) -> None:
    Path("o.csv").write_bytes(content)

    result = kopilka("o.csv", "--yes", *arguments)

    assert (result.exit_code, points(rt)) == (2, {}), result.output
    assert mend in result.output


def test_a_stray_cell_at_the_end_of_excel_does_not_fill_the_memory(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(tmp_path / "o.xlsx")
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["Телефон", "Баланс"])
    sheet.write_string(1_048_575, 16_383, "x")
    book.close()

    with pytest.raises(FileUnreadable, match="1048576 строк и 16384 столбцов"):
        open_table(tmp_path / "o.xlsx")


def test_a_book_that_unpacks_to_a_mountain_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        zipfile.ZipFile(tmp_path / "o.xlsx", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file,
    ):
        for _ in range(1_001):
            file.write(bytes(1_000_000))

    with pytest.raises(FileUnreadable, match="1000 МБ"):
        open_table(tmp_path / "o.xlsx")


def test_the_question_is_asked_on_a_terminal_only(
    kopilka: Kopilka, rt: Runtime, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "o.csv"
    path.write_text(CSV)
    assert "Внести?" not in kopilka("o.csv", answer="y\n").output

    for answer, brought in ((b"n\n", {}), (b"y\n", {ANNA: 1_234, BORIS: 300})):
        terminal, its_end = os.openpty()
        process = command(environment, str(path), stdin=its_end)
        os.write(terminal, answer)
        output, _ = process.communicate(timeout=60)
        os.close(terminal)
        os.close(its_end)
        assert "Внести?" in output.decode()
        assert (process.returncode, points(rt)) == (0, brought)


def command(environment: dict[str, str], *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "cli.main", "import", "balances", *arguments]
    env = {**os.environ, **environment}
    return subprocess.Popen(line, cwd=ROOT, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_an_import_killed_in_the_middle_goes_on_where_it_stopped(
    kopilka: Kopilka, rt: Runtime, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    path = table(tmp_path / "o.csv", 6_000)
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as look:
        process = command(environment, str(path), "--yes")
        until(lambda: look.execute("SELECT count(*) FROM member").fetchone()[0] >= 900, "a few pieces")  # type: ignore[index]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        was = look.execute("SELECT count(*) FROM member").fetchone()[0]  # type: ignore[index]

    two = [command(environment, str(path), "--yes", "--json") for _ in range(2)]
    told = [json.loads(one.communicate(timeout=100)[0]) for one in two]

    assert 900 <= was < 6_000
    assert sum(one["new"] for one in told) == 6_000 - was
    assert sum(one["same"] for one in told) == 6_000 + was
    assert sum(one["points"] for one in told) == (6_000 - was) * 1_000
    assert set(points(rt).values()) == {1_000}
    verdict = health.verify_ledger(rt)
    assert (verdict.is_whole, verdict.accounts["opening"]) == (True, -6_000_000)
    assert [one.name for one in tmp_path.iterdir() if "kopilka" in one.name or "reject" in one.name] == []


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Reading, with everything that is kept of a row; the plan and the import go by pieces anyway."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from datetime import date\n"
        "from cli.importing_file import open_table\n"
        "from flows import importing_rows\n"
        "from flows.importing_spool import Spool\n"
        "from loyalty.importing_columns import columns\n"
        "table = open_table(Path(sys.argv[1]))\n"
        "read_as = columns(table.headers)\n"
        "terms = importing_rows.Terms(date(2026, 3, 1), (), '77', 10)\n"
        "spool = Spool()\n"
        "for number, cells in table.rows:\n"
        "    spool.add(importing_rows.read(number, cells, read_as, terms))\n"
        "spool.repeats('error')\n"
        "assert sum(1 for _ in spool) == int(sys.argv[2])\n"
        "spool.close()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    used_kb = []
    for count in (5_000, 60_000):
        path = table(tmp_path / f"{count}.csv", count)
        line = [sys.executable, "-c", script, str(path), str(count)]
        used_kb.append(int(subprocess.run(line, cwd=ROOT, capture_output=True, check=True, timeout=110).stdout))

    assert used_kb[1] - used_kb[0] < 12_000
