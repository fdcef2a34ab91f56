"""JSON of a card read strictly: UTF-8 without a mark, no repeated keys, no NaN. Owns only the reading."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from wallet.verdict import shown

if TYPE_CHECKING:
    from wallet.verdict import Faults

MAX_JSON_BYTES = 1024 * 1024

_BOM = b"\xef\xbb\xbf"


def read_json(data: bytes, name: str, faults: Faults) -> dict[str, Any] | None:
    """The object in the file `name`; None when there is none. Codes begin with the file's stem."""
    stem = name.partition(".")[0]
    if len(data) > MAX_JSON_BYTES:
        faults.error(f"{stem}-big", f"{name} больше {MAX_JSON_BYTES // 1024} КБ", "уберите из него лишнее")
        return None
    if data.startswith(_BOM):
        faults.error(f"{stem}-bom", f"{name} начинается с метки BOM", "сохраните его в UTF-8 без BOM")
        data = data.removeprefix(_BOM)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        faults.error(f"{stem}-encoding", f"{name} не в кодировке UTF-8", "сохраните его в UTF-8 без BOM")
        return None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counted = Counter(key for key, _ in pairs)
            repeated = next(key for key, count in counted.items() if count > 1)
            text = f"в {name} ключ {shown(repeated)} стоит дважды"
            faults.error(f"{stem}-repeated", text, "оставьте один: какой возьмёт телефон, неизвестно")
        return found

    try:
        content = json.loads(text, object_pairs_hook=once, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        faults.error(f"{stem}-json", f"{name} не JSON: {shown(str(error))}", "исправьте запятые, кавычки и числа")
        return None
    if not isinstance(content, dict):
        faults.error(f"{stem}-form", f"в {name} не объект JSON", "файл начинается с { и заканчивается }")
        return None
    return content


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} не число JSON")
