"""The buyer's card page and what it links to. Opens by a long random link, works without JavaScript.

Shows no phone and no surname beyond its first letter: links are forwarded. Its words for people are Russian and live
in the template.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, redirect, render_template, request

from flows import cards
from flows.present import count_text, full_date, qr_svg, spaced_number, thousands
from webhooks.shared import runtime

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from flows.runtime import Runtime

PKPASS = "application/vnd.apple.pkpass"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_APPLE_DEVICE = re.compile(r"iPhone|iPad|iPod|Macintosh")  # an iPad calls itself a Mac
_IN_APP = re.compile(r"FBAN|FBAV|Instagram|VKAndroidApp|VKClient|WhatsApp|Telegram|MAX/", re.IGNORECASE)
blueprint = Blueprint("cards", __name__)


@blueprint.before_request
def only_tokens_that_could_be_ours() -> Response | None:
    token = (request.view_args or {}).get("token")
    return _no_card() if token is not None and _TOKEN.fullmatch(token) is None else None


@blueprint.get("/c/<token>")
def page(token: str) -> Response:
    rt = runtime()
    shown = cards.page(rt, token)
    if shown is None:
        return _no_card()
    zone = ZoneInfo(rt.programme.timezone)
    card, design = shown.card, rt.design
    agent = request.headers.get("User-Agent", "")
    html = render_template(
        "card.html",
        programme=rt.programme.name,
        design=design,
        name=_short_name(card.member_name or ""),
        segment=card.segment_title,
        balance=thousands(card.available_points),
        points=count_text(card.available_points, design.point_words).split("\u00a0")[-1],
        worth=_worth(card.available_points * rt.programme.point_value_kopecks),
        in_debt=card.available_points < 0,
        number=spaced_number(card.number),
        soon=_soon(shown),
        burn=_burn(shown),
        token=token,
        wallets=_wallets(rt, is_apple=_APPLE_DEVICE.search(agent) is not None),
        is_demo=rt.signer is not None and rt.signer.is_demo,
        is_in_app=bool(_IN_APP.search(agent)),
        history=[_history(line, zone) for line in shown.history],
    )
    return Response(html)


@blueprint.get("/c/<token>/card.pkpass")
def apple(token: str) -> Response:
    built = cards.apple_pass(runtime(), token)
    if built is None:
        abort(404)
    headers = {"Content-Disposition": 'attachment; filename="card.pkpass"'}
    return Response(built, content_type=PKPASS, headers=headers)


@blueprint.get("/c/<token>/google")
def google(token: str) -> AnyResponse:
    link = cards.google_link(runtime(), token)
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
    """The owner's colours; a file of its own because the page's policy allows no inline style."""
    design = runtime().design
    css = f":root{{--card:{design.background};--text:{design.text};--label:{design.label}}}"
    return Response(css, content_type="text/css")


@blueprint.get("/c/logo.png")
def logo() -> Response:
    return Response(cards.logo_png(runtime()), content_type="image/png", headers={"Cache-Control": "max-age=3600"})


def _no_card() -> Response:
    return Response(render_template("no_card.html"), 404)


def _short_name(name: str) -> str:
    """«Анна Петрова» -> «Анна П.»"""
    first, _, rest = name.strip().partition(" ")
    return f"{first} {rest.strip()[0]}." if rest.strip() else first


def _wallets(rt: Runtime, *, is_apple: bool) -> list[tuple[str, str]]:
    """(button, path) of the wallets that are set up, this device's own first."""
    apple = [("Добавить в Apple Wallet", "card.pkpass")] if rt.signer is not None else []
    google = [("Добавить в Google Wallet", "google")] if rt.google is not None else []
    return apple + google if is_apple else google + apple


def _worth(kopecks: int) -> str | None:
    """What the points buy, in whole roubles; nothing to say of nothing."""
    return thousands(kopecks // 100) if kopecks >= 100 else None


def _soon(shown: cards.CardPage) -> str | None:
    day = shown.card.next_activation_on
    if not shown.next_points or day is None:
        return None
    return f"Ещё {count_text(shown.next_points, runtime().design.point_words)} станут доступны {full_date(day)}"


def _burn(shown: cards.CardPage) -> str | None:
    if shown.card.nearest_burn is None:
        return None
    points, day = shown.card.nearest_burn
    return f"{count_text(points, runtime().design.point_words)} действуют по {full_date(day)}"


def _history(cited: Any, zone: ZoneInfo) -> dict[str, str]:
    points = cited.line.points
    sign = "+" if points > 0 else "−" if points < 0 else ""
    return {
        "day": full_date(cited.at.astimezone(zone).date()),
        "what": cited.line.text,
        "points": f"{sign}{thousands(abs(points))}" if points else "",
        "kind": cited.move,
    }
