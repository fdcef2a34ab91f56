"""Who may be called, written and texted with offers; and since when a target of the outbox is out of date.

`consent` is a ledger: the newest row of a member and channel says how it stands, the older ones prove how it stood.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE outbox ADD COLUMN behind_since timestamptz;
UPDATE outbox SET behind_since = created_at WHERE state <> 'done';

CREATE TABLE consent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES member (id),
    channel text NOT NULL CHECK (channel IN ('call', 'email', 'sms', 'messenger')),
    is_given boolean NOT NULL,
    source text NOT NULL CHECK (source IN ('crm', 'call', 'card_page', 'api', 'import')),
    evidence text NOT NULL DEFAULT '' CHECK (length(evidence) <= 500),
    at timestamptz NOT NULL
);
CREATE INDEX consent_of_member ON consent (member_id, channel, id);
CREATE TRIGGER consent_is_append_only BEFORE UPDATE OR DELETE ON consent
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""

DOWN = """
DROP TABLE consent;
ALTER TABLE outbox DROP COLUMN behind_since;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
