"""Indexes that keep claims, decisions and retention quick in a large database, and checks the code relied on silently.

Checks of the book hold for what is written from here on; what was written before is `kopilka verify-ledger`'s matter.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOCKS = """
LOCK TABLE member, lot, transfer, message, inbox, outbox, rules_applied IN ACCESS EXCLUSIVE MODE;
"""

INDEXES = """
CREATE INDEX lot_member ON lot (member_id);

DROP INDEX inbox_due;
CREATE INDEX inbox_due ON inbox (due_at, id) WHERE state = 'waiting';
CREATE INDEX inbox_crashed ON inbox (due_at, id) WHERE state = 'waiting' AND crashes > 0;
CREATE INDEX inbox_bodies ON inbox (received_at) WHERE state IN ('done', 'parked') AND body <> '';

DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (kind, due_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_crashed ON outbox (kind, due_at, id) WHERE state = 'waiting' AND crashes > 0;
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';
CREATE INDEX outbox_told ON outbox (finished_at) WHERE state = 'done' AND kind IN ('code', 'message');

CREATE INDEX message_bodies ON message (closed_at) WHERE closed_at IS NOT NULL AND body IS NOT NULL;
"""

CHECKS = """
ALTER TABLE transfer ADD CONSTRAINT walks_a_known_path CHECK ((move, debit, credit) IN (
    ('accrue', 'issued', 'pending'), ('welcome', 'issued', 'pending'), ('gift', 'issued', 'pending'),
    ('opening', 'opening', 'pending'), ('opening', 'opening', 'available'),
    ('activate', 'pending', 'available'), ('activate', 'pending', 'debt'), ('settle', 'available', 'debt'),
    ('hold', 'available', 'reserved'), ('release', 'reserved', 'available'),
    ('capture', 'reserved', 'redeemed'), ('capture', 'available', 'redeemed'), ('restore', 'redeemed', 'available'),
    ('expire', 'available', 'expired'),
    ('reverse', 'pending', 'reversed'), ('reverse', 'available', 'reversed'), ('reverse', 'debt', 'reversed'),
    ('write_off', 'shortfall', 'reversed'), ('write_off', 'reversed', 'shortfall'),
    ('adjust', 'adjusted', 'pending'), ('adjust', 'available', 'adjusted'))) NOT VALID;
ALTER TABLE lot ADD CONSTRAINT comes_from_a_known_source CHECK (
    source IN ('accrual', 'welcome', 'gift', 'action', 'manual', 'opening', 'restored')) NOT VALID;
ALTER TABLE member ADD CONSTRAINT merged_into_another CHECK (merged_into_id <> id) NOT VALID;
ALTER TABLE message
    ADD CONSTRAINT notice_names_its_day CHECK (
        kind <> 'burn_notice' OR num_nonnulls(burn_on, burns_at, step_days) = 3) NOT VALID,
    ADD CONSTRAINT closed_message_has_its_time CHECK ((state = 'planned') = (closed_at IS NULL)) NOT VALID;
CREATE TRIGGER rules_applied_is_never_emptied BEFORE TRUNCATE ON rules_applied
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DROP = """
DROP TRIGGER rules_applied_is_never_emptied ON rules_applied;
ALTER TABLE message DROP CONSTRAINT notice_names_its_day, DROP CONSTRAINT closed_message_has_its_time;
ALTER TABLE member DROP CONSTRAINT merged_into_another;
ALTER TABLE lot DROP CONSTRAINT comes_from_a_known_source;
ALTER TABLE transfer DROP CONSTRAINT walks_a_known_path;
DROP INDEX message_bodies, outbox_told, outbox_parked, outbox_crashed, outbox_due, inbox_bodies, inbox_crashed,
    inbox_due, lot_member;
CREATE INDEX inbox_due ON inbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_due ON outbox (kind, due_at) WHERE state = 'waiting';
"""


def upgrade() -> None:
    for part in (LOCKS, INDEXES, CHECKS):
        op.execute(part)


def downgrade() -> None:
    op.execute(LOCKS)
    op.execute(DROP)
