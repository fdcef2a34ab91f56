"""What a verdict on an acquirer's callback says: lines for a person, data for a program.

Owns the words. Readable without colour. Texts from outside are shown so that no control character reaches the terminal.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from connector.acquiring.base import SECRET_MASK, Check, Ignored, NeedsFetch, NeedsPerson
from loyalty.events import PaymentFacts
from loyalty.phrases import roubles
from loyalty.wording import NO_BREAK_SPACE, thousands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connector.acquiring.base import Ack, Parsed
    from flows.matching import Waiting
    from flows.payment_check import Verdict
    from flows.payment_links import Shown

SHOWN_CHARS_MAX = 4_000
_STATUSES = {
    "authorised": "деньги удержаны, ещё не списаны",
    "captured": "оплачено",
    "voided": "удержание снято",
    "failed": "платёж не прошёл",
    "refunded": "деньги возвращены",
}
_REFUNDS = {"refund": "возврат", "chargeback": "спор с банком"}
_FOUND = {"order number": "номер заказа", "phone": "телефон", "e-mail": "почта"}
_LINKS = {
    "wanted": "создаётся",
    "open": "можно оплатить",
    "closing": "закрывается, банк ещё не подтвердил",
    "refused": "банк не создал",
}
_LABEL_WIDTH = 13


def verdict_lines(verdict: Verdict, hint: str) -> list[str]:
    """The whole report."""
    lines = [f"{verdict.title_ru}: {_judgement(verdict)}"]
    for check in verdict.checks:
        lines += _check_lines(check)
    if hint:
        lines.append(f"Подсказка: {hint}")
    if verdict.meaning is not None:
        lines += [f"Событие: {shown(verdict.event_id)}", *_meaning_lines(verdict.meaning)]
    elif verdict.unreadable:
        lines.append(f"Событие: не читается ({verdict.unreadable}); сервис сохранит его и передаст человеку")
    lines.append(f"Ответ сервиса: {_reply(verdict.reply)}")
    return lines


def unmatched_lines(payment: Waiting) -> list[str]:
    """A payment that waits for a person, and the deals it may belong to."""
    name = f"{payment.acquirer}:{shown(payment.payment_ref)}"
    lines = [f"{name}  {roubles(payment.captured_kopecks)}  {payment.heard_at:%d.%m.%Y %H:%M} UTC"]
    for one in payment.suggested:
        price = roubles(int(one["price_kopecks"]))
        lines.append(f"    похоже: сделка {one['deal']} «{shown(str(one['name']))}» {price} ({_FOUND[one['by']]})")
    return lines


def unmatched_data(payment: Waiting) -> dict[str, Any]:
    return {
        "payment": f"{payment.acquirer}:{payment.payment_ref}",
        "captured_kopecks": payment.captured_kopecks,
        "refunded_kopecks": payment.refunded_kopecks,
        "heard_at": payment.heard_at,
        "suggested": [dict(one) for one in payment.suggested],
    }


def link_lines(link: Shown) -> list[str]:
    """A payment link, what it is worth and what the acquirer said of it."""
    whose = f"сделка {link.deal_ref}" if link.shop_ref is None else f"заказ {shown(link.shop_ref)}"
    is_open = link.state == "open"
    when = f"до {link.expires_at:%d.%m.%Y %H:%M}" if is_open else f"с {link.created_at:%d.%m.%Y %H:%M}"
    lines = [f"{whose}  {link.acquirer}  {roubles(link.amount_kopecks)}  {_LINKS[link.state]}  {when} UTC"]
    told = link.url if is_open else link.reason
    return [*lines, f"    {shown(told)}"] if told else lines


def link_data(link: Shown) -> dict[str, Any]:
    return asdict(link)


def _judgement(verdict: Verdict) -> str:
    if not verdict.is_genuine:
        return "уведомление НЕ подлинное"
    is_signed = any(check.hashed for check in verdict.checks)
    return "уведомление подлинное" if is_signed else "уведомление без подписи, принято как повод перечитать платёж"


def verdict_data(verdict: Verdict, hint: str) -> dict[str, Any]:
    meaning = verdict.meaning
    return {
        "acquirer": verdict.acquirer,
        "genuine": verdict.is_genuine,
        "checks": [_check_data(check) for check in verdict.checks],
        "hint": hint,
        "event_id": verdict.event_id,
        "event": None if meaning is None else {"type": type(meaning).__name__, **asdict(meaning)},
        "unreadable": verdict.unreadable,
        "reply": {
            "status": verdict.reply.status,
            "content_type": verdict.reply.content_type,
            "body": verdict.reply.body.decode("utf-8", "replace"),
        },
    }


def _check_data(check: Check) -> dict[str, Any]:
    texts = {"hashed": check.hashed, "expected": check.expected, "given": check.given}
    return {"what": check.what_ru, "good": check.is_good, **texts, "differs_at": first_difference(check)}


def first_difference(check: Check) -> int | None:
    """The first character, from 1, in which what came is not what should have come; None if there is none."""
    if check.is_good or not check.expected or not check.given:
        return None
    pairs = zip(check.expected, check.given, strict=False)
    shorter = min(len(check.expected), len(check.given))
    return next((place for place, (ours, theirs) in enumerate(pairs, 1) if ours != theirs), shorter + 1)


def shown(text: str) -> str:
    """Text from outside on one line: what cannot be seen is written as an escape, what is too long is cut."""
    cut = text[:SHOWN_CHARS_MAX]
    seen = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
    rest = len(text) - len(cut)
    return f"{seen}… и ещё {_number(rest)} знаков" if rest else seen


def _check_lines(check: Check) -> Iterator[str]:
    verdict = "" if ":" in check.what_ru else f": {_agreed(check)}"
    yield f"  [{'да' if check.is_good else 'НЕТ'}] {check.what_ru}{verdict}"
    if check.hashed:
        masked = f" ({SECRET_MASK} вместо секрета)" if SECRET_MASK in check.hashed else ""
        yield f"        подписан текст{masked}:"
        yield f"          {shown(check.hashed)}"
    if check.is_good or not (check.expected or check.given):
        return
    if check.expected:
        yield f"        ожидали: {shown(check.expected)}"
    yield f"        пришло:  {shown(check.given) or '(ничего)'}"
    place = first_difference(check)
    if place is not None and check.hashed:
        yield f"        различаются с {place}-го знака; длина {len(check.expected)} и {len(check.given)}"


def _agreed(check: Check) -> str:
    """«сошлась» or «не сошёлся», by the gender of the first word."""
    word = check.what_ru.split(" ", 1)[0]
    verb = "сошлось" if word.endswith(("о", "е", "мя")) else "сошлась" if word.endswith(("а", "я", "ь")) else "сошёлся"
    return verb if check.is_good else f"не {verb}"


def _meaning_lines(meaning: Parsed) -> list[str]:
    if isinstance(meaning, NeedsFetch):
        return [f"  только повод перечитать платёж {meaning.payment_ref} у банка: суммы возьмутся оттуда"]
    if isinstance(meaning, Ignored):
        return [f"  для баллов ничего не значит: {meaning.reason}"]
    if isinstance(meaning, NeedsPerson):
        return [f"  решает человек: {meaning.reason_ru}"]
    return [f"  {label:{_LABEL_WIDTH}} {shown(value)}" for label, value in _facts(meaning) if value]


def _facts(facts: PaymentFacts) -> Iterator[tuple[str, str]]:
    yield "что", _STATUSES[facts.status] + (" (тестовый платёж)" if facts.is_test else "")
    yield "платёж", facts.payment_ref
    yield "сделка", str(facts.deal_ref or "не названа")
    yield "номер заказа", facts.order_ref
    yield "счёт amoCRM", str(facts.invoice_ref or "")
    yield "получено", _roubles(facts.captured_kopecks) if facts.captured_kopecks else ""
    yield "возвращено", _returned(facts)
    for refund in facts.refunds:
        undone = ", отменён" if refund.is_undone else ""
        yield _REFUNDS[refund.kind], f"{refund.ref}: {_roubles(refund.kopecks)}{undone}"
    yield "телефон", facts.payer.phone
    yield "почта", facts.payer.email
    yield "когда", f"{facts.occurred_at:%d.%m.%Y %H:%M:%S} UTC" if facts.occurred_at else ""


def _returned(facts: PaymentFacts) -> str:
    if facts.refund_is_total:
        return "всё"
    return _roubles(facts.refunded_kopecks) if facts.refunded_kopecks else ""


def _roubles(kopecks: int) -> str:
    return f"{_number(kopecks // 100)},{kopecks % 100:02} ₽"


def _number(number: int) -> str:
    """With plain spaces: a terminal may show the others as it likes."""
    return thousands(number).replace(NO_BREAK_SPACE, " ")


def _reply(ack: Ack) -> str:
    body = shown(ack.body.decode("utf-8", "replace")) or "(пустое тело)"
    return f"{ack.status}, {ack.content_type}, {body}"
