"""REST API v1: how the shop's own programs (site, till, bot, app) find members, quote, hold, pay and return.

Bearer tokens with scopes; JSON; errors are problem+json (RFC 9457) with a stable English `code` and a Russian `title`;
every write has an Idempotency-Key. The table of addresses is `routes.py`, the steps of a call `entrance.py`.
"""

from __future__ import annotations

from flask import Blueprint

from webhooks.api import entrance, pages, problems
from webhooks.api.routes import ROUTES

PREFIX = "/api/v1"

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
docs = pages.blueprint
refused = problems.refused
answered = problems.answered

for _route in ROUTES:
    blueprint.add_url_rule(
        _route.path.replace("{", "<").replace("}", ">"),
        endpoint=_route.name,
        view_func=entrance.handler(_route),
        methods=[_route.method],
        provide_automatic_options=False,
    )
