"""The control API of Apple's push service and of a drawer full of phones. Not a part of any real server.

Owns the phones of this process; what goes over the wire is `apns` and `phone`.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from flask import Blueprint, Flask, Response, current_app

from simulator.answers import Json, plain
from simulator.apns import FakeApns, PushFaults
from simulator.clock import VirtualClock
from simulator.phone import TIMEOUT_S, PassRefused, Phone
from simulator.shared_controls import asked_object, explain_refusals

FAULTS = ("status", "reason", "gone_at_ms", "delay_s", "drop", "goaway")

bp = Blueprint("apns_controls", __name__)
explain_refusals(bp)


@dataclass
class Drawer:
    """The push service and the phones it rings."""

    apns: FakeApns
    ca_file: Path
    phones: dict[str, Phone] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def phone(self, name: str) -> Phone:
        """Raises LookupError."""
        if name not in self.phones:
            raise LookupError(f"нет телефона {name}")
        return self.phones[name]


def apns_app(directory: Path, ca_file: Path, *, port: int) -> tuple[Flask, FakeApns]:
    """The controls and the push service, which the caller starts and stops. Phones believe in `ca_file`."""
    clock = VirtualClock(directory)
    apns = FakeApns(directory / "apns", ca_file, port=port, now_ms=lambda: int(clock.instant().timestamp() * 1000))
    app = Flask("simulator")
    app.extensions["drawer"] = Drawer(apns, ca_file)
    app.register_blueprint(bp)
    return app, apns


@bp.get("/sim/state")
def state() -> Response:
    drawer = _drawer()
    apns = drawer.apns
    told: Json = {"pushes": len(apns.pushes), "answers": dict(apns.answers), "connections": apns.connections}
    return plain({**told, "refused": apns.handshakes_refused, "phones": sorted(drawer.phones)})


@bp.post("/sim/faults")
def faults() -> Response:
    """What goes wrong with pushes, to everybody or to one `phone`; `reset`: nothing any more."""
    drawer, asked = _drawer(), asked_object()
    if asked.pop("reset", False):
        drawer.apns.faults = PushFaults()
    name = asked.pop("phone", None)
    unknown = set(asked) - set(FAULTS)
    if unknown:
        raise ValueError(f"ждём {', '.join(FAULTS)}")
    if asked and name is not None:
        drawer.apns.faults.of_token[drawer.phone(str(name)).push_token] = PushFaults(**asked)
    elif asked:
        drawer.apns.faults = PushFaults(**asked)
    return plain({"ok": True})


@bp.post("/sim/phones")
def take_out() -> Response:
    """A phone opens `pass_url` and adds the card; a new one, or the `phone` that is named."""
    drawer, asked = _drawer(), asked_object()
    reply = requests.get(str(asked["pass_url"]), timeout=TIMEOUT_S)
    name = str(asked.get("phone") or uuid.uuid4().hex)
    with drawer.lock:
        phone = drawer.phones.get(name) or Phone(
            drawer.ca_file, library_id=uuid.uuid4().hex, push_token=uuid.uuid4().hex + uuid.uuid4().hex
        )
        drawer.phones[name] = phone
        drawer.apns.on_push[phone.push_token] = phone.pushed
    try:
        serial = phone.add(reply.content)
    except PassRefused as refused:
        return plain({"error": f"Wallet не возьмёт эту карту: {refused}"}, 400)
    return plain({"phone": name, "serial": serial, **_shown(phone)})


@bp.get("/sim/phones/<name>")
def look(name: str) -> Response:
    """What its owner sees, by serial, and what the phone thinks of the server."""
    return plain(_shown(_drawer().phone(name)))


@bp.delete("/sim/phones/<name>/<serial>")
def remove(name: str, serial: str) -> Response:
    phone = _drawer().phone(name)
    if serial not in phone.shown:
        raise LookupError(f"нет карты {serial}")
    return plain({"status": phone.remove(serial)})


@bp.post("/sim/reset")
def reset() -> Response:
    drawer = _drawer()
    drawer.apns.on_push.clear()
    drawer.apns.quiet()
    with drawer.lock:
        for phone in drawer.phones.values():
            phone.close()
        drawer.phones.clear()
    drawer.apns.reset()
    return plain({"ok": True})


def _shown(phone: Phone) -> dict[str, Any]:
    return {"shown": phone.shown, "asked": phone.statuses, "complaints": phone.complaints}


def _drawer() -> Drawer:
    found: Drawer = current_app.extensions["drawer"]
    return found
