"""The whole points programme: redemption, refunds by line, burning, gifts, segments, the API, messages, night work.

What existed stays true: every lot keeps its counters, every order learns from its transfers what was posted for it.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RULES = """
LOCK TABLE orders, member, lot, transfer IN ACCESS EXCLUSIVE MODE; -- all of them first: a worker may still run
CREATE TABLE rules_applied (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL REFERENCES rule_version,
    source text NOT NULL,
    lines jsonb NOT NULL,
    applied_by text NOT NULL,
    applied_at timestamptz NOT NULL
);
CREATE TRIGGER rules_applied_is_append_only BEFORE UPDATE OR DELETE ON rules_applied
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""

MEMBERS = """
ALTER TABLE member
    ALTER COLUMN contact_ref DROP NOT NULL,
    ADD COLUMN birthday date,
    ADD COLUMN birthday_set_at timestamptz,
    ADD COLUMN manual_segment_code text,
    ADD COLUMN segment_falls_at timestamptz,
    ADD COLUMN merged_into_id bigint REFERENCES member,
    ADD CONSTRAINT merged_member_holds_nothing CHECK (
        merged_into_id IS NULL OR (pending = 0 AND available = 0 AND reserved = 0 AND debt = 0));
CREATE INDEX member_merged ON member (merged_into_id) WHERE merged_into_id IS NOT NULL;
CREATE INDEX member_birthday ON member ((extract(month FROM birthday)), (extract(day FROM birthday)))
    WHERE birthday IS NOT NULL AND merged_into_id IS NULL;
CREATE INDEX member_segment ON member (segment_code);

CREATE TABLE member_address (
    member_id bigint NOT NULL REFERENCES member,
    kind text NOT NULL CHECK (kind IN ('phone', 'email')),
    value text NOT NULL CHECK (length(value) BETWEEN 3 AND 254),
    added_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, kind, value)
);
CREATE INDEX member_address_value ON member_address (kind, value);
"""

ORDERS = """
ALTER TABLE orders
    ALTER COLUMN deal_ref DROP NOT NULL,
    ADD COLUMN shop_ref text CONSTRAINT one_order_per_shop_ref UNIQUE,
    ADD COLUMN channel text NOT NULL DEFAULT 'crm',
    ADD COLUMN paid_channel text,
    ADD COLUMN basket jsonb,
    ADD COLUMN returned jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN shop_paid_kopecks bigint CHECK (shop_paid_kopecks >= 0),
    ADD COLUMN shop_paid_at timestamptz,
    ADD COLUMN shop_returned_kopecks bigint NOT NULL DEFAULT 0 CHECK (shop_returned_kopecks >= 0),
    ADD COLUMN segment_code text,
    ADD COLUMN is_greeted boolean NOT NULL DEFAULT false,
    ADD COLUMN earn_cap integer CHECK (earn_cap >= 0),
    ADD COLUMN limit_reason text,
    ADD COLUMN counted_at timestamptz,
    ADD COLUMN accrued integer NOT NULL DEFAULT 0 CHECK (accrued >= 0),
    ADD COLUMN welcomed integer NOT NULL DEFAULT 0 CHECK (welcomed >= 0),
    ADD COLUMN reversed integer NOT NULL DEFAULT 0 CHECK (reversed >= 0),
    ADD COLUMN redeemed integer NOT NULL DEFAULT 0,
    ADD COLUMN restored integer NOT NULL DEFAULT 0,
    ADD COLUMN redeem_asked integer CHECK (redeem_asked >= 0),
    ADD COLUMN redeem_answer text,
    ADD COLUMN noted_hold text,
    ADD COLUMN pushed_fields jsonb,
    ADD CONSTRAINT restored_no_more_than_redeemed CHECK (restored BETWEEN 0 AND redeemed),
    ADD CONSTRAINT order_has_a_name CHECK (deal_ref IS NOT NULL OR shop_ref IS NOT NULL);
CREATE INDEX orders_counted ON orders (member_id, counted_at) WHERE counted_at IS NOT NULL;

UPDATE orders o SET
    accrued = COALESCE((SELECT sum(earned - reversed) FROM lot WHERE order_id = o.id AND source = 'accrual'), 0),
    welcomed = COALESCE((SELECT sum(earned - reversed) FROM lot WHERE order_id = o.id AND source = 'welcome'), 0),
    reversed = COALESCE((SELECT sum(reversed) FROM lot WHERE order_id = o.id), 0),
    is_greeted = EXISTS (SELECT 1 FROM lot WHERE order_id = o.id AND source = 'welcome'),
    counted_at = paid_at;

CREATE TABLE hold (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL CONSTRAINT one_public_name_per_hold UNIQUE,
    member_id bigint NOT NULL REFERENCES member,
    order_id bigint NOT NULL REFERENCES orders,
    state text NOT NULL CHECK (state IN ('unconfirmed', 'active', 'captured', 'released', 'expired')),
    points integer NOT NULL CHECK (points > 0),
    total_kopecks bigint NOT NULL CHECK (total_kopecks >= 0),
    spread jsonb NOT NULL,
    channel text NOT NULL,
    rules_version text NOT NULL REFERENCES rule_version,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    closed_at timestamptz,
    code_digest bytea,
    code_tries integer NOT NULL DEFAULT 0,
    CONSTRAINT closed_hold_has_its_time CHECK ((state IN ('unconfirmed', 'active')) = (closed_at IS NULL))
);
CREATE UNIQUE INDEX one_open_hold_per_order ON hold (order_id) WHERE state IN ('unconfirmed', 'active');
CREATE INDEX hold_due ON hold (expires_at) WHERE state IN ('unconfirmed', 'active');
CREATE INDEX hold_member ON hold (member_id, created_at);
CREATE INDEX hold_order ON hold (order_id);
ALTER TABLE orders ADD COLUMN hold_id bigint REFERENCES hold;
"""

