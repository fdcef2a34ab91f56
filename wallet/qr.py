"""The card's number or link as a QR picture for a web page. Owns nothing but the drawing.

Implements QR Code Model 2 (ISO/IEC 18004) by way of segno; never Micro QR, which tills' scanners do not know.
"""

from __future__ import annotations

from io import BytesIO

import segno

from wallet.errors import QrError

QUIET_ZONE_MODULES = 4
DEFAULT_TITLE = "QR-код карты"


def qr_svg(text: str, *, title: str = DEFAULT_TITLE) -> bytes:
    """An SVG that scales to its box, has a name for screen readers and refers to nothing outside. Raises QrError."""
    try:
        code = segno.make(text, error="m", micro=False)
    except ValueError as error:
        raise QrError("в QR-код столько не помещается: сократите текст") from error
    picture = BytesIO()
    code.save(
        picture,
        kind="svg",
        border=QUIET_ZONE_MODULES,
        light="#fff",
        title=title,
        omitsize=True,
        xmldecl=False,
        nl=False,
        svgclass=None,
        lineclass=None,
    )
    return picture.getvalue().replace(b"<svg ", b'<svg role="img" ', 1)
