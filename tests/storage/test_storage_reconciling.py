"""What the books say of a span: whole, in order, and by an index however many payments there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from storage import reconciling
from storage.db import Database

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)


def fill(db: Database, count: int) -> None:
    """A payment and an order each minute. Some are of one moment, some were heard of late: ids are in another order."""
    with db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO payment (acquirer, payment_ref, captured_kopecks, refunded_kopecks, is_refund_total,"
                " status, captured_at, created_at)"
                " SELECT 'tbank', n::text, 100, 0, false, 'captured', t.at, t.at FROM generate_series(1, :count) n,"
                " LATERAL (SELECT CAST(:now AS timestamptz) - (n / 3) * interval '1 minute' AS at) t"
            ),
            {"now": NOW, "count": count},
        )
        tx.execute(
            sa.text(
                "INSERT INTO orders (deal_ref, created_at, counted_at, is_stage_paid, is_kept) SELECT n, t.at, t.at,"
                " n % 3 = 0, true FROM generate_series(1, :count) n,"
                " LATERAL (SELECT CAST(:now AS timestamptz) - n * interval '1 minute' AS at) t"
            ),
            {"now": NOW, "count": count},
        )
    with db.autocommit() as connection:
        connection.execute(sa.text("ANALYZE payment"))
        connection.execute(sa.text("ANALYZE orders"))


def plan(db: Database, statement: sa.TextClause) -> str:
    parameters = {"acquirer": "tbank", "since": SINCE, "until": NOW, "after_at": SINCE, "after_id": 0, "limit": 20}
    with db.begin() as tx:
        return "\n".join(tx.execute(sa.text(f"EXPLAIN {statement.text}"), parameters).scalars())


def test_a_span_is_read_by_its_index_and_in_its_order(db: Database) -> None:
    fill(db, 20_000)

    assert "payment_by_time" in plan(db, reconciling._HELD)
    for statement, index in (
        (reconciling._OF_SPAN, "payment_by_time"),
        (reconciling._PAID_ELSEWHERE, "orders_paid_by_stage"),
    ):
        told = plan(db, statement)
        assert index in told, told
        assert "Sort" not in told, told


def test_every_payment_of_a_span_comes_once_oldest_first(db: Database) -> None:
    fill(db, 300)
    since, until = NOW - timedelta(minutes=50), NOW
    found: list[tuple[datetime, int]] = []
    after = None
    while True:
        with db.begin() as tx:
            page = reconciling.of_span(tx, "tbank", since=since, until=until, after=after, limit=7)
        found += [reconciling.place(one) for one in page]
        if len(page) < 7:
            break
        after = found[-1]

    assert len(found) == 150
    assert found == sorted(set(found))
    with db.begin() as tx:
        assert reconciling.count_left(tx, "tbank", since=since, until=until, after=found[99]) == 50
