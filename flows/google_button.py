"""Which Google button the card page shows, and what must be said beside it.

Google Wallet is not live in Russia: there Google's own rules want «Save to phone» instead (wallet reference, 0.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flows.google_setup import is_russian
from flows.wallets import DEMO_ISSUER_ID

if TYPE_CHECKING:
    from config.model import CardLanguage
    from flows.runtime import Runtime

Kind = Literal["wallet", "save_to_phone"]


@dataclass(frozen=True)
class Button:
    """What the card page shows. `asset` names the official artwork, which nobody may redraw or recolour: at least 48 px
    high, 8 px clear around it. `note` and `demo_note` are said beside it, None where there is nothing to say."""

    kind: Kind
    title: str
    asset: str
    note: str | None
    demo_note: str | None


_TITLES: dict[CardLanguage, dict[Kind, str]] = {
    "ru": {"wallet": "Добавить в Google Кошелек", "save_to_phone": "Сохранить на телефон"},
    "en": {"wallet": "Add to Google Wallet", "save_to_phone": "Save to phone"},
}
_NOTES: dict[CardLanguage, str] = {
    "ru": "Google Кошелёк в России официально не работает: карта сохранится, если он уже есть на вашем телефоне.",
    "en": "Google Wallet is not officially available in Russia: the card is saved if your phone has the app.",
}
_DEMO_NOTES: dict[CardLanguage, str] = {
    "ru": "Пробный режим Google: карту с пометкой [TEST ONLY] сохранят только тестовые учётные записи магазина.",
    "en": "Google's demo mode: only the shop's test accounts can save the card, marked [TEST ONLY].",
}


def button(rt: Runtime, language: CardLanguage = "ru") -> Button | None:
    """The Google button of the card page in the page's language; None where there is no issuer."""
    if rt.google is None:
        return None
    chosen = rt.google.identity.button
    is_phone = chosen == "save_to_phone" or (chosen == "auto" and is_russian(rt.file))
    kind: Kind = "save_to_phone" if is_phone else "wallet"
    return Button(
        kind=kind,
        title=_TITLES[language][kind],
        asset=f"google_{kind}_{language}",
        note=_NOTES[language] if is_russian(rt.file) else None,
        demo_note=_DEMO_NOTES[language] if is_demo_mode(rt) else None,
    )


def is_demo_mode(rt: Runtime) -> bool:
    """Only the issuer's own test accounts can save a card. Google does not tell by its API: the owner says when it has
    given publishing access."""
    google = rt.google
    return google is not None and (google.issuer_id == DEMO_ISSUER_ID or not google.identity.is_published)
