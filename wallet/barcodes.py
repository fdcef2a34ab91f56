"""The modules of a card's barcode: what a screen paints black. Owns no sizes and no colours.

Implements QR by way of segno, Code 128 (ISO/IEC 15417) by way of python-barcode, PDF417 (ISO/IEC 15438) by way of
pdf417gen.
"""

from __future__ import annotations

import barcode
import pdf417gen
import segno
from barcode.errors import BarcodeError as LibraryError

from wallet.errors import BarcodeError
from wallet.fields import BarcodeFormat

Modules = tuple[tuple[bool, ...], ...]

_PDF417_COLUMNS = 4
_SECURITY_LEVEL = 2
_ROWS_HIGH = 3
"""A row of PDF417 is three modules high; a row of Code 128 is as high as one likes."""


def barcode_modules(format_: str, message: str) -> Modules:
    """Rows from the top, True is black. Raises BarcodeError."""
    try:
        if format_ == BarcodeFormat.QR:
            matrix = segno.make(message, error="m", micro=False).matrix
            return tuple(tuple(bool(cell) for cell in row) for row in matrix)
        if format_ == BarcodeFormat.CODE128:
            bits: str = barcode.get("code128", message).build()[0]
            return (tuple(bit == "1" for bit in bits),)
        if format_ == BarcodeFormat.PDF417:
            return _pdf417(message)
    except (ValueError, LibraryError, KeyError) as error:
        raise BarcodeError(f"в штрихкод {message!r} не записать: оставьте цифры и латиницу") from error
    raise BarcodeError(f"штрихкод {format_!r} нарисовать нечем: бывают QR, Code 128 и PDF417")


def _pdf417(message: str) -> Modules:
    rows = pdf417gen.encode(message, columns=_PDF417_COLUMNS, security_level=_SECURITY_LEVEL)
    drawn = (tuple(bit == "1" for word in row for bit in format(word, "b")) for row in rows)
    return tuple(row for row in drawn for _ in range(_ROWS_HIGH))
