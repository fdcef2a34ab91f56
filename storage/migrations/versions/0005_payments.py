"""Payments that no order is known for yet, and refunds that have names of their own."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE payment
    ALTER COLUMN order_id DROP NOT NULL,
    ADD COLUMN inbox_id bigint,
    ADD COLUMN matched_by text,
    ADD COLUMN suggested jsonb;
CREATE INDEX payment_unmatched ON payment (id) WHERE order_id IS NULL;

ALTER TABLE orders ADD COLUMN stage_moved boolean NOT NULL DEFAULT false;

CREATE TABLE payment_refund (
    payment_id bigint NOT NULL REFERENCES payment,
    ref text NOT NULL CHECK (length(ref) BETWEEN 1 AND 255),
    kopecks bigint NOT NULL CHECK (kopecks >= 0),
    kind text NOT NULL CHECK (kind IN ('refund', 'chargeback')),
    is_undone boolean NOT NULL,
    heard_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, ref)
);
"""

DOWN = """
DROP TABLE payment_refund;
ALTER TABLE orders DROP COLUMN stage_moved;
DELETE FROM payment WHERE order_id IS NULL;
DROP INDEX payment_unmatched;
ALTER TABLE payment
    DROP COLUMN inbox_id, DROP COLUMN matched_by, DROP COLUMN suggested,
    ALTER COLUMN order_id SET NOT NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
