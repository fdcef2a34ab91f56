"""A buyer with a card page on a phone and on a desktop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser_testing import Person, Sold
from playwright.sync_api import Page, expect

from cli.demo_world import World

pytestmark = pytest.mark.browser

PHONE = (390, 844)
SMALL_PHONE = (320, 568)
DESKTOP = (1280, 900)
TOUCH_PX = 44

NAMELESS = """() => [...document.querySelectorAll("a, button, summary, img, input:not([type=hidden])")]
    .filter(item => !(item.getAttribute("aria-label") || item.hasAttribute("alt") || item.textContent.trim()
        || item.labels?.length))
    .map(item => item.outerHTML)"""


@pytest.mark.parametrize("screen", [SMALL_PHONE, PHONE, DESKTOP], ids=["small", "phone", "desktop"])
def test_the_card_fits_the_screen_and_everything_on_it_has_a_name(
    person: Person, card: Sold, screenshots: Path, screen: tuple[int, int]
) -> None:
    person.looks_at(*screen)
    page = person.page

    page.goto(card.card_url)

    expect(page.locator(".balance")).to_have_text("300 баллов")
    expect(page.get_by_text("= 300 ₽ скидки")).to_be_visible()
    expect(page.get_by_text("станут доступны")).to_be_visible()
    for name in ("Добавить в Apple Wallet", "Сохранить на телефон"):
        button = page.get_by_role("link", name=name)
        expect(button).to_be_visible()
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= TOUCH_PX
    page.screenshot(path=screenshots / f"card-{screen[0]}.png", full_page=True)
    assert _overflow_px(page) <= 0
    assert page.evaluate("document.documentElement.lang") == "ru"
    assert page.evaluate(NAMELESS) == []


def test_the_code_is_drawn_and_the_owners_colours_are_worn(person: Person, card: Sold) -> None:
    page = person.page

    page.goto(card.card_url)

    picture = page.get_by_role("img", name="QR-код карты")
    assert picture.evaluate("item => item.complete && item.naturalWidth > 0")
    drawn = page.locator(".card").evaluate("item => getComputedStyle(item).backgroundColor")
    assert drawn == "rgb(22, 56, 44)"
    size = picture.bounding_box()
    assert size is not None
    assert size["width"] >= 150, "a till's scanner must be able to read it"


def test_the_pass_is_downloaded_under_its_name(person: Person, card: Sold, tmp_path: Path) -> None:
    page = person.page
    page.goto(card.card_url)

    with page.expect_download() as download:
        page.get_by_role("link", name="Добавить в Apple Wallet").click()

    assert download.value.suggested_filename == "card.pkpass"
    download.value.save_as(tmp_path / "card.pkpass")
    assert (tmp_path / "card.pkpass").read_bytes().startswith(b"PK")


def test_the_sections_of_the_page_open_with_the_keyboard(person: Person, card: Sold) -> None:
    page = person.page
    page.goto(card.card_url)

    page.get_by_text("Как копить и тратить").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_text("10% от каждой покупки")).to_be_visible()


def test_an_unknown_link_explains_itself(world: World, person: Person, screenshots: Path) -> None:
    person.looks_at(*PHONE)
    page = person.page

    reply = page.goto(f"{world.urls['web']}/c/unknown")

    assert reply is not None
    assert reply.status == 404
    expect(page.get_by_role("heading", name="Карта не найдена")).to_be_visible()
    page.screenshot(path=screenshots / "no-card.png")
    # The browser itself notes the status of the page; nothing else may be wrong.
    assert [text for text in person.complaints if "404" not in text] == []
    person.complaints.clear()


def test_a_hostile_name_does_nothing_in_a_real_browser(
    person: Person, sell: Callable[..., Sold], screenshots: Path
) -> None:
    name = "<img src=x onerror=alert(1)><script>alert(2)</script> Петров"

    person.page.goto(sell(buyer=name).card_url)

    expect(person.page.locator(".who")).to_contain_text("<img")
    person.page.screenshot(path=screenshots / "hostile-name.png")
    assert person.page.locator("main img:not([src^='/c/'])").count() == 0


def _overflow_px(page: Page) -> int:
    """How far the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
