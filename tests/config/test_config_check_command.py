"""`kopilka check`: exit codes and forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.check import check

Run = Callable[..., Result]
SHOP = (Path(__file__).parent / "golden/shop.yaml").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop_env: dict[str, str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, value in shop_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PROGRAMME", raising=False)

    def invoke(text: str, *arguments: str) -> Result:
        Path("rules.yaml").write_text(text, encoding="utf-8")
        return CliRunner().invoke(check, ["--file", "rules.yaml", *arguments])

    return invoke


def test_a_right_file_exits_0(run: Run) -> None:
    result = run(SHOP, "--strict")

    assert result.exit_code == 0
    assert result.output == "Найдено: 0 ошибок, 0 предупреждений. Действующие правила не изменены.\n"


def test_warnings_exit_1_only_when_strict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YOOKASSA_SECRET")

    assert run(SHOP).exit_code == 0
    assert run(SHOP, "--strict").exit_code == 1


def test_errors_exit_2_and_are_printed_with_their_place(run: Run) -> None:
    result = run(SHOP.replace("rate: 10%", "rate: 10"))

    assert result.exit_code == 2
    assert result.output.startswith("rules.yaml:12:9: ошибка [percent-sign]\n  11 | accrual:\n")
    assert result.output.splitlines()[-1].startswith("Найдено: 1 ошибка, 0 предупреждений.")


def test_json_holds_the_same_problems(run: Run) -> None:
    result = run(SHOP.replace("rate: 10%", "rate: 10"), "--json")

    report = json.loads(result.output)
    assert result.exit_code == 2
    assert (report["errors"], report["warnings"], report["version"]) == (1, 0, None)
    assert report["problems"][0]["code"] == "percent-sign"
    assert (report["problems"][0]["line"], report["problems"][0]["column"]) == (12, 9)


def test_the_version_of_right_rules_is_in_the_json(run: Run) -> None:
    assert len(json.loads(run(SHOP, "--json").output)["version"]) == 12


def test_without_a_file_the_setting_says_where_the_rules_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SHOP)
    monkeypatch.setenv("PROGRAMME", "rules.yaml")

    assert CliRunner().invoke(check, []).exit_code == 0
    monkeypatch.setenv("PROGRAMME", "nowhere.yaml")
    missing = CliRunner().invoke(check, [])
    assert missing.exit_code == 2
    assert "nowhere.yaml:1:1: ошибка [file-missing]" in missing.output
