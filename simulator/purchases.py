"""Purchases and native bonus points of customers. Implements the amoCRM reference sections 5.5 and 5.6."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from simulator.answers import (
    Json,
    body_list,
    body_object,
    empty,
    error,
    hal,
    invalid,
    paged,
    refuse,
    request_ids,
    self_link,
)
from simulator.customers import guard
from simulator.limits import drop_connection
from simulator.store import Record
from simulator.world import Crm, the_crm

MOVES_KEPT = 100

bp = Blueprint("purchases", __name__, url_prefix="/api/v4/customers")


@bp.post("/<int:customer_id>/bonus_points")
def bonus_points(customer_id: int) -> Response:
    """Exactly one of earn and redeem; redeeming more than there is gets 400 (an assumption). Each move is kept for the
    board, because the API shows neither the balance nor its history."""
    crm, customer = _customer(customer_id)
    if crm.faults.bonus_status:
        raise refuse(crm.faults.bonus_status, "Бонусные баллы недоступны")
    asked = body_object()
    keys = {"earn", "redeem"} & set(asked)
    amount: Any = asked[keys.copy().pop()] if len(keys) == 1 else None
    if isinstance(amount, bool) or not isinstance(amount, int) or amount <= 0:
        raise refuse(400, "Ожидается одно из полей earn, redeem с положительным числом")
    if "redeem" in keys and amount > customer["bonus_points"]:
        raise refuse(400, "Недостаточно бонусных баллов")
    points = amount if "earn" in keys else -amount
    customer["bonus_points"] += points
    moves = [*customer.get("bonus_moves", []), {"points": points, "balance": customer["bonus_points"]}]
    customer["bonus_moves"] = moves[-MOVES_KEPT:]
    crm.store.touch("customers", customer_id)
    if crm.faults.spend("drop_bonus_answer"):
        drop_connection()
    return hal({"bonus_points": customer["bonus_points"]})


@bp.get("/<int:customer_id>/transactions")
def transactions(customer_id: int) -> Response:
    crm, _customer_row = _customer(customer_id)
    rows = [row for row in crm.rows("transactions").values() if row["customer_id"] == customer_id]
    return paged("transactions", rows, _transaction)


@bp.post("/<int:customer_id>/transactions")
def create_transactions(customer_id: int) -> Response:
    crm, customer = _customer(customer_id)
    items = body_list()
    missing = error("FieldMissing", "price", "This field is missing.")
    wrong = {str(index): [missing] for index, item in enumerate(items) if not isinstance(item.get("price"), int)}
    if wrong:
        raise invalid(wrong)
    shown = []
    for item, request_id in zip(items, request_ids(items), strict=True):
        row = _add_transaction(crm, customer, item)
        shown.append({"id": row["id"], "customer_id": customer_id, "request_id": request_id})
    return hal({"_links": self_link("customers/transactions"), "_embedded": {"transactions": shown}})


@bp.delete("/transactions/<int:transaction_id>")
def delete_transaction(transaction_id: int) -> Response:
    crm = the_crm()
    row = crm.rows("transactions").get(transaction_id)
    if row is None:
        raise refuse(404, "Transaction not found")
    _count(crm, crm.rows("customers")[row["customer_id"]], -row["price"], -1)
    crm.store.remove("transactions", transaction_id)
    return empty()


def _add_transaction(crm: Crm, customer: Record, item: Json) -> Record:
    now_s = crm.clock.now_s()
    row = {
        "id": crm.next_id("transactions"),
        "price": item["price"],
        "comment": item.get("comment"),
        "completed_at": item.get("completed_at", now_s),
        "customer_id": customer["id"],
        "created_at": now_s,
        "updated_at": now_s,
        "is_deleted": False,
        "metadata": item.get("metadata"),
    }
    crm.store.put("transactions", row["id"], row)
    _count(crm, customer, item["price"], 1)
    if request.args.get("accrue_bonus", "true") == "true":
        customer["bonus_points"] += item["price"] // 10
    return row


def _count(crm: Crm, customer: Record, price: int, purchases: int) -> None:
    customer["ltv"] += price
    customer["purchases_count"] += purchases
    crm.stamp("customers", customer)


def _customer(customer_id: int) -> tuple[Crm, Record]:
    crm = the_crm()
    guard(crm)
    customer = crm.rows("customers").get(customer_id)
    if customer is None:
        raise refuse(404, "Customer not found")
    return crm, customer


def _transaction(row: Record) -> Json:
    return {**row, "_embedded": {"customer": {"id": row["customer_id"]}, "catalog_elements": []}}
