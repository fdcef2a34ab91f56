"""Fixtures of the rules' tests: the programme of the worked examples and an empty book that follows it."""

from __future__ import annotations

import pytest
from loyalty_book import RULES, Book

from loyalty.programme import Programme


@pytest.fixture
def programme() -> Programme:
    """10 % after 14 days for 180 days, 300 welcome points at once for 60 days."""
    return RULES


@pytest.fixture
def book() -> Book:
    return Book(RULES)
