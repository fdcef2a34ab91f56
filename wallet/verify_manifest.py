"""The manifest against the files: all of them, only them, and their SHA-1. Owns nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wallet.verdict import shown
from wallet.verify_json import read_json

if TYPE_CHECKING:
    from wallet.verdict import Faults
    from wallet.verify_zip import Archive

MANIFEST = "manifest.json"
SIGNATURE = "signature"
_APART = (MANIFEST, SIGNATURE)


def check_manifest(archive: Archive, faults: Faults) -> None:
    files = archive.files
    if archive.has(MANIFEST) and MANIFEST not in files:
        return
    if MANIFEST not in files:
        faults.error("manifest-missing", "в карте нет manifest.json", "соберите карту заново: манифест обязателен")
        return
    listed = read_json(files[MANIFEST], MANIFEST, faults)
    if listed is None:
        return
    for name, digest in listed.items():
        _check_line(name, digest, archive, faults)
    for name in files:
        if name not in listed and name not in _APART:
            text = f"файла {shown(name)} нет в манифесте: подпись его не защищает"
            faults.error("file-unlisted", text, "допишите его в манифест и подпишите заново или уберите из архива")


def _check_line(name: str, digest: object, archive: Archive, faults: Faults) -> None:
    if name in _APART:
        faults.error("manifest-itself", f"манифест перечисляет {name}", "уберите из него manifest.json и signature")
    elif name in archive.unread:
        return
    elif name not in archive.files:
        text = f"файл {shown(name)} есть в манифесте, но не в архиве"
        faults.error("file-absent", text, "верните файл или уберите строку и подпишите заново")
    elif not isinstance(digest, str):
        faults.error(
            "manifest-form", f"сумма файла {shown(name)} не строка", "запишите SHA-1 шестнадцатеричной строкой"
        )
    elif digest.casefold() != hashlib.sha1(archive.files[name], usedforsecurity=False).hexdigest():
        text = f"сумма SHA-1 файла {shown(name)} не та: файл меняли после подписи"
        faults.error("hash-wrong", text, "пересчитайте манифест и подпишите заново")
