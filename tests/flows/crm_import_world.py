"""What tests of the CRM's import share: a shop with years behind it, and the import from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from kopilka_testing import Shop, StandingClock, hook_body

from flows import crm_import, inbox
from flows.crm_import import Asked
from flows.crm_import_preview import Preview
from flows.runtime import Runtime
from storage.crm_import import Reject

WON = 142


@dataclass(frozen=True)
class Done:
    """What the import told and what it left out."""

    preview: Preview
    rejects: list[Reject]
    counts: dict[str, int]


def real_time(clock: StandingClock) -> None:
    """The simulator lives today: so do we, and all its deals are of the past."""
    clock.at = datetime.now(UTC) + timedelta(minutes=5)


def began_long_ago(rt: Runtime) -> None:
    """What is closed today is no past of this installation."""
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE installation SET created_at = created_at - interval '30 days'"))


def years_of(shop: Shop, contacts: int, deals: int, **more: int) -> dict[str, Any]:
    return dict(shop.crm("POST", "/sim/bulk", {"contacts": contacts, "deals": deals, **more}))


def import_all(rt: Runtime, asked: Asked | None = None) -> Done:
    one = crm_import.begin(rt, asked or Asked())
    for _ in one.read():
        pass
    preview = one.preview()
    for _ in one.write():
        pass
    done = Done(preview, list(one.rejects()), dict(one.counts))
    one.finish()
    return done


def rows(rt: Runtime, sql: str, **parameters: Any) -> list[Any]:
    with rt.db.begin() as tx:
        return [tuple(row) for row in tx.execute(sa.text(sql), parameters)]


def one_value(rt: Runtime, sql: str, **parameters: Any) -> Any:
    return rows(rt, sql, **parameters)[0][0]


def hooks_of(rt: Runtime, deal_ids: list[int]) -> None:
    """Every deal's hook comes again."""
    for begin in range(0, len(deal_ids), 50):
        inbox.accept_hook(rt, hook_body(*deal_ids[begin : begin + 50]))


def facts(rt: Runtime) -> dict[str, list[Any]]:
    """All that an import may change."""
    return {
        "members": rows(rt, "SELECT * FROM member ORDER BY id"),
        "addresses": rows(rt, "SELECT * FROM member_address ORDER BY member_id, kind, value"),
        "orders": rows(rt, "SELECT * FROM orders ORDER BY id"),
        "transfers": rows(rt, "SELECT * FROM transfer ORDER BY id"),
        "states": rows(rt, "SELECT * FROM crm_state ORDER BY member_id"),
        "outbox": rows(rt, "SELECT kind, target_id, wanted FROM outbox ORDER BY kind, target_id"),
    }
