"""A customer's native bonus points: moved by a difference, never set and never read.

Owns their wire format. The only thing amoCRM tells is the balance after a move. Implements section 5.5 of the amoCRM
reference.
"""

from __future__ import annotations

from connector.amocrm.api import Api
from connector.amocrm.reading import MAX_ID
from connector.errors import BadReply


class BonusApi(Api):
    def move_bonus(self, customer_id: int, points: int) -> int:
        """Earns points, or redeems them if negative. Returns the balance after it. Not idempotent, and nothing tells
        afterwards whether it was done: after an ambiguous failure only the next move's answer does."""
        if points == 0:
            raise ValueError("a move of nothing")
        body = {"earn": points} if points > 0 else {"redeem": -points}
        answer = self.request("POST", f"/customers/{customer_id}/bonus_points", body=body)
        balance = (answer or {}).get("bonus_points")
        if isinstance(balance, bool) or not isinstance(balance, int) or abs(balance) > MAX_ID:
            raise BadReply("amoCRM: bonus points were moved and no balance came back", ambiguous=True)
        return balance
