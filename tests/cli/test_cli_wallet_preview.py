"""`kopilka wallet preview`: both sides of the card as files, without a database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from cli.main import main

RULES = """version: 1
programme: {name: Клуб, timezone: Europe/Moscow}
accrual: {rate: 10%}
segments:
  - {code: start, title: Стартовый}
  - {code: vip, title: Золотой, when: {orders: 6}}
card:
  colors: {background: "#16382C"}
  offers: [{label: Своим, text: Вторая палатка за полцены}]
  segments: [{segment: vip, colors: {background: "#101112"}}]
"""


@pytest.fixture
def kopilka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")

    def run(*arguments: str) -> Result:
        env = {"PROGRAMME": "rules.yaml"}
        return CliRunner().invoke(main, ["wallet", "preview", *arguments], env=env)

    return run


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def test_both_sides_are_written_as_pictures_and_as_a_page(kopilka: Callable[..., Result], tmp_path: Path) -> None:
    result = kopilka("--out", "seen")

    assert (result.exit_code, result.stderr) == (0, "")
    names = ["card-front.png", "card-back.png", "card.html"]
    assert result.output.split() == [word for name in names for word in ("Готово:", f"seen/{name}")]
    assert sorted(one.name for one in (tmp_path / "seen").iterdir()) == sorted(names)
    html = (tmp_path / "seen" / "card.html").read_text(encoding="utf-8")
    assert "1\u00a0240" in html
    assert "Вторая палатка за полцены" in html
    assert "Демонстрационная карта" in html, "there is no certificate, and the card says so"
    assert "Анна" not in html


def test_a_segment_and_a_balance_are_shown_as_asked(kopilka: Callable[..., Result], tmp_path: Path) -> None:
    result = kopilka("--segment", "vip", "--balance", "-50", "--format", "html", "--sample")

    html = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert result.exit_code == 0
    assert "rgb(16,17,18)" in html
    assert "Золотой" in html
    assert "\u221250" in html
    assert not (tmp_path / "card-front.png").exists()


def test_the_lowest_segment_has_a_way_up(kopilka: Callable[..., Result], tmp_path: Path) -> None:
    kopilka("--format", "html")

    html = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "5\u00a0заказов" in html
    assert "До «Золотой»" in html


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--segment", "vp"), "В правилах есть: start, vip"),
        (("--member", "7", "--balance", "5"), "уберите --file, --segment и --balance"),
        (("--file", "nowhere.yaml"), "файла правил нет"),
        (("--out", "rules.yaml"), "is a file"),
        (("--balance", "много"), "--balance"),
        (("--open", "--format", "png"), "уберите --format png"),
    ],
)
def test_what_cannot_be_shown_is_said_with_its_mend(
    kopilka: Callable[..., Result], arguments: tuple[str, ...], word: str
) -> None:
    result = kopilka(*arguments)

    assert result.exit_code == 2
    assert word in result.stderr


def test_a_broken_rules_file_is_told_as_check_tells_it(kopilka: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.replace('"#101112"', '"#FFFFFF"'), encoding="utf-8")

    result = kopilka()

    assert result.exit_code == 2
    assert "[contrast]" in result.stderr
    assert "это ближайший цвет" in result.stderr
