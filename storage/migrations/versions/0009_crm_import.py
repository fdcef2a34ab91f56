"""What an import of the CRM has read and not written yet: deals that were won, people who bought, what was left out.

`orders.is_imported`: the deal was won before we came, so whatever tells the CRM of purchases need not tell of this one.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE crm_import_contact (
    contact_ref bigint PRIMARY KEY,
    customer_ref bigint,
    state text NOT NULL DEFAULT 'named' CHECK (state IN ('named', 'read', 'gone')),
    name text NOT NULL DEFAULT '',
    phones text[] NOT NULL DEFAULT '{}',
    emails text[] NOT NULL DEFAULT '{}',
    birthday date
);

CREATE TABLE crm_import_deal (
    deal_ref bigint PRIMARY KEY,
    contact_ref bigint,
    price_kopecks bigint NOT NULL CHECK (price_kopecks >= 0),
    is_stage boolean NOT NULL,
    bought_at timestamptz NOT NULL
);
CREATE INDEX crm_import_deal_contact ON crm_import_deal (contact_ref);

CREATE TABLE crm_import_reject (
    kind text NOT NULL CHECK (kind IN ('deal', 'contact', 'customer')),
    ref bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (kind, ref, reason)
);

ALTER TABLE orders ADD COLUMN is_imported boolean NOT NULL DEFAULT false;
"""

DOWN = """
DROP TABLE crm_import_contact, crm_import_deal, crm_import_reject;
ALTER TABLE orders DROP COLUMN is_imported;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
