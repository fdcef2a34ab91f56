"""The .pkpass container: manifest and ZIP. Owns no content and no signature.

Implements Apple's "package, manifest, signature" (SHA-1 manifest of every file) and the stored method of PKWARE APPNOTE
4.3 (local header, central directory, end record). Same files give the same bytes: timestamps are fixed.
Written by hand because the standard `zipfile` sums every picture anew for each pass: 0.47 of the bare signature rate
instead of 0.65 (`benchmarks/passes.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wallet.errors import ImageError

CONTENT_NAME = "pass.json"
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "signature"
ICON_NAME = "icon.png"

MAX_IMAGE_BYTES = 2 * 1024 * 1024

_IMAGE_NAME = re.compile(r"(icon|logo|strip)(@[23]x)?\.png")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
_END_RECORD = struct.Struct("<4s4H2LH")
_ZIP_VERSION = 20
_DOS_TIME = 0
_DOS_DATE = 0x21  # 1980-01-01, the first day that a ZIP can name


@dataclass(frozen=True)
class _Region:
    """A run of ZIP entries and their directory, ready to be copied."""

    entries: bytes
    directory: bytes
    count: int


@dataclass(frozen=True)
class ImageBundle:
    """The pictures of a design, hashed and laid out once: a pass then costs one copy of them, not a hash.

    They come first in the archive, so their offsets never change.
    """

    files: Mapping[str, bytes]
    sha1: Mapping[str, str]
    region: _Region

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> ImageBundle:
        """Raises ImageError for a name that a store card does not know, for another format and for excess size."""
        for name, data in files.items():
            _check_image(name, data)
        ordered = {name: files[name] for name in sorted(files)}
        return cls(
            files=MappingProxyType(ordered),
            sha1=MappingProxyType({name: _sha1(data) for name, data in ordered.items()}),
            region=_region(ordered, offset=0),
        )

    def adding(self, name: str, data: bytes) -> ImageBundle:
        """A bundle with one file more (or replaced). Raises ImageError."""
        return ImageBundle.of({**self.files, name: data})


def manifest(images: ImageBundle, pass_json: bytes) -> bytes:
    """The manifest's JSON: file name -> SHA-1 in hex."""
    return json.dumps({**images.sha1, CONTENT_NAME: _sha1(pass_json)}, separators=(",", ":")).encode("ascii")


def package(images: ImageBundle, *, pass_json: bytes, manifest_json: bytes, signature: bytes) -> bytes:
    """The .pkpass bytes. Nothing is deflated: PNGs would win under 1 % for ten times the price of the signature."""
    pictures = images.region
    rest = _region(
        {CONTENT_NAME: pass_json, MANIFEST_NAME: manifest_json, SIGNATURE_NAME: signature}, offset=len(pictures.entries)
    )
    count = pictures.count + rest.count
    directory_size = len(pictures.directory) + len(rest.directory)
    directory_offset = len(pictures.entries) + len(rest.entries)
    end = _END_RECORD.pack(b"PK\x05\x06", 0, 0, count, count, directory_size, directory_offset, 0)
    return b"".join((pictures.entries, rest.entries, pictures.directory, rest.directory, end))


def _region(files: Mapping[str, bytes], *, offset: int) -> _Region:
    entries: list[bytes] = []
    directory: list[bytes] = []
    for text, data in files.items():
        name = text.encode("ascii")
        common = (0, 0, _DOS_TIME, _DOS_DATE, zlib.crc32(data), len(data), len(data), len(name))
        header = _LOCAL_HEADER.pack(b"PK\x03\x04", _ZIP_VERSION, *common, 0)
        entries += (header, name, data)
        directory += (
            _CENTRAL_HEADER.pack(b"PK\x01\x02", _ZIP_VERSION, _ZIP_VERSION, *common, 0, 0, 0, 0, 0, offset),
            name,
        )
        offset += len(header) + len(name) + len(data)
    return _Region(b"".join(entries), b"".join(directory), len(files))


def _check_image(name: str, data: bytes) -> None:
    if _IMAGE_NAME.fullmatch(name) is None:
        raise ImageError(f"картинка {name!r} карте не нужна: бывают icon, logo и strip, например strip@2x.png")
    if not data.startswith(_PNG_SIGNATURE):
        raise ImageError(f"картинка {name} не PNG: сохраните её в PNG")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageError(f"картинка {name} весит {len(data)} байт: уменьшите её до {MAX_IMAGE_BYTES}")


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


NO_IMAGES = ImageBundle.of({})
