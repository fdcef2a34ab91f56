"""A product set up with all nine acquirers, for tests of several packages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kopilka_testing import SHOPS, programme_with_token
from werkzeug.serving import ThreadedWSGIServer

from flows.runtime import Runtime
from webhooks.app import create_app

EVERY_BANK = ("yookassa", "tbank", "cloudpayments", "robokassa", "sber", "alfabank", "prodamus", "paykeeper", "stripe")


def with_every_bank(environment: Mapping[str, str], bank_url: str, folder: Path) -> dict[str, str]:
    """The settings of a shop whose rules file names all of them."""
    path, given = programme_with_token(folder), dict(environment)
    text = path.read_text(encoding="utf-8")
    lines = []
    for name, credentials in (
        SHOPS | {"paykeeper": SHOPS["paykeeper"] | {"server": "shop.server.paykeeper.ru"}}
    ).items():
        shown = {key: "env:" + f"{name}_{key}".upper() for key in credentials}
        lines.append(f"  - {{provider: {name}, {', '.join(f'{key}: {value}' for key, value in shown.items())}}}")
        given |= {f"{name}_{key}".upper(): value for key, value in credentials.items()}
        given[f"{name.upper()}_API_URL"] = bank_url
    path.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return given | {"PROGRAMME": str(path)}


class _Door(ThreadedWSGIServer):
    """Closing waits for the requests in hand: a late callback must not write into the next test's database."""

    daemon_threads = False


@contextmanager
def open_door(rt: Runtime) -> Iterator[str]:
    """The product's web side; the address where the banks' callbacks go."""
    server = _Door("127.0.0.1", 0, create_app(rt))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhooks/payments"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
