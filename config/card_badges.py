"""The official buttons of Apple and Google on the card page: files of the owner's, shown as they are.

Both companies give their artwork to whoever issues cards and forbid redrawing it, so we ship none. Owns which files may
stand there; where they stand is the page's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.fields import FieldError
from config.masking import quote
from config.secret_fields import is_file
from config.section import Keys

if TYPE_CHECKING:
    from config.section import Section

BADGE_KEYS = Keys(("apple", "google", "apple_en", "google_en"))
MAX_BADGE_BYTES = 200 * 1024
KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"<svg": "image/svg+xml", b"<?xml": "image/svg+xml"}

_PATH_FIX = "проверьте путь: он считается от папки файла правил"
_FILE_FIX = "возьмите кнопку у Apple или Google как есть: SVG или PNG до 200 КБ"


def read_badges(card: Section, folder: Path) -> dict[str, Path]:
    """Files by the button's name."""
    section = card.sub("badges", BADGE_KEYS)
    if section is None:
        return {}
    found = {name: section.get(name, partial(_badge, folder=folder), None) for name in BADGE_KEYS.known}
    return {name: path for name, path in found.items() if path is not None}


def kind_of(content: bytes) -> str | None:
    """The media type of a button's file; None for what is neither SVG nor PNG."""
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for mark, kind in KINDS.items() if start.startswith(mark)), None)


def _badge(text: str, *, folder: Path) -> Path:
    path = (folder / text).absolute()
    if not is_file(path):
        raise FieldError("file-missing", f"файла {quote(text)} нет", _PATH_FIX)
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BADGE_BYTES else b""
    except OSError as error:
        raise FieldError(
            "file-missing", f"файл {quote(text)} не читается", "дайте программе право его читать"
        ) from error
    if kind_of(content) is None:
        raise FieldError("not-badge", f"{quote(text)} не кнопка: нужен SVG или PNG до 200 КБ", _FILE_FIX)
    return path
