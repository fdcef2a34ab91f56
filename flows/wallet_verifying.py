"""A card's file looked at by the independent check: reads the files a person names, within limits. Judges nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.wallet_files import limited
from wallet.verify import Verdict, verify_pass
from wallet.verify_chain import Trust, read_certificates
from wallet.verify_zip import MAX_PASS_BYTES

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["Verdict", "verify_file"]


def verify_file(path: Path, *, ca: Path | None, wwdr: Path | None, now: datetime) -> Verdict:
    """Raises OSError, CertificateUnreadableError of the certificates."""
    trust = Trust(
        roots=() if ca is None else read_certificates(limited(ca)),
        wwdr=None if wwdr is None else read_certificates(limited(wwdr))[0],
    )
    with path.open("rb") as file:
        data = file.read(MAX_PASS_BYTES + 1)
    return verify_pass(data, now=now, trust=trust)
