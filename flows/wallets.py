"""From the rules file to what makes cards: the design, Apple's signer, the Google issuer.

Where the owner has no certificate yet, a demo folder may stand in (setting DEMO_WALLET_DIR): its certificates are
self-made and every card they sign says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config.settings import APNS
from wallet.card import CardDesign
from wallet.google import GoogleSigner, resource_id
from wallet.labels import labels_of
from wallet.signing import Signer

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import AppleConfig, CardLook, GoogleButton, ProgrammeFile
    from config.settings import Settings
    from connector.apns import Apns
    from connector.google_keys import RootKeys
    from connector.google_wallet import GoogleWallet

DEMO_PASS_TYPE_ID = "pass.demo.kopilka"  # noqa: S105 - a name
DEMO_TEAM_ID = "DEMO000000"
DEMO_ISSUER_ID = "3388000000000000000"
DEMO_CLASS_SUFFIX = "kopilka-demo"
DEMO_FILES = ("ca.pem", "wwdr.pem", "pass.pem", "pass-key.pem", "google.json")


PASSES_PATH = "/passes"
"""Where phones ask; they add `/v1/...` themselves."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class AppleUpdates:
    """How installed cards are kept up to date: where phones ask, and what makes them ask (None: nothing does)."""

    service_url: str
    push: Apns | None


@dataclass(frozen=True)
class GoogleIdentity:
    """An issuer before its API is connected."""

    issuer_id: str
    class_suffix: str
    key_json: bytes = field(repr=False)
    button: GoogleButton = "auto"
    is_published: bool = False


@dataclass(frozen=True)
class Google:
    """An issuer, its signing key and its API; `hurried` is the same API for somebody who waits for a page. `keys`
    vouch for callbacks, which come to `callback_url` (None: Google could not reach us). `country_code`: what the class
    says of itself."""

    identity: GoogleIdentity
    signer: GoogleSigner
    api: GoogleWallet
    hurried: GoogleWallet
    keys: RootKeys
    save_url: str
    callback_url: str | None
    country_code: str

    @property
    def issuer_id(self) -> str:
        return self.identity.issuer_id

    @property
    def class_suffix(self) -> str:
        return self.identity.class_suffix

    @property
    def class_id(self) -> str:
        return resource_id(self.issuer_id, self.class_suffix)

    def object_id(self, serial: str) -> str:
        return resource_id(self.issuer_id, f"{self.class_suffix}.{serial}")


def design_of(file: ProgrammeFile) -> CardDesign:
    """The owner's design of the card with those of the segments, pictures read. Raises DesignError, OSError."""
    card, programme = file.card, file.programme
    words = programme.point_words
    labels = labels_of(card.language)
    base = CardDesign(
        programme_name=programme.name,
        organization_name=programme.name,
        description=labels.description.format(programme.name),
        barcode=card.barcode,
        notify_text=card.notify_text,
        point_words=(words.one, words.few, words.many),
        language=card.language,
        front=card.front,
        show_name=card.show_name,
        places=tuple((one.lat, one.lon, one.text) for one in card.locations),
        **_look(card.look),
    )
    return replace(base, segments={code: replace(base, **_look(look)) for code, look in card.segments.items()})


def design_digest(design: CardDesign) -> str:
    """Of everything that the owner decides about the cards: another digest means that they must be refreshed."""
    return design.digest


def _look(look: CardLook) -> dict[str, Any]:
    """Pictures that are ready as they are, and those from which the wallet makes every size."""
    files = {name: path.read_bytes() for name, path in look.images.items()}
    kinds = [name.partition("@")[0] for name in files]
    sources = {name: data for name, data in files.items() if kinds.count(name) == 1}
    return {
        "background": look.background,
        "text": look.text,
        "label": look.label,
        "back": look.back,
        "offers": look.offers,
        "images": {f"{name}.png": data for name, data in files.items() if name not in sources},
        "sources": sources,
    }


def signer_of(settings: Settings, file: ProgrammeFile) -> Signer | None:
    """The owner's signer, else the demo one, else None: then there are no Apple cards. A certificate that has ended
    stops the cards (`apple_cards` asks before each), not the points: everything else goes on. Raises WalletError,
    OSError."""
    apple = file.card.apple
    if apple is not None:
        return _owners_signer(apple)
    if settings.demo_wallet_dir is None:
        return None
    folder = settings.demo_wallet_dir
    return Signer.from_pem(
        (folder / "pass.pem").read_bytes(),
        (folder / "pass-key.pem").read_bytes(),
        (folder / "wwdr.pem").read_bytes(),
        now=None,
    )


def apple_updates(settings: Settings, signer: Signer | None) -> AppleUpdates | None:
    """None where a phone could not ask us: it speaks https only, but for a simulated one on this machine. Apple itself
    is never shown a demo's certificate."""
    address = urlsplit(settings.public_url)
    if signer is None or not (address.scheme == "https" or address.hostname in LOOPBACK_HOSTS):
        return None
    is_official = settings.apns_url == APNS
    push = None
    if not (signer.is_demo and is_official):
        from connector.apns import Apns  # noqa: PLC0415 - its HTTP/2 takes a tenth of a second to load

        ca_file = None if is_official else settings.apns_ca_file
        push = Apns(signer.client_pem, topic=signer.pass_type_id, url=settings.apns_url, ca_file=ca_file)
    return AppleUpdates(f"{settings.public_url}{PASSES_PATH}", push)


def google_identity(settings: Settings, file: ProgrammeFile) -> GoogleIdentity | None:
    """The owner's issuer, else the demo one, else None."""
    google = file.card.google
    if google is not None:
        key_json = google.key.read_bytes()
        return GoogleIdentity(google.issuer_id, google.class_suffix, key_json, google.button, google.is_published)
    if settings.demo_wallet_dir is None:
        return None
    return GoogleIdentity(DEMO_ISSUER_ID, DEMO_CLASS_SUFFIX, (settings.demo_wallet_dir / "google.json").read_bytes())


def _owners_signer(apple: AppleConfig) -> Signer:
    certificate = apple.certificate.read_bytes()
    password = None if apple.password is None else apple.password.get_secret_value()
    wwdr = _wwdr(apple.wwdr)
    if apple.certificate.suffix.lower() in (".p12", ".pfx"):
        signer = Signer.from_p12(certificate, password, wwdr, now=None)
    else:
        signer = Signer.from_pem(certificate, certificate, wwdr, password=password, now=None)
    signer.require_identity(pass_type_id=apple.pass_type_id, team_id=apple.team_id)
    return signer


def _wwdr(path: Path | None) -> bytes:
    if path is None:
        raise FileNotFoundError("card.apple.wwdr: укажите файл промежуточного сертификата Apple WWDR G4")
    return path.read_bytes()
