"""The preview of a card in a real browser: its own policy refuses nothing, no text is cut off, the code is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from browser_testing import Person

from wallet.card import Card, CardDesign, NextSegment
from wallet.card_apple import apple_pass
from wallet.preview_html import preview_html

pytestmark = pytest.mark.browser

DESIGN = CardDesign(
    programme_name="Клуб «Спорт и горы»",
    organization_name="Спорт и горы",
    description="Карта клуба",
    offers=(("Для участников", "До конца месяца вторая палатка за полцены."),),
    back=(("Правила", "10 % баллами с каждой покупки. Баллы доступны через 14 дней и живут 180 дней."),),
)
CARD = Card(
    serial="1",
    number="7700012345",
    member_name="Анна Петрова",
    segment_title="Стартовый",
    available_points=1240,
    pending_points=468,
    next_activation_on=date(2026, 3, 28),
    nearest_burn=(341, date(2026, 4, 2)),
    card_url="https://club.example.ru/c/7Q2M9X",
    next_segment=NextSegment("VIP", None, 1_240_000),
)
CUT = """() => [...document.querySelectorAll('.side > p')]
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"""


@pytest.mark.parametrize("barcode", ["qr", "code128", "pdf417"])
@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_preview_shows_every_text_whole(
    person: Person, tmp_path: Path, screenshots: Path, barcode: str, language: str
) -> None:
    design = replace(DESIGN, barcode=barcode, language=language)  # type: ignore[arg-type]
    pass_ = apple_pass(CARD, design, pass_type_id="pass.x", team_id="T")
    path = tmp_path / "card.html"
    path.write_text(preview_html(pass_.pass_json(), pass_.images.files, language=language), encoding="utf-8")

    page = person.page
    page.goto(path.as_uri())
    page.screenshot(path=screenshots / f"preview-{barcode}-{language}.png")

    assert page.evaluate(CUT) == []
    assert page.evaluate("() => [...document.images].every(one => one.naturalWidth > 0)")
    assert page.get_by_alt_text("77 0001 2345").bounding_box()["width"] > 100  # type: ignore[index]


def test_on_a_narrow_phone_the_sides_stand_one_under_the_other(person: Person, tmp_path: Path) -> None:
    pass_ = apple_pass(CARD, DESIGN, pass_type_id="pass.x", team_id="T")
    path = tmp_path / "card.html"
    path.write_text(preview_html(pass_.pass_json(), pass_.images.files), encoding="utf-8")

    person.page.set_viewport_size({"width": 430, "height": 800})
    person.page.goto(path.as_uri())

    boxes = [side.bounding_box() for side in person.page.locator("section").all()]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] == boxes[1]["x"]
    assert boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"]
