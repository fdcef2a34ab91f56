"""What was last told to the CRM about each member, so that only differences are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True)
class CrmState:
    """`pushed_fields` None: nothing is known to be there. `unsure_until`: a write may still land until then."""

    member_id: int
    pushed_fields: Mapping[str, Any] | None = None
    pushed_segment: str | None = None
    customer_ref: int | None = None
    unsure_until: datetime | None = None


_SAVE = sa.text(
    """
    INSERT INTO crm_state (member_id, pushed_fields, pushed_segment, customer_ref, unsure_until)
    VALUES (:member_id, CAST(:pushed_fields AS jsonb), :pushed_segment, :customer_ref, :unsure_until)
    ON CONFLICT (member_id) DO UPDATE SET pushed_fields = EXCLUDED.pushed_fields,
        pushed_segment = EXCLUDED.pushed_segment, customer_ref = EXCLUDED.customer_ref,
        unsure_until = EXCLUDED.unsure_until
    """
)


def states(tx: sa.Connection, member_ids: Iterable[int]) -> dict[int, CrmState]:
    """One state per member asked for; an empty one where nothing was sent yet."""
    ids = list(member_ids)
    statement = sa.text(
        """
        SELECT member_id, pushed_fields, pushed_segment, customer_ref, unsure_until
        FROM crm_state WHERE member_id = ANY(:ids)
        """
    )
    found = {row.member_id: CrmState(*row) for row in tx.execute(statement, {"ids": ids})}
    return {member_id: found.get(member_id, CrmState(member_id)) for member_id in ids}


def save(tx: sa.Connection, states: Iterable[CrmState]) -> None:
    parameters = [
        {
            "member_id": state.member_id,
            "pushed_fields": None if state.pushed_fields is None else json.dumps(dict(state.pushed_fields)),
            "pushed_segment": state.pushed_segment,
            "customer_ref": state.customer_ref,
            "unsure_until": state.unsure_until,
        }
        for state in sorted(states, key=lambda state: state.member_id)
    ]
    if parameters:
        tx.execute(_SAVE, parameters)
