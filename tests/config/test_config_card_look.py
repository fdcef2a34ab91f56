"""What the card section becomes: a base look and whole looks of segments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from config.contrast import contrast, nearest_readable
from config.model import CardConfig, CardLook, Place
from config.programme import CheckResult

Check = Callable[..., CheckResult]


def card_of(result: CheckResult) -> CardConfig:
    assert result.problems == (), result.render()
    assert result.programme_file is not None
    return result.programme_file.card


def test_what_a_segment_does_not_name_is_the_cards_own(
    check: Check, changed: Callable[..., str], tmp_path: Path
) -> None:
    for name, size in {"logo": (480, 150), "gold": (960, 300), "strip": (1125, 432)}.items():
        Image.new("RGB", size).save(tmp_path / "config" / f"{name}.png")
    segments = (
        '  segments:\n    - {segment: start, colors: {label: "#FFFFFF"}}\n'
        "    - {segment: regular, images: {logo: gold.png}, back: [], offers: [{label: Своим, text: Дом}]}\n"
    )
    text = changed(("  barcode: qr\n", f"  images: {{logo: logo.png, strip: strip.png}}\n{segments}"))

    card = card_of(check(text))

    start, regular = card.segments["start"], card.segments["regular"]
    assert (start.background, start.label, start.back) == ("#16382C", "#FFFFFF", card.look.back)
    assert start.images == card.look.images
    assert {name: path.name for name, path in regular.images.items()} == {"logo": "gold.png", "strip": "strip.png"}
    assert (regular.back, regular.offers, card.look.offers) == ((), (("Своим", "Дом"),), ())


def test_a_segments_picture_takes_the_place_of_all_scales_of_its_kind(
    check: Check, changed: Callable[..., str], tmp_path: Path
) -> None:
    Image.new("RGB", (480, 150)).save(tmp_path / "config" / "logo.png")
    images = "  images: {logo: logo.png, logo@2x: logo.png, logo@3x: logo.png}\n"
    text = changed(("  barcode: qr\n", f"{images}  segments: [{{segment: start, images: {{logo: logo.png}}}}]\n"))

    card = card_of(check(text))

    assert (set(card.look.images), set(card.segments["start"].images)) == ({"logo", "logo@2x", "logo@3x"}, {"logo"})


def test_places_language_and_face_are_read(check: Check, changed: Callable[..., str]) -> None:
    more = (
        "  language: en\n  front: [next_segment, segment]\n  show_name: yes\n"
        "  locations: [{latitude: -33.8, longitude: 151.21, text: Near}, {latitude: 0, longitude: 0}]\n"
    )

    card = card_of(check(changed(("  barcode: qr\n", more), ('  notify_text: "Баланс: %@"\n', ""))))

    assert (card.language, card.front, card.show_name) == ("en", ("next_segment", "segment"), True)
    assert card.locations == (Place(-33.8, 151.21, "Near"), Place(0, 0))
    assert card.notify_text == "Balance: %@"


def test_without_a_word_about_it_no_name_is_shown() -> None:
    assert CardConfig().show_name is False
    assert CardConfig().look == CardLook()


@pytest.mark.parametrize(
    ("colour", "background", "expected"),
    [
        ("#FFFFFF", "#16382C", "#FFFFFF"),
        ("#2A5A45", "#16382C", "#85A094"),
        ("#FFFFFF", "#F7D94C", "#5E5E5E"),
        ("#777777", "#777777", "#050505"),
        ("#000000", "#000000", "#757575"),
    ],
)
def test_the_nearest_readable_colour_is_named(colour: str, background: str, expected: str) -> None:
    assert nearest_readable(colour, background) == expected
    assert contrast(expected, background) >= 4.5


@pytest.mark.parametrize("step", range(0, 256, 15))
def test_there_is_a_readable_colour_on_every_background(step: int) -> None:
    background = f"#{step:02X}{255 - step:02X}{step // 2:02X}"

    for colour in ("#FF0000", "#00FF00", "#0000FF", background):
        assert contrast(nearest_readable(colour, background), background) >= 4.5
