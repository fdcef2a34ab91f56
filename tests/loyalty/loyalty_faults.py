"""What is wrong with a book: the invariants that hold after every decision.

Six of them follow Blnk's fuzz test (reliability reference, section 1): conservation, whole components, derived
balances, no overdraft, holds accounted for, and (in `test_loyalty_account.py`) a refused move that changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loyalty import burning
from loyalty.ledger import MEMBER_ACCOUNTS

if TYPE_CHECKING:
    from loyalty_book import Book

COUNTERS = ("pending", "available", "reserved", "redeemed", "expired", "reversed", "settled", "withdrawn")


def faults(book: Book) -> Iterator[str]:
    """Nothing, if the book is whole."""
    yield from _of_accounts(book)
    yield from _of_lots(book)
    yield from _of_orders(book)


def _of_accounts(book: Book) -> Iterator[str]:
    for name in MEMBER_ACCOUNTS:
        if book.accounts[name] < 0:
            yield f"account {name} is {book.accounts[name]}"
        if name != "debt" and book.accounts[name] != sum(getattr(lot, name) for lot in book.lots.values()):
            yield f"account {name} is not the sum of the lots"
    if book.accounts["debt"] > 0 and book.accounts["available"] > 0:
        yield "there is a debt beside available points"
    scheduled = sum(burn.points for burn in burning.schedule(book.lots.values(), book.rules.timezone))
    if scheduled != book.accounts["available"]:
        yield "the schedule of burns is not the available balance"
    programme = sum(points for name, points in book.accounts.items() if name not in MEMBER_ACCOUNTS)
    if book.net != -programme:
        yield "points came from nowhere"
    entries: Counter[str] = Counter()
    for transfer in book.transfers.values():
        entries[transfer.debit] -= transfer.points
        entries[transfer.credit] += transfer.points
    entries["debt"] = -entries["debt"]
    if any(entries[name] != book.accounts[name] for name in book.accounts):
        yield "the balances are not the sum of the transfers"


def _of_lots(book: Book) -> Iterator[str]:
    for lot in book.lots.values():
        counters = [getattr(lot, name) for name in COUNTERS]
        if min(counters) < 0 or sum(counters) != lot.earned:
            yield f"lot {lot.key} accounts for {sum(counters)} of {lot.earned}"
    for transfer in book.transfers.values():
        if transfer.lot_key is not None and book.lots[transfer.lot_key].rules_version != transfer.rules_version:
            yield f"{transfer.key} cites other rules than its lot"


def _of_orders(book: Book) -> Iterator[str]:
    """The order's own sums are those of its transfers; nobody owes more than he spent or reserved for what he keeps."""
    posted: Counter[tuple[int | None, str]] = Counter()
    for transfer in book.transfers.values():
        posted[transfer.order_id, transfer.move] += transfer.points
    for number, order in book.orders.items():
        if order.reversed != posted[number, "reverse"] + posted[number, "write_off"]:
            yield f"order {number} says {order.reversed} were taken back"
        if (order.redeemed, order.restored) != (posted[number, "capture"], posted[number, "restore"]):
            yield f"order {number} says {order.redeemed} were spent and {order.restored} came back"
        if not 0 <= order.restored <= order.redeemed:
            yield f"order {number} gave back {order.restored} of {order.redeemed}"
    if book.accounts["reserved"] != sum(order.held for order in book.orders.values()):
        yield "the reserved points are not those of the open holds"
    if book.rules.refund.return_redeemed:
        spent = sum(order.redeemed - order.restored for order in book.orders.values())
        if book.accounts["debt"] > spent + book.accounts["reserved"]:
            yield f"a debt of {book.accounts['debt']} where only {spent} were spent"
