"""What the benchmarks measure: durable embedded servers and the product's own processes in a temporary folder.

Owns starting and stopping. The simulated CRM has its limiter off, because amoCRM's 7 requests a second would be all
that is measured.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bodies import SUBDOMAIN, TERMINAL, TERMINAL_PASSWORD
from cli.children import Child, run_json
from cli.demo_wallet import make_wallet_folder
from cli.services import Services, start_services
from config.logs import configure_logging
from config.settings import load_settings
from flows import connect, migrating
from flows.runtime import Runtime, build_runtime, prepare

ROOT = Path(__file__).resolve().parent.parent
WEB_THREADS = 8
CLIENT_ID, CLIENT_SECRET = "5c1f0f3a-9a54-4c1e-8f0e-2f0a4f0d7e11", "benchmark-client-secret"
OPEN_FOR_ENTRY = 0o711
"""The servers may run as another user, who must get through the temporary folder."""


@dataclass(frozen=True)
class World:
    """`rt` is this process's own Runtime, for seeding and counting."""

    folder: Path
    environment: dict[str, str]
    services: Services
    rt: Runtime
    crm_url: str

    @property
    def driver_url(self) -> str:
        """The database's address for psycopg itself."""
        return self.services.database_url.replace("postgresql+psycopg:", "postgresql:", 1)

    def product(self, name: str) -> Child:
        """A process of the product, not started: «web» or «worker inbox N»."""
        arguments = ["web", "--ready-line"] if name == "web" else name.split()[:2]
        return Child(name, ["-m", "cli.main", *arguments], self.environment, self.folder / "logs")

    def helper(self, name: str, *arguments: str) -> Child:
        """A process of the benchmarks that announces itself."""
        return Child(name, ["-m", f"benchmarks.{name}", *arguments], self.environment, self.folder / "logs", True)


@contextmanager
def open_world() -> Iterator[World]:
    """Servers, schema, a connected CRM. The product's processes are started by who measures them."""
    configure_logging("error", human=False)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="kopilka-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(OPEN_FOR_ENTRY)
        services = start_services(folder / "services", database_url=None, redis_url=None, durable=True, log=_quiet)
        stack.callback(services.stop)
        crm = simulated_crm(folder)
        crm.start()
        stack.callback(crm.stop)
        crm.wait_ready()
        environment = _environment(folder, services, crm.ready["url"])
        migrating.migrate(services.database_url)
        rt = build_runtime(load_settings(environment, dotenv=None))
        stack.callback(rt.db.close)
        prepare(rt)
        connect.exchange(rt, run_json("POST", f"{crm.ready['url']}/sim/grant", {})["code"])
        yield World(folder, environment, services, rt, crm.ready["url"])


@contextmanager
def running(*children: Child) -> Iterator[None]:
    """Starts processes, waits for those that say when they are ready, stops all at the end."""
    with ExitStack() as stack:
        for child in children:
            stack.callback(child.stop)
            child.start()
        for child in children:
            if child.announces or child.name == "web":
                child.wait_ready()
        yield


def simulated_crm(folder: Path, *, requests_per_second: int = 0, name: str = "crm") -> Child:
    """The CRM with what the folder remembers; 0: without a limit."""
    config = folder / f"{name}.json"
    crm = {
        "subdomain": SUBDOMAIN,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uri": "https://bonus.sportgory.ru/amocrm/oauth",
        "requests_per_second": requests_per_second,
    }
    config.write_text(json.dumps({"crm": crm}), encoding="utf-8")
    arguments = ["-m", "simulator", "crm", "--port", "0", "--state", str(folder / "simulator")]
    return Child(name, [*arguments, "--config", str(config)], {}, folder / "logs", announces=True)


def _environment(folder: Path, services: Services, crm_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": services.database_url,
        "REDIS_URL": services.redis_url,
        "PUBLIC_URL": "https://bonus.sportgory.ru",
        "PROGRAMME": str(ROOT / "config" / "programme.yaml"),
        "SECRET_KEY": "YmVuY2htYXJrLXNlY3JldC1rZXktdGhhdC1pcy1sb25nLWVub3VnaA",
        "WEB_HOST": "127.0.0.1",
        "WEB_PORT": "0",
        "WEB_THREADS": str(WEB_THREADS),
        "LOG_LEVEL": "info",
        "CRM_REQUESTS_PER_SECOND": "50",
        "DEMO_WALLET_DIR": str(make_wallet_folder(folder / "wallet")),
        "AMOCRM_BASE_URL": crm_url,
        "GOOGLE_API_URL": crm_url,
        "GOOGLE_TOKEN_URL": f"{crm_url}/token",
        "AMOCRM_CLIENT_ID": CLIENT_ID,
        "AMOCRM_CLIENT_SECRET": CLIENT_SECRET,
        "YOOKASSA_SHOP_ID": "100500",
        "YOOKASSA_SECRET": "benchmark-shop-secret",
        "TBANK_TERMINAL": TERMINAL,
        "TBANK_PASSWORD": TERMINAL_PASSWORD,
    }


def _quiet(_line: str) -> None:
    """The servers' progress is of no interest here."""
