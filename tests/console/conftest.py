"""Fixtures of the console's tests: the whole application, and a visitor who came through the secret link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flows.runtime import Runtime
from wsgi import build_app


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
