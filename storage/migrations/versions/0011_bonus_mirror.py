"""What amoCRM's own bonus points of each customer are thought to be, and when somebody else has moved them.

`crm_bonus.maybe`: the balances the customer may have. One is knowledge, several mean that a write of ours ended
unseen, none that nothing is known. It belongs to the customer, so a customer who gets another member needs no copy.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE crm_bonus (
    customer_ref bigint PRIMARY KEY,
    maybe bigint[] NOT NULL DEFAULT '{}',
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    busy_until timestamptz
);

CREATE TABLE crm_bonus_drift (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_ref bigint NOT NULL,
    member_id bigint NOT NULL REFERENCES member (id),
    found_at timestamptz NOT NULL,
    expected bigint,
    found bigint NOT NULL,
    CONSTRAINT a_drift_is_a_difference CHECK (expected IS DISTINCT FROM found)
);
CREATE INDEX crm_bonus_drift_found_at ON crm_bonus_drift (found_at, id);

CREATE INDEX crm_state_customer ON crm_state (customer_ref) WHERE customer_ref IS NOT NULL;
"""

DOWN = """
DROP INDEX crm_state_customer;
DROP TABLE crm_bonus_drift, crm_bonus;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
