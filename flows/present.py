"""How numbers, dates and codes are shown, for the pages: one set of words with the card itself."""

from __future__ import annotations

from loyalty.wording import count_text, full_date, thousands
from wallet.card import spaced_number
from wallet.qr import qr_svg

__all__ = ["count_text", "full_date", "qr_svg", "spaced_number", "thousands"]
