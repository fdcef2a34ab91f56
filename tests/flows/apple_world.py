"""A shop with real phones at a real web service: what tests of installed Apple cards share."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from kopilka_testing import StandingClock, settle
from waitress.server import create_server

from flows import people
from flows.adjusting import Adjustment, adjust
from flows.people import Person
from flows.runtime import Runtime
from simulator.apns import FakeApns
from simulator.phone import Phone
from storage.members import Member
from webhooks.app import create_app

PATIENCE_S = 20.0

_numbers = itertools.count(1)


class AppleWorld:
    """The product in this process, its web server in a thread, Apple's push service and phones."""

    def __init__(self, rt: Runtime, apns: FakeApns, clock: StandingClock, ca_file: Path) -> None:
        self.rt = rt
        self.apns = apns
        self.clock = clock
        self.ca_file = ca_file
        self.phones: list[Phone] = []

    def enrol(self, name: str = "Анна Петрова") -> Member:
        return people.create(self.rt, Person(name=name, phone=f"+7900300{next(_numbers):04d}"))

    def earn(self, member: Member, points: int = 10) -> None:
        asked = Adjustment(points=points, reason="gift", comment="тест", actor="тест", key=f"k{next(_numbers)}")
        adjust(self.rt, member.id, asked)

    def phone(self, *members: Member) -> Phone:
        """A phone with these cards."""
        number = next(_numbers)
        phone = Phone(self.ca_file, library_id=f"{number:032x}", push_token=f"{number:064x}")
        for member in members:
            phone.add(self.download(member))
        self.apns.on_push[phone.push_token] = phone.pushed
        self.phones.append(phone)
        return phone

    def download(self, member: Member) -> bytes:
        reply = requests.get(f"{self.rt.settings.public_url}/c/{member.card_token}/card.pkpass", timeout=10)
        assert reply.status_code == 200
        return reply.content

    def hang_up(self) -> None:
        for phone in self.phones:
            phone.close()

    def settle(self) -> None:
        """All work is done and all phones that were rung have asked."""
        settle(self.rt)
        self.apns.quiet()


@contextmanager
def web_server(rt: Runtime, port: int) -> Iterator[None]:
    server = create_server(create_app(rt), host="127.0.0.1", port=port, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield
    server.close()
    server.task_dispatcher.shutdown()
    thread.join(5)
