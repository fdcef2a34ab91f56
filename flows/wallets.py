"""From the rules file to what makes cards: the design, Apple's signer, the Google issuer.

Where the owner has no certificate yet, a demo folder may stand in (setting DEMO_WALLET_DIR): its certificates are
self-made and every card they sign says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wallet.card import CardDesign
from wallet.google import GoogleSigner, resource_id
from wallet.signing import Signer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from config.model import AppleConfig, ProgrammeFile
    from config.settings import Settings
    from connector.google_wallet import GoogleWallet

DEMO_PASS_TYPE_ID = "pass.demo.kopilka"  # noqa: S105 - a name
DEMO_TEAM_ID = "DEMO000000"
DEMO_ISSUER_ID = "3388000000000000000"
DEMO_CLASS_SUFFIX = "kopilka-demo"
DEMO_FILES = ("ca.pem", "wwdr.pem", "pass.pem", "pass-key.pem", "google.json")


@dataclass(frozen=True)
class GoogleIdentity:
    """An issuer before its API is connected."""

    issuer_id: str
    class_suffix: str
    key_json: bytes = field(repr=False)

    def connected(self, api: GoogleWallet) -> Google:
        return Google(self.issuer_id, self.class_suffix, GoogleSigner.from_service_account_json(self.key_json), api)


@dataclass(frozen=True)
class Google:
    """An issuer, its signing key and its API."""

    issuer_id: str
    class_suffix: str
    signer: GoogleSigner
    api: GoogleWallet

    @property
    def class_id(self) -> str:
        return resource_id(self.issuer_id, self.class_suffix)

    def object_id(self, serial: str) -> str:
        return resource_id(self.issuer_id, f"{self.class_suffix}.{serial}")


def design_of(file: ProgrammeFile) -> CardDesign:
    """The owner's design of the card, pictures read. Raises DesignError, OSError."""
    card, programme = file.card, file.programme
    words = programme.point_words
    return CardDesign(
        programme_name=programme.name,
        organization_name=programme.name,
        description=f"Бонусная карта «{programme.name}»",
        background=card.background,
        text=card.text,
        label=card.label,
        barcode=card.barcode,
        notify_text=card.notify_text,
        back=card.back,
        images={f"{stem}.png": path.read_bytes() for stem, path in card.images.items()},
        point_words=(words.one, words.few, words.many),
    )


def signer_of(settings: Settings, file: ProgrammeFile, *, now: datetime) -> Signer | None:
    """The owner's signer, else the demo one, else None: then there are no Apple cards. Raises WalletError, OSError."""
    apple = file.card.apple
    if apple is not None:
        return _owners_signer(apple, now)
    if settings.demo_wallet_dir is None:
        return None
    folder = settings.demo_wallet_dir
    return Signer.from_pem(
        (folder / "pass.pem").read_bytes(),
        (folder / "pass-key.pem").read_bytes(),
        (folder / "wwdr.pem").read_bytes(),
        now=now,
    )


def google_identity(settings: Settings, file: ProgrammeFile) -> GoogleIdentity | None:
    """The owner's issuer, else the demo one, else None."""
    google = file.card.google
    if google is not None:
        return GoogleIdentity(google.issuer_id, google.class_suffix, google.key.read_bytes())
    if settings.demo_wallet_dir is None:
        return None
    return GoogleIdentity(DEMO_ISSUER_ID, DEMO_CLASS_SUFFIX, (settings.demo_wallet_dir / "google.json").read_bytes())


def _owners_signer(apple: AppleConfig, now: datetime) -> Signer:
    certificate = apple.certificate.read_bytes()
    password = None if apple.password is None else apple.password.get_secret_value()
    wwdr = _wwdr(apple.wwdr)
    if apple.certificate.suffix.lower() in (".p12", ".pfx"):
        signer = Signer.from_p12(certificate, password, wwdr, now=now)
    else:
        signer = Signer.from_pem(certificate, certificate, wwdr, password=password, now=now)
    signer.require_identity(pass_type_id=apple.pass_type_id, team_id=apple.team_id)
    return signer


def _wwdr(path: Path | None) -> bytes:
    if path is None:
        raise FileNotFoundError("card.apple.wwdr: укажите файл промежуточного сертификата Apple WWDR G4")
    return path.read_bytes()
