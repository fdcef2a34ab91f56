"""Keys of acquirers that sign with a certificate (RSA) and of Google (P-256): made at the first need and kept beside
the journal.

Owns the key files. They outlive a reset, so that a product that was given a certificate may keep it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

BITS = 2048
# Certificates of the simulator must outlive any jump of the virtual clock.
BORN = datetime(2020, 1, 1, tzinfo=UTC)
LIFE = timedelta(days=36_500)


class Keys:
    """Private keys by the acquirer's name. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._known: dict[str, rsa.RSAPrivateKey] = {}
        self._curves: dict[str, ec.EllipticCurvePrivateKey] = {}

    def sign(self, name: str, message: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        """RSA PKCS#1 v1.5."""
        return self._key(name).sign(message, padding.PKCS1v15(), algorithm)

    def certificate(self, name: str) -> str:
        """The self-signed certificate of a key, PEM."""
        key = self._key(name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (simulated)")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(BORN)
            .not_valid_after(BORN + LIFE)
            .sign(key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def curve(self, name: str) -> ec.EllipticCurvePrivateKey:
        """A key on the curve P-256."""
        with self._lock:
            if name not in self._curves:
                self._curves[name] = _kept_curve(self._directory / f"{name}.curve.pem")
            return self._curves[name]

    def _key(self, name: str) -> rsa.RSAPrivateKey:
        with self._lock:
            if name not in self._known:
                self._known[name] = self._kept(self._directory / f"{name}.key.pem")
            return self._known[name]

    @staticmethod
    def _kept(path: Path) -> rsa.RSAPrivateKey:
        if path.exists():
            kept = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if isinstance(kept, rsa.RSAPrivateKey):
                return kept
        key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.touch(mode=0o600)
        path.write_bytes(pem)
        return key


def _kept_curve(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        kept = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(kept, ec.EllipticCurvePrivateKey):
            return kept
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)
    return key
