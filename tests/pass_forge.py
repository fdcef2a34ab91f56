"""A forger's workshop: takes a genuine card apart, spoils one thing, signs it anew, packs it with the standard library.

Its certificates are made here and not by `wallet.demo_chain`, so that each may be wrong in one thing.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from wallet.cms import CmsSigner
from wallet.verify_chain import Trust

PASS_TYPE_ID = "pass.ru.sportgory.club"
TEAM_ID = "A1B2C3D4E5"
PASS_EKU = ObjectIdentifier("1.2.840.113635.100.4.14")
PASS_TYPE_EXTENSION = ObjectIdentifier("1.2.840.113635.100.6.1.16")
YEAR = timedelta(days=365)

Content = dict[str, Any]


@dataclass(frozen=True)
class Leaf:
    """What a certificate says; each default is right."""

    pass_type_id: str = PASS_TYPE_ID
    team_id: str = TEAM_ID
    extension: str | None = PASS_TYPE_ID
    is_for_passes: bool = True
    may_sign: bool = True
    begins_days: int = -100
    ends_days: int = 300


@dataclass
class Authority:
    """A root and an intermediate that issue what they are asked to."""

    now: datetime
    name: str = "Forge"

    @cached_property
    def root_key(self) -> RSAPrivateKey:
        return new_key()

    @cached_property
    def wwdr_key(self) -> RSAPrivateKey:
        return new_key()

    @cached_property
    def leaf_key(self) -> RSAPrivateKey:
        return new_key()

    @cached_property
    def root(self) -> x509.Certificate:
        return self._ca("Root", self.root_key, "Root", self.root_key)

    @cached_property
    def wwdr(self) -> x509.Certificate:
        return self._ca("WWDR", self.wwdr_key, "Root", self.root_key)

    @property
    def trust(self) -> Trust:
        return Trust(roots=(self.root,))

    def leaf(self, wanted: Leaf) -> x509.Certificate:
        parts = [(NameOID.USER_ID, wanted.pass_type_id), (NameOID.COMMON_NAME, "Pass Type ID")]
        parts.append((NameOID.ORGANIZATIONAL_UNIT_NAME, wanted.team_id))
        builder = self._builder(x509.Name([x509.NameAttribute(*one) for one in parts]), self.leaf_key, "WWDR", wanted)
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([PASS_EKU] if wanted.is_for_passes else [])]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(usage(signs=wanted.may_sign), critical=True)
        if wanted.extension is not None:
            text = wanted.extension.encode()
            value = bytes((0x0C, len(text))) + text
            builder = builder.add_extension(x509.UnrecognizedExtension(PASS_TYPE_EXTENSION, value), critical=False)
        return builder.sign(self.wwdr_key, hashes.SHA256())

    def _ca(self, name: str, key: RSAPrivateKey, issuer: str, issuer_key: RSAPrivateKey) -> x509.Certificate:
        builder = self._builder(self._name(name), key, issuer, Leaf(begins_days=-2000, ends_days=3000))
        return (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage(signs=False, issues=True), critical=True)
            .sign(issuer_key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key: RSAPrivateKey, issuer: str, dates: Leaf) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + timedelta(days=dates.begins_days))
            .not_valid_after(self.now + timedelta(days=dates.ends_days))
        )

    def _name(self, role: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{self.name} {role}")])


@dataclass(frozen=True)
class Forged:
    """A card in pieces. `sign` makes the signature from the manifest; None: as a good one."""

    authority: Authority
    files: Mapping[str, bytes] = field(repr=False)
    leaf: Leaf = field(default_factory=Leaf)
    signed_after: timedelta = timedelta()

    def with_file(self, name: str, data: bytes) -> Forged:
        return replace(self, files={**self.files, name: data})

    def without(self, *names: str) -> Forged:
        return replace(self, files={name: data for name, data in self.files.items() if name not in names})

    def saying(self, change: Callable[[Content], object]) -> Forged:
        content = json.loads(self.files["pass.json"])
        change(content)
        return self.with_file("pass.json", json.dumps(content).encode())

    def manifest(self) -> bytes:
        listed = {name: hashlib.sha1(data).hexdigest() for name, data in self.files.items()}
        return json.dumps(listed, indent=1).encode()

    def signature(self, manifest: bytes) -> bytes:
        signer = CmsSigner.of(self.authority.leaf(self.leaf), self.authority.wwdr, self.authority.leaf_key)
        return signer.sign(manifest, signed_at=self.authority.now + self.signed_after)

    def sealed(self) -> dict[str, bytes]:
        """All files, the manifest and a signature over it."""
        manifest = self.manifest()
        return {**self.files, "manifest.json": manifest, "signature": self.signature(manifest)}

    def resealed(self, manifest: bytes) -> dict[str, bytes]:
        return {**self.files, "manifest.json": manifest, "signature": self.signature(manifest)}


def taken_apart(pkpass: bytes, authority: Authority) -> Forged:
    """A genuine card without its seal."""
    with zipfile.ZipFile(io.BytesIO(pkpass)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return Forged(authority, files).without("manifest.json", "signature")


def packed(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def openssl_signature(
    forged: Forged, manifest: bytes, folder: Path, *options: str, certfile: str = "wwdr.pem"
) -> bytes:
    """By the openssl command with these options, for what our own signer would never do."""
    key = forged.authority.leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    (folder / "leaf.pem").write_bytes(forged.authority.leaf(forged.leaf).public_bytes(Encoding.PEM))
    (folder / "other.pem").write_bytes(forged.authority.leaf(forged.leaf).public_bytes(Encoding.PEM))
    (folder / "wwdr.pem").write_bytes(forged.authority.wwdr.public_bytes(Encoding.PEM))
    (folder / "manifest").write_bytes(manifest)
    command = ["openssl", "cms", "-sign", "-binary", "-in", "manifest", "-signer", "leaf.pem", "-inkey", "key.pem"]
    command += ["-certfile", certfile, "-outform", "DER", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=True).stdout


def usage(*, signs: bool, issues: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not signs and not issues,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)
