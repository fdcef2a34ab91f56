"""Every way in which a card can fail to be built. Owns the exception tree only.

Messages are Russian because owners and operators read them; `code` is the stable English name for programs.
"""

from __future__ import annotations

from typing import ClassVar


class WalletError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "wallet-error"


class DesignError(WalletError):
    """The owner's design of the card breaks a rule."""

    code = "wallet-design"


class ColourError(DesignError):
    """A colour is neither #RRGGBB nor rgb(r, g, b)."""

    code = "wallet-colour"


class ImageError(DesignError):
    """A picture has a name that a store card does not know, is not a PNG, is too big or is missing."""

    code = "wallet-image"


class PassError(WalletError):
    """The content of an Apple pass breaks a rule of the format."""

    code = "wallet-pass"


class FieldError(PassError):
    """One field is wrong in itself."""

    code = "wallet-field"


class LayoutError(PassError):
    """Fields do not fit together: too many of them, a repeated key, a field in the wrong place."""

    code = "wallet-layout"


class BarcodeError(PassError):
    """A barcode's message is empty or its encoding cannot hold it."""

    code = "wallet-barcode"


class LocationError(PassError):
    """A place is outside the globe or there are too many places."""

    code = "wallet-location"


class WebServiceError(PassError):
    """The update address and its token do not make a pair that Wallet accepts."""

    code = "wallet-web-service"


class SigningError(WalletError):
    """The certificate, its key or the intermediate cannot sign passes."""

    code = "wallet-signing"


class CertificateUnreadableError(SigningError):
    """The bytes are not a certificate or a .p12."""

    code = "wallet-certificate-unreadable"


class KeyUnreadableError(SigningError):
    """The private key cannot be read or is not RSA."""

    code = "wallet-key-unreadable"


class PasswordError(SigningError):
    """The password does not open the key or the .p12."""

    code = "wallet-password"


class KeyMismatchError(SigningError):
    """The private key belongs to another certificate."""

    code = "wallet-key-mismatch"


class IssuerMismatchError(SigningError):
    """The given intermediate did not issue the certificate."""

    code = "wallet-issuer-mismatch"


class CertificateExpiredError(SigningError):
    """The certificate or the intermediate is past its last day."""

    code = "wallet-certificate-expired"


class CertificateNotYetValidError(SigningError):
    """The certificate or the intermediate begins later than now."""

    code = "wallet-certificate-not-yet-valid"


class NotAPassCertificateError(SigningError):
    """A certificate of another kind: it names no pass type or no team."""

    code = "wallet-not-a-pass-certificate"


class PassTypeMismatchError(SigningError):
    """The certificate is for another pass type."""

    code = "wallet-pass-type"


class TeamMismatchError(SigningError):
    """The certificate is of another team."""

    code = "wallet-team-mismatch"


class GoogleError(WalletError):
    """Something of the Google card is wrong."""

    code = "wallet-google"


class GoogleKeyError(GoogleError):
    """The service account's key file cannot be used."""

    code = "wallet-google-key"


class GoogleLimitError(GoogleError):
    """A value is longer or larger than Google accepts."""

    code = "wallet-google-limit"


class ForgedCallbackError(GoogleError):
    """A callback that does not prove to be Google's, or no longer."""

    code = "wallet-google-callback"


class UnknownSignerError(ForgedCallbackError):
    """None of the root keys at hand has signed it."""

    code = "wallet-google-signer"


class QrError(WalletError):
    """The text does not fit into a QR code."""

    code = "wallet-qr"
