"""One member's card as an Apple pass. Owns the layout of our store card; the format's rules are in `wallet.passes`.

Only the balance has a change message: if two such fields changed at once, the phone would show a generic text instead.
Change messages are for the card's state only, never for offers (Apple's Human Interface Guidelines).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from wallet.apple import Barcode, BarcodeFormat, Field, ImageBundle, Location, Pass, Signer, StoreCard
from wallet.card import Card, CardDesign, FrontField, spaced_number
from wallet.errors import LayoutError
from wallet.labels import labels_of
from wallet.passes import MAX_FIELDS_WITH_SQUARE_BARCODE
from wallet.pictures import plain_icons, plain_images
from wallet.resizing import every_scale, with_lower_scales

DEMO_LABEL = labels_of("ru").demo
STATE_FIELDS = frozenset({"balance"})
"""The fields whose change the phone may tell of."""

_DESIGNS_IN_CACHE = 32  # a base and its segments, for two programmes
_SECONDARY = 2
_PHONE_DIGITS = 5
_FORMATS = {
    "qr": (BarcodeFormat.QR,),
    # Apple Watch cannot show Code 128 and takes the next one.
    "code128": (BarcodeFormat.CODE128, BarcodeFormat.QR),
    "pdf417": (BarcodeFormat.PDF417,),
}


def card_pkpass(card: Card, design: CardDesign, signer: Signer, *, signed_at: datetime | None = None) -> bytes:
    """The signed .pkpass of a member; a demo signer always gives a labelled card. Raises WalletError."""
    return signers_pass(card, design, signer).create(signer, signed_at=signed_at)


def signers_pass(card: Card, design: CardDesign, signer: Signer) -> Pass:
    """The pass that this signer will sign. Raises like `apple_pass`."""
    return apple_pass(card, design, pass_type_id=signer.pass_type_id, team_id=signer.team_id, demo=signer.is_demo)


def apple_pass(card: Card, design: CardDesign, *, pass_type_id: str, team_id: str, demo: bool = False) -> Pass:
    """The pass before signing, in the look of the member's segment. Raises PassError, ImageError or ColourError if the
    card breaks a rule of Wallet."""
    design = design.of_segment(card.segment_code)
    labels = labels_of(design.language)
    images = design_images(design)
    return Pass(
        _store_card(card, design, has_strip=any(name.startswith("strip") for name in images.files), demo=demo),
        pass_type_identifier=pass_type_id,
        team_identifier=team_id,
        serial_number=card.serial,
        organization_name=design.organization_name,
        description=f"{labels.demo}: {design.description}" if demo else design.description,
        logo_text=design.programme_name,
        background_color=design.background,
        foreground_color=design.text,
        label_color=design.label,
        barcodes=tuple(
            Barcode(card.number, format_, alt_text=spaced_number(card.number)) for format_ in _FORMATS[design.barcode]
        ),
        locations=tuple(Location(lat, lon, relevant_text=text) for lat, lon, text in design.places),
        web_service_url=card.web_service_url,
        authentication_token=card.authentication_token,
        images=images,
    )


@lru_cache(maxsize=_DESIGNS_IN_CACHE)
def design_images(design: CardDesign) -> ImageBundle:
    """The design's pictures, resized and hashed once per design; what Wallet demands and the owner lacks is made.
    Raises ImageError."""
    if not design.images and not design.sources:
        return ImageBundle.of(plain_images(design.background, design.label))
    files = with_lower_scales(design.images)
    for kind, source in design.sources.items():
        files |= every_scale(kind, source)
    if not any(name.startswith("icon") for name in files):
        files |= plain_icons(design.background, design.label)
    return ImageBundle.of(files)


def _store_card(card: Card, design: CardDesign, *, has_strip: bool, demo: bool) -> StoreCard:
    labels = labels_of(design.language)
    name = shown_name(card.member_name) if design.show_name and card.member_name else None
    member = (Field("member", name, labels.member),) if name else ()
    front = _front_fields(card, design)[: MAX_FIELDS_WITH_SQUARE_BARCODE - len(member)]
    # A primary field would lie over the strip picture.
    primary, row = ((), front + member) if has_strip else (member or front[:1], front if member else front[1:])
    balance = Field("balance", labels.number_text(card.available_points), labels.balance)
    return only_state_speaks(
        StoreCard(
            header_fields=(replace(balance, change_message=design.notify_text),),
            primary_fields=primary,
            secondary_fields=row[:_SECONDARY],
            auxiliary_fields=row[_SECONDARY:],
            back_fields=_back_fields(card, design, demo=demo),
        )
    )


def only_state_speaks(store_card: StoreCard) -> StoreCard:
    """The card as it was given. Raises LayoutError if anything but the member's state has a change message: Apple
    forbids a phone's notices of offers."""
    fields = store_card.primary_fields + store_card.secondary_fields + store_card.auxiliary_fields
    fields += store_card.header_fields + store_card.back_fields
    speaking = [field.key for field in fields if field.change_message is not None and field.key not in STATE_FIELDS]
    if speaking:
        raise LayoutError(
            f"полю {', '.join(speaking)} нельзя сообщать об изменении: Apple разрешает это только состоянию карты; "
            "уберите текст изменения"
        )
    return store_card


