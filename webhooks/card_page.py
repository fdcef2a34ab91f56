"""The buyer's card page and its two forms: offers by channel, requests for his data.

Works without JavaScript and in the browsers of messengers; opens by a long random link. Shows no phone and no surname
beyond its first letter, because links are forwarded. Owns how a phone is recognised and the order of the buttons; the
words are `card_words.py`, the pictures and the passes `cards.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, abort, redirect, render_template, request

from flows import card_visits, cards, google_button
from flows.card_visits import TooOften
from flows.present import qr_svg, spaced_number
from webhooks.card_words import A_MOVE_IN_ENGLISH, EN, MOVES_IN_ENGLISH
from webhooks.cards import asked_words, blueprint, no_card
from webhooks.shared import runtime

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from flows.card_visits import Choices
    from flows.cards import CardPage
    from flows.explaining import Cited
    from flows.runtime import Runtime
    from webhooks.card_words import Words

Device = Literal["apple", "android", "desktop"]

HISTORY_OPEN_MAX = 7
"""So many lines are shown without a touch."""

_APPLE = re.compile(r"iPhone|iPad|iPod")
_ANDROID = re.compile(r"Android")
_IN_APP = re.compile(
    r"FBAN|FBAV|Instagram|VKAndroidApp|VKClient|vk_app|WhatsApp|Telegram|MAX/|Line/|; wv\)|OKApp|YaSearch",
    re.IGNORECASE,
)
_BETWEEN_NAMES = re.compile(r"[\s,;/_]+")
_NO_NAME = re.compile(r"[\d@]")
_DATA_KINDS = ("export", "erase")


@dataclass(frozen=True)
class Button:
    """A way to put the card into a phone; `path` is below the card's own address, `badge` names its official look."""

    title: str
    path: str
    is_second: bool = False
    badge: str | None = None


@blueprint.get("/c/<token>")
def page(token: str) -> Response:
    rt, words = runtime(), asked_words()
    shown = cards.page(rt, token)
    if shown is None:
        return no_card(words)
    zone = ZoneInfo(rt.programme.timezone)
    card = shown.card
    design = rt.design.of_segment(card.segment_code)
    agent = request.headers.get("User-Agent", "")
    device = _device(agent)
    html = render_template(
        "card.html",
        words=words,
        programme=rt.programme.name,
        token=token,
        design=design,
        name=_short_name(shown.member.name),
        segment=card.segment_title,
        balance=words.labels.number_text(card.available_points),
        points=_points(words, card.available_points).split("\u00a0")[-1],
        worth=_worth(words, card.available_points * rt.programme.point_value_kopecks),
        in_debt=card.available_points < 0,
        number=spaced_number(card.number),
        lines=[line for line in (_burn(words, shown), _soon(words, shown)) if line],
        buttons=_buttons(rt, words, device),
        device=device,
        is_in_app=_IN_APP.search(agent) is not None,
        in_wallet=shown.is_in_apple if device == "apple" else device == "android" and shown.is_in_google,
        hints=_hints(rt, words, device),
        tier=_tier(words, shown),
        colours=card.segment_code or "",
        page_url=rt.card_url(token),
        history=[_history(words, line, zone) for line in shown.history],
        history_open_max=HISTORY_OPEN_MAX,
        notice=_notice(words),
        offers=_offers(words, card_visits.choices(rt, shown.member.id), zone),
    )
    return Response(html)


@blueprint.post("/c/<token>/offers")
def choose_offers(token: str) -> AnyResponse:
    """The form of channels: `channel` as often as it is ticked, `shown` as often as it was when the page was opened;
    `all=no` takes everything back."""
    _refuse_foreign_forms()
    rt, words = runtime(), asked_words()
    address = request.remote_addr or ""
    try:
        if request.form.get("all") == "no":
            done = card_visits.refuse_all(rt, token, address=address)
        else:
            text = f"страница карты: «{words.offers_lead}»"
            ticked, shown = request.form.getlist("channel"), request.form.getlist("shown")
            done = card_visits.choose(rt, token, ticked, shown=shown, text=text, address=address)
    except TooOften:
        return _back(token, words, "too_often", "offers")
    return no_card(words) if done is None else _back(token, words, "saved", "offers")


@blueprint.post("/c/<token>/data")
def ask_for_data(token: str) -> AnyResponse:
    """`kind`: export or erase."""
    _refuse_foreign_forms()
    words, kind = asked_words(), request.form.get("kind", "")
    if kind not in _DATA_KINDS:
        abort(400)
    asked = card_visits.ask_for_data(runtime(), token, kind)  # type: ignore[arg-type]
    return no_card(words) if asked is None else _back(token, words, "", "data")


@blueprint.get("/c/<token>/page.svg")
def page_qr(token: str) -> Response:
    """This page's own address, for the camera of a phone in front of a desktop."""
    return Response(qr_svg(runtime().card_url(token)), content_type="image/svg+xml")


