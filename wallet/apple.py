"""The Apple Wallet library in one import: `Pass(StoreCard(...), ...)`, `add_file`, `create(signer)`.

Whoever knows passkit-generator or py-pkpass finds the same nouns here; our own card is built by `wallet.card_apple`.
"""

from __future__ import annotations

from wallet.archive import ImageBundle
from wallet.fields import (
    Barcode,
    BarcodeFormat,
    DataDetector,
    DateStyle,
    Field,
    Location,
    NumberStyle,
    TextAlignment,
)
from wallet.passes import Pass, StoreCard
from wallet.signing import Signer

__all__ = [
    "Barcode",
    "BarcodeFormat",
    "DataDetector",
    "DateStyle",
    "Field",
    "ImageBundle",
    "Location",
    "NumberStyle",
    "Pass",
    "Signer",
    "StoreCard",
    "TextAlignment",
]
