"""What a buyer (or a senior) must tell before points may be spent: a code by letter, or the shop's PIN.

Owns the making, the keyed digest and the limits on guessing; what a confirmed hold means is `holds.py`.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from flows import messages
from flows.keys import token_digest
from flows.refusals import CodeNotDeliverable, TooManyCodes
from storage import holds

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.rules import RedeemRules
    from storage.holds import Hold
    from storage.members import Member

DIGITS = 4
TRIES_MAX = 5
WINDOW = timedelta(hours=1)
WRONG_MAX = 10
ASKED_MAX = 5
"""Within the window: wrong codes of one buyer, whatever the hold, and letters with codes that he gets."""

WRONG_PINS_OF_ALL_MAX = 50
"""Within the window, of all buyers together: the PIN is one for the whole shop."""


def ask(
    tx: sa.Connection, rt: Runtime, rules: RedeemRules, member: Member, public_id: str, points: int, *, now: datetime
) -> bytes | None:
    """The digest of what must be told before the points may be spent; None when nothing is asked."""
    if rules.confirm == "none" or points < rules.confirm_from_points:
        return None
    used = holds.codes_since(tx, member.id, since=now - WINDOW)
    if used.wrong >= WRONG_MAX or (rules.confirm == "code" and used.asked >= ASKED_MAX):
        raise TooManyCodes(retry_after_s=int(WINDOW.total_seconds()))
    if rules.confirm == "pin":
        if used.wrong_of_all >= WRONG_PINS_OF_ALL_MAX:
            raise TooManyCodes(retry_after_s=int(WINDOW.total_seconds()))
        pin = rt.file.redeem_pin
        if pin is None:
            raise CodeNotDeliverable(
                "PIN не задан", hint="задайте redeem.pin в файле правил и перезапустите kopilka web"
            )
        return digest(rt, public_id, pin.get_secret_value())
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    if not messages.queue_code(tx, rt, member.id, code, points, now=now):
        raise CodeNotDeliverable
    return digest(rt, public_id, code)


def is_right(rt: Runtime, hold: Hold, code: str) -> bool:
    """Whether this is the code (or PIN) that the hold waits for."""
    return hold.code_digest is not None and hmac.compare_digest(hold.code_digest, digest(rt, hold.public_id, code))


def digest(rt: Runtime, public_id: str, code: str) -> bytes:
    """Keyed: a four-digit code could be guessed from a plain hash."""
    return token_digest(f"{rt.keys.secret_path('redeem code')}:{public_id}:{code.strip()}")
