"""Is this .pkpass one that a phone would take? An independent answer with every fault named.

Shares nothing with the builder (`passes`, `archive`, `signing`, `cms`, `card*`): it reads ZIP, manifest, PKCS#7, JSON
and PNG by itself and asks the `openssl` command besides. Bytes in, faults out; nothing in the bytes makes it raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wallet import openssl
from wallet.verdict import Faults
from wallet.verify_chain import Trust, check_chain, check_names
from wallet.verify_fields import STYLES
from wallet.verify_images import check_images
from wallet.verify_manifest import MANIFEST, SIGNATURE, check_manifest
from wallet.verify_pass_json import PASS, check_pass_json
from wallet.verify_signature import check_signature
from wallet.verify_strings import check_strings
from wallet.verify_zip import read_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from wallet.openssl import Judgement
    from wallet.verdict import Fault
    from wallet.verify_signature import Signed
    from wallet.verify_zip import Archive

    Judge = Callable[..., Judgement]

_SEAL_CODES = ("signature", "signer", "wwdr", "chain", "manifest-missing")
"""Faults of our own reading that explain why openssl refuses too."""


@dataclass(frozen=True)
class Verdict:
    """`faults` in the order of the look: archive, manifest, content, pictures, signature. The rest is for people."""

    faults: tuple[Fault, ...]
    files: int
    serial: str
    pass_type_id: str
    team_id: str
    signed_at: datetime | None
    valid_until: datetime | None
    openssl: str

    @property
    def is_good(self) -> bool:
        return not any(fault.level == "error" for fault in self.faults)


def verify_pass(data: bytes, *, now: datetime, trust: Trust | None = None, judge: Judge = openssl.judge) -> Verdict:
    """Everything that is wrong with these bytes. `judge`: who confirms the signature, the openssl command."""
    trust, faults = trust or Trust(), Faults()
    archive = read_zip(data, faults)
    files = archive.files
    content: dict[str, Any] | None = None
    signed: Signed | None = None
    if not faults.found or files:
        check_manifest(archive, faults)
        content = _content(archive, faults)
        check_images(files, _style(content), faults)
        check_strings(files, faults)
        signed = _seal(archive, content, trust, now=now, faults=faults)
    judged = _judged(files, trust, judge, faults)
    return _verdict(faults, files, content or {}, signed, judged)


def _content(archive: Archive, faults: Faults) -> dict[str, Any] | None:
    if PASS in archive.files:
        return check_pass_json(archive.files[PASS], faults)
    if not archive.has(PASS):
        faults.error("pass-missing", "в архиве нет pass.json", "положите его в корень архива")
    return None


def _style(content: dict[str, Any] | None) -> str:
    return next((name for name in STYLES if name in (content or {})), "")


def _seal(
    archive: Archive, content: dict[str, Any] | None, trust: Trust, *, now: datetime, faults: Faults
) -> Signed | None:
    files = archive.files
    if not archive.has(SIGNATURE):
        faults.error("signature-missing", "в карте нет файла signature", "подпишите манифест сертификатом карты")
        return None
    if MANIFEST not in files or SIGNATURE not in files:
        return None
    signed = check_signature(files[MANIFEST], files[SIGNATURE], faults)
    if signed is not None:
        check_chain(signed, trust, now=now, faults=faults)
        if signed.certificate is not None and content is not None:
            check_names(content, signed.certificate, faults)
    return signed


def _judged(files: Mapping[str, bytes], trust: Trust, judge: Judge, faults: Faults) -> str:
    """openssl's own verdict. Where it agrees with a fault that is already named, nothing is added."""
    if SIGNATURE not in files or MANIFEST not in files:
        return "not-asked"
    found = judge(files[MANIFEST], files[SIGNATURE], ca_pem=trust.ca_pem())
    if found.verdict == "refused" and not faults.has_error(*_SEAL_CODES):
        faults.error("openssl-refused", f"openssl не принял подпись: {found.text}", "подпишите карту заново")
    elif found.verdict == "absent":
        text = "команды openssl нет: подпись проверена только нашими средствами"
        faults.warning("openssl-absent", text, "установите openssl и повторите")
    elif found.verdict == "unable":
        text = f"openssl не смог проверить подпись: {found.text}"
        faults.warning("openssl-unable", text, "установите OpenSSL 1.1.1 или новее и повторите")
    return found.verdict


def _verdict(
    faults: Faults, files: Mapping[str, bytes], content: dict[str, Any], signed: Signed | None, judged: str
) -> Verdict:
    certificate = None if signed is None else signed.certificate
    return Verdict(
        faults=tuple(faults.found),
        files=len(files),
        serial=str(content.get("serialNumber", "")),
        pass_type_id=str(content.get("passTypeIdentifier", "")),
        team_id=str(content.get("teamIdentifier", "")),
        signed_at=None if signed is None else signed.signed_at,
        valid_until=None if certificate is None else certificate.not_valid_after_utc,
        openssl=judged,
    )
