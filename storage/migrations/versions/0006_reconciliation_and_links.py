"""Payments by their time, for the reconciliation; links by which buyers pay; what invoices were told."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
CREATE INDEX payment_by_time ON payment (acquirer, (COALESCE(captured_at, created_at)), id);
CREATE INDEX orders_paid_by_stage ON orders (counted_at, id) WHERE is_stage_paid AND is_kept;

ALTER TABLE payment ADD COLUMN invoice_ref bigint;
ALTER TABLE orders ADD COLUMN invoice_mark text;

CREATE TABLE payment_link (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    order_id bigint NOT NULL REFERENCES orders,
    hold_id bigint REFERENCES hold,
    attempt integer NOT NULL CHECK (attempt > 0),
    acquirer text NOT NULL,
    amount_kopecks bigint NOT NULL CHECK (amount_kopecks > 0),
    state text NOT NULL CHECK (state IN ('wanted', 'open', 'closing', 'paid', 'closed', 'refused')),
    url text NOT NULL DEFAULT '',
    payment_ref text NOT NULL DEFAULT '',
    link_ref text NOT NULL DEFAULT '',
    order_number text NOT NULL DEFAULT '',
    order_mark text NOT NULL DEFAULT '',
    tries integer NOT NULL DEFAULT 0,
    asked jsonb NOT NULL,
    reason text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    looked_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT one_link_per_attempt UNIQUE (order_id, attempt),
    CONSTRAINT an_open_link_has_an_address CHECK (state NOT IN ('open', 'closing', 'paid') OR url <> '')
);
CREATE UNIQUE INDEX one_live_link_per_order ON payment_link (order_id) WHERE state IN ('wanted', 'open');
CREATE INDEX payment_link_to_review ON payment_link (id) WHERE state IN ('wanted', 'open', 'closing');
CREATE INDEX payment_link_to_forget ON payment_link (closed_at) WHERE asked <> '{}';
"""

DOWN = """
DROP TABLE payment_link;
DROP INDEX payment_by_time;
DROP INDEX orders_paid_by_stage;
ALTER TABLE payment DROP COLUMN invoice_ref;
ALTER TABLE orders DROP COLUMN invoice_mark;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
