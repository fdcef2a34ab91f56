"""The look of a segment, the words of a language, and what a card must never say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from wallet_design_testing import picture

from wallet.apple import Field, Pass, StoreCard
from wallet.card import Card, CardDesign, NextSegment
from wallet.card_apple import apple_pass, only_state_speaks, shown_name
from wallet.errors import LayoutError
from wallet.labels import labels_of

NBSP = "\u00a0"


def built(card: Card, design: CardDesign) -> Pass:
    return apple_pass(card, design, pass_type_id="pass.x", team_id="T")


def content(card: Card, design: CardDesign) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(built(card, design).pass_json())
    return found


def test_a_segments_look_is_taken_by_its_members_alone(card: Card, design: CardDesign) -> None:
    vip = replace(design, background="#000000", back=(("Менеджер", "Ольга"),))
    whole = replace(design, segments={"vip": vip})

    ours, others = (
        content(replace(card, segment_code="vip"), whole),
        content(replace(card, segment_code="start"), whole),
    )

    assert (ours["backgroundColor"], others["backgroundColor"]) == ("rgb(0, 0, 0)", "rgb(22, 56, 44)")
    assert ours["storeCard"]["backFields"][-1]["value"] == "Ольга"
    assert others == content(card, design)


def test_a_changed_look_changes_the_digest_of_the_design_and_only_the_cards_it_concerns(
    card: Card, design: CardDesign
) -> None:
    before = replace(design, segments={"vip": replace(design, background="#000000")})
    after = replace(design, segments={"vip": replace(design, background="#111111")})
    members = [replace(card, segment_code=code) for code in ("vip", "start", None)]

    assert before.digest != after.digest != design.digest
    assert before.digest == replace(before).digest
    changed = [built(one, before).digest() != built(one, after).digest() for one in members]
    assert changed == [True, False, False]


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"icon.png": picture((38, 38))}},
        {"sources": {"logo": picture((480, 150))}},
        {"offers": (("Акция", "Скидка"),)},
        {"places": ((55.75, 37.61, None),)},
        {"front": ("segment",)},
        {"show_name": True},
        {"language": "en"},
        {"notify_text": "Стало: %@"},
    ],
)
def test_everything_the_owner_decides_is_in_the_digest(design: CardDesign, change: dict[str, Any]) -> None:
    assert replace(design, **change).digest != design.digest


def test_the_face_shows_what_the_owner_chose_in_his_order(card: Card, design: CardDesign) -> None:
    face = built(card, replace(design, front=("nearest_burn", "segment"))).store_card

    assert [field.key for field in face.secondary_fields + face.auxiliary_fields] == ["burn", "segment"]


def test_what_is_left_to_the_next_segment_stands_on_both_sides(card: Card, design: CardDesign) -> None:
    goal = NextSegment("VIP", None, 1_240_000)
    face = content(replace(card, next_segment=goal), design)["storeCard"]

    fields = {field["key"]: field for group in face.values() for field in group}
    assert (fields["next_segment"]["label"], fields["next_segment"]["value"]) == ("До «VIP»", f"12{NBSP}400{NBSP}₽")
    assert fields["next_segment_detail"]["value"] == f"ещё 12{NBSP}400{NBSP}₽"


@pytest.mark.parametrize(
    ("goal", "russian", "english"),
    [
        (NextSegment("VIP", 2, None), "2 заказа", "2 orders"),
        (NextSegment("VIP", 1, None), "1 заказ", "1 order"),
        (NextSegment("VIP", 5, 100), "5 заказов или 1 ₽", "5 orders or 1 ₽"),
        (NextSegment("VIP", 21, 1_234_501, needs_both=True), "21 заказ и 12 346 ₽", "21 orders and 12,346 ₽"),
    ],
)
def test_what_is_left_is_said_in_both_languages(goal: NextSegment, russian: str, english: str) -> None:
    said = [labels_of(language).left_to(goal).replace(NBSP, " ") for language in ("ru", "en")]

    assert said == [russian, english]


def test_an_english_card_has_no_russian_word_of_ours(card: Card, design: CardDesign) -> None:
    english = replace(
        design,
        programme_name="Club",
        organization_name="Shop",
        description="Loyalty card",
        language="en",
        notify_text="Balance: %@",
        back=(("Phone", "+7 495 000-00-00"),),
        show_name=True,
        front=("segment", "pending", "nearest_burn", "next_segment"),
    )
    goal = NextSegment("VIP", 2, 100_000)
    one = replace(card, member_name="Ann Smith", segment_title="Start", next_segment=goal)
    found = apple_pass(one, english, pass_type_id="pass.x", team_id="T", demo=True).pass_json().decode()

    assert [char for char in found if "\u0400" <= char <= "\u04ff"] == []
    assert "1,240" in found
    assert f"341{NBSP}points 2{NBSP}April{NBSP}2026" in found
    assert f"468{NBSP}points, the nearest on 28{NBSP}March{NBSP}2026" in found


def test_every_label_exists_in_both_languages() -> None:
    russian, english = vars(labels_of("ru")), vars(labels_of("en"))

    assert {name for name, value in russian.items() if not value or not english[name]} == set()
    assert {name for name in russian if str(russian[name]).count("{}") != str(english[name]).count("{}")} == set()
    assert {name for name in english if any(char >= "\u0400" for char in str(english[name]) if char != "₽")} == set()


def test_shops_bring_the_card_up(card: Card, design: CardDesign) -> None:
    found = content(card, replace(design, places=((55.75, 37.61, "Магазин рядом"), (59.93, 30.33, None))))

    assert found["locations"] == [
        {"latitude": 55.75, "longitude": 37.61, "relevantText": "Магазин рядом"},
        {"latitude": 59.93, "longitude": 30.33},
    ]


def test_an_offer_stands_on_the_back_and_never_speaks_up(card: Card, design: CardDesign) -> None:
    """Words that look like a change message are words."""
    found = content(card, replace(design, offers=(("Двойные баллы!", "Сегодня %@"),)))["storeCard"]

    offer = next(field for field in found["backFields"] if field["key"] == "offer_0")
    assert offer == {"key": "offer_0", "label": "Двойные баллы!", "value": "Сегодня %@"}
    speaking = [field["key"] for group in found.values() for field in group if "changeMessage" in field]
    assert speaking == ["balance"]


@pytest.mark.parametrize(
    "place", ["header_fields", "primary_fields", "secondary_fields", "auxiliary_fields", "back_fields"]
)
def test_nothing_but_the_state_of_the_card_may_have_a_change_message(place: str) -> None:
    offer = Field("offer_0", "Скидка", "Акция", change_message="Скидка: %@")

    with pytest.raises(LayoutError, match="offer_0"):
        only_state_speaks(StoreCard(**{place: (offer,)}))  # type: ignore[arg-type]


def test_no_name_stands_on_a_card_unless_the_owner_allows_it(card: Card, design: CardDesign) -> None:
    one = replace(card, member_name="Анна Петрова")

    assert "Анна" not in built(one, design).pass_json().decode()
    assert "Анна П." in built(one, replace(design, show_name=True)).pass_json().decode()
    assert "Петрова" not in built(one, replace(design, show_name=True)).pass_json().decode()


@pytest.mark.parametrize("phone", ["+7 916 123-45-67", "89161234567", "Анна 9161234567", "٠١٢٣٤٥٦٧"])
def test_a_phone_in_place_of_a_name_never_stands_on_a_card(card: Card, design: CardDesign, phone: str) -> None:
    """A contact that somebody called by its number is an everyday sight in a CRM."""
    found = content(replace(card, member_name=phone), replace(design, show_name=True))

    assert "member" not in json.dumps(found)
    assert phone not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Анна Петрова", "Анна П."), ("Анна", "Анна"), (" Анна  Мария Петрова ", "Анна М."), ("Анна П.", "Анна П.")],
)
def test_a_name_is_shown_without_the_surname(name: str, expected: str) -> None:
    assert shown_name(name) == expected


def test_a_name_takes_a_place_of_the_face_that_is_full(card: Card, design: CardDesign) -> None:
    full = replace(design, show_name=True, front=("segment", "pending", "nearest_burn", "next_segment"))
    one = replace(card, next_segment=NextSegment("VIP", 1, None), nearest_burn=(1, date(2026, 1, 1)))

    face = built(one, full).store_card
    assert [field.key for field in face.secondary_fields + face.auxiliary_fields] == [
        "segment",
        "pending",
        "burn",
        "member",
    ]
