-- A book as the first schema kept it: what was partly, wholly and never returned, and an order that was never counted.
INSERT INTO rule_version (version, rules, first_used_at) VALUES ('749f7d945eba', '{"name": "Клуб «Спорт и горы»", "timezone": "Europe/Moscow", "accrual": {"rate_bps": 1000, "earn_on": ["payment", "stage"], "activate_after": {"count": 14, "unit": "days"}, "expire_after": {"count": 180, "unit": "days"}}, "point_value_kopecks": 100, "point_words": {"one": "балл", "few": "балла", "many": "баллов"}, "welcome": {"points": 300, "with_base": true, "activate_after": {"count": 0, "unit": "days"}, "expire_after": {"count": 60, "unit": "days"}}, "segments": [{"code": "start", "title": "Стартовый", "min_orders": 1}, {"code": "regular", "title": "Постоянный", "min_orders": 3}]}', '2026-02-01T09:00:00Z');

INSERT INTO member (id, contact_ref, name, card_token, card_serial, card_number, segment_code, pending, available, created_at)
OVERRIDING SYSTEM VALUE VALUES
    (1, 501, 'Анна', 'token-1', 'serial-1', '7700000001', 'start', 400, 300, '2026-02-01T09:00:00Z'),
    (2, 502, 'Борис', 'token-2', 'serial-2', '7700000002', NULL, 0, 0, '2026-02-01T09:00:00Z'),
    (3, 503, 'Вера', 'token-3', 'serial-3', '7700000003', 'start', 499, 300, '2026-02-01T09:00:00Z'),
    (4, 504, 'Глеб', 'token-4', 'serial-4', '7700000004', 'start', 100, 300, '2026-02-01T09:00:00Z');

INSERT INTO orders (id, deal_ref, member_id, price_kopecks, is_stage_paid, kept_kopecks, paid_at, revision, rules_version, noted_points, created_at)
OVERRIDING SYSTEM VALUE VALUES
    (1, 101, 1, 499000, true, 400000, '2026-02-20T09:00:00Z', 2, '749f7d945eba', 700, '2026-02-20T09:00:00Z'),
    (2, 102, 2, 100000, false, 0, '2026-02-01T09:00:00Z', 2, '749f7d945eba', 0, '2026-02-01T09:00:00Z'),
    (3, 103, 3, 499000, false, 0, '2026-02-20T09:00:00Z', 2, '749f7d945eba', 300, '2026-02-20T09:00:00Z'),
    (4, 104, 3, 499000, true, 499000, '2026-02-21T09:00:00Z', 1, '749f7d945eba', 499, '2026-02-21T09:00:00Z'),
    (5, 105, 4, 100000, true, 100000, '2026-02-21T09:00:00Z', 1, '749f7d945eba', 400, '2026-02-21T09:00:00Z'),
    (6, 106, 4, 100000, false, 0, NULL, 0, NULL, 0, '2026-02-22T09:00:00Z');

INSERT INTO payment (acquirer, payment_ref, order_id, captured_kopecks, refunded_kopecks, is_refund_total, status, captured_at, created_at)
VALUES
    ('tbank', '101-1', 1, 499000, 99000, false, 'captured', '2026-02-20T09:00:00Z', '2026-02-20T09:00:00Z'),
    ('tbank', '102-1', 2, 100000, 100000, true, 'refunded', '2026-02-01T09:00:00Z', '2026-02-01T09:00:00Z'),
    ('tbank', '103-1', 3, 499000, 499000, true, 'refunded', '2026-02-20T09:00:00Z', '2026-02-20T09:00:00Z'),
    ('tbank', '104-1', 4, 499000, 0, false, 'captured', '2026-02-21T09:00:00Z', '2026-02-21T09:00:00Z'),
    ('tbank', '106-1', 6, 0, 0, false, 'authorized', NULL, '2026-02-22T09:00:00Z');

