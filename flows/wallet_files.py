"""The files behind the cards: which certificate signs and what opens it, read for a person who sets Wallet up.

Owns finding them, the owner's or the demo's, and reading them within limits. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.wallets import DEMO_PASS_TYPE_ID, DEMO_TEAM_ID
from wallet.certificates import is_p12_name, read_bundle, read_wwdr
from wallet.errors import CertificateUnreadableError
from wallet.signing import Signer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from config.model import AppleConfig
    from wallet.certificates import Bundle

MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class AppleFiles:
    """What signs. `path`: of the certificate as the rules name it; `pass_type_id` and `team_id` as the rules say."""

    path: Path
    data: bytes = field(repr=False)
    password: str | None = field(repr=False)
    wwdr: bytes | None = field(repr=False)
    pass_type_id: str
    team_id: str

    def bundle(self) -> Bundle:
        """Raises SigningError."""
        return read_bundle(self.data, self.password, name=self.path.name)

    def intermediate(self) -> x509.Certificate | None:
        """Raises CertificateUnreadableError."""
        return None if self.wwdr is None else read_wwdr(self.wwdr)

    def signer(self, now: datetime) -> Signer:
        """The very one that would sign. Raises SigningError."""
        if self.wwdr is None:
            raise CertificateUnreadableError(
                "нет промежуточного сертификата Apple WWDR: назовите его в card.apple.wwdr"
            )
        if is_p12_name(self.path.name):
            signer = Signer.from_p12(self.data, self.password, self.wwdr, now=now)
        else:
            signer = Signer.from_pem(self.data, self.data, self.wwdr, password=self.password, now=now)
        signer.require_identity(pass_type_id=self.pass_type_id, team_id=self.team_id)
        return signer


def owners_files(apple: AppleConfig) -> AppleFiles:
    """Raises OSError, CertificateUnreadableError."""
    return AppleFiles(
        path=apple.certificate,
        data=limited(apple.certificate),
        password=None if apple.password is None else apple.password.get_secret_value(),
        wwdr=None if apple.wwdr is None else limited(apple.wwdr),
        pass_type_id=apple.pass_type_id,
        team_id=apple.team_id,
    )


def demo_files(folder: Path) -> AppleFiles:
    """Raises OSError, CertificateUnreadableError."""
    return AppleFiles(
        path=folder / "pass.pem",
        data=limited(folder / "pass.pem") + limited(folder / "pass-key.pem"),
        password=None,
        wwdr=limited(folder / "wwdr.pem"),
        pass_type_id=DEMO_PASS_TYPE_ID,
        team_id=DEMO_TEAM_ID,
    )


def limited(path: Path) -> bytes:
    """Raises OSError, CertificateUnreadableError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise CertificateUnreadableError(f"файл {path.name} больше {MAX_FILE_BYTES // 1024} КБ: это не сертификат")
    return data
