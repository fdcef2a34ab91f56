"""Whole lists of the account, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connector.amocrm.client import AmoCrm
from connector.amocrm.exports import Place, SoldDeal, Span
from connector.errors import BadReply

STAGES = {(77, 142), (77, 5)}
NEXT = {"_links": {"next": {"href": "https://elsewhere.example/?page=2"}}}


def _row(lead_id: int, created_at: int, **more: object) -> dict[str, object]:
    known = {"id": lead_id, "pipeline_id": 77, "status_id": 142, "price": 10, "closed_at": 1_760_976_072}
    return {**known, "created_at": created_at, "_embedded": {"contacts": [{"id": 6, "is_main": True}]}, **more}


def test_a_page_begins_at_the_second_of_the_last_row_before_it(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/leads", {**amo.rows("leads", _row(1, 100), _row(3, 200), _row(2, 200)), **NEXT})

    page = crm.sold_deals(STAGES, Place(50))

    assert [one.id for one in page.rows] == [1], "of the last second nothing: it is whole in the next page"
    assert page.next == Place(200)
    assert dict(amo.query()) == {
        "filter[statuses][0][pipeline_id]": "77",
        "filter[statuses][0][status_id]": "5",
        "filter[statuses][1][pipeline_id]": "77",
        "filter[statuses][1][status_id]": "142",
        "filter[created_at][from]": "50",
        "order[created_at]": "asc",
        "with": "contacts",
        "page": "1",
        "limit": "250",
    }


def test_a_second_that_fills_a_page_is_read_by_numbers(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/leads", {**amo.rows("leads", _row(1, 200), _row(2, 200)), **NEXT})
    assert crm.sold_deals(STAGES, Place(200)).next == Place(200, 1)

    middle = crm.sold_deals(STAGES, Place(200, 1))

    assert [one.id for one in middle.rows] == [1, 2]
    assert middle.next == Place(200, 2)
    asked = dict(amo.query())
    assert (asked["filter[created_at][to]"], asked["order[id]"]) == ("200", "asc")


def test_after_the_last_page_of_a_full_second_the_next_second_follows(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _row(9, 200)))

    assert crm.sold_deals(STAGES, Place(200, 3)).next == Place(201)


def test_the_last_page_is_handed_over_whole(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/leads", amo.rows("leads", _row(1, 100), _row(2, 200)))

    page = crm.sold_deals(STAGES, Place())

    assert ([one.id for one in page.rows], page.next, page.last_id) == ([1, 2], None, 2)


def test_an_empty_list_has_no_pages_and_no_ends(crm: AmoCrm, amo: Any) -> None:
    amo.web.add("GET", amo.api + "/customers", status=204)

    assert crm.all_customers(Place()).next is None
    assert crm.customers_span() is None


def test_a_list_lies_between_its_oldest_row_and_its_newest(crm: AmoCrm, amo: Any) -> None:
    amo.hal("GET", "/contacts", amo.rows("contacts", {"id": 8}))

    assert crm.contacts_span() == Span(8, 8)


@pytest.mark.parametrize("rows", [[_row(1, 300), _row(2, 200)], [_row(1, 100)]])
def test_an_account_whose_filter_is_off_is_not_believed(crm: AmoCrm, amo: Any, rows: list[dict[str, object]]) -> None:
    """Out of order, or older than asked for: going on would miss rows."""
    amo.hal("GET", "/leads", amo.rows("leads", *rows))

    with pytest.raises(BadReply, match="filter"):
        crm.sold_deals(STAGES, Place(150))


def test_a_deal_is_sold_when_it_was_closed_or_changed_last(crm: AmoCrm, amo: Any) -> None:
    unclosed = _row(2, 2, closed_at=None, updated_at=1_700_000_000, price="сто", is_deleted=True, _embedded={})
    amo.hal("GET", "/leads", amo.rows("leads", _row(1, 1), unclosed))

    closed, changed = crm.sold_deals(STAGES, Place()).rows

    at = datetime(2025, 10, 20, 16, 1, 12, tzinfo=UTC)
    made_at = datetime.fromtimestamp(1, UTC)
    assert closed == SoldDeal(1, 77, 142, 1000, 6, is_deleted=False, sold_at=at, made_at=made_at, is_closed=True)
    assert (changed.price_kopecks, changed.contact_id, changed.is_deleted) == (None, None, True)
    assert changed.sold_at == datetime.fromtimestamp(1_700_000_000, UTC)
