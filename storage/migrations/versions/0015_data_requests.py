"""What buyers ask of their own data; one open request of a kind for each of them. Who was erased has no name."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE data_request (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES member (id),
    kind text NOT NULL CHECK (kind IN ('export', 'erase')),
    asked_at timestamptz NOT NULL,
    done_at timestamptz,
    done_by text,
    note text NOT NULL DEFAULT '',
    CONSTRAINT who_has_answered CHECK ((done_at IS NULL) = (done_by IS NULL))
);
CREATE UNIQUE INDEX one_open_request ON data_request (member_id, kind) WHERE done_at IS NULL;

ALTER TABLE member ADD COLUMN erased_at timestamptz;
"""

DOWN = """
ALTER TABLE member DROP COLUMN erased_at;
DROP TABLE data_request;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
