"""Connecting amoCRM: grants that were asked for, the secret addresses of our hook, where the account lives now."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE grant_request (
    state_digest bytea PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    outcome text,
    reason text,
    CONSTRAINT only_a_used_grant_has_an_outcome CHECK (outcome IS NULL OR used_at IS NOT NULL)
);

CREATE TABLE hook_path (
    generation integer PRIMARY KEY CHECK (generation >= 0),
    created_at timestamptz NOT NULL,
    first_hook_at timestamptz,
    verified_at timestamptz,
    retired_at timestamptz
);

ALTER TABLE installation ADD COLUMN crm_moved_from text;
ALTER TABLE installation ADD COLUMN crm_moved_to text;
ALTER TABLE installation ADD COLUMN crm_account_id bigint;
ALTER TABLE installation ADD COLUMN crm_uninstalled_at timestamptz;
"""

DOWN = """
ALTER TABLE installation DROP COLUMN crm_uninstalled_at;
ALTER TABLE installation DROP COLUMN crm_account_id;
ALTER TABLE installation DROP COLUMN crm_moved_to;
ALTER TABLE installation DROP COLUMN crm_moved_from;
DROP TABLE hook_path;
DROP TABLE grant_request;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
