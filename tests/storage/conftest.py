"""One database for the storage tests that do not need a fresh one: cloning takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from cli.services.postgres import RunningPostgres, create_database, drop_database
from storage.db import Database

NAME = "test_storage_shared"


@pytest.fixture(scope="session")
def storage_database(postgres_server: RunningPostgres, template_url: str) -> Iterator[Database]:
    create_database(postgres_server.url, NAME, template=template_url.rsplit("/", 1)[1])
    database = Database(template_url.rsplit("/", 1)[0] + f"/{NAME}")
    yield database
    database.close()
    drop_database(postgres_server.url, NAME)


@pytest.fixture
def shared_db(storage_database: Database) -> Database:
    """Boxes and CRM access start empty; the book keeps what earlier tests wrote and must be whole all the same."""
    with storage_database.begin() as tx:
        tx.execute(sa.text("TRUNCATE inbox, outbox RESTART IDENTITY"))
        tx.execute(sa.text("DELETE FROM oauth_token"))
        tx.execute(sa.text("DELETE FROM rate_gate"))
        tx.execute(sa.text("DELETE FROM directory"))
    return storage_database
