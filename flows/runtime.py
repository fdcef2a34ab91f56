"""The wiring: settings and rules in, a Runtime out. The only place that knows every part.

A Runtime holds no open socket until it is used, so it may be built before a fork. Time, ids and chance come from here
and are handed down as values.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from config.clock import FileClock, system_clock
from config.programme import load_programme
from connector.acquiring import ACQUIRERS
from connector.amocrm.auth import AccessTokens, LongLivedToken, OAuthTokens
from connector.amocrm.client import AmoCrm
from connector.amocrm.home import Home
from connector.amocrm.hosts import base_url_for
from connector.http import HttpClient
from flows.crm_access import StoredDirectory, StoredGate, StoredHost, StoredTokens
from flows.failpoints import Failpoints
from flows.google_setup import google_of
from flows.hook_paths import HookPaths
from flows.keys import Keys
from flows.queue import Bell
from flows.wallets import AppleUpdates, Google, apple_updates, design_of, signer_of
from storage import installation, planning, rules, schema
from storage.db import Database
from storage.members import NewCard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy as sa

    from config.model import AmoCrmConfig, ProgrammeFile
    from config.settings import Settings
    from connector.acquiring.base import Acquirer
    from loyalty.programme import Programme
    from wallet.card import CardDesign
    from wallet.signing import Signer

CARD_TOKEN_BYTES = 16


class KeyMismatch(Exception):
    """This database was made with another SECRET_KEY. Starting would make stored tokens unreadable for good."""

    def __init__(self, stored: str, given: str) -> None:
        super().__init__(
            f"База создана с другим ключом: в ней отпечаток {stored}, а у SECRET_KEY отпечаток {given}.\n"
            "Как исправить: верните прежний SECRET_KEY из резервной копии .env. Если ключ сменили намеренно, впишите "
            "оба через запятую, новый первым. Если прежний ключ утерян: kopilka init --accept-new-key, затем "
            "подключите amoCRM заново; баллы при этом не пострадают."
        )


class SchemaMismatch(Exception):
    """The database's schema is not the one this code was written for."""

    def __init__(self, found: str | None, expected: str) -> None:
        super().__init__(
            f"Схема базы {found or 'ещё не создана'}, а программе нужна {expected}.\nКак исправить: kopilka migrate"
        )


@dataclass(frozen=True)
class ActiveRules:
    """The rules that decide now: the version that was applied last. `lines`: where each rule stands in its file."""

    version: str
    programme: Programme
    lines: Mapping[str, int]


@dataclass
class Runtime:
    """Everything a flow needs. Tests build one with their own clock and bell."""

    settings: Settings
    file: ProgrammeFile
    db: Database
    keys: Keys
    bell: Bell
    clock: Callable[[], datetime]
    failpoints: Failpoints
    acquirers: Mapping[str, Acquirer]
    crm: AmoCrm | None
    tokens: AccessTokens | None
    directory: StoredDirectory
    design: CardDesign
    signer: Signer | None
    google: Google | None
    apple: AppleUpdates | None
    active: ActiveRules
    crm_home: Home | None
    hook_paths: HookPaths
    rules_looked_at: float = 0.0
    _programmes: dict[str, Programme] = field(default_factory=dict)

    @property
    def programme(self) -> Programme:
        return self.active.programme

    @property
    def rules_version(self) -> str:
        return self.active.version

    @property
    def crm_names(self) -> AmoCrmConfig:
        if self.file.amocrm is None:
            raise LookupError("the rules file has no amocrm section")
        return self.file.amocrm

    @property
    def crm_subdomain(self) -> str | None:
        """None also where the account has been renamed since the rules were written: then its id alone tells it."""
        if self.file.amocrm is None or self.crm_home is None:
            return None
        return None if self.crm_home.has_moved() else self.file.amocrm.account

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_s)

    @property
    def point_forms(self) -> tuple[str, str, str]:
        words = self.programme.point_words
        return words.one, words.few, words.many

    def now(self) -> datetime:
        return self.clock()

    def card_url(self, token: str) -> str:
        return f"{self.settings.public_url}/c/{token}"

    def hook_path(self) -> str:
        """The secret address of the CRM's hook that is in use."""
        return self.hook_paths.current()

    def console_link(self) -> str:
        """The secret address that lets its holder into the console."""
        return f"{self.settings.public_url}/console/?k={self.keys.secret_path('console')}"

    def new_card(self) -> NewCard:
        card = self.file.card
        return NewCard(
            token=secrets.token_urlsafe(CARD_TOKEN_BYTES),
            serial=uuid.uuid4().hex,  # noqa: TID251 - the one place ids come from
            number_prefix=card.number_prefix,
            number_length=card.number_length,
        )

    def new_id(self, prefix: str) -> str:
        """An unguessable name for something that programs outside refer to."""
        return f"{prefix}_{secrets.token_urlsafe(CARD_TOKEN_BYTES)}"

    def programme_of(self, tx: sa.Connection, version: str) -> Programme:
        """The rules of a version; the present one is stored before its first use."""
        if version not in self._programmes:
            if version == self.rules_version:
                rules.remember(tx, version, self.programme, now=self.now())
                return self.programme  # cached only once it is known to be stored, which a rollback would undo
            self._programmes[version] = rules.load(tx, version)
        return self._programmes[version]


