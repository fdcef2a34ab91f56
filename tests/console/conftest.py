"""Fixtures of the console's tests: the whole application, and a visitor who came through the secret link."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from cli.services.postgres import RunningPostgres, create_database, drop_database
from flows.runtime import Runtime
from wsgi import build_app

TEMPLATE = "kopilka_template"


@pytest.fixture(scope="session")
def kept_database(postgres_server: RunningPostgres, template_url: str) -> Iterator[str]:
    """One database for all tests of this folder: emptying it takes 3 ms, cloning one takes 150."""
    name = "tests_of_the_console"
    create_database(postgres_server.url, name, template=TEMPLATE)
    yield f"{template_url.rsplit('/', 1)[0]}/{name}"
    drop_database(postgres_server.url, name)


@pytest.fixture
def database_url(kept_database: str) -> str:
    """The kept database, empty but for its schema."""
    engine = sa.create_engine(kept_database, poolclass=sa.NullPool)
    with engine.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))  # the ledger refuses to forget otherwise
        for table in sa.inspect(tx).get_table_names():
            if table != "alembic_version":
                tx.execute(sa.text(f'DELETE FROM "{table}"'))
    return kept_database


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Without wallets: the console does not show them, and reading their keys takes longer than most tests."""
    del environment["DEMO_WALLET_DIR"]
    return environment


@pytest.fixture
def app(rt: Runtime) -> Flask:
    return build_app(rt)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """A browser that has never seen the link."""
    return app.test_client()


@pytest.fixture
def owner(app: Flask, rt: Runtime) -> FlaskClient:
    """A browser that has opened the link."""
    client = app.test_client()
    _, secret = rt.console_link().split("?")
    assert client.get(f"/console/?{secret}").status_code == 200
    return client


@pytest.fixture
def form_token() -> Callable[[FlaskClient], str]:
    """What a form of the visitor's page carries."""

    def read(client: FlaskClient) -> str:
        page = client.get("/console/").text
        return page.split('name="form_token" value="')[1].split('"')[0]

    return read
