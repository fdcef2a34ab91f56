"""The demo's world: services, simulators, our processes; started in order, watched, stopped in order.

Everything it needs to start again lies in one folder. Owns no story.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import demo_banks
from cli.children import Child
from cli.demo_keys import keys_of
from cli.demo_simulators import start_simulators
from cli.demo_wallet import make_wallet_folder
from cli.services import start_services
from cli.services.account import make_folder
from cli.services.process import free_port
from config.settings import load_settings
from connector.http import HttpClient
from flows import access, connect, migrating, planning
from flows.runtime import Runtime, build_runtime, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMME = Path("config/demo.yaml")
SEED_DEALS = (
    ("Палатка «Хибины-2»", 4_990, "Анна Петрова", "+79000000001"),
    ("Рюкзак 60 л", 8_350, "Борис Иванов", "+79000000002"),
    ("Треккинговые палки", 2_490, "Вера Смирнова", "+79000000003"),
    ("Спальник −10 °C", 12_700, "Григорий Орлов", "+79000000004"),
    ("Фонарь налобный", 1_299, "Дарья Ким", "+79000000005"),
)
OURS = ("web", "worker inbox", "worker outbox", "sweep")


@dataclass
class World:
    """A running demo. `secrets` are the simulated accounts' keys, made once per folder; `banks` are the acquirers that
    the rules file names."""

    folder: Path
    urls: dict[str, str]
    secrets: dict[str, str]
    banks: tuple[str, ...]
    environment: dict[str, str]
    rt: Runtime
    hook_path: str
    api_token: str
    service_pids: dict[str, int]
    children: list[Child]
    http: HttpClient
    started_s: float = 0.0
    timings_s: dict[str, float] = field(default_factory=dict)

    def contract(self) -> dict[str, Any]:
        """The line for programs (design, section 4)."""
        keys = self.secrets
        return {
            "urls": self.urls,
            "hook_path": self.hook_path,
            "api_token": self.api_token,
            "acquirers": demo_banks.contract(keys, self.banks),
            "crm": {"token": keys["crm_token"], "subdomain": keys["subdomain"]},
            "pids": {**self.service_pids, **{child.name: child.pid for child in self.children}},
            "state": str(self.folder),
            "ca_path": str(self.folder / "wallet" / "ca.pem"),
            "started_s": round(self.started_s, 2),
        }

    def supervise(self, say: Callable[[str], None]) -> None:
        """Starts again what died."""
        for child in self.children:
            if not child.is_alive:
                say(f"{child.name} упал, запускаю снова")
                child.start()

    def call(self, method: str, url: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """One JSON call to a server of this demo."""
        content = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        reply = self.http.send(method, url, route="demo", headers=given, body=content)
        return reply.json() if reply.body.strip() else None


@contextmanager
def open_world(
    folder: Path, *, port: int, programme: Path | None, at: datetime | None, say: Callable[[str], None]
) -> Iterator[World]:
    """Starts everything in `folder`; stops it at the end. Steps: servers; simulators; schema; CRM; our processes."""
    began = time.monotonic()
    make_folder(folder)
    keys = keys_of(folder)
    rules, banks = _rules(programme, keys)
    if at is not None:
        _set_clock(folder, at)
    with ExitStack() as stack:
        web_port = port or free_port(str(folder))
        services = start_services(
            folder,
            database_url=os.environ.get("DATABASE_URL"),
            redis_url=os.environ.get("REDIS_URL"),
            log=say,
        )
        stack.callback(services.stop)
        simulators = start_simulators(folder, keys, banks, web_port, say)
        for child in simulators.values():
            stack.callback(child.stop)
        urls = {"web": f"http://127.0.0.1:{web_port}", **{name: one.ready["url"] for name, one in simulators.items()}}
        http = HttpClient()
        environment = _environment(folder, keys, urls, web_port, rules)
        environment |= {"DATABASE_URL": services.database_url, "REDIS_URL": services.redis_url}
        environment |= _certificates(http, banks, urls["bank"])
        environment |= {name.upper(): simulators["apns"].ready[name] for name in ("apns_url", "apns_ca_file")}
        environment["MAIL_STAND_IN"] = f"127.0.0.1:{simulators['mail'].ready['smtp_port']}"
        ours = [Child(name, ["-m", "cli.main", *_command(name)], environment, folder / "logs") for name in OURS]
        rt = build_runtime(load_settings(environment, dotenv=None))
        urls["console"] = rt.console_link()
        stack.callback(rt.db.close)
        _prepare_database(rt, services.database_url, say)
        for child in ours:  # they need the schema and the key, nothing else
            stack.callback(child.stop)
            child.start()
        world = World(
            folder=folder,
            urls=urls,
            secrets=keys,
            banks=banks,
            environment=environment,
            rt=rt,
            hook_path=rt.hook_path(),
            api_token=access.create_token(rt, "demo", access.SCOPES, "site"),
            service_pids=services.pids,
            children=[*simulators.values(), *ours],
            http=http,
        )
        _connect(world, say)
        ours[0].wait_ready()
        _write_contract_marker(world)
        _seed(world, say)
        world.started_s = time.monotonic() - began
        try:
            yield world
        finally:
            for child in world.children:
                child.request_stop()


def _prepare_database(rt: Runtime, database_url: str, say: Callable[[str], None]) -> None:
    """Schema, key, and the rules of the file: a demo started again with an edited file plays by it."""
    say(f"База: схема {migrating.migrate(database_url)}")
    prepare(rt)
    if not planning.apply(rt, by="kopilka demo").is_empty:
        say("Правила в файле изменились: применены")


def _connect(world: World, say: Callable[[str], None]) -> None:
    """What the installer of a real shop does once: grant, tokens, fields, hook."""
    rt = world.rt
    if rt.crm is None:
        say("В файле правил нет amocrm: работаю без CRM")
        return
    if rt.tokens is not None and rt.crm_names.token is None and not _is_connected(rt):
        code = world.call("POST", f"{world.urls['crm']}/sim/grant", {})["code"]
        connect.exchange(rt, code)
    done = connect.set_up(rt)
    say(f"amoCRM подключена: аккаунт {done.subdomain}, полей контакта {done.fields}, вебхук подписан")


def _is_connected(rt: Runtime) -> bool:
    from flows import health  # noqa: PLC0415

    return health.facts(rt).crm_state == "ok"


def _seed(world: World, say: Callable[[str], None]) -> None:
    if world.call("GET", f"{world.urls['crm']}/sim/state")["deals"]:
        return
    for name, roubles, buyer, phone in SEED_DEALS:
        body = {"name": name, "price_roubles": roubles, "contact": {"name": buyer, "phone": phone}}
        world.call("POST", f"{world.urls['crm']}/sim/deals", body)
    say(f"Магазин заполнен: сделок {len(SEED_DEALS)}")


def _command(name: str) -> list[str]:
    return {
        "web": ["web", "--ready-line"],
        "worker inbox": ["worker", "inbox"],
        "worker outbox": ["worker", "outbox"],
        "sweep": ["sweep", "--forever"],
    }[name]


def _secrets(keys: dict[str, str]) -> dict[str, str]:
    """What a rules file may ask for by name."""
    return {
        "AMOCRM_CLIENT_ID": keys["client_id"],
        "AMOCRM_CLIENT_SECRET": keys["client_secret"],
        "AMOCRM_TOKEN": keys["crm_token"],
        **demo_banks.environment(keys),
    }


def _certificates(http: HttpClient, banks: tuple[str, ...], bank_url: str) -> dict[str, str]:
    """Of Robokassa's second kind of notification: the simulated bank has signed it itself."""
    if "robokassa" not in banks:
        return {}
    reply = http.send("GET", bank_url + demo_banks.CERTIFICATE_PATH, route="demo")
    return {demo_banks.CERTIFICATE: reply.body.decode()}


