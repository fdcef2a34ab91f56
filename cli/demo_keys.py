"""Keys of the demo: made once for its folder, in a file for this user only. Owns the file."""

from __future__ import annotations

import base64
import json
import os
import secrets
from typing import TYPE_CHECKING

from cli import demo_banks

if TYPE_CHECKING:
    from pathlib import Path

FILE = "secrets.json"
SECRET_BYTES = 32


def keys_of(folder: Path) -> dict[str, str]:
    """The folder's keys. Those that an older demo did not know yet are added, none is changed."""
    path = folder / FILE
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    keys = {**_new_keys(), **kept}
    if keys.keys() != kept.keys():
        _write(path, json.dumps(keys))
    return keys


def _new_keys() -> dict[str, str]:
    return {
        "secret_key": base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
        "client_id": "5c1f0f3a-9a54-4c1e-8f0e-2f0a4f0d7e11",
        "client_secret": secrets.token_urlsafe(SECRET_BYTES),
        "crm_token": secrets.token_urlsafe(SECRET_BYTES),
        "subdomain": "sportgory",
        **demo_banks.new_keys(),
    }


def _write(path: Path, content: str) -> None:
    """Whole or not at all: without the old keys the folder's database cannot be read."""
    partial = path.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    partial.replace(path)
