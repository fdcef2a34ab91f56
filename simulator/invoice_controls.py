"""Control calls for lists: invoices of deals, whether the tariff has lists, whether hooks tell of them.

Not a part of amoCRM. JSON in, JSON out; what changes a record goes the same way as an API write, so that hooks fire.
"""

from __future__ import annotations

from flask import Blueprint, Response

from simulator import hooks, invoices
from simulator.answers import plain
from simulator.controls import deal, spread_of
from simulator.shared_controls import asked_object, explain_refusals
from simulator.world import the_crm

bp = Blueprint("invoice_controls", __name__)
explain_refusals(bp)


@bp.post("/sim/deals/<int:deal_id>/invoice")
def issue(deal_id: int) -> Response:
    """`{"items"?: [{"name", "price_roubles", "quantity"?}], "status"?, "comment"?, "name"?}`; {} bills all of it."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        element = invoices.issue(crm, deal(crm, deal_id), asked, spread_of(asked))
        return plain({**invoices.view(crm, element), "deal_id": deal_id}, 201)


@bp.get("/sim/invoices/<int:element_id>")
def show(element_id: int) -> Response:
    crm = the_crm()
    with crm.store.lock:
        return plain(invoices.view(crm, invoices.invoice(crm, element_id)))


@bp.post("/sim/invoices/<int:element_id>")
def mark(element_id: int) -> Response:
    """`{"status": "created"|"paid"|"paid_in_advance"|"partially_paid"}`, as a manager sets it in the card."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        element = invoices.invoice(crm, element_id)
        invoices.mark(crm, element, str(asked.get("status", "")), spread_of(asked))
        return plain(invoices.view(crm, element))


@bp.post("/sim/invoices/<int:element_id>/delete")
def delete(element_id: int) -> Response:
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        invoices.delete(crm, invoices.invoice(crm, element_id), spread_of(asked))
    return plain({"id": element_id})


@bp.post("/sim/lists")
def tariff() -> Response:
    """`{"available": false}` moves the account to a tariff without lists, until the next reset."""
    crm, asked = the_crm(), asked_object()
    if asked.get("available") not in (True, False):
        raise ValueError("ждём available: true или false")
    with crm.store.lock:
        crm.store.put("account", "lists", {"available": asked["available"]})
    return plain({"available": asked["available"]})


@bp.post("/sim/hook/lists")
def tick() -> Response:
    """`{"on"?: false}`: an administrator ticks changes of lists at every hook, which the API cannot."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        hooks.tick_lists(crm, wanted=bool(asked.get("on", True)))
        return plain({"hooks": list(crm.rows("webhooks").values())})
