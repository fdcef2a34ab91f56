"""The preview as one HTML file: no scripts, nothing fetched, pictures inside. A pure function of the pass.

Whoever shows it inside another page puts it into a frame: its styles are its own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO

from PIL import Image

from wallet.barcodes import Modules
from wallet.colours import Rgb
from wallet.lettering import LINE
from wallet.preview import Shown, shown
from wallet.preview_layout import CORNER, WIDTH, Bars, Box, Item, Side, Text, back, front

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = f"""
body {{ margin: 0; padding: 24px; background: #d1d1d6; display: flex; flex-wrap: wrap; gap: 24px;
  font-family: -apple-system, "SF Pro Text", "Helvetica Neue", "Segoe UI", Roboto, sans-serif; }}
.side {{ position: relative; width: {WIDTH:g}px; overflow: hidden; border-radius: {CORNER:g}px;
  box-shadow: 0 2px 12px rgb(0 0 0 / 25%); flex: none; }}
.side > * {{ position: absolute; margin: 0; white-space: pre; line-height: {LINE:g}; overflow: hidden;
  text-overflow: ellipsis; }}
.bars {{ image-rendering: pixelated; }}
"""


def preview_html(pass_json: bytes, images: Mapping[str, bytes], *, language: str = "ru") -> str:
    """Front and back of a pass as a phone shows them. Raises PassError, BarcodeError, ColourError."""
    card = shown(pass_json, images)
    sides = _side(front(card), _summary(card)) + _side(back(card), card.organization)
    return (
        f'<!doctype html>\n<html lang="{escape(language)}"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(card.description)}</title>\n<style>{_STYLE}</style></head>\n<body>\n{sides}</body></html>\n"
    )


def _summary(card: Shown) -> str:
    return ", ".join(f"{one.label}: {one.value}" for one in card.header) or card.description


def _side(side: Side, name: str) -> str:
    items = "\n".join(_item(one) for one in side.items)
    style = f"height:{side.height:g}px;background:{_css(side.background)}"
    return f'<section class="side" aria-label="{escape(name)}" style="{style}">\n{items}\n</section>\n'


def _item(item: Item) -> str:
    if isinstance(item, Text):
        return _text(item)
    place = f"left:{item.x:g}px;top:{item.y:g}px;width:{item.width:g}px;height:{item.height:g}px"
    if isinstance(item, Box):
        return f'<div style="{place};background:{_css(item.colour)};border-radius:{item.corner:g}px"></div>'
    if isinstance(item, Bars):
        return f'<img class="bars" alt="{escape(item.name)}" src="{_data(_bars_png(item.modules))}" style="{place}">'
    return f'<img alt="" src="{_data(item.png)}" style="{place};object-fit:cover">'


def _text(item: Text) -> str:
    left = {"left": item.x, "right": item.x - item.width, "centre": item.x - item.width / 2}[item.align]
    align = "center" if item.align == "centre" else item.align
    style = (
        f"left:{left:g}px;top:{item.y:g}px;width:{item.width + 1:g}px;font-size:{item.size:g}px;"
        f"color:{_css(item.colour)};text-align:{align};font-weight:{600 if item.bold else 400}"
    )
    return f'<p style="{style}">{escape(item.text)}</p>'


def _bars_png(modules: Modules) -> bytes:
    picture = Image.new("1", (len(modules[0]), len(modules)), 1)
    picture.putdata([0 if black else 1 for row in modules for black in row])
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _css(colour: Rgb) -> str:
    return "rgb({},{},{})".format(*colour)
