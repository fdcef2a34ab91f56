"""One source becomes every scale: the sizes of the guidelines, sharp, centred, without the source's notes."""

from __future__ import annotations

import pytest
from PIL import Image
from wallet_design_testing import opened, picture, saved

from config import card_pictures
from wallet import resizing
from wallet.card import CardDesign
from wallet.card_apple import design_images
from wallet.errors import ImageError
from wallet.resizing import every_scale, with_lower_scales

SIZES = {
    ("icon", (512, 512)): [(38, 38), (76, 76), (114, 114)],
    ("icon", (120, 114)): [(38, 38), (76, 76), (114, 114)],
    ("logo", (960, 300)): [(160, 50), (320, 100), (480, 150)],
    ("logo", (300, 300)): [(50, 50), (100, 100), (150, 150)],
    ("logo", (1000, 100)): [(160, 16), (320, 32), (480, 48)],
    ("strip", (1125, 432)): [(375, 144), (750, 288), (1125, 432)],
    ("strip", (2000, 2000)): [(375, 144), (750, 288), (1125, 432)],
}


@pytest.mark.parametrize(("kind", "source"), SIZES)
def test_every_scale_has_the_size_of_the_guidelines(kind: str, source: tuple[int, int]) -> None:
    made = every_scale(kind, picture(source))

    assert list(made) == [f"{kind}.png", f"{kind}@2x.png", f"{kind}@3x.png"]
    assert [opened(data).size for data in made.values()] == SIZES[kind, source]
    assert all(opened(data).format == "PNG" for data in made.values())


def test_the_middle_of_a_strip_stays_in_the_middle() -> None:
    strip = opened(every_scale("strip", picture((1500, 1500)))["strip@3x.png"])

    middle, corners = strip.getpixel((562, 216)), [strip.getpixel((5, 5)), strip.getpixel((1119, 426))]
    assert middle == (255, 255, 255)
    assert corners == [(192, 57, 43)] * 2
    assert strip.crop((0, 216, 1125, 217)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes() == (
        strip.crop((0, 216, 1125, 217)).tobytes()
    )


def test_edges_stay_sharp() -> None:
    """Half black, half white: between them no more than a few grey points."""
    half = Image.new("L", (1140, 1140), 0)
    half.paste(255, (570, 0, 1140, 1140))

    icon = opened(every_scale("icon", saved(half))["icon@3x.png"]).convert("L")
    grey = [value for value in icon.crop((0, 57, 114, 58)).tobytes() if 20 < value < 235]
    assert len(grey) <= 2


def test_a_transparent_logo_stays_transparent() -> None:
    logo = opened(every_scale("logo", saved(Image.new("RGBA", (480, 150), (255, 0, 0, 0))))["logo.png"])

    assert logo.mode == "RGBA"
    assert logo.getextrema()[3] == (0, 0)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA"])
def test_every_kind_of_colour_is_understood(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"

    assert opened(every_scale("icon", saved(Image.new(mode, (200, 200)), kind))["icon.png"]).size == (38, 38)


def test_a_photo_is_turned_as_it_was_held_and_loses_its_notes() -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    notes[0x010F] = "CAMERA OF IVANOV"
    photo = Image.new("RGB", (600, 1500), "white")
    photo.paste("red", (0, 0, 600, 750))

    made = every_scale("strip", saved(photo, "JPEG", exif=notes))["strip.png"]

    assert opened(made).size == (375, 144)
    assert opened(made).getpixel((370, 70))[0] > 200 > opened(made).getpixel((370, 70))[1]
    assert b"IVANOV" not in made


def test_the_same_source_gives_the_same_bytes() -> None:
    assert every_scale("strip", picture((1200, 500))) == every_scale("strip", picture((1200, 500)))


@pytest.mark.parametrize(
    "broken", [b"", b"GIF89a", picture((300, 300))[:200], picture((300, 300), "JPEG")[:400], b"\x89PNG\r\n\x1a\n"]
)
def test_a_broken_source_is_refused_with_its_kind(broken: bytes) -> None:
    with pytest.raises(ImageError, match="logo"):
        every_scale("logo", broken)


def test_files_given_by_scale_stay_as_they_are_and_lacking_ones_are_made_from_the_largest() -> None:
    given = picture((114, 114))

    made = with_lower_scales({"icon@3x.png": given, "logo.png": picture((160, 50))})

    assert made["icon@3x.png"] is given
    assert {name: opened(data).size for name, data in made.items()} == {
        "icon.png": (38, 38),
        "icon@2x.png": (76, 76),
        "icon@3x.png": (114, 114),
        "logo.png": (160, 50),
    }


def test_a_photo_given_by_scale_becomes_a_png() -> None:
    made = with_lower_scales({"strip@2x.png": picture((750, 288), "JPEG")})

    assert [(opened(data).format, opened(data).size) for data in made.values()] == [
        ("PNG", (750, 288)),
        ("PNG", (375, 144)),
    ]


def test_a_design_with_a_source_has_every_scale_and_an_icon() -> None:
    design = CardDesign("Клуб", "Магазин", "Карта", sources={"logo": picture((600, 200), "JPEG")})

    assert set(design_images(design).files) == {
        f"{kind}{scale}.png" for kind in ("icon", "logo") for scale in ("", "@2x", "@3x")
    }


def test_the_check_and_the_resizing_mean_the_same_sizes() -> None:
    assert card_pictures.POINTS == resizing.POINTS
    assert tuple(card_pictures.SCALES.values()) == resizing.SCALES
    assert card_pictures.MAX_IMAGE_PIXELS == resizing.MAX_SOURCE_PIXELS
