"""The CRM's control API: make deals, move them, have them paid, break things, look inside.

Not a part of amoCRM. JSON in, JSON out; a refused command answers 400 or 404 with `error`. What changes a record goes
the same way as an API write, so that hooks fire.
"""

from __future__ import annotations

import requests
from flask import Blueprint, Response, request

from simulator import fields, hooks, oauth, people, world
from simulator.answers import Json, plain
from simulator.deliveries import log_of
from simulator.entities import change
from simulator.hooks import USUAL, Spread
from simulator.leads import LEADS
from simulator.shared_controls import asked_object, explain_refusals, routes_for_all
from simulator.store import Record
from simulator.views import callback_view, contact_view, customer_view, deal_view, note_view, payments_by_lead
from simulator.world import Crm, the_crm

BANK_TIMEOUT_S = 10.0
LOG_LIMIT = 200
TO_PAY_FIELD = "К оплате с бонусами"
# What the bank understands of a payment's order.
PAY_WORDS = ("attempt", "callbacks", "shuffle", "lost", "two_stage", "reject", "order_id", "metadata", "payer")

bp = Blueprint("controls", __name__, url_prefix="")
_bank_session = requests.Session()
_bank_session.trust_env = False
explain_refusals(bp)


@bp.errorhandler(requests.RequestException)
def bank_is_silent(problem: Exception) -> Response:
    return plain({"error": f"банк не отвечает: {type(problem).__name__}"}, 502)


@bp.get("/sim/state")
def state() -> Response:
    """Everything by name. `?brief` is only the version, `?deal=ID` is one deal with its people."""
    crm = the_crm()
    with crm.store.lock:
        head = {"version": crm.store.version, "now": crm.clock.instant().isoformat()}
        if "brief" in request.args:
            return plain(head)
        leads = list(crm.rows("leads").values())
        if "deal" in request.args:
            leads = [deal(crm, int(request.args["deal"]))]
        return plain({**head, **_inside(crm, leads, everything="deal" not in request.args)})


@bp.post("/sim/deals")
def create_deal() -> Response:
    """`{"name", "price_roubles", "contact": {"name", "phone", "email"?, "birthday"?} | "contact_id", "status"?}`."""
    crm, asked = the_crm(), asked_object()
    price = float(asked.get("price_roubles") or 0)
    with crm.store.lock:
        contact = people.buyer(crm, asked)
        pipeline = crm.pipeline()
        status = asked.get("status")
        status_id = crm.status_id(pipeline, str(status)) if status else pipeline["statuses"][1]["id"]
        name = str(asked.get("name") or "Новый заказ")
        lead = world.add_lead(crm, name, int(price) if price.is_integer() else price, contact, status_id)
        hooks.announce(crm, "leads", "add", [lead])
        ids = {"id": lead["id"], "deal_id": lead["id"], "contact_id": contact["id"] if contact else None}
    return plain(ids, 201)


@bp.post("/sim/deals/<int:deal_id>/move")
def move(deal_id: int) -> Response:
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        lead = deal(crm, deal_id)
        move_deal(crm, lead, str(asked.get("status", "")), spread_of(asked))
        return plain(deal_view(crm, lead))


@bp.post("/sim/deals/<int:deal_id>/pay")
def pay(deal_id: int) -> Response:
    """The buyer pays: the bank takes the money, the shop moves the deal to the paid stage; either may come first.

    `acquirer` is any of the bank's; what else a payment may be told is `PAY_WORDS`.
    """
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        lead = deal(crm, deal_id)
        amount = asked.get("amount_kopecks")
        amount = round(_to_pay(crm, lead) * 100) if amount is None else int(amount)
        payer = people.payer(crm, lead)
    order: Json = {"payer": payer, **{key: asked[key] for key in PAY_WORDS if key in asked}}
    order |= {"acquirer": asked.get("acquirer", "tbank"), "deal_id": deal_id, "amount_kopecks": amount}
    moves = not asked.get("reject") and not asked.get("two_stage")
    spread = spread_of(asked)
    move_first = bool(asked.get("shuffle")) and crm.faults.toss()
    if moves and move_first:
        _to_paid(crm, deal_id, spread)
    payment = ask_bank(crm, "/sim/pay", order)
    with crm.store.lock:
        keep_payment(crm, payment)
    if moves and not move_first:
        _to_paid(crm, deal_id, spread)
    return plain({"payment": payment, "deal_id": deal_id})


