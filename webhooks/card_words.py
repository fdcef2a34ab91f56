"""The words of the card page in Russian and English.

Owns what a buyer reads there, but for numbers and dates, which are written as on the card (`wallet/labels.py`), and the
lines of his history in Russian, which are the ledger's own (`loyalty/statement.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flows.present import labels_of

if TYPE_CHECKING:
    from flows.present import Labels

Language = Literal["ru", "en"]


@dataclass(frozen=True)
class Words:
    """Everything the page says. `{}` in a text is filled by the view."""

    language: Language
    other_language: str
    card_of_member: str
    worth: str
    qr_of: str
    add_to_phone: str
    add_to: str
    also_apple: str
    also_google: str
    in_wallet: str
    open_outside_apple: str
    open_outside_android: str
    link_of_page: str
    copy: str
    copied: str
    on_phone: str
    demo: str
    debt: str
    burns: str
    soon: str
    next_tier: str
    history: str
    no_history: str
    how_it_works: str
    offers: str
    offers_lead: str
    offers_none: str
    channels: dict[str, str]
    given: str
    withdrawn: str
    save: str
    refuse_all: str
    saved: str
    too_often: str
    my_data: str
    my_data_lead: str
    ask_export: str
    ask_erase: str
    asked: dict[str, str]
    not_found: str
    not_found_lead: str

    @property
    def labels(self) -> Labels:
        """How this language writes numbers, dates and what the card itself says."""
        return labels_of(self.language)


RU = Words(
    language="ru",
    other_language="English",
    card_of_member="Карта участника",
    worth="= {} ₽ скидки",
    qr_of="QR-код карты {}",
    add_to_phone="Добавить карту в телефон",
    add_to="Добавить в {}",
    also_apple="У меня iPhone: добавить в Apple Wallet",
    also_google="У меня Android: {}",
    in_wallet="Карта в Wallet ✓",
    open_outside_apple="Чтобы добавить карту в Wallet, откройте страницу в Safari: «···» → «Открыть в Safari».",
    open_outside_android="Чтобы добавить карту в телефон, откройте страницу в Chrome: «⋮» → «Открыть в браузере».",
    link_of_page="Ссылка на эту страницу",
    copy="Скопировать ссылку",
    copied="Ссылка скопирована",
    on_phone="Наведите камеру телефона, чтобы открыть карту на нём",
    demo="Демонстрационная карта: подписана учебным сертификатом, iPhone её не примет.",
    debt="Баллы ушли в минус после возврата заказа. Их погасят следующие начисления.",
    burns="{} действуют по {}",
    soon="Ещё {} станут доступны {}",
    next_tier="До «{}»: {}",
    history="История",
    no_history="Операций ещё не было",
    how_it_works="Как копить и тратить",
    offers="Предложения и отписка",
    offers_lead="Отметьте, как можно присылать вам предложения магазина. О баллах и заказах мы сообщим в любом случае.",
    offers_none="Предложений мы вам не присылаем.",
    channels={"email": "Письма на почту", "sms": "СМС", "messenger": "Сообщения в мессенджере", "call": "Звонки"},
    given="согласие от {}",
    withdrawn="отписка от {}",
    save="Сохранить",
    refuse_all="Отписаться от всего",
    saved="Сохранено.",
    too_often="Настройки меняли слишком часто. Попробуйте завтра; отписаться можно и сейчас.",
    my_data="Мои данные",
    my_data_lead="Магазин пришлёт всё, что хранит о вас, или удалит ваши данные и карту. Ответ придёт в течение "
    "10 рабочих дней туда, где магазин знает вас лично: по этой странице личных данных не узнать.",
    ask_export="Запросить мои данные",
    ask_erase="Удалить мои данные",
    asked={
        "export": "Запрос данных № {} принят {}. Назовите этот номер магазину.",
        "erase": "Запрос на удаление № {} принят {}. Назовите этот номер магазину.",
    },
    not_found="Карта не найдена",
    not_found_lead="Проверьте ссылку: возможно, она скопирована не целиком. Магазин пришлёт новую по вашей просьбе.",
)
EN = Words(
    language="en",
    other_language="Русский",
    card_of_member="Membership card",
    worth="= {} ₽ off",
    qr_of="QR code of card {}",
    add_to_phone="Add the card to your phone",
    add_to="Add to {}",
    also_apple="On an iPhone: add to Apple Wallet",
    also_google="On Android: {}",
    in_wallet="The card is in your Wallet ✓",
    open_outside_apple="To add the card to Wallet, open this page in Safari: “···” → “Open in Safari”.",
    open_outside_android="To add the card to your phone, open this page in Chrome: “⋮” → “Open in browser”.",
    link_of_page="Link to this page",
    copy="Copy the link",
    copied="Link copied",
    on_phone="Point your phone's camera here to open the card on it",
    demo="A demonstration card, signed with a training certificate: an iPhone will not take it.",
    debt="The balance went below zero after a refund. Your next points will cover it.",
    burns="{} are valid until {}",
    soon="{} more become available on {}",
    next_tier="To “{}”: {}",
    history="History",
    no_history="Nothing has happened yet",
    how_it_works="How it works",
    offers="Offers and unsubscribing",
    offers_lead="Tick how the shop may send you offers. You will hear of your points and orders in any case.",
    offers_none="We send you no offers.",
    channels={"email": "E-mail", "sms": "Text messages", "messenger": "Messenger", "call": "Phone calls"},
    given="agreed on {}",
    withdrawn="unsubscribed on {}",
    save="Save",
    refuse_all="Unsubscribe from everything",
    saved="Saved.",
    too_often="These settings were changed too often. Try again tomorrow; you can still unsubscribe.",
    my_data="My data",
    my_data_lead="The shop will send you everything it keeps about you, or erase your data and the card. The answer "
    "comes within 10 working days through a channel where the shop knows you: this page never shows personal data.",
    ask_export="Request my data",
    ask_erase="Erase my data",
    asked={
        "export": "Data request No. {} received on {}. Tell the shop this number.",
        "erase": "Erasure request No. {} received on {}. Tell the shop this number.",
    },
    not_found="Card not found",
    not_found_lead="Check the link: it may not have been copied whole. The shop will send you a new one if you ask.",
)
LANGUAGES: dict[str, Words] = {"ru": RU, "en": EN}

MOVES_IN_ENGLISH = {
    "accrue": "Points for an order",
    "welcome": "Welcome points",
    "gift": "A gift from the shop",
    "opening": "Opening balance",
    "activate": "Points became available",
    "settle": "A debt was covered",
    "hold": "Points reserved for an order",
    "capture": "Points spent on an order",
    "release": "The reservation was lifted",
    "expire": "Points expired",
    "reverse": "Taken back after a refund",
    "write_off": "A debt was written off",
    "restore": "Spent points returned after a refund",
    "adjust": "Corrected by the shop",
}
A_MOVE_IN_ENGLISH = "A change of the balance"
