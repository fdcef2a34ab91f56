"""One named value from a given environment, or from the file that `NAME_FILE` points at.

Owns the `*_FILE` convention of container secrets. Takes the environment as an argument: only `settings.py` reads the
real one. Its errors carry names and paths, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MAX_SECRET_BYTES = 64 * 1024


class EnvironmentFaultError(Exception):
    """A named value is given in a way that cannot be read. `message` and `fix` are for the person who set it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def look_up(env: Mapping[str, str], name: str) -> str | None:
    """The value of `name`, or None when it is absent or empty. Raises EnvironmentFaultError."""
    value = env.get(name, "")
    file = env.get(f"{name}_FILE", "")
    if value and file:
        raise EnvironmentFaultError(f"заданы и {name}, и {name}_FILE", "оставьте одну из двух переменных")
    if file:
        return read_secret_file(Path(file), named=f"{name}_FILE")
    return value or None


def read_secret_file(path: Path, *, named: str) -> str | None:
    """The text of a secret's file without the line break at its end. Raises EnvironmentFaultError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "файла нет" if isinstance(error, FileNotFoundError) else "файл не открывается"
        raise EnvironmentFaultError(f"{named}: {reason}: {path}", "проверьте путь и права на чтение") from error
    if len(data) > MAX_SECRET_BYTES:
        raise EnvironmentFaultError(f"{named}: файл больше {MAX_SECRET_BYTES // 1024} КБ: {path}", "проверьте путь")
    try:
        return data.decode().rstrip("\r\n") or None
    except UnicodeDecodeError:
        fix = "для ключей и сертификатов укажите путь там, где правила ждут файл"
        raise EnvironmentFaultError(f"{named}: в файле не текст UTF-8: {path}", fix) from None
