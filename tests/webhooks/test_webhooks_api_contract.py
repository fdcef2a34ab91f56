"""What the API promises is what it does: the OpenAPI document under schemathesis, the docs page, the table of codes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
from api_testing import ANNA, Program, give, new_member, program, use_rules
from flask import Flask
from schemathesis.engine import events, from_schema

from flows.runtime import Runtime
from loyalty.rules import ActionReward
from webhooks.api import examples
from webhooks.api.routes import ROUTES
from webhooks.app import create_app

pytestmark = pytest.mark.slow

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
EXAMPLES_PER_ADDRESS = 6
SEED = 20260301

by_name = pytest.mark.parametrize("route", ROUTES, ids=[one.name for one in ROUTES])


@pytest.fixture
def app(rt: Runtime) -> Flask:
    app = create_app(rt)
    app.config["API_CALLS_PER_SECOND"] = 1_000_000
    return app


@pytest.fixture
def shop_of_examples(app: Flask, rt: Runtime) -> Program:
    """A program in a shop that has what the examples of the document name."""
    review = ActionReward("review", "Отзыв о товаре", 50)
    use_rules(rt, replace(rt.programme, gifts=replace(rt.programme.gifts, actions=(review,))))
    with rt.db.begin() as tx:
        tx.execute(sa.text(f"ALTER TABLE member ALTER COLUMN id RESTART WITH {examples.PATHS['member_id']}"))
    caller = program(app, rt)
    anna = new_member(caller, ANNA, email="anna@example.ru", contact=30112451)
    assert str(anna) == examples.PATHS["member_id"]
    give(rt, anna, 5_000)
    order = {"member_id": anna, "items": [{"gross_kopecks": 540_000}]}
    caller.ok("POST", "/orders/A-1001/paid", order)
    hold = caller.ok("POST", "/holds", {**order, "order": "A-1002", "points": 500})
    with rt.db.begin() as tx:
        tx.execute(
            sa.text("UPDATE hold SET public_id = :sample WHERE public_id = :made"),
            {"sample": examples.PATHS["hold_id"], "made": hold["id"]},
        )
    return caller


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_schemathesis_finds_no_answer_that_the_document_does_not_promise(app: Flask, shop_of_examples: Program) -> None:
    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "headers": shop_of_examples.headers(),
            "generation": {"max-examples": EXAMPLES_PER_ADDRESS, "deterministic": True, "database": "none"},
            "workers": 1,
            "continue-on-failure": True,
            "phases": {"stateful": {"enabled": False}},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        }
    )
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", _with_own_keys(app), config=config)

    failures, statuses = [], Counter[tuple[str, int]]()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if isinstance(event, events.ScenarioFinished):
            statuses.update(_statuses(event.recorder))
            failures += _failures(event.recorder)

    assert failures[:1] == [], f"and {len(failures) - 1} more"
    reached = {name for name, status in statuses if status < 300}
    out_of_reach = {"POST /holds/{hold_id}/confirm", "POST /orders/{order}/payment-link"}  # a code; a bank
    assert {f"{one.method} {one.path}" for one in ROUTES} - reached <= out_of_reach


def _with_own_keys(app: Flask) -> Any:
    """Each call under a key of its own where the document's example stands: else they would all conflict."""
    numbers = itertools.count(1)
    samples = {examples.key(route) for route in ROUTES} | {"A-1001-paid"}

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_IDEMPOTENCY_KEY") in samples:
            environ["HTTP_IDEMPOTENCY_KEY"] = f"own-{next(numbers)}"
        return app(environ, start_response)

    return serve


def _statuses(recorder: Any) -> Iterator[tuple[str, int]]:
    for one in recorder.interactions.values():
        if one.response is not None:
            yield recorder.label, one.response.status_code


def _failures(recorder: Any) -> Iterator[str]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                yield f"{recorder.label}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
