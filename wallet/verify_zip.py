"""Reading a .pkpass as a suspicious stranger: the ZIP's own structure, names, sizes and sums. Owns the limits.

Implements the reading half of PKWARE APPNOTE 4.3 (stored and deflated entries) and shares nothing with the writer
(`wallet.archive`). The standard `zipfile` forgives too much: it takes the second of two equal names, cuts a name at a
zero byte and reads what lies under another entry.
"""

from __future__ import annotations

import re
import stat
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wallet.verdict import shown

if TYPE_CHECKING:
    from wallet.verdict import Faults

MAX_PASS_BYTES = 32 * 1024 * 1024
MAX_ENTRIES = 500
MAX_ENTRY_BYTES = 16 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_NAME_BYTES = 255

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_MARK, _CENTRAL_MARK, _LOCAL_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_COMMENT_MAX_BYTES = 0xFFFF
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 1, 1 << 3, 1 << 11
_DRIVE = re.compile(r"[A-Za-z]:")
_REBUILD = "соберите архив заново: обычный ZIP из файлов карты"


class BrokenZip(Exception):
    """The structure is so wrong that nothing can be read: (code, text, mend)."""


@dataclass(frozen=True)
class _Entry:
    """What the central directory says of a file. `offset`: of its local header, in bytes."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/") and self.size == 0


@dataclass(frozen=True)
class Archive:
    """The files by name, without folders. `unread`: names of those that are there but cannot be read."""

    files: dict[str, bytes] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def has(self, name: str) -> bool:
        return name in self.files or name in self.unread


def read_zip(data: bytes, faults: Faults) -> Archive:
    """Never raises for bad bytes: what is wrong is named."""
    try:
        entries = _entries(data)
        _check_sizes(entries)
    except BrokenZip as failure:
        faults.error(*failure.args)
        return Archive()
    _check_overlap(data, entries, faults)
    files: dict[str, bytes] = {}
    unread = set()
    for entry in entries:
        _check_name(entry, faults)
        if entry.name in files:
            faults.error("zip-duplicate", f"файл {shown(entry.name)} в архиве не один", "оставьте один")
        elif not entry.is_folder:
            content = _content(data, entry, faults)
            if content is None:
                unread.add(entry.name)
            else:
                files[entry.name] = content
    return _without_parent(Archive(files, frozenset(unread)), faults)


def _entries(data: bytes) -> list[_Entry]:
    if not data:
        raise BrokenZip("empty", "файл пуст", "скачайте или соберите карту заново")
    if len(data) > MAX_PASS_BYTES:
        limit = f"{MAX_PASS_BYTES // 1024 // 1024} МБ"
        raise BrokenZip("too-big", f"файл больше {limit}", "уменьшите картинки: карте хватает сотен килобайт")
    end_at = data.rfind(_END_MARK, max(0, len(data) - _END.size - _COMMENT_MAX_BYTES))
    if end_at < 0 or end_at + _END.size > len(data):
        if data.startswith(_LOCAL_MARK):
            raise BrokenZip("zip-truncated", "архив обрывается: нет его конца", "скачайте файл целиком")
        raise BrokenZip(
            "not-zip", "это не архив ZIP", "карта .pkpass это ZIP: возьмите файл карты, а не страницу о ней"
        )
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, end_at)
    if end_at + _END.size + comment != len(data):
        raise BrokenZip("zip-form", "после конца архива лишние байты или он оборван", _REBUILD)
    if disk or first_disk or here != count or offset + size != end_at:
        raise BrokenZip("zip-form", "оглавление архива не на своём месте", _REBUILD)
    if count > MAX_ENTRIES:
        raise BrokenZip("zip-entries", f"в архиве файлов: {count}, предел {MAX_ENTRIES}", "оставьте только файлы карты")
    return _directory(data[offset:end_at], count)


def _directory(data: bytes, count: int) -> list[_Entry]:
    entries, at = [], 0
    for _ in range(count):
        if at + _CENTRAL.size > len(data):
            raise BrokenZip("zip-form", "оглавление архива обрывается", _REBUILD)
        row = _CENTRAL.unpack_from(data, at)
        mark, flags, method, crc, packed, size = row[0], row[3], row[4], row[7], row[8], row[9]
        name_bytes, extra, comment, mode, offset = row[10], row[11], row[12], row[15] >> 16, row[16]
        raw = data[at + _CENTRAL.size : at + _CENTRAL.size + name_bytes]
        at += _CENTRAL.size + name_bytes + extra + comment
        if mark != _CENTRAL_MARK or at > len(data):
            raise BrokenZip("zip-form", "оглавление архива испорчено", _REBUILD)
        entries.append(_Entry(_name(raw, flags), raw, flags, method, crc, packed, size, offset, mode))
    if at != len(data):
        raise BrokenZip("zip-form", "в оглавлении архива лишние байты", _REBUILD)
    return entries


def _name(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        return raw.decode("utf-8", errors="replace")


def _check_sizes(entries: list[_Entry]) -> None:
    total = sum(entry.size for entry in entries)
    if total > MAX_UNPACKED_BYTES or any(entry.size > MAX_ENTRY_BYTES for entry in entries):
        text = f"в распакованном виде файлы займут {total // 1024} КБ: так делают архивы-бомбы"
        raise BrokenZip("zip-bomb", text, "уменьшите картинки: карте хватает сотен килобайт")


def _check_overlap(data: bytes, entries: list[_Entry], faults: Faults) -> None:
    """Two entries over the same bytes: a bomb, or a file that hides another."""
    end = 0
    for entry in sorted(entries, key=lambda one: one.offset):
        if entry.offset < end:
            faults.error("zip-overlap", f"файл {shown(entry.name)} лежит поверх другого", _REBUILD)
        if entry.offset + _LOCAL.size <= len(data):
            row = _LOCAL.unpack_from(data, entry.offset)
            end = entry.offset + _LOCAL.size + row[9] + row[10] + entry.packed


def _check_name(entry: _Entry, faults: Faults) -> None:
    name = entry.name
    parts = name.removesuffix("/").split("/")
    is_rooted = name.startswith("/") or _DRIVE.match(name) is not None
    if is_rooted or "\\" in name or "\x00" in name or any(part in ("", ".", "..") for part in parts):
        faults.error(
            "zip-path", f"имя {shown(name)} ведёт за пределы архива", "назовите файл просто, например icon.png"
        )
    if len(entry.raw_name) > MAX_NAME_BYTES:
        faults.error("zip-path", f"имя {shown(name)} слишком длинное", f"уложите имя в {MAX_NAME_BYTES} байт")
    if stat.S_ISLNK(entry.mode):
        faults.error("zip-link", f"{shown(name)} это ссылка на другой файл", "положите в архив сам файл")
    if entry.flags & _ENCRYPTED:
        faults.error("zip-encrypted", f"файл {shown(name)} закрыт паролем", "соберите архив без пароля")
    elif entry.method not in (_STORED, _DEFLATED):
        faults.error("zip-method", f"файл {shown(name)} сжат незнакомым способом {entry.method}", "сжимайте deflate")


def _content(data: bytes, entry: _Entry, faults: Faults) -> bytes | None:
    """The unpacked file, None when it cannot be had."""
    if entry.flags & _ENCRYPTED or entry.method not in (_STORED, _DEFLATED):
        return None
    packed = _packed(data, entry)
    if packed is None:
        faults.error("zip-form", f"место файла {shown(entry.name)} в архиве указано неверно", _REBUILD)
        return None
    content = packed if entry.method == _STORED else _inflated(packed, entry.size)
    if content is None or len(content) != entry.size or zlib.crc32(content) != entry.crc:
        faults.error("zip-damaged", f"файл {shown(entry.name)} испорчен: сумма не сходится", "скачайте файл заново")
        return None
    return content


def _packed(data: bytes, entry: _Entry) -> bytes | None:
    """The bytes behind the local header, which must say the same as the directory."""
    if entry.offset + _LOCAL.size > len(data):
        return None
    mark, _, flags, method, _, _, crc, packed, size, name_bytes, extra = _LOCAL.unpack_from(data, entry.offset)
    name_at = entry.offset + _LOCAL.size
    begin = name_at + name_bytes + extra
    if mark != _LOCAL_MARK or method != entry.method or data[name_at : name_at + name_bytes] != entry.raw_name:
        return None
    is_told_here = not flags & _SIZES_FOLLOW
    if is_told_here and (crc, packed, size) != (entry.crc, entry.packed, entry.size):
        return None
    return data[begin : begin + entry.packed] if begin + entry.packed <= len(data) else None


def _inflated(packed: bytes, size: int) -> bytes | None:
    """Never more than a byte over the size that was checked."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacking.decompress(packed, size + 1)
    except zlib.error:
        return None
    return content if unpacking.eof and not unpacking.unused_data else None


def _without_parent(archive: Archive, faults: Faults) -> Archive:
    """A folder around everything is the commonest slip: it is named once and the rest is checked as if it were not."""
    names = [*archive.files, *archive.unread]
    if any(name.endswith(".pkpass") for name in names):
        faults.error("bundle", "это набор карт (.pkpasses), а не одна", "распакуйте его и проверьте каждую карту")
        return Archive()
    tops = {name.partition("/")[0] for name in names}
    if "pass.json" in names or len(tops) != 1 or f"{min(tops)}/pass.json" not in names:
        return archive
    top = f"{min(tops)}/"
    faults.error("parent-folder", f"файлы карты лежат в папке {shown(top)}", "заархивируйте содержимое папки, а не её")
    files = {name.removeprefix(top): content for name, content in archive.files.items()}
    return Archive(files, frozenset(name.removeprefix(top) for name in archive.unread))
