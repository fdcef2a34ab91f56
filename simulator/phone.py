"""An iPhone with Wallet: takes a .pkpass only if a real one would, asks the shop's web service when it is pushed.

Implements the phone's side of the PassKit web service (wallet reference, A6) and its checks of a pass (A1, A5). What it
thinks of a server's mistakes is in `complaints`, and is sent to the server's log as a real one does.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

TIMEOUT_S = 10.0
PKPASS = "application/vnd.apple.pkpass"
REQUIRED = (
    "formatVersion",
    "passTypeIdentifier",
    "serialNumber",
    "teamIdentifier",
    "organizationName",
    "description",
    "storeCard",
)
FIXED = ("passTypeIdentifier", "serialNumber", "authenticationToken")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_CHARS_MIN = 16
UNCHANGED = "Server requested update to serial number '{}', but the pass was unchanged."
"""A real phone's words."""

GROUPS = ("headerFields", "primaryFields", "secondaryFields", "auxiliaryFields", "backFields")
_SUBJECT = re.compile(r"(UID|OU) ?= ?([^,/\n]+)")


class PassRefused(Exception):
    """Wallet would not take this pass. The text says why, which a real phone never does."""


@dataclass(frozen=True)
class CheckedPass:
    """A pass whose files, signature and identity are right."""

    content: dict[str, Any]
    pkpass: bytes = field(repr=False)

    @property
    def serial(self) -> str:
        return str(self.content["serialNumber"])

    @property
    def fields(self) -> dict[str, Any]:
        """Values by key, of all places."""
        card = self.content["storeCard"]
        return {one["key"]: one["value"] for group in GROUPS for one in card.get(group, ())}


@dataclass
class _Kept:
    """A card on the phone, and what it was fetched with."""

    card: CheckedPass
    token: str | None
    url: str | None
    modified: str | None = None


def check_pass(pkpass: bytes, ca_file: Path) -> CheckedPass:
    """Raises PassRefused."""
    try:
        with zipfile.ZipFile(io.BytesIO(pkpass)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files["manifest.json"])
        content = json.loads(files["pass.json"])
        signature = files["signature"]
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise PassRefused(f"not a pass: {type(error).__name__}") from error
    _check_manifest(files, manifest)
    missing = [key for key in REQUIRED if key not in content]
    if missing or content["formatVersion"] != 1:
        raise PassRefused(f"pass.json lacks {', '.join(missing) or 'formatVersion 1'}")
    if "icon.png" not in files:
        raise PassRefused("no icon.png")
    identity = _signed_by(files["manifest.json"], signature, ca_file)
    if identity.get("UID") != content["passTypeIdentifier"] or identity.get("OU") != content["teamIdentifier"]:
        raise PassRefused("The passTypeIdentifier or teamIdentifier provided may not match your certificate")
    _check_address(content)
    return CheckedPass(content, pkpass)


