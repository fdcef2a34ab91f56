"""Acquirers by name. Adding one: a file here and a line in ACQUIRERS.

Owns the registry. Implements the acquirers reference, sections 2, 3 and 13; `base.py` says what an adapter must do.
"""

from __future__ import annotations

from connector.acquiring.base import Acquirer
from connector.acquiring.tbank import TBank
from connector.acquiring.yookassa import YooKassa

ACQUIRERS: dict[str, type[Acquirer]] = {
    YooKassa.name: YooKassa,
    TBank.name: TBank,
}
