"""Two rules files that are right, one of them with every key, and a way to check a changed copy of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from config.model import ProgrammeFile
from config.programme import CheckResult, check_programme

GOLDEN = Path(__file__).parent / "golden"
FULL = (GOLDEN / "full.yaml").read_text(encoding="utf-8")
PICTURES = {"icon.png": (114, 114), "logo.png": (480, 150), "strip.png": (1125, 432)}
SHOWN_PATH = Path("config/programme.yaml")

Check = Callable[..., CheckResult]
Read = Callable[..., ProgrammeFile]


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
        "CASHIER_CODE": "407193",
    }


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop_env: dict[str, str]) -> Check:
    monkeypatch.chdir(tmp_path)
    SHOWN_PATH.parent.mkdir()

    def run(
        content: str | bytes,
        env: Mapping[str, str] | None = None,
        *,
        secrets_required: bool = True,
        now: datetime | None = None,
    ) -> CheckResult:
        SHOWN_PATH.write_bytes(content if isinstance(content, bytes) else content.encode())
        given = shop_env if env is None else env
        return check_programme(SHOWN_PATH, given, secrets_required=secrets_required, now=now)

    return run


@pytest.fixture(scope="session")
def full_text() -> str:
    """A right file that holds every key."""
    return FULL


@pytest.fixture
def read(check: Check, shop_env: dict[str, str], tmp_path: Path) -> Read:
    env = shop_env | {"REDEEM_PIN": "407193", "MAIL_PASSWORD": "post", "PASS_P12_PASSWORD": "pass", "BANK": "word"}
    (tmp_path / "config" / "a.png").write_bytes(b"-")
    for name, size in PICTURES.items():
        Image.new("RGB", size).save(tmp_path / "config" / name)
    (tmp_path / "config" / "robokassa.pem").write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")

    def run(text: str = FULL) -> ProgrammeFile:
        """A file without any problem."""
        result = check(text, env)
        assert result.problems == (), result.render()
        assert result.programme_file is not None
        return result.programme_file

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
