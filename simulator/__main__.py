"""`python -m simulator crm|bank|mail|apns --port P --state DIR --config FILE`: serves until SIGTERM.

Prints one JSON line `{"ready": true, "url", "pid"}` when it listens, with `smtp_port` if it takes mail, with `apns_url`
and `apns_ca_file` if it takes pushes. Owns the life
of the process.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from waitress.server import create_server

from simulator.apns import FakeApns
from simulator.apns_controls import apns_app
from simulator.app import bank_app, crm_app, mail_app
from simulator.deliveries import Mailer
from simulator.mail import SmtpServer
from simulator.settings import Settings, load
from simulator.store import Store

HOST = "127.0.0.1"
THREADS = 8


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after SIGTERM or Ctrl-C, 2 for a configuration that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Simulated amoCRM, bank, mail and Apple")
    parser.add_argument("server", choices=["crm", "bank", "mail", "apns"])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--smtp-port", type=int, default=0, help="of mail; 0 takes a free port")
    parser.add_argument("--push-port", type=int, default=0, help="of apns; 0 takes a free port")
    parser.add_argument("--ca", type=Path, help="of apns: who may issue the shop's pass certificate")
    parser.add_argument("--state", type=Path, required=True, help="folder of the state and of clock.json")
    parser.add_argument("--config", type=Path, help="JSON file; without it everything has its default")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when stdin is closed")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own deprecated names at every login
    try:
        settings = load(options.config) if options.config else Settings()
    except (OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"{options.config}: {error}\n")
        return 2
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    if options.die_with_parent:
        threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    if options.server == "apns" and options.ca is None:
        parser.error("apns: --ca is missing")
    return _serve(options, settings)


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    options.state.mkdir(parents=True, exist_ok=True)
    app, store, beside = _built(options, settings)
    server = create_server(app, host=HOST, port=options.port, threads=THREADS, channel_timeout=60, ident="nginx")
    beside.start()
    ready: dict[str, Any] = {"ready": True, "url": f"http://{HOST}:{server.effective_port}", "pid": os.getpid()}
    if isinstance(beside, SmtpServer):
        ready["smtp_port"] = beside.port
    if isinstance(beside, FakeApns):
        ready |= {"apns_url": beside.url, "apns_ca_file": str(beside.ca_file)}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        beside.stop()
        if store is not None:
            store.close()
    return 0


def _built(
    options: argparse.Namespace, settings: Settings
) -> tuple[Flask, Store | None, Mailer | SmtpServer | FakeApns]:
    """The web application, its journal, and what runs beside it: the sender of hooks, the SMTP or the push server."""
    name, directory = options.server, options.state
    if name == "apns":
        app, apns = apns_app(directory, options.ca, port=options.push_port)
        return app, None, apns
    if name == "mail":
        app, mail = mail_app(settings, directory)
        return app, mail.store, SmtpServer(mail, HOST, options.smtp_port)
    app, world = crm_app(settings, directory) if name == "crm" else bank_app(settings, directory)
    return app, world.store, world.mailer


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _die_with_parent() -> None:
    # Not sys.stdin: a thread that waits in its buffer would block the interpreter's exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
