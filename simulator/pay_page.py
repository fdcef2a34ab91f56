"""The page on which a buyer pays: what the receipt says, the sum, one button; then back to the shop.

Owns where the buyer is sent. What paying does is `bank`'s.
"""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from simulator import bank as payments
from simulator.bank_world import Bank, PaymentError, the_bank
from simulator.store import Record
from simulator.views import payment_view
from simulator.wire import is_address

bp = Blueprint("pay_page", __name__)


@bp.errorhandler(LookupError)
def no_such_link(_problem: Exception) -> Response:
    return Response("нет такой ссылки", status=404, content_type="text/plain; charset=utf-8")


@bp.get("/pay/<link>")
def show(link: str) -> str:
    bank = the_bank()
    with bank.store.lock:
        payment = bank.payment(link)
        payments.expire_if_due(bank, payment)
        return render_template("checkout.html", payment=payment_view(payment), version=bank.store.version)


@bp.post("/pay/<link>")
def pay(link: str) -> AnyResponse:
    """`step` is authorize or reject. A link that cannot be paid (any more) shows its page again."""
    bank = the_bank()
    with bank.store.lock:
        payment = bank.payment(link)
        back = _paid(bank, payment, rejected=request.form.get("step") == "reject")
    return redirect(back if is_address(back) else f"/pay/{link}", 303)


def _paid(bank: Bank, payment: Record, *, rejected: bool) -> str:
    """Where to go now, "" for nowhere. A shop that is asked first (Check) has not answered yet."""
    try:
        (payments.reject if rejected else payments.authorize)(bank, payment)
    except PaymentError:
        return ""
    back = payment.get("fail_url") if payment["status"] == "rejected" else payment.get("return_url")
    return str(back or "") if payment["status"] != "new" else ""
