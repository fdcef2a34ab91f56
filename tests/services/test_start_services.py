"""Both services together: choice, locking, and an end together with whoever asked for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cli.services import start_services
from cli.services.account import current_run_as
from cli.services.binaries import usable_postgres
from cli.services.errors import FolderInUseError, ServerNotStartedError
from cli.services.folder import take_lock

Quiet = Callable[[str], None]
HasGone = Callable[[int], bool]
PROJECT = Path(__file__).parents[2]
SITE_PACKAGES = Path(psycopg.__file__).parents[1]
OWNER_SCRIPT = """
import json, sys, time
from pathlib import Path
from cli.services import start_services
services = start_services(Path(sys.argv[1]), database_url=None, redis_url=None, log=lambda line: None)
print(json.dumps({"pids": services.pids, "database_url": services.database_url}), flush=True)
time.sleep(60 if len(sys.argv) == 2 else 0)
"""


pytestmark = pytest.mark.slow


def start_owner(state_dir: Path) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """Another Python process that owns both servers, and their pids."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER_SCRIPT, str(state_dir)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, json.loads(owner.stdout.readline())["pids"]


def test_both_servers_start_and_tell_where_they_come_from(used_state_dir: Path) -> None:
    lines: list[str] = []

    services = start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=lines.append)
    pids = services.pids
    services.stop()
    services.stop()

    assert set(pids) == {"postgres", "valkey"}
    assert services.database_origin.split()[0] in {"installed", "wheel"}
    assert services.redis_origin.split()[0] in {"installed", "wheel"}
    assert sum("готов за" in line for line in lines) == 2


def test_passwords_are_made_once_and_private(used_state_dir: Path, quiet: Quiet) -> None:
    first = start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet)
    first.stop()

    second = start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet)
    second.stop()

    assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)
    for name in ("postgres.password", "valkey.password"):
        assert (used_state_dir / name).stat().st_mode & 0o777 == 0o600
        assert len((used_state_dir / name).read_text()) >= 32


def test_given_addresses_are_used_untouched_and_nothing_is_started(state_dir: Path, quiet: Quiet) -> None:
    services = start_services(state_dir, database_url="postgresql://db/x", redis_url="rediss://cache/3", log=quiet)

    assert (services.database_url, services.redis_url) == ("postgresql://db/x", "rediss://cache/3")
    assert services.database_origin == "taken from DATABASE_URL"
    assert services.redis_origin == "taken from REDIS_URL"
    assert services.pids == {}
    assert not state_dir.exists()
    services.stop()


def test_a_given_database_does_not_keep_valkey_from_starting(state_dir: Path, quiet: Quiet) -> None:
    services = start_services(state_dir, database_url="postgresql://db/x", redis_url=None, log=quiet)
    pids = services.pids
    services.stop()

    assert set(pids) == {"valkey"}
    assert not (state_dir / "postgres").exists()


def test_a_second_start_on_one_folder_is_refused_until_the_first_stops(used_state_dir: Path, quiet: Quiet) -> None:
    first = start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet)

    with pytest.raises(FolderInUseError, match=rf"процесс {os.getpid()}\)\nКак исправить: "):
        start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet)

    with psycopg.connect(first.database_url.replace("+psycopg", "")) as connection:
        connection.execute("SELECT 1")
    first.stop()
    start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet).stop()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_die_with_their_owner_and_the_next_owner_starts_at_once(
    used_state_dir: Path, quiet: Quiet, has_gone: HasGone, end: signal.Signals
) -> None:
    owner, pids = start_owner(used_state_dir)

    with owner:
        owner.send_signal(end)
    services = start_services(used_state_dir, database_url=None, redis_url=None, log=quiet)

    assert all(has_gone(pid) for pid in pids.values())
    assert services.pids.keys() == pids.keys()
    services.stop()


def test_servers_end_when_their_owner_exits_without_a_stop(used_state_dir: Path, has_gone: HasGone) -> None:
    result = subprocess.run(
        [sys.executable, "-c", OWNER_SCRIPT, str(used_state_dir), "exit"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert all(has_gone(pid) for pid in json.loads(result.stdout)["pids"].values())
    assert not (used_state_dir / "postgres" / "cluster" / "postmaster.pid").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_servers_end_when_their_guards_are_killed(used_state_dir: Path, quiet: Quiet, has_gone: HasGone) -> None:
    services = start_services(used_state_dir, database_url=None, redis_url=None, durable=False, log=quiet)
    pids = services.pids

    for pid in pids.values():
        guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)

    assert all(has_gone(pid) for pid in pids.values())
    services.stop()


def test_when_one_server_fails_the_other_does_not_stay(state_dir: Path, quiet: Quiet) -> None:
    cluster = state_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True, mode=0o700)
    (cluster / "PG_VERSION").write_text(f"{next(usable_postgres(current_run_as())).major}\n")

    with pytest.raises(ServerNotStartedError, match=r"postgres\.log"):
        start_services(state_dir, database_url=None, redis_url=None, durable=False, log=quiet)

    os.close(take_lock(state_dir / "valkey" / "server.lock", patience_s=0))
    os.close(take_lock(state_dir / "services.lock", patience_s=0))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all the other tests already")
def test_root_is_not_needed(state_dir: Path, has_gone: HasGone) -> None:
    state_dir.mkdir()
    os.chown(state_dir, 65534, 65534)
    python = _python_for_everybody()

    result = subprocess.run(
        [python, "-c", OWNER_SCRIPT, str(state_dir), "exit"],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd=PROJECT,
        env={"PYTHONPATH": f"{PROJECT}{os.pathsep}{SITE_PACKAGES}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stderr == ""
    assert all(has_gone(pid) for pid in json.loads(result.stdout)["pids"].values())
    assert (state_dir / "postgres" / "cluster").stat().st_uid == 65534


def _python_for_everybody() -> str:
    """A Python of our version that user 65534 can run with our packages, or a skip."""
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        check = f"import sys, cli.services, psycopg; assert sys.version_info[:2] == {sys.version_info[:2]}"
        try:
            result = subprocess.run(
                [str(candidate), "-c", check],
                user=65534,
                group=65534,
                extra_groups=[],
                cwd=PROJECT,
                env={"PYTHONPATH": f"{PROJECT}{os.pathsep}{SITE_PACKAGES}", "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if result.returncode == 0:
            return str(candidate)
    pytest.skip("no Python with our packages that an ordinary user may run")
