"""Which changes of the CRM our inbox has heard of already. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

_HEARD = sa.text(
    """
    SELECT changed.id, i.state IN ('waiting', 'working') OR i.finished_at > changed.at + :margin AS is_sure
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS changed (id, at)
        JOIN inbox i ON i.source = :source AND i.external_id = changed.id::text
    WHERE i.state IN ('waiting', 'working') OR i.finished_at > changed.at
    """
)


def heard(tx: sa.Connection, source: str, changes: Mapping[int, datetime], *, margin: timedelta) -> dict[int, bool]:
    """Those of the entities that were read after their change, or wait to be read. False: so shortly after it that they
    may have been read just before; changes are told in whole seconds."""
    parameters = {"source": source, "ids": list(changes), "times": list(changes.values()), "margin": margin}
    return {row.id: row.is_sure for row in tx.execute(_HEARD, parameters)}
