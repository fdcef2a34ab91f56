"""Puts the servers together from their parts. Owns the list of blueprints and the headers of pages."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from simulator import (
    activity,
    bank_controls,
    bots,
    bulk,
    card_controls,
    catalogs,
    contacts,
    controls,
    customers,
    definitions,
    elements,
    google,
    google_saves,
    hooks,
    invoice_controls,
    leads,
    limits,
    links,
    mail_controls,
    notices,
    oauth,
    pages,
    pay_page,
    purchases,
    segments,
    tasks,
    world,
)
from simulator.acquirers import PROVIDERS, TITLES
from simulator.answers import Refused, problem
from simulator.bank_world import Bank
from simulator.clock import VirtualClock
from simulator.deliveries import Mailer, Policy
from simulator.faults import Faults
from simulator.mail import Mail, Refusals
from simulator.settings import Settings
from simulator.signing_keys import Keys
from simulator.store import Store
from simulator.views import clock_time, moscow, roubles
from simulator.world import Crm

CSP = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"


def crm_app(settings: Settings, directory: Path) -> tuple[Flask, Crm]:
    """The amoCRM server and its world; the caller starts `mailer` and closes `store`."""
    store, clock = Store(directory / "crm.jsonl"), VirtualClock(directory)
    mailer = Mailer(store, clock, {hooks.POLICY: hooks.policy()})
    crm = Crm(settings, store, clock, Faults(settings.seed), mailer)
    _recall_peers(settings, store)
    world.open_account(crm)
    hooks.attach(crm)
    app = _flask(settings)
    app.extensions["crm"] = crm
    limits.guard(app, crm)
    blueprints = (
        *(pages.bp, controls.bp, bulk.bp, card_controls.bp, oauth.bp, activity.bp, definitions.bp, links.bp, hooks.bp),
        *(catalogs.bp, elements.bp, invoice_controls.bp),
        *(leads.pipelines, leads.bp, contacts.bp, contacts.companies),
        *(customers.modes, customers.bp, segments.bp, purchases.bp, bots.bp, bots.controls, tasks.bp, tasks.controls),
    )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.register_error_handler(Refused, lambda refused: refused.response)
    return app, crm


def bank_app(settings: Settings, directory: Path) -> tuple[Flask, Bank]:
    """The bank's server and its world; the caller starts `mailer` and closes `store`."""
    store, clock = Store(directory / "bank.jsonl"), VirtualClock(directory)
    policies: dict[str, Policy] = {notices.NOTICE: notices.notice_policy()}
    mailer = Mailer(store, clock, policies)
    own = Bank(settings, store, clock, Faults(settings.seed), mailer, Keys(directory), PROVIDERS)
    for provider in PROVIDERS.values():
        policies |= provider.policies(own)
    mailer.tried = lambda delivery, _ok, _quick: notices.hear(own, delivery)
    _recall_peers(settings, store)
    app = _flask(settings)
    app.extensions["bank"] = own
    bank_controls.guard(app, own)
    # Two banks on one platform share a blueprint.
    apis = dict.fromkeys(provider.blueprint for provider in PROVIDERS.values() if provider.blueprint is not None)
    for blueprint in (bank_controls.bp, pay_page.bp, google.bp, google_saves.bp, *apis):
        app.register_blueprint(blueprint)
    return app, own


def mail_app(settings: Settings, directory: Path) -> tuple[Flask, Mail]:
    """The inbox of the mail server and its world; the caller starts the SMTP side and closes `store`."""
    mail = Mail(settings, Store(directory / "mail.jsonl"), VirtualClock(directory), Refusals())
    _recall_peers(settings, mail.store)
    app = _flask(settings)
    app.extensions["mail"] = mail
    app.register_blueprint(mail_controls.bp)
    return app, mail


def _flask(settings: Settings) -> Flask:
    app = Flask("simulator")
    offered = {name: title for name, title in TITLES.items() if name in settings.bank.named}
    app.jinja_env.globals["acquirers"] = offered or TITLES
    app.jinja_env.filters.update(moscow=moscow, clock_time=clock_time, roubles=roubles)
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_page_headers)
    return app


def _http_error(error: HTTPException) -> Response:
    if request.path.startswith("/api/"):
        status = error.code if error.code in (404, 405, 500) else 400
        return problem(status, error.name)
    return Response(error.name, status=error.code or 500, content_type="text/plain; charset=utf-8")


def _page_headers(response: Response) -> Response:
    if response.mimetype == "text/html" and not request.path.startswith(("/api/", "/oauth2/")):
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-store"
    return response


def _recall_peers(settings: Settings, store: Store) -> None:
    """Peers told at run time outlive a restart, unless the file names others."""
    known = store.table("peers").get("known", {})
    settings.peers.update({key: value for key, value in known.items() if not getattr(settings.peers, key)})