def _back(token: str, words: Words, notice: str, anchor: str) -> AnyResponse:
    return redirect(f"/c/{token}?{urlencode({'lang': words.language, 'notice': notice})}#{anchor}", 303)


def _notice(words: Words) -> str:
    return {"saved": words.saved, "too_often": words.too_often}.get(request.args.get("notice", ""), "")


def _refuse_foreign_forms() -> None:
    """A form on somebody else's page must not act for the buyer. Browsers that say nothing of it are let through: such
    a form would have to know the link anyway."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        abort(403)


def _device(agent: str) -> Device:
    if _APPLE.search(agent):
        return "apple"
    return "android" if _ANDROID.search(agent) else "desktop"


def _short_name(name: str) -> str:
    """«Анна Петрова» -> «Анна П.» The CRM names a contact by his phone or e-mail where it knows no better: neither is
    shown."""
    words = [word for word in _BETWEEN_NAMES.split(name) if word and not _NO_NAME.search(word)]
    return f"{words[0]} {words[1][0]}." if len(words) > 1 else "".join(words)


def _buttons(rt: Runtime, words: Words, device: Device) -> list[Button]:
    """Of the wallets that are set up, the device's own first and large; a desktop gets both alike."""
    apple = [(Button(words.add_to.format("Apple Wallet"), "card.pkpass"), words.also_apple)] if rt.signer else []
    google = google_button.button(rt, words.language)
    android = []
    if google is not None:
        android = [(Button(google.title, "google"), words.also_google.format(google.title))]
    ordered = android + apple if device == "android" else apple + android
    large = ordered if device == "desktop" else ordered[:1]
    small = ordered[len(large) :]
    return [
        *(replace(button, badge=_badge(rt, words, button)) for button, _ in large),
        *(Button(title, button.path, is_second=True) for button, title in small),
    ]


def _badge(rt: Runtime, words: Words, button: Button) -> str | None:
    name = ("apple" if button.path == "card.pkpass" else "google") + ("" if words.language == "ru" else "_en")
    return name if name in rt.file.card.badges else None


def _hints(rt: Runtime, words: Words, device: Device) -> list[str]:
    """What must be known before a card is added: that it is for trying out, that a wallet does not work here."""
    google = None if device == "apple" else google_button.button(rt, words.language)
    is_demo = device != "android" and rt.signer is not None and rt.signer.is_demo
    told = (words.demo if is_demo else None, *((google.note, google.demo_note) if google is not None else ()))
    return [hint for hint in told if hint]


def _tier(words: Words, shown: CardPage) -> dict[str, object] | None:
    goal = shown.card.next_segment
    if goal is None:
        return None
    return {"text": words.next_tier.format(goal.title, words.labels.left_to(goal)), "percent": shown.tier_percent}


def _worth(words: Words, kopecks: int) -> str | None:
    """What the points buy, in whole roubles; nothing to say of nothing."""
    return words.worth.format(words.labels.number_text(kopecks // 100)) if kopecks >= 100 else None


def _burn(words: Words, shown: CardPage) -> str | None:
    if shown.card.nearest_burn is None:
        return None
    points, day = shown.card.nearest_burn
    return words.burns.format(_points(words, points), words.labels.full_date(day))


def _soon(words: Words, shown: CardPage) -> str | None:
    day = shown.card.next_activation_on
    if not shown.next_points or day is None:
        return None
    return words.soon.format(_points(words, shown.next_points), words.labels.full_date(day))


def _points(words: Words, count: int) -> str:
    return words.labels.count_text(count, runtime().design.point_words)


def _offers(words: Words, chosen: Choices, zone: ZoneInfo) -> dict[str, object]:
    """Channels with what was said of them, and the open requests in words."""
    channels = []
    for name, word in chosen.words.items():
        when = "" if word is None else words.labels.full_date(word.at.astimezone(zone).date())
        said = "" if word is None else (words.given if word.is_given else words.withdrawn).format(when)
        is_given = word is not None and word.is_given
        channels.append({"name": name, "title": words.channels[name], "said": said, "is_given": is_given})
    asked = {
        one.kind: words.asked[one.kind].format(one.number, words.labels.full_date(one.asked_at.astimezone(zone).date()))
        for one in chosen.requests
    }
    return {"channels": channels, "asked": asked}


def _history(words: Words, cited: Cited, zone: ZoneInfo) -> dict[str, str]:
    points = cited.line.points
    sign = "+" if points > 0 else "−" if points < 0 else ""
    text = cited.line.text if words is not EN else MOVES_IN_ENGLISH.get(cited.move, A_MOVE_IN_ENGLISH)
    return {
        "day": words.labels.full_date(cited.at.astimezone(zone).date()),
        "what": text,
        "points": f"{sign}{words.labels.number_text(abs(points))}" if points else "",
        "kind": cited.move,
    }
