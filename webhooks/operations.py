"""For the operator's tools: is the process alive, can it store hooks, how is everything."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from flows import certificate_ends, health
from flows.errors import DatabaseAway
from webhooks.shared import counters, runtime

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
def alive() -> tuple[str, int]:
    return "ok", 200


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    found = health.readiness(runtime())
    body = jsonify(ready=found.is_ready, database=found.database, redis=found.redis)
    return body, 200 if found.is_ready else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus text: this process's counters, and gauges read from the database at this moment if it answers."""
    registry = CollectorRegistry()
    database = Gauge("kopilka_database_up", "1 while the database answers", registry=registry)
    try:
        _add_gauges(registry, health.facts(runtime()))
        database.set(1)
    except DatabaseAway:
        database.set(0)
    ends = Gauge("kopilka_certificate_expires_seconds", "Until this certificate ends", ["which"], registry=registry)
    for which, left in certificate_ends.left(runtime()).items():
        ends.labels(which).set(left.total_seconds())
    text = generate_latest(counters().registry) + generate_latest(registry)
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _add_gauges(registry: CollectorRegistry, found: health.Facts) -> None:
    Gauge("kopilka_members", "Members of the programme", registry=registry).set(found.members)
    rows = Gauge("kopilka_rows", "Rows by box and state", ["box", "state"], registry=registry)
    oldest = Gauge("kopilka_oldest_waiting_seconds", "Age of the longest waiting row", ["box"], registry=registry)
    for box, states, age_s in (
        ("inbox", found.inbox, found.inbox_oldest_s),
        ("outbox", found.outbox, found.outbox_oldest_s),
    ):
        oldest.labels(box).set(age_s)
        for state, count in states.items():
            rows.labels(box, state).set(count)
    behind = Gauge(
        "kopilka_crm_members_behind", "Members whose contact does not show the ledger yet", registry=registry
    )
    behind.set(found.crm_behind)
    stale = Gauge("kopilka_crm_stale_seconds", "For how long the worst of them has not shown it", registry=registry)
    stale.set(found.crm_stale_s)
    crm = Gauge("kopilka_crm_connected", "1 while the CRM accepts us", registry=registry)
    crm.set(found.crm_state in ("ok", "refreshing") and found.crm_closed_s == 0)
    wishes = Gauge("kopilka_data_requests_waiting", "Buyers who wait for an answer about their data", registry=registry)
    wishes.set(found.data_requests)
    if found.google is not None:
        _add_google(registry, found.google)
    pushes = Gauge("kopilka_apple_pushes", "Pushes to phones by outcome, ever", ["outcome"], registry=registry)
    for outcome, count in found.apple_pushes.items():
        pushes.labels(outcome).set(count)
    Gauge("kopilka_apple_phones", "Phones with a card", registry=registry).set(found.apple_phones)


def _add_google(registry: CollectorRegistry, found: health.GoogleFacts) -> None:
    cards = Gauge("kopilka_google_cards", "Objects at Google: made, saved, deleted", ["state"], registry=registry)
    for state, count in (("made", found.made), ("saved", found.saved), ("deleted", found.deleted)):
        cards.labels(state).set(count)
    behind = Gauge("kopilka_google_cards_behind", "Members whose object says something old", registry=registry)
    behind.set(found.behind)
    stale = Gauge("kopilka_google_stale_seconds", "For how long the worst of them has said it", registry=registry)
    stale.set(found.stale_s)
    callbacks = Gauge("kopilka_google_callbacks", "Callbacks by what came of them", ["event"], registry=registry)
    for event, times in found.callbacks.items():
        callbacks.labels(event).set(times)
