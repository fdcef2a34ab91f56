"""Apple cards that live: what installed cards say, which phones show them, and how many pushes went where.

A row of `apple_card` is made when a card is first given out. `person_id`: whose card it shows, another than `member_id`
after a merge. `tag` grows with every change of content, over all cards; `modified_at` is the same as an HTTP date: a
whole second, later than the one before. `told_tag`: up to where a phone was told.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE apple_card (
    member_id bigint PRIMARY KEY REFERENCES member,
    person_id bigint NOT NULL REFERENCES member,
    key_name text NOT NULL,
    digest text NOT NULL,
    tag bigint NOT NULL CONSTRAINT one_card_per_tag UNIQUE,
    modified_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    fetched_at timestamptz,
    issued_at timestamptz
);
CREATE INDEX apple_card_person ON apple_card (person_id);

CREATE TABLE apple_device (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    library_id text NOT NULL CONSTRAINT one_apple_device UNIQUE,
    push_token text NOT NULL,
    registered_at timestamptz NOT NULL
);

CREATE TABLE apple_registration (
    device_id bigint NOT NULL REFERENCES apple_device ON DELETE CASCADE,
    member_id bigint NOT NULL REFERENCES apple_card,
    told_tag bigint NOT NULL,
    PRIMARY KEY (device_id, member_id)
);
CREATE INDEX apple_registration_member ON apple_registration (member_id);

CREATE TABLE apple_push (
    outcome text PRIMARY KEY,
    pushes bigint NOT NULL
);
"""

DOWN = """
DELETE FROM outbox WHERE kind = 'apple';
DROP TABLE apple_push, apple_registration, apple_device, apple_card;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
