"""Settings of the process: the one place that reads the environment.

Owns `DATABASE_URL` and its fellows, from the environment, `.env` or `NAME_FILE`. All faults are told at once, each with
a cure and without values. Must not open what it names: whether the database answers is `kopilka doctor`'s question.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values
from pydantic import SecretStr

from config import setting_values as values
from config.acquirers import ACQUIRERS
from config.environment import EnvironmentFaultError, look_up
from config.setting_values import Fault, Reader

DEFAULT_PROGRAMME = Path("config/programme.yaml")
DEFAULT_DOTENV = Path(".env")

# Without the version part of the path: the connector of each system adds its own.
GOOGLE_API = "https://walletobjects.googleapis.com"
GOOGLE_TOKEN = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
GOOGLE_KEYS = "https://pay.google.com/gp/m/issuer/keys"
GOOGLE_SAVE = "https://pay.google.com/gp/v/save"
APNS = "https://api.push.apple.com:443"

MAX_THREADS = 256
MAX_PROXIES = 5
MAX_CRM_REQUESTS_PER_SECOND = 50
MIN_SWEEP_S = 0.1
MAX_SWEEP_S = 3_600.0
MIN_LEASE_S = 30.0  # longer than any single call outside may take
MAX_LEASE_S = 3_600.0


class SettingsInvalid(Exception):
    """The process cannot start. The text names every fault with its cure and holds no value."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        lines = [f"  {fault.name}: {fault.message}\n    = как исправить: {fault.fix}" for fault in faults]
        super().__init__("\n".join(["Настройки не годятся:", *lines]))
        self.faults = faults


@dataclass(frozen=True)
class Settings:
    """Addresses that carry passwords, and everything secret, stay out of the repr.

    `acquirer_api_urls`: by provider, "" where every shop has its own. `lease_s`: how long a worker may hold a row
    before another takes it. `demo_wallet_dir`: stands in for certificates that the owner does not have yet.
    """

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    public_url: str
    secret_keys: tuple[SecretStr, ...]
    programme_path: Path
    web_host: str
    web_port: int
    web_threads: int
    trusted_proxies: int
    amocrm_base_url: str | None
    acquirer_api_urls: Mapping[str, str]
    google_api_url: str
    google_token_url: str
    google_save_url: str
    google_keys_url: str
    google_keys_file: Path | None
    apns_url: str
    apns_ca_file: Path | None
    yookassa_check_ip: bool
    clock_file: Path | None
    demo_wallet_dir: Path | None
    lease_s: float
    sweep_interval_s: float
    crm_requests_per_second: int
    webhooks_allow_private: bool
    mail_stand_in: tuple[str, int] | None
    log_level: str
    failpoint: str | None
    environment: Mapping[str, str] = field(repr=False)


def read_environment(env: Mapping[str, str] | None = None, dotenv: Path | None = DEFAULT_DOTENV) -> Mapping[str, str]:
    """The given environment (the process's own when None) over what `.env` says. Raises SettingsInvalid."""
    own = dict(os.environ if env is None else env)
    try:
        filed = dotenv_values(dotenv, interpolate=False) if dotenv and dotenv.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        fault = Fault(str(dotenv), "файл не читается", "проверьте права; сохраните файл в UTF-8")
        raise SettingsInvalid((fault,)) from error
    return MappingProxyType({**{name: value for name, value in filed.items() if value is not None}, **own})


def programme_path(env: Mapping[str, str]) -> Path:
    """Where the rules file is; the only setting that `kopilka check` needs. Raises SettingsInvalid."""
    try:
        return Path(look_up(env, "PROGRAMME") or DEFAULT_PROGRAMME)
    except EnvironmentFaultError as fault:
        raise SettingsInvalid((Fault("PROGRAMME", fault.message, fault.fix),)) from fault


def load_settings(env: Mapping[str, str] | None = None, dotenv: Path | None = DEFAULT_DOTENV) -> Settings:
    """Reads everything once. Raises SettingsInvalid."""
    reader = Reader(read_environment(env, dotenv))
    settings = Settings(
        database_url=reader.need("DATABASE_URL", values.database_url, "postgresql://…"),
        redis_url=reader.need("REDIS_URL", values.redis_url, "redis://127.0.0.1:6379/0"),
        public_url=reader.need("PUBLIC_URL", values.public_url, "https://bonus.sportgory.ru"),
        secret_keys=reader.need("SECRET_KEY", values.secret_keys, ""),
        programme_path=reader.get("PROGRAMME", Path, DEFAULT_PROGRAMME),
        web_host=reader.get("WEB_HOST", values.host, "127.0.0.1"),
        web_port=reader.get("WEB_PORT", values.whole(0, 65_535), 8_000),
        web_threads=reader.get("WEB_THREADS", values.whole(1, MAX_THREADS), 8),
        trusted_proxies=reader.get("TRUSTED_PROXIES", values.whole(0, MAX_PROXIES), 0),
        amocrm_base_url=reader.get("AMOCRM_BASE_URL", values.loopback_url, None),
        acquirer_api_urls=_acquirer_api_urls(reader),
        google_api_url=reader.get("GOOGLE_API_URL", values.official_or_loopback(GOOGLE_API), GOOGLE_API),
        google_token_url=reader.get("GOOGLE_TOKEN_URL", values.official_or_loopback(GOOGLE_TOKEN), GOOGLE_TOKEN),
        google_save_url=reader.get("GOOGLE_SAVE_URL", values.official_or_loopback(GOOGLE_SAVE), GOOGLE_SAVE),
        google_keys_url=reader.get("GOOGLE_KEYS_URL", values.official_or_loopback(GOOGLE_KEYS), GOOGLE_KEYS),
        google_keys_file=reader.get("GOOGLE_KEYS_FILE", Path, None),
        apns_url=reader.get("APNS_URL", values.official_or_loopback(APNS), APNS),
        apns_ca_file=reader.get("APNS_CA_FILE", Path, None),
        yookassa_check_ip=reader.get("YOOKASSA_CHECK_IP", values.yes_no, default=True),
        clock_file=reader.get("CLOCK_FILE", Path, None),
        demo_wallet_dir=reader.get("DEMO_WALLET_DIR", Path, None),
        lease_s=reader.get("LEASE_S", values.seconds(MIN_LEASE_S, MAX_LEASE_S), 90.0),
        sweep_interval_s=reader.get("SWEEP_INTERVAL_S", values.seconds(MIN_SWEEP_S, MAX_SWEEP_S), 15.0),
        crm_requests_per_second=reader.get("CRM_REQUESTS_PER_SECOND", values.whole(1, MAX_CRM_REQUESTS_PER_SECOND), 7),
        webhooks_allow_private=reader.get("WEBHOOKS_ALLOW_PRIVATE", values.yes_no, default=False),
        mail_stand_in=reader.get("MAIL_STAND_IN", values.loopback_host_port, None),
        log_level=reader.get("LOG_LEVEL", values.log_level, "info"),
        failpoint=reader.get("FAILPOINT", values.failpoint, None),
        environment=reader.env,
    )
    if reader.faults:
        raise SettingsInvalid(tuple(reader.faults))
    return settings


def _acquirer_api_urls(reader: Reader) -> Mapping[str, str]:
    """`YOOKASSA_API_URL` and its fellows over the official addresses."""
    urls = {
        name: reader.get(f"{name.upper()}_API_URL", values.official_or_loopback(known.api_url), known.api_url)
        for name, known in ACQUIRERS.items()
    }
    return MappingProxyType(urls)
