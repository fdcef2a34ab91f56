"""The house rules that a machine can measure: sizes, docstrings, package origins, clean requirement files."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from kopilka_testing import ROOT

PACKAGES = ("cli", "config", "connector", "console", "flows", "loyalty", "simulator", "storage", "wallet", "webhooks")
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours_and_not_a_namesake_from_the_registry(package: str) -> None:
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


def test_no_file_is_too_long() -> None:
    long = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {path: lines for path, lines in long.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path) for path in SOURCES if not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]

    assert silent == []


def test_the_wheel_lists_every_package_folder() -> None:
    listed = re.findall(r'^    "([\w.]+)",$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    folders = {".".join(path.parent.parts) for path in SOURCES if path.name == "__init__.py"}

    assert folders <= set(listed)


@pytest.mark.parametrize("name", ["run.txt", "demo.txt", "dev.txt"])
def test_requirements_are_pinned_with_hashes_and_name_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]

    assert packages
    assert all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text


def test_no_tracked_file_names_a_place_of_the_developers_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:work|root|farm)/\w")
    guilty = [
        name
        for name in tracked
        if (ROOT / name).suffix in {".py", ".md", ".txt", ".toml", ".yaml", ".html", ".css", ".js", ".sh", ""}
        and (ROOT / name).is_file()
        and name != "tests/shape/test_house.py"
        and pattern.search((ROOT / name).read_text(encoding="utf-8", errors="replace"))
    ]

    assert guilty == []
