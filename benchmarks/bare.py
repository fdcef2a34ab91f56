"""The ceiling of the web side: a Flask view that only says «ok», on waitress with the product's settings.

A process of its own: `python -m benchmarks.bare THREADS`. Prints a JSON line with its port when it accepts requests.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from flask import Flask
from waitress.server import create_server

from cli.serving import BODY_BYTES_MAX, CHANNEL_TIMEOUT_S, CONNECTION_LIMIT


def create_app() -> Flask:
    app = Flask("bare")

    @app.post("/ok")
    def ok() -> str:
        return "ok"

    return app


def main(threads: int) -> None:
    server: Any = create_server(
        create_app(),
        host="127.0.0.1",
        port=0,
        threads=threads,
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=CHANNEL_TIMEOUT_S,
        max_request_body_size=BODY_BYTES_MAX,
        ident=None,
    )
    print(json.dumps({"ready": True, "port": server.effective_port}), flush=True)
    server.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