def build_runtime(
    settings: Settings, *, bell: Bell | None = None, clock: Callable[[], datetime] | None = None
) -> Runtime:
    """Reads the rules file and wires everything; `bell` and `clock` are given by tests.

    Raises ProgrammeInvalid, WalletError, NotConfigured.
    """
    file = load_programme(settings.programme_path, settings.environment)
    clock = clock or (system_clock if settings.clock_file is None else FileClock(settings.clock_file))
    db = Database(settings.database_url)
    keys = Keys([key.get_secret_value() for key in settings.secret_keys], random_bytes=secrets.token_bytes)
    failpoints = Failpoints(settings.failpoint)
    http = HttpClient()
    directory = StoredDirectory(db, clock=clock)
    home = _home(settings, file, db)
    signer = signer_of(settings, file)
    tokens = _tokens(file, http, StoredTokens(db, keys, clock=clock, failpoints=failpoints), home, clock)
    return Runtime(
        settings=settings,
        file=file,
        db=db,
        keys=keys,
        bell=bell or Bell(settings.redis_url),
        clock=clock,
        failpoints=failpoints,
        acquirers=_acquirers(settings, file, http),
        crm=_crm(settings, http, db, home, tokens),
        tokens=tokens,
        directory=directory,
        design=design_of(file),
        signer=signer,
        google=google_of(settings, file, db, http),
        apple=apple_updates(settings, signer),
        active=ActiveRules(file.version, file.programme, file.lines),
        crm_home=home,
        hook_paths=HookPaths(db, keys, clock=clock),
    )


def prepare(rt: Runtime) -> None:
    """Before a process serves: schema and key must be the database's, the present rules are stored.

    Raises SchemaMismatch, KeyMismatch, DatabaseAway.
    """
    found = schema.current(rt.db)
    if found != schema.expected():
        raise SchemaMismatch(found, schema.expected())
    with rt.db.begin() as tx:
        stored = installation.key_fingerprint(tx)
        if stored is None:
            installation.set_key_fingerprint(tx, rt.keys.fingerprints[0], now=rt.now())
        elif stored not in rt.keys.fingerprints:
            raise KeyMismatch(stored, rt.keys.fingerprints[0])
        planning.lock(tx)  # two processes that start at once apply the file once
        applied = rules.applied(tx)
        if applied is None:  # the first start on this database: the file becomes the rules in force
            rules.remember(tx, rt.file.version, rt.file.programme, now=rt.now())
            source = rt.file.path.read_text(encoding="utf-8")
            rules.apply(tx, rt.file.version, source=source, lines=rt.file.lines, by="first start", now=rt.now())
        else:
            rt.active = ActiveRules(applied.version, applied.programme, applied.lines)
    rt._programmes[rt.rules_version] = rt.programme


def _acquirers(settings: Settings, file: ProgrammeFile, http: HttpClient) -> dict[str, Acquirer]:
    return {
        one.provider: ACQUIRERS[one.provider].from_credentials(
            {name: secret.get_secret_value() for name, secret in one.credentials.items()},
            api_url=settings.acquirer_api_urls[one.provider],
            http=http,
            check_ip=settings.yookassa_check_ip,
        )
        for one in file.acquirers
    }


def _home(settings: Settings, file: ProgrammeFile, db: Database) -> Home | None:
    if file.amocrm is None:
        return None
    return Home(base_url_for(file.amocrm.host, override=settings.amocrm_base_url), StoredHost(db))


def _tokens(
    file: ProgrammeFile, http: HttpClient, store: StoredTokens, home: Home | None, clock: Callable[[], datetime]
) -> AccessTokens | None:
    names = file.amocrm
    if names is None or home is None:
        return None
    if names.token is not None:
        return LongLivedToken(names.token.get_secret_value())
    if names.oauth is None:
        return None
    return OAuthTokens(
        store,
        http,
        home,
        client_id=names.oauth.client_id.get_secret_value(),
        client_secret=names.oauth.client_secret.get_secret_value(),
        redirect_uri=names.oauth.redirect_uri,
        now=clock,
    )


def _crm(
    settings: Settings, http: HttpClient, db: Database, home: Home | None, tokens: AccessTokens | None
) -> AmoCrm | None:
    if home is None or tokens is None:
        return None
    return AmoCrm(home, tokens, StoredGate(db, per_second=settings.crm_requests_per_second), http)
