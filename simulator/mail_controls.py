"""The mail server's control API and its page: look at the letters, refuse recipients.

Not a part of any real server. JSON in, JSON out; a refused command answers 400 with `error`.
"""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from simulator.answers import plain
from simulator.mail import the_mail
from simulator.shared_controls import explain_refusals, routes_for_all

SHOWN_LETTERS = 100

bp = Blueprint("mail_controls", __name__)
explain_refusals(bp)


@bp.get("/")
def page() -> str:
    mail = the_mail()
    with mail.store.lock:
        letters = list(mail.letters().values())[-SHOWN_LETTERS:][::-1]
        return render_template(
            "mail.html",
            letters=letters,
            total=len(mail.letters()),
            refusals=mail.faults.show(),
            smtp_port=mail.smtp_port,
            now=mail.clock.instant(),
            version=mail.store.version,
            crm_url=mail.settings.peers.crm_url,
        )


@bp.get("/sim/state")
def state() -> Response:
    mail = the_mail()
    return plain(
        {
            "version": mail.store.version,
            "now": mail.clock.instant().isoformat(),
            "smtp_port": mail.smtp_port,
            "mails": len(mail.letters()),
            "faults": mail.faults.show(),
        }
    )


@bp.get("/sim/mails")
def mails() -> Response:
    """Letters in the order in which they came; `?to=` those to one address."""
    mail = the_mail()
    wanted = request.args.get("to", "").casefold()
    with mail.store.lock:
        rows = [dict(row) for row in mail.letters().values()]
    return plain([row for row in rows if not wanted or wanted in {address.casefold() for address in row["to"]}])


routes_for_all(bp, the_mail, lambda _asked: None)


@bp.post("/sim/reset")
def reset() -> Response:
    mail = the_mail()
    mail.store.clear()
    mail.faults.change({"reset": True})
    return plain({"ok": True})
