"""The town of the chaos tests: durable servers in a folder of their own, the demo's world upon them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("chaos_checks")

from chaos_town import Town  # noqa: E402

from cli.demo_world import open_world  # noqa: E402
from cli.services import start_services  # noqa: E402


@pytest.fixture
def town(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Everything a user's `kopilka demo` runs, with servers that the test can kill and start.

    CHAOS_LOGS=FOLDER keeps the logs of our processes for whoever looks into a failure.
    """
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=server_folder))
    folder.chmod(0o711)
    services = start_services(folder / "services", database_url=None, redis_url=None, log=print)
    monkeypatch.setenv("DATABASE_URL", services.database_url)
    monkeypatch.setenv("REDIS_URL", services.redis_url)
    try:
        with open_world(folder / "demo", port=0, programme=None, at=None, say=print) as world:
            town = Town(world, services)
            yield town
            town.session.close()
    finally:
        services.stop()
        if "CHAOS_LOGS" in os.environ:
            shutil.copytree(folder / "demo" / "logs", Path(os.environ["CHAOS_LOGS"]), dirs_exist_ok=True)
        shutil.rmtree(folder)
