"""What the tests of the night share: members with lots that end, rules that are applied, a mail server with moods."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from typing import Any

import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session
from flow_points_world import World
from kopilka_testing import StandingClock

from config.model import MailConfig
from flows import book, messages, nightly
from flows import burning as burning_flow
from flows.nightly import Result
from flows.runtime import ActiveRules, Runtime
from loyalty import burning
from loyalty.account import Cause
from loyalty.ledger import LotOpening, LotSource
from storage import addresses, boxes, lots, members, outbox, rules

_numbers = itertools.count(1)

SMALL = [
    replace(job, work=partial(burning_flow.burn, chunk_lots=3, pick_lots=7)) if job.name == "burn" else job
    for job in nightly.JOBS
]
"""The night in pieces so small that a few members make many of them."""


@dataclass(frozen=True)
class Night(World):
    """A shop in the dark. Points are opened as «opening» lots, dates are given."""

    clock: StandingClock

    def buyer(self, *, email: str | None = None, birthday: date | None = None, known_since: Any = None) -> int:
        member_id = self.member()
        with self.rt.db.begin() as tx:
            if email is not None:
                addresses.add(tx, member_id, "email", [email], now=self.rt.now())
            if birthday is not None:
                members.set_birthday(tx, member_id, birthday, now=known_since or self.rt.now())
        return member_id

    def lot(
        self,
        member_id: int,
        points: int,
        expires_at: datetime | None,
        *,
        told: bool = False,
        source: LotSource = "opening",
    ) -> str:
        """Available points with this end; `told`: their owner knows."""
        key = f"night-{next(_numbers)}"
        now = self.rt.now()
        with self.rt.db.begin() as tx:
            self.rt.programme_of(tx, self.rt.rules_version)
            account = book.open_account(tx, self.rt, members.lock(tx, member_id), now=now)
            opened = account.open(
                LotOpening(key, source, None, self.rt.rules_version, now, expires_at, title="перенос")
            )
            account.move("opening", points, ("opening", "available"), key=key, cause=Cause(rule="import"), lot=opened)
            book.save(tx, self.rt, member_id, account, occurred_at=now)
        if told:
            self.tell(key)
        return key

    def tell(self, *keys: str) -> None:
        with self.rt.db.begin() as tx:
            tx.execute(
                sa.text("UPDATE lot SET notified_at = :now WHERE key = ANY(:keys)"),
                {"now": self.rt.now(), "keys": list(keys)},
            )

    def run(self, job: str, **how: Any) -> Result:
        """One job at once, in small pieces."""
        results = nightly.run_due(self.rt, now=self.rt.now(), only=job, **{"at_once": True, "schedule": SMALL, **how})
        assert len(results) == 1, results
        assert results[0].error is None, results[0].error
        return results[0]

    def apply(self, **sections: Any) -> None:
        """The owner applies other rules, as `kopilka apply` does."""
        programme = replace(self.rt.programme, **sections)
        version = replace(self.rt.file, programme=programme).version
        with self.rt.db.begin() as tx:
            rules.remember(tx, version, programme, now=self.rt.now())
            rules.apply(tx, version, source="", lines={}, by="test", now=self.rt.now())
        self.rt.active = ActiveRules(version, programme, {})

    def one(self, statement: str, **parameters: Any) -> Any:
        with self.rt.db.begin() as tx:
            return tx.execute(sa.text(statement), parameters).one()

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        with self.rt.db.begin() as tx:
            return list(tx.execute(sa.text(statement), parameters))

    def lot_row(self, key: str) -> Any:
        return self.one("SELECT * FROM lot WHERE key = :key", key=key)

    def schedule(self, member_id: int) -> int:
        """The sum of the member's burns to come."""
        with self.rt.db.begin() as tx:
            found = lots.all_open(tx, member_id)
        return sum(burn.points for burn in burning.schedule(found, self.rt.programme.timezone))

    def deliver(self) -> int:
        """Delivers a batch of the codes and messages that are due, as the outbox does. Returns how many rows were
        worked."""
        kinds: tuple[outbox.Kind, ...] = ("code", "message")
        return sum(self._deliver(kind) for kind in kinds)

    def _deliver(self, kind: outbox.Kind) -> int:
        with self.rt.db.begin() as tx:
            rows = outbox.claim(tx, kind, now=self.rt.now(), lease=self.rt.lease, limit=50)
        if not rows:
            return 0
        outcomes = messages.deliver(self.rt, [row.target_id for row in rows], lambda: None)
        with self.rt.db.begin() as tx:
            for row in rows:
                assert boxes.finish(tx, "outbox", row.claim, now=self.rt.now(), outcome=outcomes[row.target_id])
            messages.plan_again(tx, kind, outcomes, now=self.rt.now())
        return len(rows)

    def messages(self) -> list[Any]:
        return self.rows("SELECT * FROM message ORDER BY id")


@dataclass
class Postman:
    """A real SMTP server's mind. `mood` answers each RCPT and DATA; «drop» cuts the line after the letter was taken."""

    taken: list[Envelope] = field(default_factory=list)
    mood: Callable[[str], str] = lambda _step: "250 OK"

    def letters(self) -> list[EmailMessage]:
        found = []
        for envelope in self.taken:
            assert isinstance(envelope.content, bytes)
            letter = message_from_bytes(envelope.content, policy=default)
            assert isinstance(letter, EmailMessage)
            found.append(letter)
        return found

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.mood("RCPT")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.mood("DATA")
        if answer == "drop":
            self.taken.append(envelope)
            server.transport.abort()
            return "421 gone"
        if answer.startswith("250"):
            self.taken.append(envelope)
        return answer


@contextmanager
def mail_server(rt: Runtime, postman: Postman) -> Iterator[int]:
    """A mail server that the rules file names while it runs."""
    server = Controller(postman, hostname="127.0.0.1", port=0)
    server.port = _free_port()
    server.start()
    mail = MailConfig("127.0.0.1", server.port, "none", "Клуб", "bonus@shop.test")
    file, rt.file = rt.file, replace(rt.file, mail=mail)
    try:
        yield server.port
    finally:
        rt.file = file
        server.stop()


def counts_of(results: list[Result]) -> Mapping[str, str]:
    return {result.name: result.text for result in results}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
