"""`python -m simulator crm|bank|mail --port P --state DIR --config FILE`: serves until SIGTERM.

Prints one JSON line `{"ready": true, "url", "pid"}` when it listens, with `smtp_port` if it takes mail. Owns the life
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

from simulator.app import bank_app, crm_app, mail_app
from simulator.deliveries import Mailer
from simulator.mail import SmtpServer
from simulator.settings import Settings, load
from simulator.store import Store

HOST = "127.0.0.1"
THREADS = 8


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after SIGTERM or Ctrl-C, 2 for a configuration that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Simulated amoCRM, bank and mail")
    parser.add_argument("server", choices=["crm", "bank", "mail"])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--smtp-port", type=int, default=0, help="of mail; 0 takes a free port")
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
    return _serve(options.server, settings, options.state, port=options.port, smtp_port=options.smtp_port)


def _serve(name: str, settings: Settings, directory: Path, *, port: int, smtp_port: int) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    app, store, beside = _built(name, settings, directory, smtp_port)
    server = create_server(app, host=HOST, port=port, threads=THREADS, channel_timeout=60, ident="nginx")
    beside.start()
    ready: dict[str, Any] = {"ready": True, "url": f"http://{HOST}:{server.effective_port}", "pid": os.getpid()}
    if isinstance(beside, SmtpServer):
        ready["smtp_port"] = beside.port
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        beside.stop()
        store.close()
    return 0


def _built(name: str, settings: Settings, directory: Path, smtp_port: int) -> tuple[Flask, Store, Mailer | SmtpServer]:
    """The web application, its journal, and what runs beside it: the sender of hooks or the SMTP server."""
    if name == "mail":
        app, mail = mail_app(settings, directory)
        return app, mail.store, SmtpServer(mail, HOST, smtp_port)
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
