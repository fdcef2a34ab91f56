"""A rules file that is right, and a way to check a changed copy of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from config.programme import CheckResult, check_programme

GOLDEN = Path(__file__).parent / "golden"
SHOWN_PATH = Path("config/programme.yaml")

Check = Callable[..., CheckResult]


@pytest.fixture(scope="session")
def shop_text() -> str:
    return (GOLDEN / "shop.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shop_env() -> dict[str, str]:
    return {
        "AMOCRM_CLIENT_ID": "integration-id",
        "AMOCRM_CLIENT_SECRET": "integration-secret",
        "YOOKASSA_SHOP_ID": "123456",
        "YOOKASSA_SECRET": "bank-secret",
        "TBANK_TERMINAL": "terminal-key",
        "TBANK_PASSWORD": "terminal-password",
    }


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop_env: dict[str, str]) -> Check:
    monkeypatch.chdir(tmp_path)
    SHOWN_PATH.parent.mkdir()

    def run(
        content: str | bytes, env: Mapping[str, str] | None = None, *, secrets_required: bool = True
    ) -> CheckResult:
        SHOWN_PATH.write_bytes(content if isinstance(content, bytes) else content.encode())
        return check_programme(SHOWN_PATH, shop_env if env is None else env, secrets_required=secrets_required)

    return run


@pytest.fixture
def changed(shop_text: str) -> Callable[..., str]:
    """The right file with pairs of (old, new) replaced; an `old` that is not there is the test's own mistake."""

    def change(*pairs: tuple[str, str]) -> str:
        text = shop_text
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    return change
