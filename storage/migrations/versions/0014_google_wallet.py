"""Google cards that live: what Google was last given, who has saved his card, which notices were sent to whom.

`digest` NULL: nothing is known to be there, or a write is under way until `writing_until`. What was known of objects
before moves here from `crm_state`.
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE google_class (
    class_id text PRIMARY KEY,
    digest text,
    fields text[] NOT NULL DEFAULT '{}',
    is_made boolean NOT NULL DEFAULT false,
    review_status text,
    told_at timestamptz,
    writing_until timestamptz,
    look_digest text,
    CONSTRAINT told_class_is_made CHECK (digest IS NULL OR is_made)
);

CREATE TABLE google_card (
    member_id bigint PRIMARY KEY REFERENCES member,
    digest text,
    told_points bigint,
    is_made boolean NOT NULL DEFAULT false,
    is_retired boolean NOT NULL DEFAULT false,
    is_saved boolean,
    event_ms bigint,
    told_at timestamptz,
    writing_until timestamptz,
    CONSTRAINT told_card_is_made CHECK (digest IS NULL OR is_made),
    CONSTRAINT event_has_a_time CHECK ((is_saved IS NULL) = (event_ms IS NULL))
);

CREATE TABLE google_notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES google_card,
    message_id text,
    is_loud boolean NOT NULL,
    sent_at timestamptz NOT NULL,
    CONSTRAINT one_google_message UNIQUE (message_id)
);
CREATE INDEX google_notice_member ON google_notice (member_id, sent_at);

CREATE TABLE google_nonce (
    digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX google_nonce_expires ON google_nonce (expires_at);

CREATE TABLE google_callback_count (
    event text PRIMARY KEY,
    times bigint NOT NULL
);

INSERT INTO google_card (member_id, digest, is_made)
SELECT member_id, NULLIF(google_pushed, ''), google_pushed <> '' FROM crm_state WHERE google_pushed IS NOT NULL;
ALTER TABLE crm_state DROP COLUMN google_pushed;
"""

DOWN = """
ALTER TABLE crm_state ADD COLUMN google_pushed text;
INSERT INTO crm_state (member_id, google_pushed) SELECT member_id, COALESCE(digest, '') FROM google_card
ON CONFLICT (member_id) DO UPDATE SET google_pushed = EXCLUDED.google_pushed;
DROP TABLE google_callback_count, google_nonce, google_notice, google_card, google_class;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
