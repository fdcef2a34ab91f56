"""Pictures for Google's servers to fetch, made from the design's own: a round logo and a wide picture.

Sizes of the Google Wallet guidelines: programLogo 660x660, shown as a circle; heroImage 1032x336.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from wallet.card_apple import design_images
from wallet.colours import parse_colour

if TYPE_CHECKING:
    from wallet.card import CardDesign

LOGO_SIDE = 660
HERO_SIZE = (1032, 336)

_INSIDE = 0.68
"""Of the side: what a circle surely leaves of a square in its middle."""
_DESIGNS_IN_CACHE = 32


@lru_cache(maxsize=_DESIGNS_IN_CACHE)
def google_logo(design: CardDesign) -> bytes:
    """The logo, or the icon, whole within the circle, on the card's background. PNG. Raises ImageError."""
    picture = _largest(design, "logo") or _largest(design, "icon")
    whole = Image.new("RGB", (LOGO_SIDE, LOGO_SIDE), parse_colour(design.background))
    if picture is not None:
        side = round(LOGO_SIDE * _INSIDE)
        fitted = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS)
        whole.paste(fitted, ((LOGO_SIDE - fitted.width) // 2, (LOGO_SIDE - fitted.height) // 2), fitted)
    return _png(whole)


@lru_cache(maxsize=_DESIGNS_IN_CACHE)
def google_hero(design: CardDesign) -> bytes | None:
    """The strip cut to Google's shape; None where the card has none. PNG. Raises ImageError."""
    picture = _largest(design, "strip")
    if picture is None:
        return None
    whole = Image.new("RGB", HERO_SIZE, parse_colour(design.background))
    fitted = ImageOps.fit(picture, HERO_SIZE, Image.Resampling.LANCZOS)
    whole.paste(fitted, (0, 0), fitted)
    return _png(whole)


def _largest(design: CardDesign, kind: str) -> Image.Image | None:
    files = design_images(design).files
    data = next((files[f"{kind}{scale}.png"] for scale in ("@3x", "@2x", "") if f"{kind}{scale}.png" in files), None)
    if data is None:
        return None
    with Image.open(BytesIO(data)) as picture:
        return picture.convert("RGBA")


def _png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
