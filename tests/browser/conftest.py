"""The demo's world once per session, and a person's browser in front of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from browser_testing import Person, Sold
from kopilka_testing import until
from playwright.sync_api import Browser, Page, sync_playwright

from cli.demo_world import World, open_world

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000


@pytest.fixture(scope="session")
def world(server_folder: Path) -> Iterator[World]:
    """The whole demo: services, simulators, our processes."""
    with open_world(server_folder / "demo", port=0, programme=None, at=None, say=print) as opened:
        yield opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def person(browser: Browser) -> Iterator[Person]:
    """A person with a fresh browser profile at a desktop screen. At the end nothing may have gone wrong in the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="ru-RU", accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    someone = Person(context.new_page())
    _listen(someone.page, someone.complaints)
    context.on("page", lambda page: _listen(page, someone.complaints))
    yield someone
    context.close()
    assert someone.complaints == []


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pages are kept for people to look at."""
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(scope="session")
def new_deal(world: World, http: requests.Session) -> Callable[..., tuple[int, int]]:
    """A deal in the simulated CRM for a buyer of its own; ids of deal and contact."""
    numbers = iter(range(1, 10_000))

    def make(name: str = "Палатка «Хибины-3»", buyer: str = "Анна Петрова") -> tuple[int, int]:
        person = {"name": buyer, "phone": f"+7900200{next(numbers):04d}"}
        body = {"name": name, "price_roubles": 4_990, "contact": person}
        made = http.post(f"{world.urls['crm']}/sim/deals", json=body, timeout=10).json()
        return made["deal_id"], made["contact_id"]

    return make


@pytest.fixture(scope="session")
def sell(world: World, http: requests.Session, new_deal: Callable[..., tuple[int, int]]) -> Callable[..., Sold]:
    """A paid deal, waited for until the CRM shows its card link."""

    def sold(acquirer: str = "tbank", **deal: str) -> Sold:
        deal_id, contact_id = new_deal(**deal)
        reply = http.post(f"{world.urls['crm']}/sim/deals/{deal_id}/pay", json={"acquirer": acquirer}, timeout=10)
        assert reply.status_code == 200, reply.text

        def fields() -> dict[str, Any] | None:
            state = http.get(f"{world.urls['crm']}/sim/state?deal={deal_id}", timeout=10).json()
            found: dict[str, Any] = state["contacts"][0]["fields"]
            return found if found.get("Бонусы: ожидают") == "499" and state["notes"] else None

        return Sold(deal_id, contact_id, until(fields, "points in the CRM")["Ссылка на карту"])

    return sold


@pytest.fixture(scope="session")
def card(sell: Callable[..., Sold]) -> Sold:
    """One buyer for everybody who only looks."""
    return sell()


def _listen(page: Page, complaints: list[str]) -> None:
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
