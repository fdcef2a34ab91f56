"""What the CRM's customer was told of orders, and when he is expected to buy again."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE orders ADD COLUMN crm_purchase_ref bigint, ADD COLUMN crm_purchase_kopecks bigint NOT NULL DEFAULT 0,
    ADD COLUMN crm_purchase_trying boolean NOT NULL DEFAULT false;
ALTER TABLE crm_state ADD COLUMN pushed_next text;
"""

DOWN = """
ALTER TABLE orders DROP COLUMN crm_purchase_ref, DROP COLUMN crm_purchase_kopecks, DROP COLUMN crm_purchase_trying;
ALTER TABLE crm_state DROP COLUMN pushed_next;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
