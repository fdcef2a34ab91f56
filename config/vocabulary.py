"""Every key that the rules file may hold, by the path of its section.

Owns nothing of its own: it gathers what the sections accept. The reference of the file (`docs/rules.md`) is checked
against it, so that no key is accepted and not explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config import (
    accrual_section,
    card_badges,
    card_look,
    card_places,
    card_section,
    gifts_section,
    goods_section,
    links_sections,
    mail_section,
    payment_links_section,
    redeem_section,
    rules_sections,
    segments_section,
)
from config.programme import ROOT_KEYS
from config.section import Keys

SECTIONS: Mapping[str, Keys] = {
    "": ROOT_KEYS,
    "programme": rules_sections.PROGRAMME_KEYS,
    "programme.point": rules_sections.POINT_KEYS,
    "accrual": accrual_section.ACCRUAL_KEYS,
    "accrual.exclude": goods_section.EXCLUDE_KEYS,
    "accrual.steps[]": accrual_section.STEP_KEYS,
    "accrual.by_method[]": accrual_section.METHOD_KEYS,
    "accrual.multipliers[]": accrual_section.MULTIPLIER_KEYS,
    "welcome": rules_sections.WELCOME_KEYS,
    "redeem": redeem_section.REDEEM_KEYS,
    "redeem.exclude": goods_section.EXCLUDE_KEYS,
    "refund": rules_sections.REFUND_KEYS,
    "burn": rules_sections.BURN_KEYS,
    "gifts": gifts_section.GIFTS_KEYS,
    "gifts.birthday": gifts_section.BIRTHDAY_KEYS,
    "gifts.holidays[]": gifts_section.HOLIDAY_KEYS,
    "gifts.actions[]": gifts_section.ACTION_KEYS,
    "segments[]": segments_section.SEGMENT_KEYS,
    "segments[].when": segments_section.WHEN_KEYS,
    "segment_rules": segments_section.POLICY_KEYS,
    "limits": rules_sections.LIMITS_KEYS,
    "adjustments": rules_sections.ADJUSTMENTS_KEYS,
    "card": card_section.CARD_KEYS,
    "card.number": card_section.NUMBER_KEYS,
    "card.colors": card_look.COLOUR_KEYS,
    "card.images": card_look.IMAGE_KEYS,
    "card.back[]": card_look.BACK_KEYS,
    "card.offers[]": card_look.OFFER_KEYS,
    "card.segments[]": card_look.LOOK_KEYS,
    "card.segments[].colors": card_look.COLOUR_KEYS,
    "card.segments[].images": card_look.IMAGE_KEYS,
    "card.segments[].back[]": card_look.BACK_KEYS,
    "card.segments[].offers[]": card_look.OFFER_KEYS,
    "card.locations[]": card_places.PLACE_KEYS,
    "card.badges": card_badges.BADGE_KEYS,
    "card.apple": card_section.APPLE_KEYS,
    "card.google": card_section.GOOGLE_KEYS,
    "mail": mail_section.MAIL_KEYS,
    "amocrm": links_sections.AMOCRM_KEYS,
    "amocrm.oauth": links_sections.OAUTH_KEYS,
    "amocrm.segment_bots[]": links_sections.BOT_KEYS,
    "amocrm.fields": links_sections.FIELDS_KEYS,
    "amocrm.fields.contact": links_sections.CONTACT_KEYS,
    "amocrm.fields.lead": links_sections.LEAD_KEYS,
    "acquirers[]": links_sections.ACQUIRER_KEYS,
    "payment_links": payment_links_section.PAYMENT_LINKS_KEYS,
    "payment_links.receipt": payment_links_section.RECEIPT_KEYS,
}


def every_key() -> Iterator[str]:
    """Full paths, items of lists as `[]`: `accrual.steps[].from`."""
    for path, keys in SECTIONS.items():
        yield from (f"{path}.{key}" if path else key for key in keys.known)
