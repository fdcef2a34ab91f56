"""docs/rules.md explains every key of the file, and only those."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

from config.model import ProgrammeFile
from config.programme import CheckResult
from config.section import Keys
from config.vocabulary import SECTIONS, every_key

Check = Callable[..., CheckResult]
Read = Callable[..., ProgrammeFile]
ROOT = Path(__file__).parents[2]


def test_the_full_file_holds_every_key(read: Read) -> None:
    written = {re.sub(r"\[\d+\]", "[]", path) for path in read().lines}

    assert set(every_key()) - written == {"amocrm.token"}, "a token and oauth exclude each other"


def test_every_key_is_explained_in_the_reference() -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")

    assert [key for key in every_key() if f"`{key}`" not in text] == []


def test_the_reference_explains_no_key_that_is_not_known() -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    known = set(every_key()) | {path.removesuffix("[]") for path in SECTIONS}
    keys, _, _ = text.partition("## О чём проверка предупредит")
    first_cells = re.findall(r"^\| `([a-z_.\[\]@0-9]+)` \|", keys, re.MULTILINE)

    assert first_cells
    assert [name for name in first_cells if name not in known] == []


def test_every_warning_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    _, _, warnings = text.partition("## О чём проверка предупредит")
    codes = {
        node.args[1].value
        for path in sorted((ROOT / "config").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warn"
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    }

    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in warnings] == []


def test_the_samples_of_the_reference_are_right(check: Check, shop_env: dict[str, str]) -> None:
    head = "version: 1\nprogramme: {name: Клуб, timezone: Europe/Moscow}\n"
    sections = {"accrual": "accrual: {rate: 0%}\n", "segments": "segments: [{code: vip, title: VIP}]\n"}
    samples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "rules.md").read_text(encoding="utf-8"), re.DOTALL)

    assert len(samples) > 3
    for sample in samples:
        rest = "".join(text for key, text in sections.items() if f"{key}:\n" not in sample)
        result = check(head + sample + rest, shop_env | {"REDEEM_PIN": "407193"})
        assert result.errors == 0, result.render()


def test_no_section_is_missing_from_the_vocabulary() -> None:
    named = [
        node
        for path in sorted((ROOT / "config").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Keys"
    ]

    of_one_provider = 1
    assert len(named) - of_one_provider == len({id(keys) for keys in SECTIONS.values()})
    assert all(isinstance(keys, Keys) for keys in SECTIONS.values())
