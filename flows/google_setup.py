"""From the rules file to Google's API and its gate: the wiring of the Google cards, and whether the shop is Russian."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.settings import GOOGLE_API
from connector.google_keys import RootKeys
from connector.google_wallet import GoogleWallet
from connector.http import HttpClient
from flows.crm_access import StoredGate
from flows.wallets import LOOPBACK_HOSTS, Google, google_identity
from wallet.google import GoogleSigner

if TYPE_CHECKING:
    from config.model import ProgrammeFile
    from config.settings import Settings
    from storage.db import Database

GATE = "google"
CALLS_PER_SECOND = 18
"""Google allows twenty, counts by its own clock and tells nobody how many are left."""
HURRIED_CONNECT_S = 2.0
HURRIED_ANSWER_S = 4.0
HURRIED_TURN_S = 1.5
CALLBACK_PATH = "/webhooks/google-wallet"

RUSSIAN_ZONES = frozenset(
    f"{part}/{city}"
    for part, cities in {
        "Europe": "Kaliningrad Moscow Simferopol Kirov Volgograd Astrakhan Saratov Ulyanovsk Samara",
        "Asia": (
            "Yekaterinburg Omsk Novosibirsk Barnaul Tomsk Novokuznetsk Krasnoyarsk Irkutsk Chita Yakutsk Khandyga "
            "Vladivostok Ust-Nera Magadan Sakhalin Srednekolymsk Kamchatka Anadyr"
        ),
    }.items()
    for city in cities.split()
)
_NO_PLACE = ("UTC", "GMT", "Etc/")


def google_of(settings: Settings, file: ProgrammeFile, db: Database, http: HttpClient) -> Google | None:
    """The owner's issuer, ready to be asked. Raises WalletError, NotConfigured, OSError."""
    identity = google_identity(settings, file)
    if identity is None:
        return None
    api = GoogleWallet(
        json.loads(identity.key_json),
        http=http,
        gate=StoredGate(db, per_second=CALLS_PER_SECOND, name=GATE),
        api_url=settings.google_api_url,
        token_url=settings.google_token_url,
    )
    quick = HttpClient(connect_timeout_s=HURRIED_CONNECT_S, read_timeout_s=HURRIED_ANSWER_S)
    return Google(
        identity=identity,
        signer=GoogleSigner.from_service_account_json(identity.key_json),
        api=api,
        hurried=api.hurried(quick, StoredGate(db, per_second=CALLS_PER_SECOND, name=GATE, wait_max_s=HURRIED_TURN_S)),
        keys=RootKeys(quick, url=settings.google_keys_url, file=settings.google_keys_file),
        save_url=f"{settings.google_save_url}/",
        callback_url=_callback_url(settings),
        country_code="RU" if is_russian(file) else "US",
    )


def is_russian(file: ProgrammeFile) -> bool:
    """By the shop's time zone; where that names no place, by the home of its amoCRM account."""
    zone = file.programme.timezone
    if zone.startswith(_NO_PLACE):
        return file.amocrm is not None and file.amocrm.host.endswith(".ru")
    return zone in RUSSIAN_ZONES


def _callback_url(settings: Settings) -> str | None:
    """Google calls only what it can reach by https; its stand-in on this machine is not so proud."""
    address = urlsplit(settings.public_url)
    is_stand_in = settings.google_api_url != GOOGLE_API and address.hostname in LOOPBACK_HOSTS
    return f"{settings.public_url}{CALLBACK_PATH}" if address.scheme == "https" or is_stand_in else None
