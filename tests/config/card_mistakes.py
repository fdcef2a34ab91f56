"""Mistakes in the look of the card for the golden tests: name → (old, new) pairs applied to the right file.

The pictures they name are made by `pictures_in`.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

Mistakes = dict[str, list[tuple[str, str]]]

BARCODE = "  barcode: qr"


def _added(text: str) -> list[tuple[str, str]]:
    return [(BARCODE, f"{BARCODE}\n{text}")]


CARD: Mistakes = {
    "front_of_balance": _added("  front: [balance]"),
    "front_twice": _added("  front: [segment, segment]"),
    "front_with_a_name": _added("  show_name: yes\n  front: [segment, pending, nearest_burn, next_segment]"),
    "card_language": _added("  language: de"),
    "offer_with_a_message": _added('  offers: [{label: Акция, text: Скидка, notify_text: "Скидка: %@"}]'),
    "too_many_offers": _added("  offers: [" + ", ".join(["{label: А, text: Б}"] * 11) + "]"),
    "text_hardly_readable": [('text: "#FFFFFF"', 'text: "#7F988C"')],
    "text_unreadable": [('label: "#BFE3D0"', 'label: "#2A5A45"')],
    "look_of_no_segment": _added('  segments: [{segment: vp, colors: {background: "#1C1C1E"}}]'),
    "look_twice": _added(
        '  segments:\n    - {segment: start, colors: {background: "#1C1C1E"}}\n'
        '    - {segment: start, colors: {background: "#2C2C2E"}}'
    ),
    "look_of_nothing": _added("  segments: [{segment: start}]"),
    "look_without_segment": _added('  segments: [{colors: {background: "#1C1C1E"}}]'),
    "look_unreadable": _added('  segments: [{segment: start, colors: {background: "#FFFFFF", label: "#333333"}}]'),
    "place_in_words": _added("  locations: [{latitude: 55 градусов, longitude: 37.61}]"),
    "place_beyond_the_pole": _added("  locations: [{latitude: 155.75, longitude: 37.61}]"),
    "place_in_short": _added("  locations: [{lat: 55.75, longitude: 37.61}]"),
    "place_twice": _added(
        "  locations: [{latitude: 55.75, longitude: 37.61}, {latitude: 55.750, longitude: 37.61, text: Тут}]"
    ),
    "too_many_places": _added(
        "  locations: [" + ", ".join(f"{{latitude: {one}, longitude: 1}}" for one in range(11)) + "]"
    ),
    "picture_not_png": _added("  images: {icon: page.gif}"),
    "picture_small": _added("  images: {strip: icon.png}"),
    "picture_small_logo": _added("  images: {logo: tiny.png}"),
    "picture_small_at_its_scale": _added("  images: {icon: icon.png, icon@3x: tiny.png}"),
    "picture_broken": _added("  images: {icon: broken.png}"),
    "picture_broken_photo": _added("  images: {strip: broken.jpg}"),
    "picture_animated": _added("  images: {icon: moving.png}"),
    "picture_deep": _added("  images: {icon: deep.png}"),
    "picture_bomb": _added("  images: {icon: bomb.png}"),
    "picture_long_logo": _added("  images: {logo: long.png}"),
    "picture_square_strip": _added("  images: {strip: square.png}"),
    "badge_that_is_none": _added("  badges: {apple: page.gif}"),
    "badge_not_there": _added("  badges: {google: no.svg}"),
    "badge_of_nobody": _added("  badges: {aple: icon.png}"),
    "picture_is_a_folder": _added("  images: {icon: folder.png}"),
}


def pictures_in(folder: Path) -> None:
    """Every picture that the mistakes name."""
    for name, data in _pictures().items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()


@cache
def _pictures() -> dict[str, bytes]:
    sizes = {"icon.png": (114, 114), "tiny.png": (30, 30), "long.png": (3000, 150), "square.png": (1200, 1200)}
    made = {name: _file(Image.new("RGB", size, "#16382C"), "PNG") for name, size in sizes.items()}
    photo = _file(Image.effect_noise((1200, 500), 50), "JPEG")
    frames = [Image.new("RGB", (114, 114), colour) for colour in ("red", "blue")]
    return made | {
        "page.gif": _file(Image.new("P", (114, 114)), "GIF"),
        "broken.png": made["square.png"][: len(made["square.png"]) // 2],
        "broken.jpg": photo[: len(photo) // 2],
        "moving.png": _file(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "deep.png": _file(Image.new("I;16", (114, 114)), "PNG"),
        "bomb.png": _file(Image.new("1", (5_100, 5_000)), "PNG"),
    }


def _file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
