"""The bank's control API and its page: pay, give back, dispute, send again, set up the cabinets, break things.

Not a part of any real bank. JSON in, JSON out; a refused command answers 400 with `error`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from flask import Blueprint, Flask, Response, g, render_template, request

from simulator import bank as payments
from simulator import google
from simulator.answers import Json, plain
from simulator.bank_world import Bank, the_bank
from simulator.deliveries import log_of
from simulator.google_faults import GoogleFaults
from simulator.limits import WRITES, drop_connection, injected_error
from simulator.notices import NOTICE, NOTICE_TIMEOUT_S, outline, resend, silently
from simulator.shared_controls import asked_object, explain_refusals, routes_for_all
from simulator.store import Record
from simulator.views import callback_view, payment_view

bp = Blueprint("bank_controls", __name__)
LOG_LIMIT = 200
SHOWN_PAYMENTS = 50
WHOLE: dict[str, Callable[[Bank, Record], None]] = {
    "authorize": payments.authorize,
    "cancel": payments.cancel,
    "void": payments.cancel,
    "reject": payments.reject,
    "expire": payments.expire,
}
IN_PART: dict[str, Callable[[Bank, Record, int | None], object]] = {
    "capture": payments.capture,
    "refund": payments.refund,
    "chargeback": payments.dispute,
}
STEPS = f"any({','.join((*WHOLE, *IN_PART, 'chargeback_won', 'chargeback_lost'))}):step"
explain_refusals(bp)


@bp.get("/")
def page() -> str:
    bank = the_bank()
    with bank.store.lock:
        rows = list(bank.payments().values())[-SHOWN_PAYMENTS:][::-1]
        calls: dict[str, list[Json]] = {}
        for row in bank.store.table("deliveries").values():
            if row["policy"] != NOTICE:
                calls.setdefault(row["payment_id"], []).append(callback_view(row))
        shown = [{**payment_view(row), "callbacks": calls.get(row["id"], [])[-12:]} for row in rows]
    return render_template(
        "bank.html",
        payments=shown,
        faults=bank.faults.show(),
        now=bank.clock.instant(),
        version=bank.store.version,
        crm_url=bank.settings.peers.crm_url,
    )


@bp.get("/sim/state")
def state() -> Response:
    bank = the_bank()
    if "brief" in request.args:
        return plain({"version": bank.store.version, "now": bank.clock.instant().isoformat()})
    with bank.store.lock:
        for row in bank.payments().values():
            payments.expire_if_due(bank, row)
        rows = [dict(row) for row in bank.payments().values()]
        body = {
            "version": bank.store.version,
            "now": bank.clock.instant().isoformat(),
            "payments": rows,
            "callbacks_waiting": bank.mailer.waiting(),
            "faults": bank.faults.show(),
            "google": google.resources(bank),
        }
        return plain(body)


@bp.get("/sim/callbacks")
def callbacks() -> Response:
    bank = the_bank()
    limit = int(request.args.get("limit", LOG_LIMIT))
    only = {"payment_id": request.args["payment_id"]} if "payment_id" in request.args else {}
    rows = [row for row in log_of(bank.store, limit=limit * 2, **only) if row["policy"] != NOTICE]
    return plain({"callbacks": [callback_view(row) for row in rows[:limit]], "waiting": bank.mailer.waiting()})


@bp.post("/sim/pay")
def pay() -> Response:
    """A payment from nothing to money taken (or refused with `reject`, or only held with `two_stage`).

    `acquirer`, `deal_id` (or none: a payment made elsewhere, with `order_id`), `amount_kopecks`, `payer` {name, phone,
    email}, `metadata`, `callbacks` copies, `shuffle`, `lost`.
    """
    bank, asked = the_bank(), asked_object()
    acquirer = str(asked.get("acquirer", "tbank"))
    if acquirer not in bank.providers:
        raise ValueError(f"нет такого банка: {acquirer}")
    amount = int(asked["amount_kopecks"])
    if amount <= 0:
        raise ValueError("сумма должна быть больше нуля")
    with bank.store.lock:
        payment = _create(bank, acquirer, amount, asked)
        if asked.get("reject"):
            payments.reject(bank, payment)
        else:
            payments.authorize(bank, payment)
        return plain(outline(payment))


@bp.post(f"/sim/payments/<payment_id>/<{STEPS}>")
def step(payment_id: str, step: str) -> Response:
    """The next step of a payment; `amount_kopecks` for a part of it, where a part makes sense.

    With `silent` no callback tells the shop, as if it were done in the cabinet. That a link has expired is told only on
    request: `silent: false`.
    """
    bank, asked = the_bank(), asked_object()
    amount = None if asked.get("amount_kopecks") is None else int(asked["amount_kopecks"])
    quiet = bool(asked.get("silent", step == "expire"))
    with bank.store.lock, silently(payment := bank.payment(payment_id), wanted=quiet):
        if step in WHOLE:
            WHOLE[step](bank, payment)
        elif step in IN_PART:
            IN_PART[step](bank, payment, amount)
        else:
            payments.settle(bank, payment, won=step == "chargeback_won")
        return plain(outline(payment))


@bp.get("/sim/payments/<payment_id>")
def one_payment(payment_id: str) -> Response:
    """All that is known of a payment, its receipt included; by its id or the name of its link."""
    bank = the_bank()
    with bank.store.lock:
        payment = bank.payment(payment_id)
        payments.expire_if_due(bank, payment)
        return plain(payment_view(payment))


@bp.post("/sim/payments/<payment_id>/resend")
def send_again(payment_id: str) -> Response:
    """Callbacks of a payment once more, `copies` times, `shuffle`d."""
    bank, asked = the_bank(), asked_object()
    with bank.store.lock:
        payment = bank.payment(payment_id)
        sent = resend(bank, payment, copies=int(asked.get("copies", 1)), shuffle=bool(asked.get("shuffle", False)))
    return plain({"sent": sent})


@bp.route("/sim/cabinet/<acquirer>", methods=["GET", "POST"])
def cabinet(acquirer: str) -> Response:
    """How the shop's notifications are set up there, secrets included; POST changes it until the next reset."""
    bank = the_bank()
    with bank.store.lock:
        shop = bank.shop(acquirer) if request.method == "GET" else bank.change_shop(acquirer, asked_object())
    return plain(asdict(shop))


