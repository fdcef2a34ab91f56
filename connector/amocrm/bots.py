"""Salesbots: running one for a contact. What it says is written in its editor and in the contact's fields.

Owns the wire format. Implements section 7 of the amoCRM reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connector.amocrm.api import Api

RUNS_MAX = 100


@dataclass(frozen=True)
class BotRun:
    bot_id: int
    contact_id: int


class BotsApi(Api):
    def run_bots(self, runs: Sequence[BotRun]) -> None:
        """At most RUNS_MAX. Not idempotent: a bot that runs twice writes to the buyer twice."""
        if len(runs) > RUNS_MAX:
            raise ValueError(f"at most {RUNS_MAX} bots in one request, got {len(runs)}")
        body = [{"bot_id": one.bot_id, "entity_id": one.contact_id, "entity_type": "contacts"} for one in runs]
        if body:
            self.request("POST", "/bots/run", body=body)
