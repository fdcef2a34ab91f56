"""An embedded PostgreSQL on 127.0.0.1: cluster, options, readiness, and databases of its server.

Owns the data folder's layout. Must not know tables; nothing here is for a server that DATABASE_URL names, except
`create_database` and `drop_database`. Files read: postmaster.pid (PostgreSQL manual, "Database File Layout").
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from cli.services.account import RunAs, current_run_as, make_folder, place_data
from cli.services.binaries import BUILTIN_LOCALE_SINCE, PostgresBinaries, find_postgres
from cli.services.errors import FolderInUseError, FolderUnusableError, ServerNotStartedError
from cli.services.folder import write_private
from cli.services.process import LOCALHOST, SERVER_ENVIRONMENT, StopStage
from cli.services.server import EmbeddedServer

DATABASE: Final = "kopilka"
SUPERUSER: Final = "kopilka"
MAX_CONNECTIONS: Final = 60
SHARED_BUFFERS_MB: Final = 64
IDLE_IN_TRANSACTION_S: Final = 60
_CONNECT_TIMEOUT_S: Final = 10
_DRAFT_PREFIX: Final = "cluster.draft-"
_PID_LINE, _STATUS_LINE = 0, 7

_OPTIONS: Final = {
    "listen_addresses": LOCALHOST,
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": f"{SHARED_BUFFERS_MB}MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_min_messages": "warning",
    # Statements and DETAIL lines would bring phones and tokens into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    "jit": "off",
}
_NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class RunningPostgres(EmbeddedServer):
    """A started PostgreSQL."""

    passing_troubles = ("Address already in use", "pre-existing shared memory block")
    # Fast, then immediate shutdown; "smart" (SIGTERM) would wait for clients to leave.
    stop_stages = (StopStage(signal.SIGINT, 10.0), StopStage(signal.SIGQUIT, 3.0))

    def __init__(
        self, home: Path, *, cluster: Path, binaries: PostgresBinaries, run_as: RunAs, password: str, durable: bool
    ) -> None:
        super().__init__(home, name="postgres", origin=binaries.origin, run_as=run_as)
        self._cluster = cluster
        self._binaries = binaries
        self._password = password
        self._durable = durable

    @property
    def url(self) -> str:
        """In SQLAlchemy's form."""
        return f"postgresql+psycopg://{SUPERUSER}:{quote(self._password, safe='')}@{LOCALHOST}:{self.port}/{DATABASE}"

    def start(self) -> None:
        super().start()
        try:
            self._ensure_database()
        except psycopg.OperationalError as failure:
            self.stop()
            raise ServerNotStartedError(
                f"PostgreSQL не пускает к своим данным: {str(failure).strip()}",
                f"верните прежний файл пароля или начните с новой папки вместо {self.home}",
                reason=str(failure),
            ) from failure

    def _command(self, port: int) -> tuple[list[str], dict[str, str]]:
        if not self._cluster.exists():
            self._create_cluster()
        environment = dict(SERVER_ENVIRONMENT)
        stale_pid = _stale_pid(self._cluster)
        if stale_pid is not None:
            _refuse_foreign_server(stale_pid, self._cluster)
            # The pid of a dead server may belong to a living stranger now. A server takes a "grandparent" for no
            # server and still looks for the dead one's shared memory, which it could not had we deleted the file.
            environment["PG_GRANDPARENT_PID"] = str(stale_pid)
        options = _OPTIONS | ({} if self._durable else _NOT_DURABLE)
        command = [str(self._binaries.folder / "postgres"), "-D", str(self._cluster), "-p", str(port)]
        return [*command, *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))], environment

    def _is_ready(self, pid: int, new_log: str) -> bool:  # noqa: ARG002 - the pid file says it better than the log
        lines = _pid_file_lines(self._cluster)
        return len(lines) > _STATUS_LINE and lines[_PID_LINE] == str(pid) and lines[_STATUS_LINE] == "ready"

    def _create_cluster(self) -> None:
        # Made aside and renamed, so that a crash in the middle leaves no half of a cluster.
        place = self._cluster.parent
        for abandoned in place.glob(f"{_DRAFT_PREFIX}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft, password_file = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=place)), place / "cluster.password"
        write_private(password_file, self._password)
        try:
            self.run_as.own(draft)
            self.run_as.own(password_file)
            self._run_initdb(draft, password_file)
        finally:
            password_file.unlink()
        draft.rename(self._cluster)

    def _run_initdb(self, folder: Path, password_file: Path) -> None:
        arguments = ["-D", str(folder), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password_file}"]
        arguments += ["-E", "UTF8", *_locale_arguments(self._binaries.major), "--no-instructions"]
        if not self._durable:
            arguments.append("--no-sync")
        command = [str(self._binaries.folder / "initdb"), *arguments]
        try:
            result = self.run_as.run(command, environment=SERVER_ENVIRONMENT)
        except (OSError, subprocess.SubprocessError) as failure:
            raise ServerNotStartedError(
                f"initdb не запустился: {failure}", f"проверьте {command[0]}", reason=str(failure)
            ) from failure
        if result.returncode != 0:
            reason = (result.stderr or result.stdout).strip()
            raise ServerNotStartedError(
                f"initdb не создал базу: {reason}", f"проверьте место и права в {folder.parent}", reason=reason
            )

    def _ensure_database(self) -> None:
        with _maintenance_connection(self.url) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def start_postgres(
    data_dir: Path,
    *,
    password: str,
    durable: bool = True,
    log: Callable[[str], None],
    run_as: RunAs | None = None,
    binaries: PostgresBinaries | None = None,
) -> RunningPostgres:
    """Start PostgreSQL on the data of ``data_dir`` (made at the first call); ServiceError when that cannot be done.

    ``durable=False`` gives up safety against power loss for speed: tests only.
    """
    began = time.monotonic()
    make_folder(data_dir)
    cluster, run_as = place_data(data_dir, "cluster", run_as or current_run_as(), log)
    binaries = binaries or find_postgres(run_as, data_major=_data_major(cluster))
    server = RunningPostgres(
        data_dir, cluster=cluster, binaries=binaries, run_as=run_as, password=password, durable=durable
    )
    server.start()
    seconds = f"{time.monotonic() - began:.1f}".replace(".", ",")
    log(f"{binaries.described}: готов за {seconds} с, порт {server.port}")
    return server


def create_database(url: str, name: str, template: str | None = None) -> str:
    """Create database ``name`` on the server of ``url``, as a copy of ``template`` if given; return its URL."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    with _maintenance_connection(url) as connection:
        connection.execute(statement)
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str, name: str) -> None:
    """Drop database ``name`` on the server of ``url`` if it exists, throwing its clients out."""
    with _maintenance_connection(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _maintenance_connection(url: str) -> psycopg.Connection[tuple[object, ...]]:
    address = make_url(url)
    where = address.set(database="postgres").translate_connect_args(username="user", database="dbname")
    options = {name: values[-1] for name, values in address.normalized_query.items()}
    return psycopg.connect(make_conninfo("", **where, **options), autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)


def _locale_arguments(major: int) -> list[str]:
    # Under the C locale lower('Ё') would leave Russian letters alone.
    if major >= BUILTIN_LOCALE_SINCE:
        return ["--locale-provider=builtin", "--locale=C.UTF-8", "--lc-messages=C"]
    return ["--locale=C.UTF-8", "--lc-messages=C"]


def _data_major(cluster: Path) -> int | None:
    if not cluster.exists():
        return None
    try:
        return int((cluster / "PG_VERSION").read_text("ascii"))
    except PermissionError:
        raise FolderUnusableError(
            f"данные {cluster} принадлежат другому пользователю", "запустите от их владельца или от root"
        ) from None
    except (FileNotFoundError, ValueError):
        raise FolderUnusableError(
            f"{cluster} не похожа на данные PostgreSQL", "верните папку из копии или удалите её"
        ) from None


def _pid_file_lines(cluster: Path) -> list[str]:
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text("ascii", "replace").splitlines()]
    except FileNotFoundError:
        return []


def _stale_pid(cluster: Path) -> int | None:
    """The server that left its pid file behind; a file cut short by a full disk or power loss is removed."""
    lines = _pid_file_lines(cluster)
    if lines and lines[_PID_LINE].isdigit():
        return int(lines[_PID_LINE])
    # A server refuses such a file because another one may be starting; our lock says that none is.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    return None


def _refuse_foreign_server(pid: int, cluster: Path) -> None:
    """FolderInUseError if ``pid`` is a PostgreSQL, started by somebody by hand, that works on ``cluster``."""
    if Path("/proc/self/cwd").exists():
        try:
            ours = Path(f"/proc/{pid}/cwd").samefile(cluster)
        except OSError:
            ours = False
    else:
        listed = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
        ours = "postgres" in listed.stdout
    if ours:
        raise FolderInUseError(
            f"с данными {cluster} уже работает PostgreSQL, процесс {pid}", f"остановите его: kill -INT {pid}"
        )
