"""One demo chain for all wallet tests (RSA keys are slow to make) and an independent judge: the openssl command."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from wallet.card import Card, CardDesign
from wallet.demo_chain import DemoChain, make_demo_chain
from wallet.signing import Signer

PASS_TYPE_ID = "pass.ru.sportgory.club"
TEAM_ID = "A1B2C3D4E5"

OpensslVerdict = Callable[[bytes, bytes], dict[str, int]]


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def chain(now: datetime) -> DemoChain:
    return make_demo_chain(pass_type_id=PASS_TYPE_ID, team_id=TEAM_ID, now=now)


@pytest.fixture(scope="session")
def foreign_chain(now: datetime) -> DemoChain:
    """Another chain with the very same names: only its keys differ."""
    return make_demo_chain(pass_type_id=PASS_TYPE_ID, team_id=TEAM_ID, now=now)


@pytest.fixture(scope="session")
def signer(chain: DemoChain, now: datetime) -> Signer:
    return Signer.from_pem(chain.certificate_pem, chain.key_pem, chain.wwdr_pem, now=now)


@pytest.fixture(scope="session")
def design() -> CardDesign:
    return CardDesign(
        programme_name="Клуб «Спорт и горы»",
        organization_name="Спорт и горы",
        description="Карта клуба «Спорт и горы»",
        back=(("Правила", "10 % баллами с каждой покупки"), ("Телефон", "+7 495 000-00-00")),
    )


@pytest.fixture(scope="session")
def card() -> Card:
    return Card(
        serial="kopilka-7700012345-0001",
        number="7700012345",
        member_name="Анна П.",
        segment_title="Стартовый",
        available_points=1240,
        pending_points=468,
        next_activation_on=date(2026, 3, 28),
        nearest_burn=(341, date(2026, 4, 2)),
        card_url="https://club.example.ru/c/7Q2M9X",
        authentication_token="0123456789abcdef",
        web_service_url="https://club.example.ru/passes",
    )


@pytest.fixture(scope="session")
def openssl(chain: DemoChain, tmp_path_factory: pytest.TempPathFactory) -> OpensslVerdict:
    """Exit codes of `openssl cms|smime -verify` for (content, signature) against the chain's root."""
    folder = tmp_path_factory.mktemp("openssl")
    (folder / "ca.pem").write_bytes(chain.ca_pem)

    def verdict(content: bytes, signature: bytes) -> dict[str, int]:
        (folder / "content").write_bytes(content)
        (folder / "signature").write_bytes(signature)
        return {command: _verify(command, folder) for command in ("cms", "smime")}

    return verdict


@pytest.fixture(scope="session")
def verify_pkpass(openssl: OpensslVerdict) -> Callable[[bytes], dict[str, int]]:
    def verdict(pkpass: bytes) -> dict[str, int]:
        files = unpack(pkpass)
        return openssl(files["manifest.json"], files["signature"])

    return verdict


@pytest.fixture(scope="session")
def unpacked() -> Callable[[bytes], dict[str, bytes]]:
    return unpack


def unpack(pkpass: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pkpass)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def _verify(command: str, folder: Path) -> int:
    arguments = ["-verify", "-binary", "-inform", "DER", "-in", "signature", "-content", "content", "-CAfile", "ca.pem"]
    return subprocess.run(
        ["openssl", command, *arguments], cwd=folder, capture_output=True, timeout=30, check=False
    ).returncode
