"""Connections and transactions. The only place that opens them.

Owns the engine, the transaction scope, retry after a deadlock, and the translation «the database is away» ->
`DatabaseAway`. Engines do not survive a fork: the child gets fresh connections.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Result = TypeVar("Result")

POOL_SIZE = 12
CONNECT_TIMEOUT_S = 3
UNASKED_S = 0.5
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 3_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 20_000
DEADLOCK_RETRIES = 4
RETRIED_SQLSTATES = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available: the whole transaction may be run again."""


class DatabaseAway(Exception):
    """PostgreSQL cannot be reached or is restarting. Nothing was written; the caller may answer 503 or try later."""


class Database:
    """One engine per process. `begin()` is a transaction, `autocommit()` a connection of single statements."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.engine = _engine(url, pool_size)
        _ping_after_idling(self.engine)
        # A pool of its own: no connection is switched to autocommit and back for the sake of one statement.
        self._single = _engine(url, pool_size, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        os.register_at_fork(after_in_child=self._forget_parents_connections)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction: commits at the end, rolls back on any exception."""
        with _away_is_told(), self.engine.begin() as tx:
            yield tx

    @contextmanager
    def autocommit(self) -> Iterator[sa.Connection]:
        """A connection where each statement is its own durable transaction: one round trip instead of three."""
        with _away_is_told(), self._single.connect() as connection:
            yield connection

    @contextmanager
    def driver(self) -> Iterator[psycopg.Connection[Any]]:
        """The driver's own connection, autocommit: for a statement so frequent that SQLAlchemy's part is too dear."""
        with _away_is_told():
            pooled = self._single.raw_connection()
            try:
                yield cast("psycopg.Connection[Any]", pooled.driver_connection)
            except psycopg.Error as failure:
                if _is_away(failure.sqlstate):
                    self._single.dispose()  # what idles in the pool is as dead as this one
                    pooled.invalidate(failure)
                raise
            finally:
                pooled.close()

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A bare connection, for migrations: they begin and end their transactions themselves."""
        with _away_is_told(), self.engine.connect() as connection:
            yield connection

    def run(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Runs `work` in a transaction, again after a deadlock or lock timeout; `work` must have no other effects."""
        for _ in range(DEADLOCK_RETRIES):
            try:
                with self.begin() as tx:
                    return work(tx)
            except DBAPIError as failure:
                if sqlstate(failure) not in RETRIED_SQLSTATES:
                    raise
        with self.begin() as tx:
            return work(tx)

    def close(self) -> None:
        self.engine.dispose()
        self._single.dispose()

    def _forget_parents_connections(self) -> None:
        self.engine.dispose(close=False)
        self._single.dispose(close=False)


def _ping_after_idling(engine: sa.Engine) -> None:
    """A connection that has idled, or that has something to say although nobody asked (the server said good-bye), is
    asked whether it lives before it is used. Asking always would be a fifth of a short transaction."""

    def returned(connection: Any, record: Any) -> None:
        del connection
        record.info["returned_at"] = time.monotonic()

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        del proxy
        has_idled = time.monotonic() - record.info.get("returned_at", 0.0) > UNASKED_S
        if not has_idled and not _has_something_to_say(connection):
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except psycopg.Error as failure:
            raise sa.exc.DisconnectionError("the pooled connection is dead") from failure
        if not alive:
            raise sa.exc.DisconnectionError("the pooled connection is dead")

    sa.event.listen(engine, "checkin", returned)
    sa.event.listen(engine, "checkout", taken)


def _has_something_to_say(connection: psycopg.Connection[Any]) -> bool:
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def quick(tx: sa.Connection, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that is part of every decision, from the driver itself: SQLAlchemy's part would be three
    quarters of the client's work. Same connection, transaction and exceptions; placeholders are `%(name)s`."""
    driver = cast("psycopg.Connection[Any]", tx.connection.driver_connection)
    cursor = tx.info.get("cursor")
    if cursor is None:  # lives as long as the connection: a new one would learn anew how each type is sent
        cursor = tx.info["cursor"] = driver.cursor()
    try:
        cursor.execute(statement, parameters)
        return cast("list[tuple[Any, ...]]", cursor.fetchall())
    except psycopg.Error as failure:
        if driver.closed:
            tx.engine.dispose()  # what idles in the pool is as dead as this one
            tx.invalidate(failure)
        told = DBAPIError.instance(statement, None, failure, psycopg.Error, hide_parameters=True, dialect=tx.dialect)
        raise told from failure


def sqlstate(failure: BaseException) -> str | None:
    """PostgreSQL's five-character code of a driver error, None if it never reached the server."""
    return getattr(getattr(failure, "orig", failure), "sqlstate", None)


def refusal(failure: BaseException) -> str | None:
    """What the database refused, by code and constraint: the driver's text quotes the whole row. None: no refusal."""
    if not isinstance(failure, DBAPIError) or sqlstate(failure) is None:
        return None
    constraint = getattr(getattr(failure.orig, "diag", None), "constraint_name", None)
    return f"база отказала: {sqlstate(failure)} {constraint or ''}".rstrip()


def _engine(url: str, pool_size: int, **options: Any) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_recycle=1800,
        hide_parameters=True,  # an error's text goes into logs and to the operator: no names, no sealed tokens
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "kopilka",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} -c timezone=UTC",
        },
        **options,
    )


@contextmanager
def _away_is_told() -> Iterator[None]:
    """Turns what means «away» into DatabaseAway. Everything else goes up as it is: a value that the driver refuses
    carries no code either, but says nothing about the server."""
    try:
        yield
    except sa.exc.TimeoutError as failure:
        raise DatabaseAway("no free database connection") from failure
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as failure:
        if _is_away(sqlstate(failure)):
            raise DatabaseAway("the database is away") from failure
        raise


def _is_away(state: str | None) -> bool:
    """Connection loss, shutdown (57P0x), too many connections or a full disk (53xxx), refused starts."""
    return state is None or state[:2] in ("08", "53") or state.startswith("57P")