def _to_pay(crm: Crm, lead: Record) -> float:
    """What the shop asks of the buyer: the field «К оплате с бонусами» where somebody keeps one, else the price."""
    told = fields.by_name(crm, lead).get(TO_PAY_FIELD)
    try:
        return float(told) if told not in (None, "") else float(lead["price"])
    except ValueError:
        return float(lead["price"])


@bp.post("/sim/deals/<int:deal_id>/refund")
def refund(deal_id: int) -> Response:
    """Gives back a sum (null: all that is left) over the deal's payments, the newest first; `silent`: tells no shop."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        deal(crm, deal_id)
        paid = [
            row
            for row in list(crm.rows("payments").values())[::-1]
            if row["lead_id"] == deal_id and row["status"] == "captured" and row["captured"] > row["refunded"]
        ]
    if not paid:
        raise ValueError("у сделки нет оплаты, которую можно вернуть")
    wanted = asked.get("amount_kopecks")
    left = sum(row["captured"] - row["refunded"] for row in paid) if wanted is None else int(wanted)
    if left <= 0:
        raise ValueError("сумма возврата должна быть больше нуля")
    refunded = []
    for row in paid:
        part = min(left, row["captured"] - row["refunded"]) if row is not paid[-1] else left
        if part > 0:
            order = {"amount_kopecks": part, "silent": bool(asked.get("silent"))}
            payment = ask_bank(crm, f"/sim/payments/{row['id']}/refund", order)
            with crm.store.lock:
                keep_payment(crm, payment)
            refunded.append(payment)
            left -= part
    if asked.get("status"):
        with crm.store.lock:
            move_deal(crm, deal(crm, deal_id), str(asked["status"]))
    return plain({"payments": refunded, "deal_id": deal_id})


@bp.post("/sim/payments")
def notice() -> Response:
    """The bank tells how a payment stands; only the board looks at it."""
    crm = the_crm()
    with crm.store.lock:
        keep_payment(crm, asked_object())
    return plain({"ok": True})


@bp.post("/sim/hook")
def set_hook() -> Response:
    """`{"destination", "settings"?}` subscribes; `{"disable": destination}` is what the CRM does to a hook that failed
    too often; `{"enable": true}` switches every hook on again."""
    crm, asked = the_crm(), asked_object()
    with crm.store.lock:
        if asked.get("disable"):
            for hook in crm.rows("webhooks").values():
                hook["disabled"] = hook["disabled"] or hook["destination"] == asked["disable"]
                crm.store.touch("webhooks", hook["id"])
            return plain({"hooks": list(crm.rows("webhooks").values())})
        if asked.get("destination"):
            hook = hooks.subscribe(crm, str(asked["destination"]), asked.get("settings") or list(hooks.SETTINGS))
            return plain(hook)
        for hook in list(crm.rows("webhooks").values()):
            hooks.subscribe(crm, hook["destination"], hook["settings"], hook["sort"])
        return plain({"hooks": list(crm.rows("webhooks").values())})


@bp.get("/sim/hooks")
def hook_log() -> Response:
    crm = the_crm()
    rows = log_of(crm.store, limit=int(request.args.get("limit", LOG_LIMIT)))
    with crm.store.lock:
        subscribed = [dict(row) for row in crm.rows("webhooks").values()]
    return plain(
        {"hooks": subscribed, "deliveries": [callback_view(row) for row in rows], "waiting": crm.mailer.waiting()}
    )


@bp.post("/sim/grant")
def grant() -> Response:
    crm = the_crm()
    config = crm.settings.crm
    return plain({"code": oauth.new_code(crm), "client_id": config.client_id, "referer": request.host, "platform": "1"})


@bp.post("/sim/revoke")
def revoke() -> Response:
    oauth.revoke_all(the_crm())
    return plain({"ok": True})


@bp.post("/sim/reset")
def reset() -> Response:
    """Back to the seeded shop. Hooks and tokens are forgotten too; the clock stays, for time must not run backwards."""
    crm = the_crm()
    with crm.store.lock:
        crm.store.clear()
        crm.faults.change({"reset": True})
        crm.limiter.forgive()
        world.open_account(crm)
    return plain({"ok": True})


def deal(crm: Crm, deal_id: int) -> Record:
    """Raises LookupError."""
    lead = crm.rows("leads").get(deal_id)
    if lead is None:
        raise LookupError(f"нет сделки {deal_id}")
    return lead


def move_deal(crm: Crm, lead: Record, status: str, spread: Spread = USUAL) -> None:
    """Moves a deal to a stage by name, as the manager's hand would. Raises LookupError."""
    status_id = crm.status_id(crm.rows("pipelines")[lead["pipeline_id"]], status)
    if status_id != lead["status_id"]:
        change(crm, LEADS, [(lead, {"status_id": status_id})], spread)


