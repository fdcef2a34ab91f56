"""The card page as each device and each messenger's browser shows it; without JavaScript; for people who use axe's
rules to be able to use it. Every page is kept as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_testing import Person, Sold
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

IPHONE_UA = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 "
    "Mobile/15E148 Safari/604.1"
)
ANDROID_UA = (
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 "
    "Mobile Safari/537.36"
)
DESKTOP_UA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
TOUCH_PX = 44
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@dataclass(frozen=True)
class Device:
    name: str
    agent: str
    width: int
    height: int
    large: tuple[str, ...]
    small: tuple[str, ...] = ()
    outside: str = ""


IPHONE = Device("iphone", IPHONE_UA, 390, 844, ("Добавить в Apple Wallet",), ("У меня Android",))
ANDROID = Device("android", ANDROID_UA, 412, 915, ("Сохранить на телефон",), ("У меня iPhone",))
DESKTOP = Device("desktop", DESKTOP_UA, 1280, 900, ("Добавить в Apple Wallet", "Сохранить на телефон"))
IN_TELEGRAM = Device(
    "iphone-telegram",
    f"{IPHONE_UA} Telegram-iOS/11.2",
    390,
    844,
    (),
    ("Apple Wallet", "Android"),
    "откройте страницу в Safari",
)
IN_INSTAGRAM = Device(
    "android-instagram",
    f"{ANDROID_UA.replace('Pixel 9', 'Pixel 9; wv')} Instagram 350.0",
    412,
    915,
    (),
    ("Сохранить на телефон", "iPhone"),
    "откройте страницу в Chrome",
)
DEVICES = (IPHONE, ANDROID, DESKTOP, IN_TELEGRAM, IN_INSTAGRAM)


@pytest.fixture
def open_on(browser: Browser, card: Sold) -> Iterator[Callable[..., Page]]:
    """The card's page on a device; `script` False: JavaScript is off."""
    contexts = []

    def opened(device: Device, *, script: bool = True, query: str = "") -> Page:
        context = browser.new_context(
            viewport={"width": device.width, "height": device.height},
            user_agent=device.agent,
            locale="ru-RU",
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(card.card_url + query)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_each_device_gets_its_own_button_large_and_can_touch_everything(
    open_on: Callable[..., Page], screenshots: Path, device: Device
) -> None:
    page = open_on(device)

    page.screenshot(path=screenshots / f"card-{device.name}.png", full_page=True)
    large = page.locator(".wallet:not(.second)").all_inner_texts()
    small = page.locator(".wallet.second").all_inner_texts()
    assert [words in text for words, text in zip(device.large, large, strict=True)] == [True] * len(device.large)
    assert [words in text for words, text in zip(device.small, small, strict=True)] == [True] * len(device.small)
    if device.outside:
        expect(page.get_by_text(device.outside)).to_be_visible()
    assert page.locator(".on-phone").count() == (1 if device is DESKTOP else 0)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for target in page.locator("a.wallet, button, summary").all():
        box = target.bounding_box()
        if box is not None and target.is_visible():
            assert box["height"] >= TOUCH_PX, target.inner_text()


@pytest.mark.parametrize("device", [IPHONE, DESKTOP, IN_TELEGRAM], ids=lambda device: device.name)
@pytest.mark.parametrize("query", ["", "?lang=en", "?notice=saved"])
def test_axe_finds_nothing_to_complain_of(open_on: Callable[..., Page], device: Device, query: str) -> None:
    page = open_on(device, query=query)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    found = Axe().run(page, options=WCAG)

    assert found.violations_count == 0, found.generate_report()


def test_without_javascript_a_buyer_subscribes_and_unsubscribes_in_an_app(
    open_on: Callable[..., Page], screenshots: Path
) -> None:
    page = open_on(IN_TELEGRAM, script=False)
    page.get_by_text("Предложения и отписка").click()
    page.get_by_label("СМС").check()
    page.get_by_role("button", name="Сохранить").click()
    expect(page.get_by_role("status")).to_have_text("Сохранено.")
    expect(page.get_by_label("СМС")).to_be_checked()
    page.screenshot(path=screenshots / "card-offers.png", full_page=True)

    page.get_by_role("button", name="Отписаться от всего").click()

    expect(page.get_by_label("СМС")).not_to_be_checked()
    expect(page.get_by_text("отписка от").first).to_be_visible()
    expect(page.locator("button[data-copies]")).to_be_hidden()


def test_a_request_for_ones_data_is_answered_with_its_number(open_on: Callable[..., Page], screenshots: Path) -> None:
    page = open_on(IPHONE)
    page.get_by_text("Мои данные", exact=True).click()

    page.get_by_role("button", name="Запросить мои данные").click()

    expect(page.get_by_text("Запрос данных №")).to_be_visible()
    expect(page.get_by_role("button", name="Запросить мои данные")).to_have_count(0)
    page.screenshot(path=screenshots / "card-data.png", full_page=True)


def test_inside_a_messenger_the_link_is_copied_with_one_touch(open_on: Callable[..., Page], card: Sold) -> None:
    page = open_on(IN_TELEGRAM)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Скопировать ссылку").click()

    expect(page.get_by_role("button", name="Ссылка скопирована")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == card.card_url
    assert page.get_by_label("Ссылка на эту страницу").input_value() == card.card_url


def test_english_is_a_touch_away_and_stays(open_on: Callable[..., Page], screenshots: Path) -> None:
    page = open_on(IPHONE)

    page.get_by_role("link", name="English").click()

    expect(page.get_by_role("link", name="Add to Apple Wallet")).to_be_visible()
    page.screenshot(path=screenshots / "card-english.png", full_page=True)
    assert page.evaluate("document.documentElement.lang") == "en"
    page.get_by_text("Offers and unsubscribing").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")


def test_a_long_name_and_a_large_balance_stay_on_a_small_phone(person: Person, card: Sold, screenshots: Path) -> None:
    person.looks_at(320, 568)

    person.page.goto(card.card_url)
    person.page.evaluate(
        """() => {
            document.querySelector(".who span").textContent = "Константинопольская-Преображенская А.";
            document.querySelector(".segment").textContent = "Постоянный покупатель с особыми условиями";
            document.querySelector(".balance strong").textContent = "12 345 678";
        }"""
    )

    person.page.screenshot(path=screenshots / "card-long.png", full_page=True)
    assert person.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
