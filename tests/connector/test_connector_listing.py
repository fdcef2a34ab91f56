"""The walk over an acquirer's pages: whole, and never without end."""

from __future__ import annotations

import pytest

from connector.acquiring.listing import PAGES_MAX, next_number, walked
from connector.errors import BadReply


def test_every_page_is_read_once() -> None:
    pages = {"": ([{"n": 1}, {"n": 2}], "a"), "a": ([], "b"), "b": ([{"n": 3}], "")}

    assert [item["n"] for item in walked(lambda cursor: pages[cursor])] == [1, 2, 3]


@pytest.mark.parametrize(
    "page",
    [
        lambda cursor: ([{}], "same"),
        lambda cursor: ([{}], str(int(cursor or 0) + 1)),
        lambda cursor: ({"not": "a list"}, ""),
        lambda cursor: ([1], ""),
        lambda cursor: (None, ""),
    ],
    ids=["circle", "endless", "object", "numbers", "nothing"],
)
def test_a_list_that_is_none_is_refused(page: object) -> None:
    with pytest.raises(BadReply):
        list(walked(page))  # type: ignore[arg-type]


def test_numbered_pages_end_with_one_that_is_not_full() -> None:
    assert next_number("", [{}] * 100) == "2"
    assert next_number("2", [{}] * 99) == ""
    assert PAGES_MAX == 1000
