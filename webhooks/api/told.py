"""Values of flows as answers of the API. Decides nothing: every number was counted elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from loyalty.basket import Basket
from loyalty.orders import unit_counts
from webhooks.api import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.calls import Call, Caller
    from flows.explaining import BalanceReport, Cited
    from flows.quoting import Quoted
    from flows.runtime import Runtime
    from flows.sheets import HoldSheet, MemberSheet, OrderSheet
    from flows.shop import OrderResult
    from loyalty.burning import Burn
    from loyalty.ledger import Balance

Status = Literal["open", "paid", "partly_returned", "returned"]


def member(rt: Runtime, sheet: MemberSheet) -> answers.Member:
    one = sheet.member
    return answers.Member(
        id=one.id,
        contact=one.contact_ref,
        name=_short_name(one.name),
        phones=list(sheet.phones),
        card=answers.Card(number=one.card_number, url=rt.card_url(one.card_token)),
        segment=one.segment_code,
        segment_title=sheet.segment_title,
        balance=balance(one.balance),
        next_burn=None if sheet.next_burn is None else _burn(sheet.next_burn),
        burns=[_burn(burn) for burn in sheet.burns],
        duplicates=list(sheet.duplicates),
        statement=[_movement(line, cited) for line, cited in sheet.lines],
    )


def call(rt: Runtime, found: Call) -> answers.Call:
    """Who calls, or how to make a member of him."""
    form = answers.NewCaller(
        method="POST",
        url=f"{rt.settings.public_url}/api/v1/members",
        fields=["name", "phone", "email", "birthday"],
        filled={"phone": found.phone},
    )
    return answers.Call(
        phone=found.phone,
        callers=[_caller(rt, one) for one in found.callers],
        form=None if found.callers else form,
    )


def _caller(rt: Runtime, one: Caller) -> answers.Caller:
    return answers.Caller(
        member_id=one.member.id,
        name=_short_name(one.member.name),
        text=one.text,
        open_url=one.open_url,
        card=answers.Card(number=one.member.card_number, url=rt.card_url(one.member.card_token)),
        balance=balance(one.member.balance),
    )


def link(order: str, one: Any) -> answers.PaymentLink:
    """A link by which an order is paid."""
    return answers.PaymentLink(
        order=order,
        url=one.url,
        amount_kopecks=one.amount_kopecks,
        acquirer=one.acquirer,
        expires_at=one.expires_at,
    )


def member_balance(one: Any) -> answers.MemberBalance:
    """A member after his points or his segment were changed."""
    return answers.MemberBalance(member_id=one.id, segment=one.segment_code, balance=balance(one.balance))


def balance(one: Balance) -> answers.Balance:
    return answers.Balance(available=one.available, pending=one.pending, reserved=one.reserved, debt=one.debt)


def statement(member_id: int, lines: Sequence[Cited], *, limit: int) -> answers.Statement:
    told = [_statement_line(one) for one in lines]
    return answers.Statement(
        member_id=member_id,
        lines=told,
        sums=answers.Changed(
            available=sum(one.change.available for one in told),
            pending=sum(one.change.pending for one in told),
            reserved=sum(one.change.reserved for one in told),
            debt=sum(one.change.debt for one in told),
        ),
        next_before=lines[-1].id if len(lines) == limit else None,
    )


def balance_at(report: BalanceReport) -> answers.BalanceAt:
    return answers.BalanceAt(
        member_id=report.member.id,
        at=report.at,
        balance=balance(report.balance),
        parts=[answers.Part(text=one.text, points=one.points, account=one.account) for one in report.parts],
        burns=[_burn(one) for one in report.burns],
    )


def quote(quoted: Quoted) -> answers.Quote:
    found = quoted.checkout
    return answers.Quote(
        member_id=quoted.member.id,
        max_redeem=found.spending.max_points,
        will_redeem=found.spending.points,
        refusal=found.spending.refusal,
        due_kopecks=found.due_kopecks,
        will_accrue=quoted.will_accrue,
        welcome=quoted.welcome,
        limit_reason=quoted.limit_reason,
        available_at=quoted.available_at,
        lines=[
            answers.QuoteLine(
                line=number,
                net_kopecks=line.net_kopecks,
                points_spent=line.points_spent,
                due_kopecks=line.due_kopecks,
                earned=line.earned,
            )
            for number, line in enumerate(found.lines, start=1)
        ],
        explain=[
            answers.Explained(text=line.text, points=line.points, rule=line.rule, rule_line=place)
            for line, place in quoted.lines
        ],
        rules_version=quoted.rules_version,
    )


def hold(sheet: HoldSheet) -> answers.Hold:
    one: Any = sheet.hold
    return answers.Hold(
        id=one.public_id,
        order=sheet.order_ref,
        member_id=one.member_id,
        state=one.state,
        points=one.points,
        due_kopecks=sheet.due_kopecks,
        expires_at=one.expires_at,
        confirm=sheet.confirm,
    )


def order(sheet: OrderSheet) -> answers.Order:
    one = sheet.result.order
    lines = () if one.basket is None else Basket.from_data(one.basket).lines
    returned = _returned(sheet.result)
    return answers.Order(
        order=one.shop_ref or "",
        member_id=sheet.result.member.id,
        status=_status(sheet.result),
        channel=one.channel,
        paid_channel=one.paid_channel,
        paid_kopecks=one.shop_paid_kopecks,
        kept_kopecks=one.kept_kopecks,
        accrued=one.accrued,
        welcome=one.welcomed,
        redeemed=one.redeemed,
        restored=one.restored,
        limit_reason=one.limit_reason,
        hold=sheet.hold_public_id,
        lines=[
            answers.OrderLine(line=number, sku=line.sku, qty=line.qty, returned=back)
            for number, (line, back) in enumerate(zip(lines, returned, strict=True), start=1)
        ],
    )


def paid(result: OrderResult, *, duplicate_of: str | None) -> answers.Paid:
    one = result.order
    return answers.Paid(
        order=one.shop_ref or "",
        member_id=result.member.id,
        status=_status(result),
        accrued=one.accrued,
        redeemed=one.redeemed,
        welcome=one.welcomed,
        limit_reason=one.limit_reason,
        duplicate=result.is_repeat,
        duplicate_of=duplicate_of,
        segment=result.member.segment_code,
        balance=balance(result.member.balance),
    )


def refunded(result: OrderResult) -> answers.Refunded:
    moved = {move: sum(one.points for one in result.moved if one.move == move) for move in _RETURN_MOVES}
    return answers.Refunded(
        order=result.order.shop_ref or "",
        member_id=result.member.id,
        status=_status(result),
        money_back_kopecks=result.money_back_kopecks,
        points_returned=moved["restore"],
        points_taken_back=moved["reverse"] + moved["write_off"],
        written_off=moved["write_off"],
        duplicate=result.is_repeat,
        balance=balance(result.member.balance),
    )


_RETURN_MOVES = ("restore", "reverse", "write_off")


def _status(result: OrderResult) -> Status:
    one = result.order
    if one.counted_at is None:
        return "open"
    returned = _returned(result)
    quantities = [] if one.basket is None else [line.qty for line in Basket.from_data(one.basket).lines]
    money_is_gone = bool(one.shop_paid_kopecks) and one.shop_returned_kopecks >= (one.shop_paid_kopecks or 0)
    if money_is_gone or (quantities and returned == quantities):
        return "returned"
    return "partly_returned" if any(returned) or one.shop_returned_kopecks else "paid"


def _returned(result: OrderResult) -> list[int]:
    """Units of each line that came back."""
    one = result.order
    return [] if one.basket is None else unit_counts(Basket.from_data(one.basket), one.returned)


def _statement_line(one: Cited) -> answers.StatementLine:
    change = one.line.change
    return answers.StatementLine(
        id=one.id,
        at=one.at,
        move=one.move,
        text=one.line.text,
        points=one.line.points,
        change=answers.Changed(
            available=change.available, pending=change.pending, reserved=change.reserved, debt=change.debt
        ),
        event=one.line.event,
        rule=one.line.rule,
        rule_line=one.rule_line,
        rules_version=one.line.rules_version,
    )


def _movement(line: Any, cited: Cited) -> answers.Movement:
    return answers.Movement(
        id=line.id,
        recorded_at=line.recorded_at,
        occurred_at=line.occurred_at,
        move=line.move,
        from_=line.debit,
        to=line.credit,
        points=line.points,
        source=line.lot_source,
        deal=line.deal_ref,
        order=line.shop_ref,
        channel=line.channel,
        rules_version=line.rules_version,
        activates_at=line.activates_at,
        expires_at=line.expires_at,
        text=cited.line.text,
        event=cited.line.event,
        rule=cited.line.rule,
        rule_line=cited.rule_line,
    )


def _burn(one: Burn) -> answers.Burn:
    return answers.Burn(points=one.points, on=one.on)


def _short_name(name: str) -> str:
    """«Анна П.»: the surname stays with the shop's CRM."""
    words = name.split()
    return " ".join(words[:1] + [f"{word[0]}." for word in words[1:2]])