def _environment(
    folder: Path, keys: dict[str, str], urls: dict[str, str], web_port: int, rules: Path
) -> dict[str, str]:
    wallet = make_wallet_folder(folder / "wallet")
    return {
        "PUBLIC_URL": urls["web"],
        "PROGRAMME": str(rules),
        "SECRET_KEY": keys["secret_key"],
        "WEB_PORT": str(web_port),
        "SWEEP_INTERVAL_S": "1",
        "LEASE_S": "40",
        "CLOCK_FILE": str(folder / "simulator" / "clock.json"),
        "DEMO_WALLET_DIR": str(wallet),
        "AMOCRM_BASE_URL": urls["crm"],
        **demo_banks.addresses(urls["bank"]),
        "GOOGLE_API_URL": urls["bank"],
        "GOOGLE_TOKEN_URL": f"{urls['bank']}/token",
        "GOOGLE_SAVE_URL": f"{urls['bank']}/gp/v/save",
        "GOOGLE_KEYS_URL": f"{urls['bank']}/gp/m/issuer/keys",
        "YOOKASSA_CHECK_IP": "no",
        "WEBHOOKS_ALLOW_PRIVATE": "yes",
        **_secrets(keys),
    }


def _rules(programme: Path | None, keys: dict[str, str]) -> tuple[Path, tuple[str, ...]]:
    """The rules file to play by, and the acquirers it names."""
    own = Path(__file__).resolve().parent.parent / PROGRAMME
    path = (programme or (own if own.is_file() else PROGRAMME)).absolute()
    return path, demo_banks.named(path, _secrets(keys))


def _set_clock(folder: Path, at: datetime) -> None:
    """The clock that product and simulators share: real time plus an offset."""
    path = folder / "simulator" / "clock.json"
    path.parent.mkdir(exist_ok=True)
    offset_s = (at - datetime.now(UTC)).total_seconds()
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps({"offset_s": offset_s}), encoding="utf-8")
    partial.replace(path)


def _write_contract_marker(world: World) -> None:
    """Says that this folder is a demo's and may be erased by --reset."""
    (world.folder / "demo.json").write_text(json.dumps({"urls": world.urls}), encoding="utf-8")