LEDGER = """
ALTER TABLE lot
    ADD COLUMN root_id bigint REFERENCES lot,
    ADD COLUMN redeemed integer NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
    ADD COLUMN expired integer NOT NULL DEFAULT 0 CHECK (expired >= 0),
    ADD COLUMN settled integer NOT NULL DEFAULT 0 CHECK (settled >= 0),
    ADD COLUMN withdrawn integer NOT NULL DEFAULT 0 CHECK (withdrawn >= 0),
    ADD COLUMN title text,
    ADD COLUMN notified_at timestamptz,
    ADD COLUMN postponed_from timestamptz;
UPDATE lot SET settled = earned - (pending + available + reserved + reversed)
    WHERE earned <> pending + available + reserved + reversed;
ALTER TABLE lot
    DROP CONSTRAINT lot_holds_no_more_than_earned,
    ADD CONSTRAINT lot_accounts_for_every_point CHECK (
        earned = pending + available + reserved + redeemed + expired + reversed + settled + withdrawn);
DROP INDEX lot_open;
CREATE INDEX lot_open ON lot (member_id, expires_at, activates_at, id) WHERE available > 0;
CREATE INDEX lot_burning ON lot (expires_at) WHERE available > 0 AND expires_at IS NOT NULL;
CREATE INDEX lot_root ON lot (root_id) WHERE root_id IS NOT NULL;
CREATE INDEX lot_pending ON lot (member_id) WHERE pending > 0;

ALTER TABLE transfer
    ALTER COLUMN lot_id DROP NOT NULL,
    ADD COLUMN hold_id bigint REFERENCES hold,
    ADD COLUMN rule text,
    ADD COLUMN actor text,
    ADD COLUMN reason text,
    DROP CONSTRAINT transfer_move_check,
    DROP CONSTRAINT known_accounts,
    ADD CONSTRAINT known_moves CHECK (move IN ('accrue', 'welcome', 'gift', 'opening', 'activate', 'settle', 'hold',
        'capture', 'release', 'expire', 'reverse', 'write_off', 'restore', 'adjust')),
    ADD CONSTRAINT known_accounts CHECK (
        debit IN ('pending', 'available', 'reserved', 'debt', 'issued', 'redeemed', 'expired', 'reversed', 'adjusted',
                  'opening', 'shortfall')
        AND credit IN ('pending', 'available', 'reserved', 'debt', 'issued', 'redeemed', 'expired', 'reversed',
                       'adjusted', 'opening', 'shortfall')),
    ADD CONSTRAINT points_lie_in_a_lot CHECK (
        (debit IN ('pending', 'available', 'reserved') OR credit IN ('pending', 'available', 'reserved'))
        = (lot_id IS NOT NULL));
CREATE INDEX transfer_hold ON transfer (hold_id) WHERE hold_id IS NOT NULL;
CREATE INDEX transfer_order ON transfer (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX transfer_adjust ON transfer (actor, recorded_at) WHERE move = 'adjust';
"""

MESSAGES = """
CREATE TABLE message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CONSTRAINT one_message_per_key UNIQUE,
    member_id bigint NOT NULL REFERENCES member,
    kind text NOT NULL CHECK (kind IN ('burn_notice', 'redeem_code')),
    burn_on date,
    burns_at timestamptz,
    step_days integer,
    points integer,
    subject text NOT NULL,
    body text,
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'sent', 'failed', 'skipped')),
    reason text,
    channel text,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX message_member ON message (member_id, id);

CREATE TABLE webhook_endpoint (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL CHECK (length(url) <= 2000),
    sealed_secret bytea NOT NULL,
    events text[] NOT NULL,
    is_on boolean NOT NULL DEFAULT true,
    failing_since timestamptz,
    off_reason text,
    created_at timestamptz NOT NULL
);
CREATE TABLE webhook_delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL REFERENCES webhook_endpoint,
    event_id text NOT NULL,
    event_type text NOT NULL,
    payload text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    last_status integer,
    last_error text,
    created_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT one_delivery_per_event_and_endpoint UNIQUE (endpoint_id, event_id)
);
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);
"""