def keep_payment(crm: Crm, payment: Json) -> None:
    """Sums only grow: a late word of the bank must not undo a newer one."""
    known = crm.rows("payments").get(payment["id"])
    if known is None or all(known[total] <= payment[total] for total in ("captured", "refunded")):
        crm.store.put("payments", payment["id"], payment)


def ask_bank(crm: Crm, path: str, order: Json) -> Json:
    """A control call to the bank. Raises ValueError with the bank's objection, requests.RequestException."""
    if not crm.settings.peers.bank_url:
        raise ValueError("адрес банка не задан: POST /sim/peers")
    answer = _bank_session.post(crm.settings.peers.bank_url + path, json=order, timeout=BANK_TIMEOUT_S)
    body: Json = answer.json()
    if answer.status_code >= 400:
        raise ValueError(str(body.get("error", answer.status_code)))
    return body


def _faults_changed(asked: Json) -> None:
    """Naughty mode holds for the bank too; a reset lifts a ban."""
    crm = the_crm()
    if "naughty" in asked and crm.settings.peers.bank_url:
        ask_bank(crm, "/sim/faults", {"naughty": asked["naughty"]})
    if asked.get("reset"):
        crm.limiter.forgive()


routes_for_all(bp, the_crm, _faults_changed)


def _to_paid(crm: Crm, deal_id: int, spread: Spread) -> None:
    with crm.store.lock:
        move_deal(crm, deal(crm, deal_id), crm.settings.shop.paid_status, spread)


def spread_of(asked: Json) -> Spread:
    """How often (`hooks`) and how disorderly (`shuffle`) a command wants its hooks told."""
    return Spread(copies=int(asked.get("hooks") or 0), shuffle=asked.get("shuffle"))


def _inside(crm: Crm, leads: list[Record], *, everything: bool) -> Json:
    contact_ids = {row["id"] for lead in leads for row in lead["contacts"]}
    contacts = [row for row in crm.rows("contacts").values() if everything or row["id"] in contact_ids]
    lead_ids = {lead["id"] for lead in leads}
    notes = [row for row in crm.rows("notes").values() if everything or row["entity_id"] in lead_ids | contact_ids]
    customer_ids = {key for contact in contacts for key in contact["customers"]}
    customers = [row for row in crm.rows("customers").values() if everything or row["id"] in customer_ids]
    grouped = payments_by_lead(crm)
    return {
        "deals": [deal_view(crm, row, grouped) for row in leads],
        "contacts": [contact_view(crm, row) for row in contacts],
        "customers": [customer_view(crm, row) for row in customers],
        "segments": [{key: row[key] for key in ("id", "name", "color")} for row in crm.rows("segments").values()],
        "notes": [note_view(row) for row in notes],
        "tasks": [dict(row) for row in crm.rows("tasks").values() if everything or row["entity_id"] in lead_ids],
        "tokens": oauth.summary(crm),
        "hooks": [dict(row) for row in crm.rows("webhooks").values()],
        "hooks_waiting": crm.mailer.waiting(),
        "faults": crm.faults.show(),
        "banned_s": crm.limiter.banned_left_s(),
    }
