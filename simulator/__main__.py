"""`python -m simulator crm|bank --port P --state DIR --config FILE`: serves until SIGTERM.

Prints one JSON line `{"ready": true, "url", "pid"}` when it listens. Owns the life of the process.
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

from waitress.server import create_server

from simulator.app import bank_app, crm_app
from simulator.settings import Settings, load

HOST = "127.0.0.1"
THREADS = 8


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after SIGTERM or Ctrl-C, 2 for a configuration that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Simulated amoCRM and bank")
    parser.add_argument("server", choices=["crm", "bank"])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--state", type=Path, required=True, help="folder of the state and of clock.json")
    parser.add_argument("--config", type=Path, help="JSON file; without it everything has its default")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when stdin is closed")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = load(options.config) if options.config else Settings()
    except (OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"{options.config}: {error}\n")
        return 2
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    if options.die_with_parent:
        threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    return _serve(options.server, options.port, options.state, settings)


def _serve(name: str, port: int, directory: Path, settings: Settings) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    app, world = crm_app(settings, directory) if name == "crm" else bank_app(settings, directory)
    server = create_server(app, host=HOST, port=port, threads=THREADS, channel_timeout=60, ident="nginx")
    world.mailer.start()
    ready = {"ready": True, "url": f"http://{HOST}:{server.effective_port}", "pid": os.getpid()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        world.mailer.stop()
        world.store.close()
    return 0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _die_with_parent() -> None:
    # Not sys.stdin: a thread that waits in its buffer would block the interpreter's exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
