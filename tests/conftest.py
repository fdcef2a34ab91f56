"""Fixtures of the whole project: real servers, started once per session and only if a test asks for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services.postgres import RunningPostgres, start_postgres
from cli.services.valkey import RunningValkey, start_valkey


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Not under pytest's own folder: that one is private, and root's servers run as another user."""
    folder = Path(tempfile.mkdtemp(prefix="kopilka-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[RunningPostgres]:
    """PostgreSQL without fsync, shared by the session."""
    server = start_postgres(server_folder / "postgres", password="tests", durable=False, log=print)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path) -> Iterator[RunningValkey]:
    """Valkey, shared by the session."""
    server = start_valkey(server_folder / "valkey", password="tests", log=print)
    yield server
    server.stop()