def shown_name(name: str) -> str | None:
    """«Анна Петрова» -> «Анна П.»: cards are shown to strangers and forwarded. None for a phone in place of a name."""
    if sum(char.isdigit() for char in name) >= _PHONE_DIGITS:
        return None
    first, _, rest = name.strip().partition(" ")
    return f"{first} {rest.strip()[0]}." if rest.strip() else first


def _front_fields(card: Card, design: CardDesign) -> tuple[Field, ...]:
    """What the owner chose, without what the member has nothing of."""
    found = (_front_field(card, design, one) for one in design.front)
    return tuple(field for field in found if field is not None)


def _front_field(card: Card, design: CardDesign, which: FrontField) -> Field | None:
    labels = labels_of(design.language)
    if which == "segment" and card.segment_title:
        return Field("segment", card.segment_title, labels.segment)
    if which == "pending" and card.pending_points:
        return Field("pending", labels.number_text(card.pending_points), labels.pending)
    if which == "nearest_burn" and card.nearest_burn is not None:
        points, day = card.nearest_burn
        return Field("burn", labels.number_text(points), labels.burn.format(labels.short_date(day)))
    if which == "next_segment" and card.next_segment is not None:
        goal = card.next_segment
        return Field("next_segment", labels.left_to(goal), labels.next_segment.format(goal.title))
    return None


def _back_fields(card: Card, design: CardDesign, *, demo: bool) -> tuple[Field, ...]:
    """Texts of the owner have no change message: the phone never speaks of them."""
    labels, words = labels_of(design.language), design.point_words
    fields = [Field("demo", labels.demo_text, labels.demo)] if demo else []
    fields.append(Field("link", card.card_url, labels.link))
    fields.append(Field("number", spaced_number(card.number), labels.number))
    if card.pending_points:
        day = card.next_activation_on
        soon = f", {labels.nearest_day.format(labels.full_date(day))}" if day else ""
        fields.append(
            Field("pending_detail", f"{labels.count_text(card.pending_points, words)}{soon}", labels.pending_detail)
        )
    if card.nearest_burn is not None:
        points, day = card.nearest_burn
        fields.append(
            Field("burn_detail", f"{labels.count_text(points, words)} {labels.full_date(day)}", labels.burn_detail)
        )
    if card.next_segment is not None:
        goal = card.next_segment
        left = labels.more.format(labels.left_to(goal))
        fields.append(Field("next_segment_detail", left, labels.next_segment.format(goal.title)))
    fields += [Field(f"offer_{index}", value, label) for index, (label, value) in enumerate(design.offers)]
    fields += [Field(f"back_{index}", value, label) for index, (label, value) in enumerate(design.back)]
    return tuple(fields)
