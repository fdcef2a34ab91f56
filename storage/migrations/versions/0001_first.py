"""The first schema: inbox, outbox, ledger with lots, orders, CRM state."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE installation (
    id smallint PRIMARY KEY CHECK (id = 1),
    key_fingerprint text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE rule_version (
    version text PRIMARY KEY,
    rules jsonb NOT NULL,
    first_used_at timestamptz NOT NULL
);

CREATE TABLE inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    external_id text NOT NULL,
    body bytea NOT NULL,
    body_digest bytea NOT NULL,
    is_conflict boolean NOT NULL DEFAULT false,
    arrivals integer NOT NULL DEFAULT 1,
    wanted integer NOT NULL DEFAULT 1,
    claimed integer NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'working', 'done', 'parked')),
    due_at timestamptz NOT NULL,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    outcome text,
    finished_at timestamptz,
    CONSTRAINT one_row_per_event UNIQUE (source, external_id),
    CONSTRAINT working_has_a_lease CHECK ((state = 'working') = (leased_until IS NOT NULL))
);
CREATE INDEX inbox_due ON inbox (due_at) WHERE state = 'waiting';
CREATE INDEX inbox_leases ON inbox (leased_until) WHERE state = 'working';
CREATE INDEX inbox_parked ON inbox (id) WHERE state = 'parked';
CREATE INDEX inbox_age ON inbox USING brin (received_at);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    target_id bigint NOT NULL,
    wanted integer NOT NULL DEFAULT 1,
    claimed integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'working', 'done', 'parked')),
    due_at timestamptz NOT NULL,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    outcome text,
    finished_at timestamptz,
    CONSTRAINT one_row_per_target UNIQUE (kind, target_id),
    CONSTRAINT delivery_has_a_lease CHECK ((state = 'working') = (leased_until IS NOT NULL))
);
CREATE INDEX outbox_due ON outbox (kind, due_at) WHERE state = 'waiting';
CREATE INDEX outbox_leases ON outbox (leased_until) WHERE state = 'working';

CREATE SEQUENCE card_number;

CREATE TABLE member (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_ref bigint NOT NULL CONSTRAINT one_member_per_contact UNIQUE,
    name text NOT NULL CHECK (length(name) <= 200),
    card_token text NOT NULL CONSTRAINT one_card_page UNIQUE,
    card_serial text NOT NULL CONSTRAINT one_card_serial UNIQUE,
    card_number text NOT NULL CONSTRAINT one_card_number UNIQUE,
    segment_code text,
    pending integer NOT NULL DEFAULT 0 CHECK (pending >= 0),
    available integer NOT NULL DEFAULT 0 CHECK (available >= 0),
    reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    debt integer NOT NULL DEFAULT 0 CHECK (debt >= 0),
    created_at timestamptz NOT NULL
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deal_ref bigint NOT NULL CONSTRAINT one_order_per_deal UNIQUE,
    member_id bigint REFERENCES member,
    price_kopecks bigint NOT NULL DEFAULT 0 CHECK (price_kopecks >= 0),
    is_stage_paid boolean NOT NULL DEFAULT false,
    kept_kopecks bigint NOT NULL DEFAULT 0 CHECK (kept_kopecks >= 0),
    paid_at timestamptz,
    revision integer NOT NULL DEFAULT 0,
    rules_version text REFERENCES rule_version,
    noted_points integer NOT NULL DEFAULT 0,
    noting_revision integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
CREATE INDEX orders_kept ON orders (member_id) WHERE kept_kopecks > 0;
CREATE INDEX orders_member ON orders (member_id);

CREATE TABLE payment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acquirer text NOT NULL,
    payment_ref text NOT NULL,
    order_id bigint NOT NULL REFERENCES orders,
    captured_kopecks bigint NOT NULL DEFAULT 0 CHECK (captured_kopecks >= 0),
    refunded_kopecks bigint NOT NULL DEFAULT 0 CHECK (refunded_kopecks >= 0),
    is_refund_total boolean NOT NULL DEFAULT false,
    status text NOT NULL,
    captured_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT one_row_per_payment UNIQUE (acquirer, payment_ref)
);
CREATE INDEX payment_order ON payment (order_id);

CREATE TABLE lot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CONSTRAINT one_lot_per_decision UNIQUE,
    member_id bigint NOT NULL REFERENCES member,
    order_id bigint REFERENCES orders,
    source text NOT NULL,
    rules_version text NOT NULL REFERENCES rule_version,
    earned integer NOT NULL DEFAULT 0 CHECK (earned >= 0),
    reversed integer NOT NULL DEFAULT 0 CHECK (reversed >= 0),
    pending integer NOT NULL DEFAULT 0 CHECK (pending >= 0),
    available integer NOT NULL DEFAULT 0 CHECK (available >= 0),
    reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    activates_at timestamptz NOT NULL,
    expires_at timestamptz,
    opened_at timestamptz NOT NULL,
    CONSTRAINT lot_holds_no_more_than_earned CHECK (pending + available + reserved + reversed <= earned)
);
CREATE INDEX lot_due ON lot (activates_at) WHERE pending > 0;
CREATE INDEX lot_open ON lot (member_id, expires_at) WHERE available > 0;
CREATE INDEX lot_order ON lot (order_id);
CREATE INDEX lot_welcome ON lot (member_id) WHERE source = 'welcome';

CREATE TABLE transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CONSTRAINT one_transfer_per_key UNIQUE,
    member_id bigint NOT NULL REFERENCES member,
    lot_id bigint NOT NULL REFERENCES lot,
    order_id bigint REFERENCES orders,
    move text NOT NULL CHECK (move IN ('accrue', 'welcome', 'activate', 'reverse')),
    debit text NOT NULL,
    credit text NOT NULL,
    points integer NOT NULL CHECK (points > 0),
    rules_version text NOT NULL REFERENCES rule_version,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT two_accounts CHECK (debit <> credit),
    CONSTRAINT known_accounts CHECK (
        debit IN ('pending', 'available', 'reserved', 'debt',
                  'issued', 'redeemed', 'expired', 'reversed', 'adjusted', 'opening')
        AND credit IN ('pending', 'available', 'reserved', 'debt',
                       'issued', 'redeemed', 'expired', 'reversed', 'adjusted', 'opening')
    )
);
CREATE INDEX transfer_member ON transfer (member_id, id);
CREATE INDEX transfer_lot ON transfer (lot_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it with a new row', TG_TABLE_NAME USING ERRCODE = '0A000';
END $$;
CREATE TRIGGER transfer_is_append_only BEFORE UPDATE OR DELETE ON transfer
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfer_is_never_emptied BEFORE TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rule_version_is_append_only BEFORE UPDATE OR DELETE ON rule_version
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE crm_state (
    member_id bigint PRIMARY KEY REFERENCES member,
    pushed_fields jsonb,
    pushed_segment text,
    customer_ref bigint,
    unsure_until timestamptz,
    google_pushed text
);

CREATE TABLE oauth_token (
    name text PRIMARY KEY,
    sealed_pair bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    refresh_fingerprint text NOT NULL,
    state text NOT NULL CHECK (state IN ('ok', 'refreshing', 'needs_reauth')),
    refreshing_since timestamptz,
    reason text,
    updated_at timestamptz NOT NULL
);

CREATE TABLE rate_gate (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL,
    closed_until timestamptz,
    reason text
);

CREATE TABLE directory (
    name text PRIMARY KEY,
    entry jsonb NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE api_token (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT one_token_per_name UNIQUE,
    token_digest bytea NOT NULL CONSTRAINT one_row_per_token UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE heartbeat (
    name text PRIMARY KEY,
    beat_at timestamptz NOT NULL
);
"""

DROP = """
DROP TABLE heartbeat, api_token, directory, rate_gate, oauth_token, crm_state, transfer, lot, payment, orders,
    member, outbox, inbox, rule_version, installation;
DROP SEQUENCE card_number;
DROP FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute(DROP)
