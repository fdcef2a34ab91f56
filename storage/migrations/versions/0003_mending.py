"""What an order has been forgiven, whether it is kept, and which code was tried last.

`transfer.rule` is never empty from here on: a worker of an older version that is still running cannot post past the
counters that newer code relies on.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
LOCK TABLE orders, hold, transfer IN ACCESS EXCLUSIVE MODE;
ALTER TABLE orders
    ADD COLUMN forgiven integer NOT NULL DEFAULT 0 CHECK (forgiven >= 0),
    ADD COLUMN is_kept boolean NOT NULL DEFAULT false;
UPDATE orders o SET
    forgiven = COALESCE((SELECT sum(points) FROM transfer WHERE order_id = o.id AND move = 'write_off'), 0),
    is_kept = kept_kopecks > 0
    WHERE counted_at IS NOT NULL;
ALTER TABLE hold ADD COLUMN tried_digest bytea, ADD COLUMN is_code_asked boolean NOT NULL DEFAULT false;
CREATE INDEX hold_wrong_codes ON hold (created_at) WHERE code_tries > 0;
ALTER TABLE transfer ADD CONSTRAINT every_transfer_names_its_rule CHECK (rule IS NOT NULL) NOT VALID;
"""

DOWN = """
ALTER TABLE transfer DROP CONSTRAINT every_transfer_names_its_rule;
DROP INDEX hold_wrong_codes;
ALTER TABLE hold DROP COLUMN tried_digest, DROP COLUMN is_code_asked;
ALTER TABLE orders DROP COLUMN forgiven, DROP COLUMN is_kept;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