class Phone:
    """`library_id` is the phone's secret name in the shop, `push_token` its address at Apple. `shown`: what its owner
    sees, by serial."""

    def __init__(self, ca_file: Path, *, library_id: str, push_token: str) -> None:
        self.library_id = library_id
        self.push_token = push_token
        self.complaints: list[str] = []
        self.statuses: list[tuple[str, int]] = []
        self._ca_file = ca_file
        self._cards: dict[str, _Kept] = {}
        self._tag: dict[str, str] = {}
        self._lock = threading.RLock()
        self._session = requests.Session()

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {serial: kept.card.fields for serial, kept in self._cards.items()}

    def add(self, pkpass: bytes) -> str:
        """The owner taps «Добавить»; the serial. Raises PassRefused."""
        card = check_pass(pkpass, self._ca_file)
        token, url = card.content.get("authenticationToken"), card.content.get("webServiceURL")
        with self._lock:
            self._cards[card.serial] = _Kept(card, token, url)
            if url is not None:
                self.register(card.serial)
        return card.serial

    def register(self, serial: str) -> int:
        """As it does after adding, after a change of its push token, and whenever it likes."""
        with self._lock:
            body = {"pushToken": self.push_token}
            return self._ask("register", "POST", serial, self._registration(serial), json=body).status_code

    def remove(self, serial: str) -> int:
        with self._lock:
            status = self._ask("unregister", "DELETE", serial, self._registration(serial)).status_code
            del self._cards[serial]
            return status

    def pushed(self) -> None:
        """What follows a push: asks each of its shops which cards have changed, and fetches those."""
        with self._lock:
            asked = set()
            for kept in list(self._cards.values()):
                place = (kept.url, kept.card.content["passTypeIdentifier"])
                if kept.url is not None and place not in asked:
                    asked.add(place)
                    self._ask_for_changes(kept)

    def fetch(self, serial: str) -> int:
        """Asks for one card, as when its owner pulls it down; the status."""
        with self._lock:
            kept = self._cards[serial]
            type_id = kept.card.content["passTypeIdentifier"]
            headers = {} if kept.modified is None else {"If-Modified-Since": kept.modified}
            reply = self._ask("fetch", "GET", serial, f"/v1/passes/{type_id}/{serial}", headers=headers)
            if reply.status_code == 304:
                self._complain(kept, UNCHANGED.format(serial))
            if reply.status_code == 200:
                self._take(kept, reply)
            return reply.status_code

    def close(self) -> None:
        self._session.close()

    def _ask_for_changes(self, kept: _Kept) -> None:
        type_id = kept.card.content["passTypeIdentifier"]
        place = f"{kept.url} {type_id}"
        query = {"passesUpdatedSince": self._tag[place]} if place in self._tag else {}
        url = f"{kept.url}/v1/devices/{self.library_id}/registrations/{type_id}"
        reply = self._session.get(url, params=query, timeout=TIMEOUT_S)
        self.statuses.append(("list", reply.status_code))
        if reply.status_code != 200:
            return
        told = reply.json()
        if not isinstance(told.get("lastUpdated"), str):
            self._complain(kept, "lastUpdated is not a string")
            return
        for serial in told["serialNumbers"]:
            if serial in self._cards:
                self.fetch(serial)
            else:
                self._complain(kept, f"Server told of serial number '{serial}', which is not here.")
        self._tag[place] = told["lastUpdated"]

    def _take(self, kept: _Kept, reply: requests.Response) -> None:
        try:
            new = _update_of(kept.card, reply, self._ca_file)
        except PassRefused as refused:
            self._complain(kept, str(refused))
            return
        if new.pkpass == kept.card.pkpass:
            self._complain(kept, UNCHANGED.format(new.serial))
        kept.card, kept.url = new, new.content.get("webServiceURL")
        kept.modified = reply.headers.get("Last-Modified")

    def _registration(self, serial: str) -> str:
        type_id = self._cards[serial].card.content["passTypeIdentifier"]
        return f"/v1/devices/{self.library_id}/registrations/{type_id}/{serial}"

    def _ask(self, what: str, method: str, serial: str, path: str, **given: Any) -> requests.Response:
        kept = self._cards[serial]
        headers = {"Authorization": f"ApplePass {kept.token}", **given.pop("headers", {})}
        reply = self._session.request(method, f"{kept.url}{path}", headers=headers, timeout=TIMEOUT_S, **given)
        self.statuses.append((what, reply.status_code))
        return reply

    def _complain(self, kept: _Kept, text: str) -> None:
        self.complaints.append(text)
        self._session.post(f"{kept.url}/v1/log", json={"logs": [text]}, timeout=TIMEOUT_S)


def _update_of(old: CheckedPass, reply: requests.Response, ca_file: Path) -> CheckedPass:
    """Raises PassRefused."""
    if reply.headers["Content-Type"] != PKPASS:
        raise PassRefused(f"Content-Type {reply.headers['Content-Type']}")
    new = check_pass(reply.content, ca_file)
    changed = [key for key in FIXED if new.content.get(key) != old.content.get(key)]
    if changed:
        raise PassRefused(f"an update may not change {', '.join(changed)}")
    return new


def _check_manifest(files: dict[str, bytes], manifest: Any) -> None:
    listed = set(files) - {"manifest.json", "signature"}
    if not isinstance(manifest, dict) or set(manifest) != listed:
        raise PassRefused("the manifest names other files")
    wrong = [name for name in listed if hashlib.sha1(files[name], usedforsecurity=False).hexdigest() != manifest[name]]
    if wrong:
        raise PassRefused(f"the manifest's sums do not fit: {', '.join(sorted(wrong))}")


def _check_address(content: dict[str, Any]) -> None:
    url, token = content.get("webServiceURL"), content.get("authenticationToken")
    if url is None and token is None:
        return
    if not isinstance(url, str) or not isinstance(token, str) or len(token) < TOKEN_CHARS_MIN:
        raise PassRefused("webServiceURL and authenticationToken go together")
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in LOOPBACK:
        raise PassRefused("webServiceURL is not https")


def _signed_by(manifest: bytes, signature: bytes, ca_file: Path) -> dict[str, str]:
    """The signer's user id and unit. Raises PassRefused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest").write_bytes(manifest)
        (folder / "signature").write_bytes(signature)
        verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature"]
        verify += ["-content", "manifest", "-CAfile", str(ca_file.resolve()), "-purpose", "any"]
        verify += ["-signer", "signer.pem", "-out", "content"]
        if subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode != 0:
            raise PassRefused("Manifest signature did not verify successfully")
        show = ["openssl", "x509", "-in", "signer.pem", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb"]
        told = subprocess.run(show, cwd=folder, capture_output=True, check=False, encoding="utf-8").stdout
    return {key: value.strip() for key, value in _SUBJECT.findall(told.removeprefix("subject="))}
