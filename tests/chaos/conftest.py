"""The town of the chaos tests: durable servers in a folder of their own, the demo's world upon them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_town import Town

from cli.demo_world import open_world
from cli.services import start_services


@pytest.fixture
def town(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Everything a user's `kopilka demo` runs, with servers that the test can kill and start."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=server_folder))
    folder.chmod(0o711)
    services = start_services(folder / "services", database_url=None, redis_url=None, log=print)
    monkeypatch.setenv("DATABASE_URL", services.database_url)
    monkeypatch.setenv("REDIS_URL", services.redis_url)
    try:
        with open_world(folder / "demo", port=0, programme=None, at=None, say=print) as world:
            yield Town(world, services)
    finally:
        services.stop()
        shutil.rmtree(folder)