API = """
ALTER TABLE api_token
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read}',
    ADD COLUMN channel text NOT NULL DEFAULT 'api',
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN last_used_at timestamptz;

CREATE TABLE idempotency (
    token_id bigint NOT NULL REFERENCES api_token,
    key text NOT NULL CHECK (length(key) <= 255),
    request_digest bytea NOT NULL,
    status integer,
    body bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE UNLOGGED TABLE api_rate (
    token_id bigint PRIMARY KEY,
    window_at timestamptz NOT NULL,
    used integer NOT NULL
);
"""

NIGHT = """
CREATE TABLE job (
    name text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    leased_until timestamptz,
    started_at timestamptz,
    done bigint NOT NULL DEFAULT 0,
    total bigint,
    cursor text,
    last_finished_at timestamptz,
    last_result text,
    last_error text
);
"""

DROP = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM member_address) OR EXISTS (SELECT FROM rules_applied) OR EXISTS (SELECT FROM message)
        OR EXISTS (SELECT FROM member WHERE birthday IS NOT NULL OR manual_segment_code IS NOT NULL)
        OR EXISTS (SELECT FROM orders WHERE shop_ref IS NOT NULL OR basket IS NOT NULL) THEN
        RAISE EXCEPTION 'this programme was used: going back would lose what it has learnt' USING ERRCODE = '0A000';
END IF; END $$;
DROP TABLE job, api_rate, idempotency, webhook_delivery, webhook_endpoint, message;
ALTER TABLE api_token DROP COLUMN scopes, DROP COLUMN channel, DROP COLUMN revoked_at, DROP COLUMN last_used_at;
ALTER TABLE transfer
    DROP CONSTRAINT points_lie_in_a_lot, DROP CONSTRAINT known_moves, DROP CONSTRAINT known_accounts,
    DROP COLUMN hold_id, DROP COLUMN rule, DROP COLUMN actor, DROP COLUMN reason,
    ALTER COLUMN lot_id SET NOT NULL,
    ADD CONSTRAINT transfer_move_check CHECK (move IN ('accrue', 'welcome', 'activate', 'reverse')),
    ADD CONSTRAINT known_accounts CHECK (
        debit IN ('pending', 'available', 'reserved', 'debt',
                  'issued', 'redeemed', 'expired', 'reversed', 'adjusted', 'opening')
        AND credit IN ('pending', 'available', 'reserved', 'debt',
                       'issued', 'redeemed', 'expired', 'reversed', 'adjusted', 'opening'));
DROP INDEX transfer_order, lot_open, lot_burning, lot_root, lot_pending;
ALTER TABLE lot
    DROP CONSTRAINT lot_accounts_for_every_point,
    DROP COLUMN root_id, DROP COLUMN redeemed, DROP COLUMN expired, DROP COLUMN settled, DROP COLUMN withdrawn,
    DROP COLUMN title, DROP COLUMN notified_at, DROP COLUMN postponed_from,
    ADD CONSTRAINT lot_holds_no_more_than_earned CHECK (pending + available + reserved + reversed <= earned);
CREATE INDEX lot_open ON lot (member_id, expires_at) WHERE available > 0;
ALTER TABLE orders DROP COLUMN hold_id; DROP TABLE hold; DROP INDEX orders_counted;
ALTER TABLE orders
    DROP CONSTRAINT restored_no_more_than_redeemed, DROP CONSTRAINT order_has_a_name,
    DROP COLUMN shop_ref, DROP COLUMN channel, DROP COLUMN paid_channel, DROP COLUMN basket, DROP COLUMN returned,
    DROP COLUMN shop_paid_kopecks, DROP COLUMN shop_paid_at, DROP COLUMN shop_returned_kopecks,
    DROP COLUMN segment_code, DROP COLUMN is_greeted, DROP COLUMN earn_cap, DROP COLUMN limit_reason,
    DROP COLUMN counted_at, DROP COLUMN accrued, DROP COLUMN welcomed, DROP COLUMN reversed, DROP COLUMN redeemed,
    DROP COLUMN restored, DROP COLUMN redeem_asked, DROP COLUMN redeem_answer, DROP COLUMN noted_hold,
    DROP COLUMN pushed_fields,
    ALTER COLUMN deal_ref SET NOT NULL;
DROP TABLE member_address, rules_applied;
DROP INDEX member_merged, member_birthday, member_segment;
ALTER TABLE member
    DROP CONSTRAINT merged_member_holds_nothing, DROP COLUMN merged_into_id, DROP COLUMN birthday,
    DROP COLUMN birthday_set_at, DROP COLUMN manual_segment_code, DROP COLUMN segment_falls_at,
    ALTER COLUMN contact_ref SET NOT NULL;
"""


def upgrade() -> None:
    for part in (RULES, MEMBERS, ORDERS, LEDGER, MESSAGES, API, NIGHT):
        op.execute(part)


def downgrade() -> None:
    """Works while nothing of the new programme was used; otherwise it is refused, and nothing is lost."""
    op.execute(DROP)
