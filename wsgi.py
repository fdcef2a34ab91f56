"""The WSGI application: webhooks and console put together. The two know nothing of each other.

`kopilka web` serves `build_app(rt)`; for another server: gunicorn 'wsgi:create()'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import pages
from webhooks.app import create_app

if TYPE_CHECKING:
    from flask import Flask

    from flows.runtime import Runtime


def build_app(rt: Runtime) -> Flask:
    """Everything that is served over HTTP, over a prepared Runtime."""
    app = create_app(rt)
    app.register_blueprint(pages.blueprint)
    return app


def create() -> Flask:
    """The application of this process, from its own environment. Raises what `kopilka web` explains."""
    from config.logs import configure_logging  # noqa: PLC0415 - only a server without `kopilka web` needs these
    from config.settings import load_settings  # noqa: PLC0415
    from flows.runtime import build_runtime, prepare  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings.log_level, human=False)
    rt = build_runtime(settings)
    prepare(rt)
    return build_app(rt)
