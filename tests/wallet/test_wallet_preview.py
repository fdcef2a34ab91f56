"""The preview shows what the pass says, on both sides, and nothing of it leaves its place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wallet_design_testing import opened, picture

from wallet.barcodes import barcode_modules
from wallet.card import Card, CardDesign, NextSegment
from wallet.card_apple import apple_pass
from wallet.errors import BarcodeError, PassError
from wallet.lettering import text_width, wrapped
from wallet.passes import Pass
from wallet.preview import shown
from wallet.preview_html import preview_html
from wallet.preview_layout import WIDTH, Bars, Box, Side, Text, back, front
from wallet.preview_png import SCALE, preview_pngs

LONG = "Постоянный покупатель со стажем и друзьями"
GOAL = NextSegment("Бриллиантовый клуб друзей магазина", 12, 123_456_700)


def built(card: Card, design: CardDesign) -> Pass:
    return apple_pass(card, design, pass_type_id="pass.x", team_id="T")


def page(card: Card, design: CardDesign) -> str:
    pass_ = built(card, design)
    return preview_html(pass_.pass_json(), pass_.images.files)


def words(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r"<p [^>]*>(.*?)</p>", html)]


def cases(card: Card, design: CardDesign) -> dict[str, tuple[Card, CardDesign]]:
    huge = replace(card, available_points=-99_999_999, segment_title=LONG, pending_points=9_999_999, next_segment=GOAL)
    everything = replace(
        design,
        programme_name=LONG * 2,
        show_name=True,
        front=("segment", "pending", "nearest_burn", "next_segment"),
        offers=((LONG, "слово" * 100),),
        back=(("Пустое", " "), ("Строки", "\n".join(["строка"] * 30))),
    )
    bare = replace(card, segment_title=None, pending_points=0, nearest_burn=None, available_points=0)
    own = replace(design, sources={"logo": picture((3000, 700)), "icon": picture((200, 200))})
    return {
        "as it is": (card, design),
        "of nothing": (bare, design),
        "too long": (huge, everything),
        "without a strip": (card, own),
        "of nothing without a strip": (bare, own),
        "long without a strip": (huge, replace(everything, sources=own.sources)),
        "wide code": (card, replace(design, barcode="code128")),
        "two-dimensional wide code": (card, replace(design, barcode="pdf417")),
    }


CASES = (
    "as it is",
    "of nothing",
    "too long",
    "without a strip",
    "of nothing without a strip",
    "long without a strip",
    "wide code",
    "two-dimensional wide code",
)


@pytest.mark.parametrize("name", CASES)
def test_nothing_leaves_its_place_or_lies_on_another(card: Card, design: CardDesign, name: str) -> None:
    pass_ = built(*cases(card, design)[name])
    found = shown(pass_.pass_json(), pass_.images.files)

    for side in (front(found), back(found)):
        texts = [item for item in side.items if isinstance(item, Text)]
        assert all(text_width(one.text, one.size, bold=one.bold) <= one.width + 0.1 for one in texts)
        spans = [span(one) for one in texts]
        assert all(left >= 0 and right <= WIDTH for left, _, right, _ in spans)
        assert all(top >= 0 and bottom <= side.height for _, top, _, bottom in spans)
        assert [(a, b) for i, a in enumerate(spans) for b in spans[:i] if overlap(a, b)] == []
        boxes = [item for item in side.items if isinstance(item, Box | Bars)]
        assert all(one.y >= 0 and one.y + one.height <= side.height for one in boxes)


@pytest.mark.parametrize("name", CASES)
def test_both_forms_are_drawn_from_the_same_layout(card: Card, design: CardDesign, name: str) -> None:
    pass_ = built(*cases(card, design)[name])
    found = shown(pass_.pass_json(), pass_.images.files)
    sides = front(found), back(found)

    pictures = [opened(png) for png in preview_pngs(pass_.pass_json(), pass_.images.files)]
    assert [one.size for one in pictures] == [(375 * SCALE, round(side.height * SCALE)) for side in sides]
    assert words(preview_html(pass_.pass_json(), pass_.images.files)) == [
        item.text for side in sides for item in side.items if isinstance(item, Text)
    ]


def test_the_preview_reads_the_pass_and_nothing_else(card: Card, design: CardDesign) -> None:
    """What somebody changed in pass.json is what is shown."""
    pass_ = built(card, design)
    content: dict[str, Any] = json.loads(pass_.pass_json())
    content["storeCard"]["headerFields"][0]["value"] = "77 баллов"
    content["storeCard"]["backFields"].append({"key": "new", "label": "Новое", "value": "поле"})
    content["backgroundColor"] = "rgb(1, 2, 3)"
    content["barcodes"][0]["altText"] = "другой номер"

    html = preview_html(json.dumps(content).encode(), pass_.images.files)

    assert {"77 баллов", "Новое", "поле", "другой номер"} <= set(words(html))
    assert "rgb(1,2,3)" in html
    assert "1\u00a0240" not in html


def test_every_field_of_the_pass_is_shown(card: Card, design: CardDesign) -> None:
    content = json.loads(built(replace(card, next_segment=NextSegment("VIP", 1, None)), design).pass_json())

    said = " ".join(words(page(replace(card, next_segment=NextSegment("VIP", 1, None)), design))).upper()
    for group in content["storeCard"].values():
        assert [field["key"] for field in group if field["value"].upper() not in said] == []


def test_the_page_holds_everything_and_asks_for_nothing(card: Card, design: CardDesign) -> None:
    html = page(card, design)

    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', html) == []
    assert "default-src 'none'" in html
    assert html.count("<section") == 2


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b&gt;", "'</style>"])
def test_texts_of_the_owner_are_texts(card: Card, design: CardDesign, hostile: str) -> None:
    html = page(
        replace(card, segment_title=hostile),
        replace(
            design, programme_name=hostile, description=hostile, organization_name=hostile, back=((hostile, hostile),)
        ),
    )

    assert hostile not in html
    assert words(html)[-2:] == [hostile, hostile]


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=80), wide=st.integers(20, 345)
)
def test_lines_hold_the_whole_text_and_fit(text: str, wide: int) -> None:
    lines = wrapped(text, 15, wide)

    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, 15) <= wide or len(line) == 1 for line in lines)


@pytest.mark.parametrize(
    "broken",
    [b"", b"[]", b"null", b'{"storeCard": 5}', b'{"coupon": {}}', b'{"storeCard": {"headerFields": [{}]}}', b"\xff"],
)
def test_what_is_no_store_card_is_refused(broken: bytes) -> None:
    with pytest.raises(PassError):
        shown(broken, {})


def test_a_pass_without_colours_pictures_and_code_is_shown() -> None:
    html = preview_html(b'{"storeCard": {"headerFields": [{"key": "k", "value": 5}]}}', {})

    assert words(html) == ["", "5"]


def test_codes_are_the_real_ones() -> None:
    qr, line, stacked = (
        barcode_modules(f"PKBarcodeFormat{name}", "7700012345") for name in ("QR", "Code128", "PDF417")
    )

    corner = [[int(cell) for cell in row[:7]] for row in qr[:7]]
    assert (len(qr), len(qr[0])) == (21, 21)
    assert corner[0] == corner[6] == [1] * 7
    assert corner[3] == [1, 0, 1, 1, 1, 0, 1]
    bits = "".join(str(int(cell)) for cell in line[0])
    assert (bits[:11], bits[-13:]) == ("11010011100", "1100011101011"), "start C and stop"
    rows = {"".join(str(int(cell)) for cell in row) for row in stacked}
    assert all(row.startswith("11111111010101000") and row.endswith("111111101000101001") for row in rows)


@pytest.mark.parametrize(("kind", "message"), [("Code128", "карта"), ("QR", "x" * 5_000), ("Aztec", "1"), ("", "1")])
def test_what_does_not_fit_into_a_code_is_said(kind: str, message: str) -> None:
    with pytest.raises(BarcodeError):
        barcode_modules(f"PKBarcodeFormat{kind}", message)


def span(one: Text) -> tuple[float, float, float, float]:
    width = text_width(one.text, one.size, bold=one.bold)
    left = {"left": one.x, "right": one.x - width, "centre": one.x - width / 2}[one.align]
    return left, one.y, left + width, one.y + one.size


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def sides_of(pass_: Pass) -> tuple[Side, Side]:
    found = shown(pass_.pass_json(), pass_.images.files)
    return front(found), back(found)


def test_a_shown_pass_does_not_depend_on_its_tokens(card: Card, design: CardDesign) -> None:
    """A preview may be shown to others: the secret token of the update service is not in it."""
    assert card.authentication_token is not None
    assert card.authentication_token not in page(card, design)
