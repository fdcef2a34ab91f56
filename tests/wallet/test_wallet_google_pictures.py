"""What Google's servers fetch has Google's sizes and is made from the owner's own pictures."""

from __future__ import annotations

from dataclasses import replace

from wallet_design_testing import opened, picture

from wallet.card import CardDesign
from wallet.google_pictures import google_hero, google_logo

RED, GREEN = (192, 57, 43), (22, 56, 44)


def test_a_logo_lies_whole_within_the_circle_on_the_cards_background(design: CardDesign) -> None:
    logo = opened(google_logo(replace(design, sources={"logo": picture((480, 150))})))

    assert logo.size == (660, 660)
    assert logo.getpixel((0, 0)) == logo.getpixel((330, 100)) == GREEN
    assert logo.getpixel((130, 280)) == RED
    corner = (130 - 330) ** 2 + (280 - 330) ** 2
    assert corner < 330**2, "inside the circle that Google cuts out"


def test_a_strip_becomes_the_wide_picture_and_without_one_there_is_none(design: CardDesign) -> None:
    hero = google_hero(replace(design, sources={"strip": picture((1500, 600))}))

    assert hero is not None
    assert opened(hero).size == (1032, 336)
    assert opened(hero).getpixel((516, 168)) == (255, 255, 255)
    assert google_hero(replace(design, sources={"logo": picture((480, 150))})) is None


def test_a_design_without_pictures_has_both(design: CardDesign) -> None:
    hero = google_hero(design)

    assert opened(google_logo(design)).getpixel((330, 180)) != GREEN
    assert hero is not None
    assert opened(hero).getcolors(maxcolors=100_000) != [(1032 * 336, GREEN)]


def test_transparent_parts_show_the_background(design: CardDesign) -> None:
    clear = picture((480, 150), colour="#00000000", mode="RGBA")

    assert opened(google_logo(replace(design, sources={"logo": clear}))).getpixel((120, 300)) == GREEN
