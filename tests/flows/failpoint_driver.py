"""Processes of the product for tests of sudden death. `python failpoint_driver.py` reads orders, a JSON line each:
`{"settings": {…}, "work": "accept" | "inbox" | "outbox", "source": …, "body": hex}`.

Each order is carried out by a fork of its own, because starting an interpreter takes a second and forking none. Its
exit code is printed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any, NoReturn

from config.logs import configure_logging
from config.settings import load_settings
from connector.acquiring.base import Callback
from flows import inbox, outbox
from flows.runtime import build_runtime, prepare


def main() -> None:
    configure_logging("error", human=False)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_a_process(json.loads(line))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _be_a_process(order: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        _work(order)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def _work(order: dict[str, Any]) -> None:
    rt = build_runtime(load_settings(order["settings"], dotenv=None))
    prepare(rt)
    work, source, body = order["work"], order["source"], bytes.fromhex(order["body"])
    if work == "accept" and source == "amocrm":
        inbox.accept_hook(rt, body)
    elif work == "accept":
        inbox.accept_payment(rt, source, Callback("POST", b"", {}, body, None, rt.now()))
    else:
        {"inbox": inbox.drain, "outbox": outbox.drain}[work](rt)


if __name__ == "__main__":
    main()
