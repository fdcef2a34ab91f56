"""Whom the browser tests speak of."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page


@dataclass
class Person:
    """A page, and everything the browser complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def looks_at(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})


@dataclass
class Sold:
    """A paid deal whose points have reached the CRM."""

    deal_id: int
    contact_id: int
    card_url: str
