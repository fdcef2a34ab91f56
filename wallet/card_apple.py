"""One member's card as an Apple pass. Owns the layout of our store card; the format's rules are in `wallet.passes`.

Only the balance has a change message: if two such fields changed at once, the phone would show a generic text instead.
Change messages are for the card's state only, never for offers (Apple's Human Interface Guidelines).
"""

from __future__ import annotations

from functools import lru_cache

from loyalty.wording import count_text, full_date, short_date, thousands
from wallet.apple import Barcode, BarcodeFormat, Field, ImageBundle, Pass, Signer, StoreCard
from wallet.card import Card, CardDesign, spaced_number
from wallet.pictures import plain_icons, plain_images

DEMO_LABEL = "Демонстрационная карта"
DEMO_TEXT = "Подписана учебным сертификатом, а не Apple: iPhone её не добавит. Всё остальное как в настоящей."

_DESIGNS_IN_CACHE = 8
_FORMATS = {
    "qr": (BarcodeFormat.QR,),
    # Apple Watch cannot show Code 128 and takes the next one.
    "code128": (BarcodeFormat.CODE128, BarcodeFormat.QR),
    "pdf417": (BarcodeFormat.PDF417,),
}


def card_pkpass(card: Card, design: CardDesign, signer: Signer) -> bytes:
    """The signed .pkpass of a member; a demo signer always gives a labelled card. Raises WalletError."""
    pass_ = apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id=signer.team_id, demo=signer.is_demo)
    return pass_.create(signer)


def apple_pass(card: Card, design: CardDesign, *, pass_type_id: str, team_id: str, demo: bool = False) -> Pass:
    """The pass before signing. Raises PassError, ImageError or ColourError if the card breaks a rule of Wallet."""
    images = design_images(design)
    return Pass(
        _store_card(card, design, has_strip=any(name.startswith("strip") for name in images.files), demo=demo),
        pass_type_identifier=pass_type_id,
        team_identifier=team_id,
        serial_number=card.serial,
        organization_name=design.organization_name,
        description=f"{DEMO_LABEL}: {design.description}" if demo else design.description,
        logo_text=design.programme_name,
        background_color=design.background,
        foreground_color=design.text,
        label_color=design.label,
        barcodes=tuple(
            Barcode(card.number, format_, alt_text=spaced_number(card.number)) for format_ in _FORMATS[design.barcode]
        ),
        web_service_url=card.web_service_url,
        authentication_token=card.authentication_token,
        images=images,
    )


@lru_cache(maxsize=_DESIGNS_IN_CACHE)
def design_images(design: CardDesign) -> ImageBundle:
    """The design's pictures, hashed once per design; what Wallet demands and the owner lacks is made. ImageError."""
    if not design.images:
        return ImageBundle.of(plain_images(design.background, design.label))
    if any(name.startswith("icon") for name in design.images):
        return ImageBundle.of(design.images)
    return ImageBundle.of({**design.images, **plain_icons(design.background, design.label)})


def _store_card(card: Card, design: CardDesign, *, has_strip: bool, demo: bool) -> StoreCard:
    member = (Field("member", card.member_name, "Участник"),) if card.member_name else ()
    return StoreCard(
        header_fields=(
            Field("balance", thousands(card.available_points), "Баланс", change_message=design.notify_text),
        ),
        # A primary field would lie over the strip picture.
        primary_fields=() if has_strip else member,
        secondary_fields=_state_fields(card),
        auxiliary_fields=_burn_fields(card) + (member if has_strip else ()),
        back_fields=_back_fields(card, design, demo=demo),
    )


def _state_fields(card: Card) -> tuple[Field, ...]:
    segment = (Field("segment", card.segment_title, "Сегмент"),) if card.segment_title else ()
    pending = (Field("pending", thousands(card.pending_points), "Ожидают"),) if card.pending_points else ()
    return segment + pending


def _burn_fields(card: Card) -> tuple[Field, ...]:
    if card.nearest_burn is None:
        return ()
    points, day = card.nearest_burn
    return (Field("burn", thousands(points), f"Сгорят {short_date(day)}"),)


def _back_fields(card: Card, design: CardDesign, *, demo: bool) -> tuple[Field, ...]:
    fields = [Field("demo", DEMO_TEXT, DEMO_LABEL)] if demo else []
    fields.append(Field("link", card.card_url, "Карта в интернете"))
    fields.append(Field("number", spaced_number(card.number), "Номер карты"))
    if card.pending_points:
        soon = f", ближайшие {full_date(card.next_activation_on)}" if card.next_activation_on else ""
        fields.append(
            Field("pending_detail", f"{count_text(card.pending_points, design.point_words)}{soon}", "Станут доступны")
        )
    if card.nearest_burn is not None:
        points, day = card.nearest_burn
        fields.append(
            Field("burn_detail", f"{count_text(points, design.point_words)} {full_date(day)}", "Скоро сгорят")
        )
    fields += [Field(f"back_{index}", value, label) for index, (label, value) in enumerate(design.back)]
    return tuple(fields)
