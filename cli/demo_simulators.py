"""The demo's foreign world: the simulated CRM, bank and mail server as processes that know each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli import demo_banks
from cli.children import Child, run_json
from cli.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SERVERS = ("crm", "bank", "mail")


def start_simulators(
    folder: Path, keys: dict[str, str], banks: Iterable[str], web_port: int, say: Callable[[str], None]
) -> dict[str, Child]:
    """Starts them and tells each where the others are. The caller stops them."""
    config = folder / "simulator.json"
    config.write_text(json.dumps(_simulator_config(keys, banks, web_port), ensure_ascii=False), encoding="utf-8")
    children = {}
    for name in SERVERS:
        port = free_port(f"{folder} {name}")
        arguments = ["-m", "simulator", name, "--port", str(port), "--state", str(folder / "simulator")]
        children[name] = Child(name, [*arguments, "--config", str(config)], {}, folder / "logs", announces=True)
        children[name].start()
    for child in children.values():
        child.wait_ready()
    peers = {f"{name}_url": child.ready["url"] for name, child in children.items()}
    for child in children.values():
        run_json("POST", f"{child.ready['url']}/sim/peers", peers)
    say("Ненастоящие amoCRM, банк и почта запущены")
    return children


def _simulator_config(keys: dict[str, str], banks: Iterable[str], web_port: int) -> dict[str, Any]:
    return {
        "crm": {
            "subdomain": keys["subdomain"],
            "client_id": keys["client_id"],
            "client_secret": keys["client_secret"],
            "redirect_uri": "https://bonus.sportgory.ru/amocrm/oauth",
            "long_lived_token": keys["crm_token"],
        },
        "bank": demo_banks.simulated(keys, banks),
        "product": {"payments_url": f"http://127.0.0.1:{web_port}/webhooks/payments"},
    }
