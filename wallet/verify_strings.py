"""Translations of a card: folders xx.lproj with pass.strings. Owns their names, their encoding and their form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wallet.verdict import shown
from wallet.verify_images import is_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wallet.verdict import Faults

MAX_STRINGS_BYTES = 256 * 1024

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|Base|English|French|German|Italian|Spanish|Japanese|Dutch")
_PAIR = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*=\s*"((?:[^"\\]|\\.)*)"\s*;', re.DOTALL)
_GAP = re.compile(r"(?:\s+|/\*.*?\*/|//[^\n]*)*", re.DOTALL)
_TOP = frozenset({"pass.json", "manifest.json", "signature", "personalization.json"})


def check_strings(files: Mapping[str, bytes], faults: Faults) -> None:
    """Folders and files beside the pictures."""
    languages = set()
    for name in files:
        folder, _, rest = name.rpartition("/")
        if folder.endswith(".lproj") and "/" not in folder:
            languages.add(folder.removesuffix(".lproj"))
            if rest == "pass.strings":
                _check_table(name, files[name], faults)
                continue
        elif name in _TOP:
            continue
        if not is_image(name):
            mend = "проверьте имя или уберите файл"
            faults.warning("file-unknown", f"файла {shown(name)} Wallet не знает", mend)
    _check_languages(languages, faults)


def _check_languages(languages: Iterable[str], faults: Faults) -> None:
    names = sorted(languages)
    for name in names:
        if _LANGUAGE.fullmatch(name) is None:
            faults.error("language", f"языка {shown(name)} не бывает", "назовите папку, например, ru.lproj")
    if len(names) == 1:
        text = f"перевод только один ({shown(names[0])}): телефону другого языка достанется он же"
        faults.warning("language-one", text, "добавьте en.lproj или уберите переводы")


def _check_table(name: str, data: bytes, faults: Faults) -> None:
    if len(data) > MAX_STRINGS_BYTES:
        limit = f"{MAX_STRINGS_BYTES // 1024} КБ"
        faults.error("strings-big", f"{name} больше {limit}", "оставьте только переводы этой карты")
        return
    text = _decoded(data)
    if text is None:
        faults.error("strings-encoding", f"{name} не в UTF-16 и не в UTF-8", "сохраните в UTF-16 с меткой BOM")
        return
    pairs, rest_at = _pairs(text)
    if rest_at is not None:
        line = text.count("\n", 0, rest_at) + 1
        mend = 'нужно "ключ" = "перевод"; кавычки внутри пишут как \\"'
        faults.error("strings-form", f"{name}, строка {line}: не пара ключа и перевода", mend)
    elif not pairs:
        faults.warning("strings-empty", f"{name} пуст", "впишите переводы или уберите файл")
    if len({key for key, _ in pairs}) != len(pairs):
        faults.warning("strings-repeated", f"в {name} ключи повторяются", "оставьте по одному переводу")
    for key, value in pairs:
        if ("%@" in key) != ("%@" in value):
            text = f"{name}: в переводе «{shown(key)}» потеряно или лишнее %@"
            faults.error("strings-change", text, "оставьте %@ и в ключе, и в переводе: там новое значение")


def _decoded(data: bytes) -> str | None:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def _pairs(text: str) -> tuple[list[tuple[str, str]], int | None]:
    """The pairs, and where that begins which is none."""
    pairs: list[tuple[str, str]] = []
    at = 0
    while True:
        gap = _GAP.match(text, at)
        at = gap.end() if gap is not None else at
        if at == len(text):
            return pairs, None
        pair = _PAIR.match(text, at)
        if pair is None:
            return pairs, at
        pairs.append((pair[1], pair[2]))
        at = pair.end()
