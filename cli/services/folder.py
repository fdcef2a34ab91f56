"""Small files of a state folder: locks, passwords kept once, the remembered port.

Must not know what the files are for, nor start anything.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from pathlib import Path
from typing import Final

from cli.services.errors import FolderInUseError, FolderUnusableError
from cli.services.process import free_port, port_is_free

_PRIVATE: Final = 0o600
_PASSWORD_BYTES: Final = 24
_LOCK_PAUSE_S: Final = 0.02


def take_lock(path: Path, *, patience_s: float) -> int:
    """Take an exclusive lock; return its descriptor, whose closing frees it. FolderInUseError after ``patience_s``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    except OSError as failure:
        raise FolderUnusableError(
            f"файл {path} не открывается: {failure.strerror}",
            f"запустите от владельца папки или отдайте её себе: sudo chown -R $USER {path.parent}",
        ) from failure
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_LOCK_PAUSE_S)
                continue
            holder = os.read(descriptor, 32).decode("ascii", "replace") or "?"
            os.close(descriptor)
            raise FolderInUseError(
                f"папка {path.parent} уже используется (процесс {holder})",
                "остановите его или укажите другую папку состояния",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def keep_password(path: Path) -> str:
    """The password in ``path``, made at the first call and readable only by us."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(_PASSWORD_BYTES))
    return path.read_text("ascii")


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file at once or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def choose_port(path: Path) -> int:
    """The port remembered in ``path`` if it is still free, else a new one."""
    remembered = path.read_text("ascii").strip() if path.exists() else ""
    if remembered.isdigit() and port_is_free(int(remembered)):
        return int(remembered)
    port = free_port(str(path))
    path.write_text(str(port), "ascii")
    return port