@bp.get("/sim/certificates/<any(robokassa,sber,alfabank):acquirer>.pem")
def certificate(acquirer: str) -> Response:
    """What a shop's support would send: the certificate of callbacks signed with RSA."""
    return Response(the_bank().keys.certificate(acquirer), content_type="application/x-pem-file")


routes_for_all(bp, the_bank, lambda _asked: None)


@bp.post("/sim/reset")
def reset() -> Response:
    """Back to no payments. Waits for words already on their way, so that who is reset next hears none of them."""
    bank = the_bank()
    bank.store.clear()
    bank.faults.change({"reset": True})
    bank.google = GoogleFaults()
    bank.mailer.settle(NOTICE_TIMEOUT_S)
    return plain({"ok": True})


def guard(app: Flask, bank: Bank) -> None:
    """Faults of the bank's own API."""
    apis = [path for provider in bank.providers.values() for path in provider.api]
    paths = (*dict.fromkeys(apis), "/walletobjects/", "/token")

    def before() -> Response | None:
        if not request.path.startswith(paths):
            return None
        injected = injected_error(bank.faults)
        if injected is None:
            time.sleep(bank.faults.delay_s())
            g.served = True
        return injected

    def after(response: Response) -> Response:
        written = g.get("served", False) and request.method in WRITES and response.status_code < 300
        if written and bank.faults.happens("apply_then_drop"):
            drop_connection()
        return response

    app.before_request(before)
    app.after_request(after)


def _create(bank: Bank, acquirer: str, amount: int, asked: Json) -> Record:
    """Our order number is that of the deal and the attempt, unless the payment was made elsewhere."""
    own: Json = {"order_id": str(asked.get("order_id") or ""), "description": str(asked.get("description") or "")}
    metadata = {str(name): str(value) for name, value in (asked.get("metadata") or {}).items()}
    if asked.get("deal_id") is not None:
        deal_id = int(asked["deal_id"])
        earlier = [row for row in bank.payments().values() if row["lead_id"] == deal_id]
        attempt = int(asked.get("attempt") or len(earlier) + 1)
        own |= {"lead_id": deal_id, "attempt": attempt}
        own["order_id"] = own["order_id"] or f"L{deal_id}-{attempt}"
        own["description"] = own["description"] or f"Заказ {deal_id}"
        if bank.providers[acquirer].keeps_metadata:
            metadata = {"lead_id": str(deal_id), "attempt": str(attempt), **metadata}
    return payments.create(
        bank,
        acquirer,
        amount,
        **own,
        metadata=metadata,
        payer=asked.get("payer") or {},
        two_stage=bool(asked.get("two_stage", False)),
        copies=int(asked.get("callbacks") or 0),
        shuffle=asked.get("shuffle"),
        lost=asked.get("lost"),
    )
