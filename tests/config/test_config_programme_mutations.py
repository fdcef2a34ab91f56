"""A rules file with one thing broken: there is always a result, and a secret is in no part of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.programme import CheckResult, ProgrammeInvalid, check_programme, load_programme

SHOP = (Path(__file__).parent / "golden/shop.yaml").read_text(encoding="utf-8")
CANARY = "live_" + "Kx9fQ2mZ7LpR4tVw8sYc3nBd"
WEAK_CANARY = "zebra-zebra"


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "programme.yaml"


def shown(path: Path, content: str) -> tuple[CheckResult, str]:
    path.write_bytes(content.encode("utf-8", "replace"))
    result = check_programme(path, {}, secrets_required=True)
    try:
        load_programme(path, {})
        raised = ""
    except ProgrammeInvalid as error:
        raised = f"{error}{error!r}"
    return result, "\n".join([result.render(), json.dumps(result.to_data(), ensure_ascii=False), repr(result), raised])


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_small_change_gives_a_result_and_never_an_exception(file: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(SHOP) - 1))
    cut = data.draw(st.integers(0, 3))
    inserted = data.draw(st.text(alphabet=" \t\n:-{}[]#&*!%'\"0aй\x1b\u2028", max_size=2))

    result, _ = shown(file, SHOP[:position] + inserted + SHOP[position + cut :])

    assert result.errors
    assert result.programme_file is None


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_lines_may_be_lost_or_swapped(file: Path, data: st.DataObject) -> None:
    rows = SHOP.splitlines(keepends=True)
    first, second = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(rows) - 1))
    rows[first], rows[second] = rows[second], rows[first]
    del rows[data.draw(st.integers(0, len(rows) - 1))]

    result, text = shown(file, "".join(rows))

    assert text
    assert result.errors


REFERENCES = ["env:YOOKASSA_SHOP_ID", "env:YOOKASSA_SECRET", "env:TBANK_TERMINAL", "env:TBANK_PASSWORD"]
REFERENCES += ["env:AMOCRM_CLIENT_ID", "env:AMOCRM_CLIENT_SECRET"]


@pytest.mark.parametrize("form", ["{}", '"{}"', "'{}'", "env:{}", "[{}]", "{{x: {}}}", "\n      {}", "!t {}", "&a {}"])
@pytest.mark.parametrize("canary", [CANARY, WEAK_CANARY])
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_literal_secret_is_shown_nowhere(file: Path, reference: str, canary: str, form: str) -> None:
    literal = form.format(canary)

    result, text = shown(file, SHOP.replace(reference, literal))

    assert result.errors
    assert canary not in text


@pytest.mark.parametrize(
    "breakage", [("  rate", "\trate"), ("version: 1", "version: {"), ("segments:", "segments: *x")]
)
@pytest.mark.parametrize("canary", [CANARY, WEAK_CANARY])
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_literal_secret_is_not_shown_when_the_yaml_is_broken(
    file: Path, reference: str, canary: str, breakage: tuple[str, str]
) -> None:
    _, text = shown(file, SHOP.replace(reference, canary).replace(*breakage))

    assert canary not in text


@pytest.mark.parametrize("opening", ["", " |", " >-"])
def test_a_secret_on_the_line_after_its_name_is_not_shown_when_the_yaml_is_broken(file: Path, opening: str) -> None:
    broken = f"client_secret:{opening}\n      {WEAK_CANARY}\n\tx: 1"

    result, text = shown(file, SHOP.replace("client_secret: env:AMOCRM_CLIENT_SECRET", broken))

    assert result.errors
    assert WEAK_CANARY not in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("client_secret: env:AMOCRM_CLIENT_SECRET", "client_secret: >-\n      {0}\n      {0}"),
        ("client_secret: env:AMOCRM_CLIENT_SECRET", "pasword: {0}"),
        ("secret: env:YOOKASSA_SECRET", "secet_key: {0}"),
        ("{{provider: tbank,", "{{{0}: tbank,"),
        ("acquirers:", "acquirers:\n  - {0}"),
        ("  account: sportgory", "  account: {0}"),
        ("provider: tbank", "provider: {0}"),
        ("version: 1", "version: 1\n{0}: {0}"),
        ("version: 1", "version: 1  # {0}\nversion: 1"),
        ("version: 1", 'version: 1\n"{0}": 1\n"{0}": 2'),
        ("Europe/Moscow", "{0}"),
    ],
)
def test_a_secret_in_a_strange_place_is_shown_nowhere(file: Path, old: str, new: str) -> None:
    _, text = shown(file, SHOP.replace(old.format(), new.format(CANARY)))

    assert CANARY in file.read_text()
    assert CANARY not in text


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_secret_survives_no_mutation_of_the_file(file: Path, data: st.DataObject) -> None:
    text = SHOP.replace(data.draw(st.sampled_from(REFERENCES)), CANARY)
    position = data.draw(st.integers(0, len(text) - 1))
    inserted = data.draw(st.text(alphabet=" \t\n:-{}[]#&*!%'\"", max_size=2))

    _, printed = shown(file, text[:position] + inserted + text[position + data.draw(st.integers(0, 2)) :])

    assert CANARY not in printed
