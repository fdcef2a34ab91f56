"""The ordinary user that servers run as, and places which that user can reach.

PostgreSQL refuses to run as root, so root starts servers as ``nobody``. Owns the choice of that user and of places for
data and binaries. Must not create users or change modes of folders that are not ours (`reliability.md` §7, item 2).
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cli.services.errors import FolderUnusableError, ServiceError

UNPRIVILEGED_USER: Final = "nobody"
# Reachable for everybody and kept over a reboot, unlike the temporary folder.
SHARED_PLACES: Final = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - only our own checked folders inside
_POINTER: Final = "location"
_PLACE_PREFIX: Final = "kopilka-data-"
_OPEN_FOR_ENTRY: Final = 0o711
_COMMAND_DEADLINE_S: Final = 120.0


@dataclass(frozen=True)
class RunAs:
    """Who the servers run as; ``shared_places`` are for what that user cannot reach where it is."""

    uid: int
    gid: int
    shared_places: Sequence[Path] = SHARED_PLACES

    @property
    def switches(self) -> bool:
        return os.geteuid() == 0 and self.uid != 0

    def run(self, argv: Sequence[str], *, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a short command as this user; OSError when it cannot be executed."""
        identity = (self.uid, self.gid) if self.switches else (None, None)
        return subprocess.run(
            argv,
            user=identity[0],
            group=identity[1],
            extra_groups=[] if self.switches else None,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_DEADLINE_S,
            check=False,
            umask=0o077,
        )

    def own(self, path: Path) -> None:
        """Give one of our files or folders to this user."""
        if self.switches:
            os.chown(path, self.uid, self.gid)

    def owning(self, data: Path) -> RunAs:
        """This user, or the one whom existing data belongs to (a demo run by a user first, by root later)."""
        if os.geteuid() != 0 or not data.exists() or data.stat().st_uid in (0, self.uid):
            return self
        return replace(self, uid=data.stat().st_uid, gid=data.stat().st_gid)

    def reaches(self, path: Path) -> bool:
        """Whether the mode bits let this user enter every folder above ``path`` and read or enter ``path`` itself."""
        if not self.switches:
            return True
        path = path.resolve()
        last = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
        return self._may(path, last) and all(self._may(parent, stat.S_IXOTH) for parent in path.parents)

    def _may(self, path: Path, other_bit: int) -> bool:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return bool(found.st_mode & (other_bit << shift))


def current_run_as() -> RunAs:
    """Ourselves, or ``nobody`` when we are root."""
    if os.geteuid() != 0:
        return RunAs(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise ServiceError(
            f"PostgreSQL не работает от root, а пользователя {UNPRIVILEGED_USER} нет",
            "запустите команду от обычного пользователя или задайте DATABASE_URL и REDIS_URL",
        ) from None
    return RunAs(entry.pw_uid, entry.pw_gid)


def make_folder(path: Path) -> None:
    """Create a folder of ours: private, but root's may be walked through by the servers' user."""
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True, mode=0o700)
    except OSError as failure:
        raise FolderUnusableError(
            f"папка {path} не создаётся: {failure.strerror}", "укажите папку, в которую можно писать"
        ) from failure
    if os.geteuid() == 0:
        path.chmod(_OPEN_FOR_ENTRY)


def place_data(home: Path, name: str, run_as: RunAs, log: Callable[[str], None]) -> tuple[Path, RunAs]:
    """Path of the data folder ``name`` of ``home`` (it may not exist yet) and the user who works on it.

    It lies in ``home``, or, when that user cannot get there, in a place that a pointer file in ``home`` names.
    """
    pointer = home / _POINTER
    if pointer.exists():
        place = Path(pointer.read_text("utf-8").strip())
        if not place.is_dir():
            raise FolderUnusableError(
                f"данных нет на месте: {place} (записано в {pointer})",
                f"верните папку из копии или удалите {pointer}, чтобы начать с пустой базы",
            )
    else:
        place = home if run_as.owning(home / name).reaches(home) else _place_elsewhere(home, name, run_as, log)
    return place / name, run_as.owning(place / name)


def forget_data(home: Path) -> None:
    """Removes what `place_data` put elsewhere for ``home``; only folders that it made."""
    pointer = home / _POINTER
    if pointer.exists():
        place = Path(pointer.read_text("utf-8").strip())
        if place.name.startswith(_PLACE_PREFIX):
            shutil.rmtree(place, ignore_errors=True)


def _place_elsewhere(home: Path, name: str, run_as: RunAs, log: Callable[[str], None]) -> Path:
    if (home / name).exists():
        raise FolderUnusableError(
            f"пользователь серверов больше не может войти в {home}, где лежат данные",
            "верните родителям этой папки право на вход: chmod o+x",
        )
    place = Path(tempfile.mkdtemp(prefix=_PLACE_PREFIX, dir=_shared_place(run_as)))
    place.chmod(_OPEN_FOR_ENTRY)
    (home / _POINTER).write_text(f"{place}\n", "utf-8")
    log(f"Папка {home} закрыта для пользователя серверов, данные лежат в {place}")
    return place


def place_binaries(sources: Mapping[str, Path], version: str, run_as: RunAs) -> Path:
    """A folder with copies of ``sources`` (relative name → folder) that the servers' user can execute, made once."""
    described = repr([version, *((name, str(path), path.stat().st_mtime_ns) for name, path in sorted(sources.items()))])
    place = _shared_place(run_as) / f"kopilka-bin-{hashlib.sha256(described.encode()).hexdigest()[:16]}"
    if not place.exists():
        fresh = Path(tempfile.mkdtemp(prefix="kopilka-bin-", dir=place.parent))
        for name, path in sources.items():
            shutil.copytree(path, fresh / name, symlinks=True, ignore=shutil.ignore_patterns("include", "__pycache__"))
        _open_for_reading(fresh)
        try:
            fresh.rename(place)
        except OSError:
            # Another process was quicker; its copy is judged below like any other.
            shutil.rmtree(fresh)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise FolderUnusableError(f"{place} создана кем-то другим", f"удалите {place}")
    return place


def _open_for_reading(top: Path) -> None:
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _shared_place(run_as: RunAs) -> Path:
    for place in run_as.shared_places:
        if place.is_dir() and os.access(place, os.W_OK) and run_as.reaches(place):
            return place
    raise FolderUnusableError(
        f"нет папки, доступной пользователю {UNPRIVILEGED_USER}",
        "запустите из папки, в которую может войти любой пользователь (chmod o+x на её родителей)",
    )
