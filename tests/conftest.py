"""Fixtures of the whole project: real servers, started once per session and only if a test asks for them."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from kopilka_testing import (
    ACCOUNT_ID,
    CRM_TOKEN,
    SECRET_KEY,
    SHOP_ID,
    SHOP_SECRET,
    SHOPS,
    SUBDOMAIN,
    TERMINAL,
    TERMINAL_PASSWORD,
    KeptDatabase,
    Shop,
    SilentBell,
    StandingClock,
    programme_with_token,
    start_simulator,
)

from cli.services.postgres import RunningPostgres, create_database, drop_database, start_postgres
from cli.services.valkey import RunningValkey, start_valkey
from config.settings import load_settings
from flows.runtime import Runtime, build_runtime, prepare
from storage import schema
from storage.db import Database

TEMPLATE = "kopilka_template"
SHORT_KEY_BITS = 1024
"""Reading a key of 2048 bits takes 35 ms, and every test's product reads three."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command run in a test sets the logs of its process up: the next test must find them as the first did."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Not under pytest's own folder: that one is private, and root's servers run as another user."""
    folder = Path(tempfile.mkdtemp(prefix="kopilka-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[RunningPostgres]:
    """PostgreSQL without fsync, shared by the session."""
    server = start_postgres(server_folder / "postgres", password="tests", durable=False, log=print)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path) -> Iterator[RunningValkey]:
    """Valkey, shared by the session."""
    server = start_valkey(server_folder / "valkey", password="tests", log=print)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template_url(postgres_server: RunningPostgres) -> str:
    """A migrated database that every test's own is cloned from."""
    create_database(postgres_server.url, TEMPLATE)
    url = postgres_server.url.rsplit("/", 1)[0] + f"/{TEMPLATE}"
    db = Database(url, pool_size=1)
    schema.migrate(db)
    db.close()
    return url


@pytest.fixture(scope="session")
def kept_database(postgres_server: RunningPostgres, template_url: str) -> Iterator[KeptDatabase]:
    create_database(postgres_server.url, "kopilka_kept", template=TEMPLATE)
    kept = KeptDatabase(f"{template_url.rsplit('/', 1)[0]}/kopilka_kept")
    yield kept
    kept.close()
    drop_database(postgres_server.url, "kopilka_kept")


@pytest.fixture
def database_url(kept_database: KeptDatabase) -> str:
    """The kept database, empty but for its schema."""
    kept_database.empty()
    return kept_database.url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture(scope="session")
def simulator(server_folder: Path) -> Iterator[Shop]:
    """The simulated CRM and bank as processes, without a rate limit; use `shop`, which starts clean."""
    folder = server_folder / "simulator"
    folder.mkdir()
    config = folder / "config.json"
    crm = {
        "subdomain": SUBDOMAIN,
        "account_id": ACCOUNT_ID,
        "long_lived_token": CRM_TOKEN,
        "requests_per_second": 0,
    }
    bank = {
        "tbank": {"terminal": TERMINAL, "password": TERMINAL_PASSWORD},
        "yookassa": {"shop_id": SHOP_ID, "secret": SHOP_SECRET},
        **SHOPS,
    }
    config.write_text(json.dumps({"crm": crm, "bank": bank}))
    crm_process, crm_url = start_simulator("crm", folder, config)
    bank_process, bank_url = start_simulator("bank", folder, config)
    shop = Shop(crm_url, bank_url)
    for peer in (shop.crm, shop.bank):
        peer("POST", "/sim/peers", {"crm_url": crm_url, "bank_url": bank_url})
    yield shop
    shop.session.close()
    for process in (crm_process, bank_process):
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def shop(simulator: Shop) -> Shop:
    """The simulated shop, empty."""
    simulator.reset()
    return simulator


@pytest.fixture(scope="session")
def wallet_folder(server_folder: Path) -> Path:
    """The demo chain and a service account's key, made once: RSA keys take their time."""
    from cli.demo_wallet import make_wallet_folder

    return make_wallet_folder(server_folder / "wallet", rsa_bits=SHORT_KEY_BITS)


@pytest.fixture
def environment(database_url: str, simulator: Shop, wallet_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Settings of a product that talks to the simulated shop."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "https://bonus.sportgory.ru",
        "SECRET_KEY": SECRET_KEY,
        "PROGRAMME": str(programme_with_token(tmp_path)),
        "AMOCRM_BASE_URL": simulator.crm_url,
        "AMOCRM_TOKEN": CRM_TOKEN,
        "YOOKASSA_API_URL": simulator.bank_url,
        "TBANK_API_URL": simulator.bank_url,
        "GOOGLE_API_URL": simulator.bank_url,
        "GOOGLE_TOKEN_URL": f"{simulator.bank_url}/token",
        "GOOGLE_KEYS_URL": f"{simulator.bank_url}/gp/m/issuer/keys",
        "YOOKASSA_SHOP_ID": SHOP_ID,
        "YOOKASSA_SECRET": SHOP_SECRET,
        "YOOKASSA_CHECK_IP": "no",
        "TBANK_TERMINAL": TERMINAL,
        "TBANK_PASSWORD": TERMINAL_PASSWORD,
        "CRM_REQUESTS_PER_SECOND": "50",
        "DEMO_WALLET_DIR": str(wallet_folder),
    }


@pytest.fixture
def rt(environment: dict[str, str], shop: Shop, clock: StandingClock) -> Iterator[Runtime]:
    """The product in this process: real database, simulated shop, a clock that stands, a bell that only remembers."""
    runtime = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)
    prepare(runtime)
    yield runtime
    runtime.db.close()
