"""An owner in the console: comes in by the link, sees what waits, repeats it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import requests
from browser_testing import Person
from playwright.sync_api import expect

from cli.demo_world import World

pytestmark = pytest.mark.browser


def test_the_owner_sees_what_waits_and_repeats_it(
    world: World, person: Person, http: requests.Session, screenshots: Path
) -> None:
    page = person.page
    payment = _payment_without_a_deal(world, http)

    page.goto(world.urls["console"])
    page.wait_for_url("**/console/")
    row = page.locator("tr", has_text=f"платёж {payment}")
    for _ in range(100):  # workers take their moment
        if row.count():
            break
        time.sleep(0.1)
        page.get_by_role("link", name="Обновить").click()
    expect(row).to_contain_text("неясно, к какой сделке он относится")
    page.screenshot(path=screenshots / "console.png", full_page=True)
    row.get_by_role("button", name="Повторить").click()

    expect(page.get_by_role("status")).to_contain_text("Повторяем")
    page.goto(f"{world.urls['web']}/console/")
    expect(page.get_by_role("heading", name="Как дела")).to_be_visible()
    expect(page.get_by_text("сходится, операций")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_console_fits_the_screen(
    world: World, person: Person, http: requests.Session, screenshots: Path, width: int
) -> None:
    _payment_without_a_deal(world, http)
    person.looks_at(width, 844)

    person.page.goto(world.urls["console"])
    person.page.wait_for_url("**/console/")

    expect(person.page.get_by_role("heading", name="Как дела")).to_be_visible()
    person.page.screenshot(path=screenshots / f"console-{width}.png", full_page=True)
    overflow_px = person.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow_px <= 0


def test_the_link_works_from_a_page_of_another_site(world: World, person: Person) -> None:
    foreign = world.urls["crm"].replace("127.0.0.1", "localhost")
    person.page.goto(f"{foreign}/hooks")
    person.page.evaluate(
        "address => { const link = document.createElement('a'); link.href = address; link.textContent = 'Консоль';"
        " document.querySelector('main').prepend(link); }",
        world.urls["console"],
    )

    person.page.get_by_role("link", name="Консоль").click()

    expect(person.page.get_by_role("heading", name="Как дела")).to_be_visible()
    assert person.page.url == f"{world.urls['web']}/console/"


def test_without_the_link_the_console_says_how_to_get_it(world: World, person: Person, screenshots: Path) -> None:
    person.page.goto(f"{world.urls['web']}/console/")

    expect(person.page.get_by_text("kopilka console-link")).to_be_visible()
    person.page.screenshot(path=screenshots / "console-closed.png")
    assert [text for text in person.complaints if "403" not in text] == []
    person.complaints.clear()


def _payment_without_a_deal(world: World, http: requests.Session) -> int:
    """A genuine callback of T-Bank about an order that is not of our making; its payment's number."""
    number = time.monotonic_ns() // 1_000
    body = {
        "TerminalKey": world.secrets["terminal"],
        "OrderId": "счёт 7",
        "Success": True,
        "Status": "CONFIRMED",
        "PaymentId": number,
        "ErrorCode": "0",
        "Amount": 100_000,
    }
    words = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()}
    words["Password"] = world.secrets["password"]
    token = hashlib.sha256("".join(words[name] for name in sorted(words)).encode()).hexdigest()
    reply = http.post(
        f"{world.urls['web']}/webhooks/payments/tbank", data=json.dumps({**body, "Token": token}), timeout=10
    )
    assert reply.content == b"OK"
    return number
