"""What a card's link leads to besides its page: the passes, the codes, the owner's colours and logo.

Opens by a long random link. The page is `card_page.py`, which adds its routes to this blueprint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, abort, redirect, render_template, request

from flows import active_rules, apple_cards, cards, google_saving
from flows.errors import WalletError
from flows.present import qr_svg
from webhooks.card_words import LANGUAGES, Words
from webhooks.shared import runtime

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

PKPASS = "application/vnd.apple.pkpass"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_log = structlog.get_logger(__name__)
blueprint = Blueprint("cards", __name__)


@blueprint.before_request
def only_tokens_that_could_be_ours() -> Response | None:
    token = (request.view_args or {}).get("token")
    if token is None:
        return None
    if _TOKEN.fullmatch(token) is None:
        return no_card(asked_words())
    active_rules.look(runtime())  # titles of segments, and what is lacking for the next
    return None


@blueprint.get("/c/<token>/card.pkpass")
def apple(token: str) -> Response:
    try:
        built = apple_cards.apple_pass(runtime(), token)
    except WalletError as failure:  # for example an expired certificate: a phone would say nothing
        _log.error("apple_card_not_built", error=str(failure))
        text = "Карту сейчас не выдать, магазин уже знает. Попробуйте позже."
        return Response(text, 503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "300"})
    if built is None:
        abort(404)
    headers = {"Content-Disposition": 'attachment; filename="card.pkpass"'}
    return Response(built, content_type=PKPASS, headers=headers)


@blueprint.get("/c/<token>/google")
def google(token: str) -> AnyResponse:
    try:
        link = google_saving.link(runtime(), token)
    except google_saving.GoogleAway:
        later = Response(render_template("google_later.html", words=asked_words(), token=token), 503)
        later.headers["Retry-After"] = str(google_saving.RETRY_AFTER_S)
        return later
    if link is None:
        abort(404)
    return redirect(link, 302)


@blueprint.get("/c/<token>/qr.svg")
def qr(token: str) -> Response:
    shown = cards.page(runtime(), token)
    if shown is None:
        abort(404)
    return Response(qr_svg(shown.card.number), content_type="image/svg+xml")


@blueprint.get("/c/colours.css")
def colours() -> Response:
    """The owner's colours of a segment; a file of its own because the page's policy allows no inline style."""
    design = runtime().design.of_segment(request.args.get("segment"))
    css = f":root{{--card:{design.background};--text:{design.text};--label:{design.label}}}"
    return Response(css, content_type="text/css")


@blueprint.get("/c/badge/<name>")
def badge(name: str) -> Response:
    """Apple's or Google's own button. A picture may hold styles of its own, and nothing that runs."""
    found = cards.badge(runtime(), name)
    if found is None:
        abort(404)
    content, kind = found
    headers = {
        "Cache-Control": "max-age=3600",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(content, content_type=kind, headers=headers)


@blueprint.get("/c/logo.png")
def logo() -> Response:
    return Response(cards.logo_png(runtime()), content_type="image/png", headers={"Cache-Control": "max-age=3600"})


def asked_words() -> Words:
    """As the link says, else as the browser does; Russian for all other languages."""
    asked = request.values.get("lang", "")
    return LANGUAGES.get(asked) or LANGUAGES[request.accept_languages.best_match(["ru", "en"], "ru")]


def no_card(words: Words) -> Response:
    return Response(render_template("no_card.html", words=words), 404)
