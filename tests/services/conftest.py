"""What tests of the launcher need: a folder that every user may walk through, and a view of living processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_VANISH_DEADLINE_S = 20.0


@pytest.fixture
def state_dir(server_folder: Path) -> Iterator[Path]:
    """A state folder that does not exist yet, in a place that the servers' user can reach."""
    yield from _fresh_folder(server_folder)


@pytest.fixture(scope="module")
def used_state_dir(server_folder: Path) -> Iterator[Path]:
    """A state folder that the tests of a module use one after another, because making a cluster takes a second."""
    yield from _fresh_folder(server_folder)


@pytest.fixture(scope="session")
def quiet() -> Callable[[str], None]:
    """A progress log that nobody reads."""
    return lambda _: None


@pytest.fixture
def has_gone() -> Callable[[int], bool]:
    """Wait for a process to end; False when it outlives the deadline."""

    def wait(pid: int) -> bool:
        deadline = time.monotonic() + _VANISH_DEADLINE_S
        while time.monotonic() < deadline:
            if _is_dead(pid):
                return True
            time.sleep(0.02)
        return False

    return wait


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    # An orphan that init has not yet reaped.
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def _fresh_folder(parent: Path) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir=parent))
    place.chmod(0o711)
    yield place / "state"
    shutil.rmtree(place)
