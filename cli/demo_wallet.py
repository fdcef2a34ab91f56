"""The demo's own certificates: a self-made Apple-shaped chain and a Google service account that Google never saw."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from flows.wallets import DEMO_FILES, DEMO_PASS_TYPE_ID, DEMO_TEAM_ID
from wallet.demo_chain import RSA_KEY_BITS, make_demo_chain

if TYPE_CHECKING:
    from pathlib import Path

RSA_EXPONENT = 65_537
EMAIL = "demo@kopilka-demo.iam.gserviceaccount.com"


def make_wallet_folder(folder: Path, *, rsa_bits: int = RSA_KEY_BITS) -> Path:
    """Fills the folder once; keys are for this user only."""
    if all((folder / name).is_file() for name in DEMO_FILES):
        return folder
    folder.mkdir(exist_ok=True)
    chain = make_demo_chain(
        pass_type_id=DEMO_PASS_TYPE_ID, team_id=DEMO_TEAM_ID, now=datetime.now(UTC), rsa_bits=rsa_bits
    )
    (folder / "ca.pem").write_bytes(chain.ca_pem)
    (folder / "wwdr.pem").write_bytes(chain.wwdr_pem)
    (folder / "pass.pem").write_bytes(chain.certificate_pem)
    _write_secret(folder / "pass-key.pem", chain.key_pem)
    _write_secret(folder / "google.json", _service_account(rsa_bits))
    return folder


def _service_account(rsa_bits: int) -> bytes:
    key = generate_private_key(public_exponent=RSA_EXPONENT, key_size=rsa_bits)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "client_email": EMAIL,
        "private_key": pem,
        "private_key_id": "demo",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(account).encode()


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
