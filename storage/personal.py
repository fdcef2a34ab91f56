"""Everything that is kept about one person, to be shown to him; and taking out of it what says who he is.

Owns the list of places where personal data lie. The ledger stays, under the number of a member without a name: money
and points must go on adding up. Bodies of webhooks are forgotten by their age. Decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from datetime import datetime

_PEOPLE = sa.text("SELECT id FROM member WHERE id = :id OR merged_into_id = :id")
_PARTS = {
    "person": """
        SELECT id AS member, name, birthday, card_number, contact_ref, segment_code, available, pending, reserved, debt,
            created_at, merged_into_id
        FROM member WHERE id = ANY(:ids) ORDER BY id
    """,
    "addresses": "SELECT kind, value, added_at FROM member_address WHERE member_id = ANY(:ids) ORDER BY added_at",
    "orders": """
        SELECT id AS order, deal_ref, shop_ref, channel, price_kopecks, kept_kopecks, paid_at, created_at
        FROM orders WHERE member_id = ANY(:ids) ORDER BY id
    """,
    "payments": """
        SELECT p.acquirer, p.payment_ref, p.order_id AS order, p.captured_kopecks, p.refunded_kopecks, p.status,
            p.captured_at
        FROM payment p JOIN orders o ON o.id = p.order_id WHERE o.member_id = ANY(:ids) ORDER BY p.id
    """,
    "messages": """
        SELECT kind, subject, body, state, channel, created_at, closed_at FROM message
        WHERE member_id = ANY(:ids) ORDER BY id
    """,
    "consents": """
        SELECT channel, is_given, source, evidence, at FROM consent WHERE member_id = ANY(:ids) ORDER BY id
    """,
    "calls": """
        SELECT list.title, task.state, task.result_code, task.result_text, task.closed_at
        FROM call_task task JOIN call_list list ON list.id = task.list_id
        WHERE task.member_id = ANY(:ids) ORDER BY task.id
    """,
    "phones_with_card": """
        SELECT count(*) AS count FROM apple_registration WHERE member_id = ANY(:ids)
    """,
    "requests": """
        SELECT id AS number, kind, asked_at, done_at, note FROM data_request WHERE member_id = ANY(:ids) ORDER BY id
    """,
}
_ERASE = (
    "DELETE FROM member_address WHERE member_id = ANY(:ids)",
    "UPDATE message SET subject = '', body = NULL WHERE member_id = ANY(:ids)",
    "UPDATE call_task SET result_text = NULL WHERE member_id = ANY(:ids)",
    "UPDATE data_request SET note = '' WHERE member_id = ANY(:ids)",
    """
    DELETE FROM apple_device device USING apple_registration mine
    WHERE mine.member_id = ANY(:ids) AND device.id = mine.device_id AND NOT EXISTS (
        SELECT FROM apple_registration other WHERE other.device_id = device.id AND other.member_id <> ALL(:ids))
    """,
    "DELETE FROM apple_registration WHERE member_id = ANY(:ids)",
    "DELETE FROM apple_card WHERE member_id = ANY(:ids)",
    "DELETE FROM crm_import_contact WHERE contact_ref IN (SELECT contact_ref FROM member WHERE id = ANY(:ids))",
    # Were they known, a contact who comes again ticked «Не звонить» would be taken for one who was heard.
    "DELETE FROM crm_tick WHERE contact_ref IN (SELECT contact_ref FROM member WHERE id = ANY(:ids))",
    "DELETE FROM crm_state WHERE member_id = ANY(:ids)",
    """
    UPDATE payment_link SET asked = '{}' WHERE state IN ('paid', 'closed', 'refused')
        AND order_id IN (SELECT id FROM orders WHERE member_id = ANY(:ids))
    """,
    "UPDATE payment SET suggested = NULL WHERE order_id IN (SELECT id FROM orders WHERE member_id = ANY(:ids))",
    """
    UPDATE member SET name = '', birthday = NULL, contact_ref = NULL, card_token = :token || '-' || id, erased_at = :now
    WHERE id = ANY(:ids)
    """,
)


def parts(tx: sa.Connection, member_id: int) -> dict[str, list[dict[str, Any]]]:
    """What is kept about a living member and those merged into him, by kind."""
    ids = people(tx, member_id)
    return {
        name: [dict(row) for row in tx.execute(sa.text(statement), {"ids": ids}).mappings()]
        for name, statement in _PARTS.items()
    }


def erase(tx: sa.Connection, member_id: int, *, token: str, now: datetime) -> None:
    """Takes out who he is. `token`: the new beginning of his card links, so that the old ones open nothing."""
    ids = people(tx, member_id)
    for statement in _ERASE:
        wanted = sa.text(statement)
        known = {"ids": ids, "token": token, "now": now}
        tx.execute(wanted, {name: known[name] for name in wanted.compile().params})


def people(tx: sa.Connection, member_id: int) -> list[int]:
    """The ids of a living member and of those merged into him."""
    return list(tx.execute(_PEOPLE, {"id": member_id}).scalars())
