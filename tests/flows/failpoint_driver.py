"""A small process of the product for tests of sudden death: `python failpoint_driver.py accept|inbox|outbox [source]`.

Settings, FAILPOINT among them, come from the environment; a message to accept comes from stdin.
"""

from __future__ import annotations

import sys

from config.logs import configure_logging
from config.settings import load_settings
from flows import inbox, outbox
from flows.runtime import build_runtime, prepare


def main(work: str, source: str = "") -> None:
    configure_logging("error", human=False)
    rt = build_runtime(load_settings(dotenv=None))
    prepare(rt)
    if work == "accept" and source == "amocrm":
        inbox.accept_hook(rt, sys.stdin.buffer.read())
    elif work == "accept":
        inbox.accept_payment(rt, source, {}, sys.stdin.buffer.read(), None)
    else:
        {"inbox": inbox.drain, "outbox": outbox.drain}[work](rt)


if __name__ == "__main__":
    main(*sys.argv[1:])
