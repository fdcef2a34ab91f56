"""What the CRM's customer was told of orders, when he is expected again, which bot wrote to him."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE orders ADD COLUMN crm_purchase_ref bigint, ADD COLUMN crm_purchase_kopecks bigint NOT NULL DEFAULT 0,
    ADD COLUMN crm_purchase_trying boolean NOT NULL DEFAULT false;
ALTER TABLE crm_state ADD COLUMN pushed_next text, ADD COLUMN bot_segment text;
"""

DOWN = """
ALTER TABLE orders DROP COLUMN crm_purchase_ref, DROP COLUMN crm_purchase_kopecks, DROP COLUMN crm_purchase_trying;
ALTER TABLE crm_state DROP COLUMN pushed_next, DROP COLUMN bot_segment;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
