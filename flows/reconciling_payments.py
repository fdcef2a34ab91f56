"""One payment at its acquirer and in our books: asked for, judged, taken over or put before a person.

The judgement is `loyalty/reconciliation.py`; what is taken over goes the way of every callback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connector.acquiring.base import Ignored, NeedsPerson, NotOurs
from connector.errors import ConnectorError, NeedsReauth, NotConfigured
from flows import found_facts
from flows.found_facts import Found
from flows.reconciled import Line
from loyalty.events import PaymentFacts
from loyalty.phrases import roubles
from loyalty.reconciliation import NOTHING_TAKEN, judge, told_back_kopecks

if TYPE_CHECKING:
    from connector.acquiring.base import Acquirer, Fetched
    from connector.acquiring.listing import Unread
    from flows.runtime import Runtime
    from loyalty.reconciliation import Known
    from storage.payments import Payment


@dataclass(frozen=True)
class Told:
    """What an acquirer says of one payment: `facts`, a `question` for a person, the reason why it says nothing
    (`silent`, and `is_away` if it did not answer at all), or that no money moved (none of these)."""

    payment_ref: str
    facts: PaymentFacts | None = None
    question: str = ""
    silent: str = ""
    is_away: bool = False


def asked(acquirer: Acquirer, payment: Payment) -> Told:
    """A payment of our books as its acquirer has it now."""
    ref = payment.payment_ref
    try:
        found: Fetched = acquirer.fetch(ref)
    except NotConfigured:
        return Told(ref, silent=f"{acquirer.title_ru}: спросить о платеже нельзя, сверьте в кабинете")
    except ConnectorError as failure:
        if failure.retryable or isinstance(failure, NeedsReauth):
            return Told(ref, silent=f"{acquirer.title_ru} не отвечает ({failure.code})", is_away=True)
        return Told(
            ref, silent=f"{acquirer.title_ru}: ответ о платеже не читается ({failure.code}), сверьте в кабинете"
        )
    return _said(acquirer, payment, found)


def _said(acquirer: Acquirer, payment: Payment, found: Fetched) -> Told:
    ref = payment.payment_ref
    if isinstance(found, PaymentFacts):
        return Told(ref, None if found.is_test else found)
    if isinstance(found, NeedsPerson):
        return Told(ref, question=_naming(acquirer, ref, found.reason_ru))
    if isinstance(found, NotOurs) and payment.totals.moved_money:
        return Told(
            ref, question=f"{acquirer.title_ru} не знает платежа {ref}, а у нас он записан. Проверьте магазин и ключи."
        )
    if isinstance(found, Ignored) and payment.totals.moved_money:
        return Told(ref, silent=f"{acquirer.title_ru} не говорит о деньгах этого платежа ({found.reason})")
    return Told(ref)


def _naming(acquirer: Acquirer, ref: str, question: str) -> str:
    """A person must know which payment is meant."""
    return question if ref in question else f"Платёж {acquirer.name}:{ref}. {question}"


def line_of(
    rt: Runtime, acquirer: str, told: Told, payment: Payment | None, books: Known | None, *, repair: bool
) -> Line | None:
    """None: no money moved, nothing to tell. With `repair`, what our books lack and what a person must answer becomes
    a row of the inbox."""
    line = Line(
        acquirer,
        told.payment_ref,
        "away" if told.is_away else "unasked" if told.silent else "agrees",
        at=None if payment is None else payment.captured_at or payment.created_at,
        our_captured_kopecks=None if payment is None else payment.captured_kopecks,
        our_refunded_kopecks=None if books is None else books.given_back_kopecks,
        notes=(told.silent,) if told.silent else (),
    )
    if told.question:
        return _put_before_person(rt, line, told.question, repair=repair)
    if told.facts is None:
        return None if payment is None else line
    finding = judge(told.facts, books)
    if finding == "less" and payment is not None:
        told = _asked_again(rt, told, payment)
        finding = "agrees" if told.facts is None else judge(told.facts, books)
    if finding == "nothing":
        return None
    line = line if told.facts is None else _with_bank(line, told.facts)
    if finding == "less":
        return _put_before_person(rt, line, _too_much(line), repair=repair)
    if finding in ("unheard", "more"):
        return _taken_over(rt, line, told, is_new=finding == "unheard", repair=repair)
    if payment is not None and payment.order_id is None and payment.totals.moved_money:
        note = f"сделка неизвестна: kopilka payments match {acquirer}:{told.payment_ref} НОМЕР_СДЕЛКИ"
        return replace(line, verdict="person", notes=(note,))
    return line


def _asked_again(rt: Runtime, told: Told, payment: Payment) -> Told:
    """Our books may have heard more than the acquirer had said a moment before; what it says after they were read
    counts."""
    again = asked(rt.acquirers[payment.acquirer], payment)
    return told if again.silent or again.question else again


def _taken_over(rt: Runtime, line: Line, told: Told, *, is_new: bool, repair: bool) -> Line:
    what = "о платеже не сообщали" if is_new else "сообщили не всё"
    if not repair:
        return replace(line, verdict="would_repair", notes=(f"{what}: будет учтено",))
    refusal = _keep(rt, Found(line.acquirer, told.payment_ref, told.facts))
    if refusal is not None:
        return replace(line, verdict="person", notes=(f"{what}, учесть не удалось: {refusal} (kopilka events)",))
    return replace(line, verdict="repaired", notes=(f"{what}: учитывается",))


def _with_bank(line: Line, facts: PaymentFacts) -> Line:
    """Zero means that the acquirer does not say, unless it has told the whole payment; so does less than we know."""
    captured, refunded = facts.captured_kopecks, told_back_kopecks(facts)
    is_silent = not facts.is_whole and refunded < (line.our_refunded_kopecks or 0)
    return replace(
        line,
        at=line.at or facts.occurred_at,
        bank_captured_kopecks=captured if captured or facts.is_whole or facts.status in NOTHING_TAKEN else None,
        bank_refunded_kopecks=None if is_silent else refunded,
    )


def _too_much(line: Line) -> str:
    return (
        f"В книге по платежу {line.acquirer}:{line.payment_ref} списано {roubles(line.our_captured_kopecks or 0)}, "
        f"возвращено {roubles(line.our_refunded_kopecks or 0)}, у банка {roubles(line.bank_captured_kopecks or 0)} и "
        f"{roubles(line.bank_refunded_kopecks or 0)}. Сверьте в кабинете банка: если прав он, поправьте баллы "
        "участника (kopilka member adjust)"
    )


def unread(rt: Runtime, acquirer: str, row: Unread, *, repair: bool) -> Line:
    """A row of a list that is not understood."""
    where = f"{rt.acquirers[acquirer].title_ru}: строка о платеже {row.payment_ref or 'без номера'} не читается"
    line = Line(acquirer, row.payment_ref, "person")
    return _put_before_person(rt, line, f"{where} ({row.reason}). Сверьте его в кабинете банка", repair=repair)


def _put_before_person(rt: Runtime, line: Line, question: str, *, repair: bool) -> Line:
    if repair:
        _keep(rt, Found(line.acquirer, line.payment_ref, question=question))
    return replace(line, verdict="person", notes=(question,))


def _keep(rt: Runtime, found: Found) -> str | None:
    with rt.db.begin() as tx:
        return found_facts.keep(tx, found, now=rt.now())
