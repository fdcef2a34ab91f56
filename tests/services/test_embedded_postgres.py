"""The embedded PostgreSQL: first start, recovery, stale files, locale, access."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from cli.services.account import current_run_as
from cli.services.binaries import PostgresBinaries, usable_postgres
from cli.services.errors import BinariesNotFoundError, FolderInUseError, ServerNotStartedError
from cli.services.folder import take_lock
from cli.services.postgres import RunningPostgres, create_database, drop_database, start_postgres
from cli.services.process import SERVER_ENVIRONMENT

pytestmark = pytest.mark.slow

Quiet = Callable[[str], None]
PASSWORD = "пароль с %/@"
BINARIES = list(usable_postgres(current_run_as()))


def connect(server: RunningPostgres, **changes: str) -> psycopg.Connection[tuple[object, ...]]:
    address = make_url(server.url).set(**changes)
    return psycopg.connect(**address.translate_connect_args(username="user", database="dbname"), autocommit=True)


@pytest.fixture(scope="module")
def durable_server(used_state_dir: Path, quiet: Quiet) -> Iterator[RunningPostgres]:
    running = start_postgres(used_state_dir, password=PASSWORD, durable=True, log=quiet)
    yield running
    running.stop()


@pytest.fixture
def server(durable_server: RunningPostgres) -> RunningPostgres:
    """A running server, whatever the test before did to it."""
    durable_server.start()
    return durable_server


@pytest.mark.parametrize("binaries", BINARIES, ids=lambda found: f"{found.wheel or 'installed'}-{found.major}")
def test_every_usable_server_keeps_data_over_kill_9_and_knows_russian_letters(
    state_dir: Path, quiet: Quiet, binaries: PostgresBinaries
) -> None:
    server = start_postgres(state_dir, password="p", log=quiet, binaries=binaries)
    url, first_pid = server.url, server.pid
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('ЁЖ')")

        server.kill()
        server.start()

    with connect(server) as connection:
        row = connection.execute("SELECT lower(word), current_setting('server_version_num')::int FROM kept").fetchone()
    server.stop()
    assert row is not None
    assert row[0] == "ёж"
    assert row[1] // 10_000 == binaries.major  # type: ignore[operator]
    assert server.url == url
    assert server.pid != first_pid
    assert server.origin == binaries.origin


def test_data_and_port_stay_over_a_clean_restart(server: RunningPostgres, quiet: Quiet) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE stays (n int)")
    server.stop()

    second = start_postgres(server.home, password=PASSWORD, log=quiet)

    with connect(second) as connection:
        connection.execute("SELECT n FROM stays")
    second.stop()
    assert second.url == server.url


def test_a_connection_without_the_password_is_refused(server: RunningPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=server.port, user="kopilka", dbname="kopilka", password="")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(server, password="wrong")


def test_another_password_is_refused_with_advice(server: RunningPostgres, quiet: Quiet) -> None:
    server.stop()

    with pytest.raises(ServerNotStartedError, match="верните прежний файл пароля"):
        start_postgres(server.home, password="another", log=quiet)

    os.close(take_lock(server.home / "server.lock", patience_s=0))


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_stop_the_start(server: RunningPostgres) -> None:
    identity = current_run_as()
    command = ["sleep", "60"]
    with subprocess.Popen(
        command,
        user=identity.uid if identity.switches else None,
        group=identity.gid if identity.switches else None,
        cwd="/",
    ) as stranger:
        server.kill()
        pid_file = server.home / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

        server.start()

        with connect(server) as connection:
            connection.execute("SELECT 1")
        assert server.pid != stranger.pid
        assert pid_file.read_text().splitlines()[0] == str(server.pid)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "garbage\n", "999999999\n", "1\n"])
def test_a_damaged_pid_file_does_not_stop_the_start(server: RunningPostgres, content: str) -> None:
    server.kill()
    (server.home / "cluster" / "postmaster.pid").write_text(content)

    server.start()

    with connect(server) as connection:
        connection.execute("SELECT 1")


def test_a_server_that_somebody_started_by_hand_on_our_data_is_respected(server: RunningPostgres) -> None:
    server.stop()
    identity = current_run_as()
    binaries = BINARIES[0].folder
    command = [str(binaries / "postgres"), "-D", str(server.home / "cluster"), "-p", str(server.port)]
    by_hand = subprocess.Popen(
        [*command, "-c", "unix_socket_directories="],
        user=identity.uid if identity.switches else None,
        group=identity.gid if identity.switches else None,
        env=SERVER_ENVIRONMENT,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    pid_file = server.home / "cluster" / "postmaster.pid"
    deadline = time.monotonic() + 10
    while not (pid_file.exists() and "ready" in pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)

    with pytest.raises(FolderInUseError, match=f"kill -INT {by_hand.pid}"):
        server.start()

    by_hand.send_signal(signal.SIGINT)
    assert by_hand.wait(10) == 0


def test_a_remembered_port_that_is_taken_is_replaced(server: RunningPostgres, quiet: Quiet) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        second = start_postgres(server.home, password=PASSWORD, log=quiet)
        second.stop()

    assert second.port != server.port
    (server.home / "port").write_text(str(server.port))


def test_databases_are_cloned_and_dropped_even_under_clients(postgres_server: RunningPostgres) -> None:
    template_url = create_database(postgres_server.url, "clone_source")
    with psycopg.connect(template_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE cloned (n int)")

    clone_url = create_database(postgres_server.url, 'clone "one"', template="clone_source")

    client = connect(postgres_server, database=make_url(clone_url).database or "")
    client.execute("SELECT n FROM cloned")
    drop_database(postgres_server.url, 'clone "one"')
    drop_database(postgres_server.url, "clone_source")
    drop_database(postgres_server.url, "clone_source")
    client.close()
    with connect(postgres_server) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'clone%'").fetchall()
    assert left == []


def test_values_of_a_failed_statement_do_not_reach_the_log(postgres_server: RunningPostgres) -> None:
    with connect(postgres_server) as connection:
        connection.execute("CREATE TEMPORARY TABLE people (phone text UNIQUE)")
        connection.execute("INSERT INTO people VALUES ('+79251234567')")

        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES ('+79251234567')")

    log = postgres_server.log_path.read_text()
    assert "duplicate key" in log
    assert "+79251234567" not in log


def test_a_durable_server_syncs_and_a_test_server_does_not(
    server: RunningPostgres, postgres_server: RunningPostgres
) -> None:
    answers = []
    for running in (server, postgres_server):
        with connect(running) as connection:
            answers.append(connection.execute("SHOW fsync").fetchone())

    assert answers == [("on",), ("off",)]


def test_data_of_a_vanished_major_version_is_refused_with_advice(state_dir: Path, quiet: Quiet) -> None:
    (state_dir / "cluster").mkdir(parents=True)
    (state_dir / "cluster" / "PG_VERSION").write_text("9\n")

    with pytest.raises(BinariesNotFoundError, match="установите PostgreSQL 9"):
        start_postgres(state_dir, password="p", log=quiet)


def test_a_wrapper_script_on_the_path_is_not_taken_for_a_server(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir.mkdir(mode=0o755)
    for name in ("postgres", "initdb"):
        script = state_dir / name
        script.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 99.1'\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(state_dir), prepend=os.pathsep)

    found = list(usable_postgres(current_run_as()))

    assert found
    assert all(binaries.major != 99 for binaries in found)
