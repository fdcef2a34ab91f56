"""How numbers, dates and codes are shown, for the pages: one set of words with the card itself."""

from __future__ import annotations

from loyalty.wording import count_text, full_date, thousands
from wallet.card import spaced_number
from wallet.labels import Labels, labels_of
from wallet.qr import qr_svg

__all__ = ["Labels", "count_text", "full_date", "labels_of", "qr_svg", "spaced_number", "thousands"]
