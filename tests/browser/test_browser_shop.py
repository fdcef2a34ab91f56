"""A manager at the simulated CRM: sells, gives money back, makes trouble; the card follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from browser_testing import Person, Sold
from playwright.sync_api import Locator, Page, expect

from cli.demo_world import World

pytestmark = pytest.mark.browser

NewDeal = Callable[..., tuple[int, int]]
BANKS = [
    "Т-Банк",
    "ЮKassa",
    "CloudPayments",
    "Robokassa",
    "Сбер",
    "Альфа-Банк",
    "Prodamus",
    "PayKeeper",
    "Stripe",
]


def test_a_payment_on_the_board_becomes_fields_a_note_and_a_card(
    world: World, person: Person, new_deal: NewDeal, screenshots: Path
) -> None:
    deal_id, _ = new_deal(name="Байдарка «Вуокса»", buyer="Ольга Лебедева")
    page = person.page
    page.goto(world.urls["crm"])
    on_board = page.locator(f"[data-deal='{deal_id}']")
    page.screenshot(path=screenshots / "board.png")

    on_board.get_by_role("button", name="Оплатить").click()
    page.get_by_role("dialog").get_by_role("button", name="Оплатить").click()
    expect(on_board.get_by_text("Т-Банк: оплачено")).to_be_visible()
    page.goto(f"{world.urls['crm']}/deals/{deal_id}")

    expect(_field(page, "Бонусы: баланс")).to_have_text("300")
    expect(_field(page, "Бонусы: ожидают")).to_have_text("499")
    expect(_field(page, "Сегмент карты")).to_have_text("Стартовый")
    expect(page.locator(".feed .text", has_text="Начислено")).to_contain_text("499")
    expect(page.get_by_text("Стартовый", exact=True).last).to_be_visible()
    page.screenshot(path=screenshots / "deal.png", full_page=True)
    with page.expect_popup() as opening:
        _field(page, "Ссылка на карту").get_by_role("link").click()
    card = opening.value
    expect(card.locator(".balance")).to_have_text("300 баллов")
    expect(card.locator(".who")).to_contain_text("Ольга Л.")


def test_a_new_deal_made_by_hand_can_be_paid_through_the_other_bank(
    world: World, person: Person, screenshots: Path
) -> None:
    page = person.page
    page.goto(world.urls["crm"])

    page.get_by_role("button", name="Новая сделка").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Что продаём").fill("Кроссовки трейловые 42")
    dialog.get_by_label("Покупатель").fill("Ирина Волкова")
    dialog.get_by_label("Телефон").fill("+7 900 300-00-01")
    dialog.get_by_role("button", name="Создать").click()
    page.get_by_role("link", name="Кроссовки трейловые 42").click()
    page.get_by_role("button", name="Оплатить").first.click()
    page.get_by_role("dialog").locator("select[name=acquirer]").select_option(label="ЮKassa")
    page.screenshot(path=screenshots / "pay.png")
    page.get_by_role("dialog").get_by_role("button", name="Оплатить").click()

    expect(_field(page, "Бонусы: ожидают")).to_have_text("299")
    page.get_by_role("link", name="Банк").click()
    expect(page.get_by_text("payment.succeeded").first).to_be_visible()
    page.screenshot(path=screenshots / "bank.png", full_page=True)


@pytest.mark.parametrize("bank", ["Robokassa", "Альфа-Банк", "Stripe"])
def test_every_bank_is_offered_and_the_deal_knows_through_whom_it_was_paid(
    world: World, person: Person, new_deal: NewDeal, screenshots: Path, bank: str
) -> None:
    deal_id, _ = new_deal(buyer="Нина Орлова")
    person.looks_at(390, 844)
    page = person.page
    page.goto(f"{world.urls['crm']}/deals/{deal_id}")

    page.get_by_role("button", name="Оплатить").first.click()
    banks = page.get_by_role("dialog").locator("select[name=acquirer]")
    expect(banks.locator("option")).to_have_text(BANKS)
    banks.select_option(label=bank)
    page.get_by_role("dialog").get_by_role("button", name="Оплатить").click()

    expect(_field(page, "Бонусы: ожидают")).to_have_text("499")
    expect(_field(page, "Эквайринг")).to_have_text(bank)
    expect(_field(page, "Оплачено")).to_have_text("4990")
    page.get_by_role("link", name="Банк").click()
    payment = page.locator("section", has_text=f"L{deal_id}-1")
    expect(payment.locator("b").first).to_have_text(bank)
    expect(payment.locator(".delivery.good")).to_have_count(payment.locator(".delivery").count())
    page.screenshot(path=screenshots / f"bank-{bank}.png")


def test_the_till_asks_for_what_is_left_after_the_points(
    world: World, person: Person, sell: Callable[..., Sold], http: requests.Session
) -> None:
    """The buyer pays what the deal shows, or his points would come back to him."""
    sold = sell(acquirer="sber", buyer="Лев Громов")
    body = {"name": "Гермомешок", "price_roubles": 2_000, "contact_id": sold.contact_id}
    deal_id = http.post(f"{world.urls['crm']}/sim/deals", json=body, timeout=10).json()["deal_id"]
    page = person.page
    page.goto(f"{world.urls['crm']}/deals/{deal_id}")

    page.get_by_role("button", name="Изменить поле «Списать бонусов»").click()
    page.get_by_role("dialog").get_by_label("Списать бонусов").fill("300")
    page.get_by_role("dialog").get_by_role("button", name="Сохранить").click()
    expect(_field(page, "К оплате с бонусами")).to_have_text("1700")
    page.get_by_role("button", name="Оплатить").first.click()
    expect(page.get_by_role("dialog").get_by_label("Сумма, ₽")).to_have_value("1700")
    page.get_by_role("dialog").locator("select[name=acquirer]").select_option(label="CloudPayments")
    page.get_by_role("dialog").get_by_role("button", name="Оплатить").click()

    expect(_field(page, "Бонусы: баланс")).to_have_text("0")
    expect(_field(page, "Эквайринг")).to_have_text("CloudPayments")


def test_money_given_back_takes_its_points_back(
    world: World, person: Person, sell: Callable[..., Sold], screenshots: Path
) -> None:
    sold = sell(acquirer="yookassa", buyer="Борис Иванов")
    page = person.page
    page.goto(f"{world.urls['crm']}/deals/{sold.deal_id}")
    expect(_field(page, "Бонусы: ожидают")).to_have_text("499")

    page.get_by_role("button", name="Вернуть").first.click()
    page.get_by_role("dialog").get_by_label("Сумма, ₽").fill("2000")
    page.get_by_role("dialog").get_by_role("button", name="Вернуть").click()

    expect(_field(page, "Бонусы: ожидают")).to_have_text("299")
    page.goto(sold.card_url)
    expect(page.locator("li.reverse")).to_contain_text("возврат")
    expect(page.locator("li.reverse .points")).to_have_text("−200")


def test_naughty_banks_and_hooks_give_no_second_points(
    world: World, person: Person, new_deal: NewDeal, http: requests.Session
) -> None:
    deal_id, contact_id = new_deal(buyer="Вера Смирнова")
    page = person.page
    page.goto(f"{world.urls['crm']}/deals/{deal_id}")
    switch = page.get_by_label("Вредный режим")

    switch.check()
    expect(switch).to_be_checked()
    page.get_by_role("button", name="Оплатить").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Каждое уведомление банка, раз").fill("5")
    dialog.get_by_label("Каждый хук CRM, раз").fill("3")
    dialog.get_by_role("button", name="Оплатить").click()
    expect(_field(page, "Бонусы: ожидают")).to_have_text("499")
    page.get_by_label("Вредный режим").uncheck()
    expect(page.get_by_label("Вредный режим")).not_to_be_checked()

    headers = {"Authorization": f"Bearer {world.api_token}"}
    found = http.get(f"{world.urls['web']}/api/v1/members?contact={contact_id}", headers=headers, timeout=10).json()
    assert [line["points"] for line in found["statement"] if line["move"] == "accrue"] == [499]


def _field(page: Page, name: str) -> Locator:
    """The value beside a field's name on the deal's page."""
    return page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True)).locator("td")
