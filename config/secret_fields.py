"""Values of the rules file that stand outside it: `env:NAME` and `file:path`.

Owns refusing literals, finding the named value, and what its absence means: an error when the file is loaded to be
used, a warning when it is only checked. Must not put a value into any message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from config.environment import EnvironmentFaultError, look_up, read_secret_file
from config.fields import FieldError, closest
from config.masking import quote
from config.section import Section

_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_MAX_PATH_CHARS = 1_000


@dataclass(frozen=True)
class Outside:
    """Where secrets come from. `folder` is the rules file's own: `file:` paths start there."""

    env: Mapping[str, str]
    folder: Path
    required: bool

    def secret(
        self,
        section: Section,
        key: str,
        *,
        rotate: str,
        optional: bool = False,
        like: str = "env:ИМЯ_ПЕРЕМЕННОЙ",
        where: str = "",
    ) -> SecretStr | None:
        """The value behind a reference. `rotate` says where a leaked secret is changed, `where` where one is found."""
        if key not in section and not optional:
            section.missing(key, f"добавьте: {key}: {like}{_found(where)}")
        reference = section.get(key, _secret_reference(rotate), "")
        if not reference:
            return None
        kind, _, rest = reference.partition(":")
        try:
            if kind == "env":
                value = look_up(self.env, rest)
            else:
                value = read_secret_file(self._path(rest), named=section.at(key))
        except EnvironmentFaultError as fault:
            self._absent(section, key, f"{kind}-unreadable", fault.message, fault.fix)
            return None
        if value is None:
            self._report_missing(section, key, kind, rest, where)
            return None
        return SecretStr(value)

    def file(self, section: Section, key: str, *, optional: bool = False) -> Path | None:
        """The path behind `file:`; the file must exist."""
        if key not in section and not optional:
            section.missing(key, f"добавьте: {key}: file:secrets/имя_файла")
        reference = section.get(key, _file_reference, "")
        if not reference:
            return None
        path = self._path(reference.removeprefix("file:"))
        if not is_file(path):
            fix = "проверьте путь: он считается от папки файла правил"
            self._absent(section, key, "file-missing", f"файла {quote(reference)} нет", fix)
            return None
        return path

    def _path(self, text: str) -> Path:
        return (self.folder / text.strip()).absolute()

    def _report_missing(self, section: Section, key: str, kind: str, name: str, where: str) -> None:
        if kind == "file":
            self._absent(section, key, "file-empty", "файл секрета пуст", f"запишите в него значение{_found(where)}")
            return
        near = closest(name, (other for other in self.env if other != name))
        message = f"переменной {name} нет ни в окружении, ни в .env"
        fix = f"возможно, {near}? Иначе впишите {name} в .env" if near else f"впишите {name} в .env{_found(where)}"
        self._absent(section, key, "env-missing", message, fix)

    def _absent(self, section: Section, key: str, code: str, message: str, fix: str) -> None:
        if self.required:
            section.notes.error_at_path(section.at(key), code, message, fix)
        else:
            section.notes.warn(section.at(key), code, message, fix)


def _found(where: str) -> str:
    return f"; где взять: {where}" if where else ""


def is_file(path: Path) -> bool:
    """False also for names that the system refuses to look at."""
    try:
        return len(str(path)) <= _MAX_PATH_CHARS and path.is_file()
    except (OSError, ValueError):
        return False


def _secret_reference(rotate: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.startswith("file:") and text.removeprefix("file:").strip():
            return text
        if text.startswith("env:"):
            if _ENV_NAME.fullmatch(text.removeprefix("env:")):
                return text
            fix = "напишите, например, env:YOOKASSA_SECRET: заглавные латинские буквы, цифры и «_»"
            raise FieldError("env-name", "после env: должно стоять имя переменной", fix)
        fix = f"перенесите его в .env и напишите env:ИМЯ_ПЕРЕМЕННОЙ; уже попавший в git секрет смените {rotate}"
        raise FieldError("secret-in-file", "похоже на секрет прямо в файле правил", fix)

    return parse


def _file_reference(text: str) -> str:
    if not text.startswith("file:") or not text.removeprefix("file:").strip():
        raise FieldError("file-only", "здесь нужен путь к файлу", "напишите file:secrets/имя_файла")
    return text
