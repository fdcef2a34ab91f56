"""The embedded Valkey: recovery, access, secrets."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.services.account import current_run_as
from cli.services.binaries import ValkeyBinary, usable_valkey
from cli.services.valkey import RunningValkey, start_valkey

Quiet = Callable[[str], None]
PASSWORD = 'пароль "с\nпереводом %/@'


@pytest.fixture
def server(state_dir: Path, quiet: Quiet) -> Iterator[RunningValkey]:
    running = start_valkey(state_dir, password=PASSWORD, log=quiet)
    yield running
    running.stop()


@pytest.mark.parametrize(
    "binary", list(usable_valkey(current_run_as())), ids=lambda found: f"{found.brand}-{found.version}"
)
def test_every_usable_server_keeps_data_over_kill_9_on_the_same_port(
    state_dir: Path, quiet: Quiet, binary: ValkeyBinary
) -> None:
    server = start_valkey(state_dir, password=PASSWORD, log=quiet, binary=binary)
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.set("kept", "да")
        while client.info("persistence")["aof_buffer_length"]:
            time.sleep(0.05)

    server.kill()
    server.start()

    with redis.Redis.from_url(url) as client:
        kept = client.get("kept")
    server.stop()
    assert kept == "да".encode()
    assert server.url == url


def test_a_server_that_is_a_link_to_its_checking_tool_is_called_by_its_own_name(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir.mkdir(mode=0o755)
    shutil.copy(next(usable_valkey(current_run_as())).path, state_dir / "redis-check-rdb")
    (state_dir / "redis-server").symlink_to("redis-check-rdb")
    monkeypatch.setenv("PATH", str(state_dir))

    found = next(usable_valkey(current_run_as()))

    assert found.path == state_dir / "redis-server"
    assert found.origin == f"installed {found.path}"


def test_a_death_from_outside_is_seen_and_a_start_mends_it(server: RunningValkey) -> None:
    url, pid = server.url, server.pid

    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.alive and time.monotonic() < deadline:
        time.sleep(0.01)

    server.start()
    assert server.alive
    assert server.pid != pid
    assert server.url == url


def test_a_client_without_the_password_is_refused(server: RunningValkey) -> None:
    with (
        redis.Redis(host="127.0.0.1", port=server.port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_jobs_are_never_evicted_and_every_second_is_synced(server: RunningValkey) -> None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        options = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "bind", "protected-mode")

    assert options == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "bind": "127.0.0.1",
        "protected-mode": "yes",
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_neither_our_environment_nor_the_password_is_visible_in_the_process_list(
    state_dir: Path, quiet: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "never-hand-this-on")

    server = start_valkey(state_dir, password="plain-password", log=quiet)
    process = Path(f"/proc/{server.pid}")
    visible = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    configuration = server.home / "valkey.conf"
    mode = configuration.stat().st_mode & 0o777
    server.stop()

    assert visible
    assert b"never-hand-this-on" not in visible
    assert b"plain-password" not in visible
    assert mode == 0o600
