"""Made pictures are real PNGs, decoded here by hand; the QR picture is real and self-contained SVG."""

from __future__ import annotations

import struct
import zlib
from xml.etree import ElementTree

import pytest

from wallet.errors import ColourError, QrError
from wallet.pictures import plain_icons, plain_images
from wallet.qr import qr_svg

SVG = "{http://www.w3.org/2000/svg}"
SIZES = {
    "icon.png": (38, 38),
    "icon@2x.png": (76, 76),
    "icon@3x.png": (114, 114),
    "logo.png": (50, 50),
    "logo@2x.png": (100, 100),
    "logo@3x.png": (150, 150),
    "strip.png": (375, 144),
    "strip@2x.png": (750, 288),
    "strip@3x.png": (1125, 432),
}


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = [], 8
    while at < len(png):
        size, kind = struct.unpack_from(">L4s", png, at)
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">L", png, at + 8 + size)[0] == zlib.crc32(kind + data)
        found.append((kind, data))
        at += 12 + size
    return found


def pixels(png: bytes) -> tuple[list[bytes], bytes]:
    """Rows of palette indexes and the palette."""
    parts = dict(chunks(png))
    width, height = struct.unpack_from(">2L", parts[b"IHDR"])
    raw = zlib.decompress(parts[b"IDAT"])
    assert len(raw) == height * (width + 1)
    rows = [raw[start : start + width + 1] for start in range(0, len(raw), width + 1)]
    assert {row[0] for row in rows} == {0}
    return [row[1:] for row in rows], parts[b"PLTE"]


@pytest.mark.parametrize("name", SIZES)
def test_a_made_picture_is_a_valid_png_of_apples_size(name: str) -> None:
    png = plain_images("#16382C", "#BFE3D0")[name]

    assert [kind for kind, _ in chunks(png)] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">2L5B", dict(chunks(png))[b"IHDR"]) == (*SIZES[name], 8, 3, 0, 0, 0)


@pytest.mark.parametrize("name", SIZES)
def test_a_made_picture_shows_a_coin_on_the_cards_background(name: str) -> None:
    rows, palette = pixels(plain_images("#16382C", "#BFE3D0")[name])

    assert palette[:3] == bytes((0x16, 0x38, 0x2C))
    assert palette[-3:] == bytes((0xBF, 0xE3, 0xD0))
    shades = {shade for row in rows for shade in row}
    assert {0, 16} <= shades <= set(range(17))
    assert not any(rows[0]), "the coin keeps clear of the edge"
    assert rows == rows[::-1], "the coin is round"


def test_all_nine_pictures_are_made_and_no_other() -> None:
    assert plain_images("#000000", "#FFFFFF").keys() == SIZES.keys()
    assert sorted(plain_icons("#000000", "#FFFFFF")) == ["icon.png", "icon@2x.png", "icon@3x.png"]


def test_pictures_need_real_colours() -> None:
    with pytest.raises(ColourError):
        plain_images("тёмный", "#FFFFFF")


def test_the_qr_picture_is_a_named_and_scalable_svg_without_outside_references() -> None:
    root = ElementTree.fromstring(qr_svg("https://club.example.ru/c/7Q2M9X", title='Карта <"&>'))

    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == 'Карта <"&>'
    assert root.get("width") is None
    assert root.get("viewBox") is not None
    assert {element.tag for element in root} <= {f"{SVG}title", f"{SVG}path"}
    assert not any("href" in name for element in root.iter() for name in element.attrib)


def test_even_a_short_text_is_not_a_micro_qr() -> None:
    # Version 1 is 21 modules wide and the quiet zone is 4 on each side; Micro QR has at most 17.
    assert ElementTree.fromstring(qr_svg("7")).get("viewBox") == "0 0 29 29"


def test_different_numbers_give_different_pictures() -> None:
    assert qr_svg("7700012345") != qr_svg("7700012346")


def test_a_text_too_long_for_a_qr_is_refused() -> None:
    with pytest.raises(QrError):
        qr_svg("x" * 5000)