INSERT INTO lot (id, key, member_id, order_id, source, rules_version, earned, reversed, pending, available, activates_at, expires_at, opened_at)
OVERRIDING SYSTEM VALUE VALUES
    (1, 'order:1:r1:base', 1, 1, 'accrual', '749f7d945eba', 499, 99, 400, 0, '2026-03-05T21:00:00Z', '2026-09-01T21:00:00Z', '2026-02-20T09:00:00Z'),
    (2, 'member:1:welcome:1', 1, 1, 'welcome', '749f7d945eba', 300, 0, 0, 300, '2026-02-20T09:00:00Z', '2026-04-21T21:00:00Z', '2026-02-20T09:00:00Z'),
    (3, 'order:2:r1:base', 2, 2, 'accrual', '749f7d945eba', 100, 100, 0, 0, '2026-02-14T21:00:00Z', '2026-08-13T21:00:00Z', '2026-02-01T09:00:00Z'),
    (4, 'member:2:welcome:1', 2, 2, 'welcome', '749f7d945eba', 300, 300, 0, 0, '2026-02-01T09:00:00Z', '2026-04-02T21:00:00Z', '2026-02-01T09:00:00Z'),
    (5, 'order:3:r1:base', 3, 3, 'accrual', '749f7d945eba', 499, 499, 0, 0, '2026-03-05T21:00:00Z', '2026-09-01T21:00:00Z', '2026-02-20T09:00:00Z'),
    (6, 'member:3:welcome:1', 3, 3, 'welcome', '749f7d945eba', 300, 0, 0, 300, '2026-02-20T09:00:00Z', '2026-04-21T21:00:00Z', '2026-02-20T09:00:00Z'),
    (7, 'order:4:r1:base', 3, 4, 'accrual', '749f7d945eba', 499, 0, 499, 0, '2026-03-06T21:00:00Z', '2026-09-02T21:00:00Z', '2026-02-21T09:00:00Z'),
    (8, 'order:5:r1:base', 4, 5, 'accrual', '749f7d945eba', 100, 0, 100, 0, '2026-03-06T21:00:00Z', '2026-09-02T21:00:00Z', '2026-02-21T09:00:00Z'),
    (9, 'member:4:welcome:1', 4, 5, 'welcome', '749f7d945eba', 300, 0, 0, 300, '2026-02-21T09:00:00Z', '2026-04-22T21:00:00Z', '2026-02-21T09:00:00Z');

INSERT INTO transfer (key, member_id, lot_id, order_id, move, debit, credit, points, rules_version, occurred_at, recorded_at)
SELECT key, member_id, lot_id, order_id, move, debit, credit, points, '749f7d945eba', at, at FROM (VALUES
    ('order:1:r1:base', 1, 1, 1, 'accrue', 'issued', 'pending', 499, timestamptz '2026-02-20T09:00:00Z'),
    ('member:1:welcome:1', 1, 2, 1, 'welcome', 'issued', 'pending', 300, '2026-02-20T09:00:00Z'),
    ('activate:member:1:welcome:1:available', 1, 2, 1, 'activate', 'pending', 'available', 300, '2026-02-20T09:00:00Z'),
    ('order:1:r2:take:pending:order:1:r1:base', 1, 1, 1, 'reverse', 'pending', 'reversed', 99, '2026-02-22T09:00:00Z'),
    ('order:2:r1:base', 2, 3, 2, 'accrue', 'issued', 'pending', 100, '2026-02-01T09:00:00Z'),
    ('member:2:welcome:1', 2, 4, 2, 'welcome', 'issued', 'pending', 300, '2026-02-01T09:00:00Z'),
    ('activate:member:2:welcome:1:available', 2, 4, 2, 'activate', 'pending', 'available', 300, '2026-02-01T09:00:00Z'),
    ('activate:order:2:r1:base:available', 2, 3, 2, 'activate', 'pending', 'available', 100, '2026-02-15T09:00:00Z'),
    ('order:2:r2:take:available:order:2:r1:base', 2, 3, 2, 'reverse', 'available', 'reversed', 100, '2026-02-20T09:00:00Z'),
    ('member:2:welcome:2:take:available:member:2:welcome:1', 2, 4, 2, 'reverse', 'available', 'reversed', 300, '2026-02-20T09:00:00Z'),
    ('order:3:r1:base', 3, 5, 3, 'accrue', 'issued', 'pending', 499, '2026-02-20T09:00:00Z'),
    ('member:3:welcome:1', 3, 6, 3, 'welcome', 'issued', 'pending', 300, '2026-02-20T09:00:00Z'),
    ('activate:member:3:welcome:1:available', 3, 6, 3, 'activate', 'pending', 'available', 300, '2026-02-20T09:00:00Z'),
    ('order:4:r1:base', 3, 7, 4, 'accrue', 'issued', 'pending', 499, '2026-02-21T09:00:00Z'),
    ('order:3:r2:take:pending:order:3:r1:base', 3, 5, 3, 'reverse', 'pending', 'reversed', 499, '2026-02-23T09:00:00Z'),
    ('order:5:r1:base', 4, 8, 5, 'accrue', 'issued', 'pending', 100, '2026-02-21T09:00:00Z'),
    ('member:4:welcome:1', 4, 9, 5, 'welcome', 'issued', 'pending', 300, '2026-02-21T09:00:00Z'),
    ('activate:member:4:welcome:1:available', 4, 9, 5, 'activate', 'pending', 'available', 300, '2026-02-21T09:00:00Z')
) AS t (key, member_id, lot_id, order_id, move, debit, credit, points, at);

SELECT setval(pg_get_serial_sequence(name, 'id'), 100) FROM unnest(ARRAY['member', 'orders', 'lot']) AS t (name);
