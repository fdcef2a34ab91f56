"""The demo's foreign world: the simulated CRM, bank and mail server as processes that know each other; Apple's push
service and its phones beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli import demo_banks
from cli.children import Child, run_json
from cli.demo_wallet import make_wallet_folder
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
    apns = _apns(folder)
    apns.start()
    for child in (*children.values(), apns):
        child.wait_ready()
    peers = {f"{name}_url": child.ready["url"] for name, child in children.items()}
    for child in children.values():
        run_json("POST", f"{child.ready['url']}/sim/peers", peers)
    say("Ненастоящие amoCRM, банк, почта и телефоны запущены")
    return {**children, "apns": apns}


def _apns(folder: Path) -> Child:
    """Takes pushes of whoever has the demo's pass certificate."""
    ca_file, port = make_wallet_folder(folder / "wallet") / "ca.pem", free_port(f"{folder} apns")
    push_port = free_port(f"{folder} push")
    arguments = ["-m", "simulator", "apns", "--port", str(port), "--push-port", str(push_port), "--ca", str(ca_file)]
    return Child("apns", [*arguments, "--state", str(folder / "simulator")], {}, folder / "logs", announces=True)


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
