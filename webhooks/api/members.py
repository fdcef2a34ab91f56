"""Members: found, enrolled, their points told and corrected."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flows import adjusting, calls, explaining, people, segmenting, sheets
from flows.people import Names
from webhooks.api import told

if TYPE_CHECKING:
    from webhooks.api import answers, asked
    from webhooks.api.calls import Call


def find(call: Call, query: asked.FindMember) -> answers.Member:
    return told.member(call.rt, sheets.member(call.rt, query.names()))


def ring(call: Call, query: asked.IncomingCall) -> answers.Call:
    return told.call(call.rt, calls.look_up(call.rt, query.phone))


def show(call: Call, member_id: int) -> answers.Member:
    return told.member(call.rt, sheets.member(call.rt, Names(member_id=member_id)))


def statement(call: Call, member_id: int, query: asked.PageOfStatement) -> answers.Statement:
    living = _living(call, member_id)
    lines = explaining.statement(call.rt, living, limit=query.limit, before=query.before)
    return told.statement(living, lines, limit=query.limit)


def balance(call: Call, member_id: int, query: asked.AtMoment) -> answers.BalanceAt:
    return told.balance_at(explaining.balance_at(call.rt, member_id, query.at, with_lines=False))


def create(call: Call, body: asked.NewMember) -> answers.Member:
    seal = call.sealing(partial(told.member, call.rt))
    return told.member(call.rt, sheets.new_member(call.rt, body.person(), seal))


def adjust(call: Call, member_id: int, body: asked.Adjust) -> answers.MemberBalance:
    wanted = body.adjustment(actor=call.caller.actor, key=call.key)
    return told.member_balance(adjusting.adjust(call.rt, _living(call, member_id), wanted))


def reward(call: Call, member_id: int, body: asked.Reward) -> answers.MemberBalance:
    living = _living(call, member_id)
    return told.member_balance(adjusting.reward(call.rt, living, body.code, key=call.key, actor=call.caller.actor))


def merge(call: Call, member_id: int, body: asked.Merge) -> answers.MemberBalance:
    return told.member_balance(people.merge(call.rt, from_id=member_id, into_id=body.into))


def put_in_segment(call: Call, member_id: int, body: asked.Segment) -> answers.MemberBalance:
    return told.member_balance(segmenting.put_by_hand(call.rt, _living(call, member_id), body.code))


def _living(call: Call, member_id: int) -> int:
    """Who was merged into another is that other. Raises MemberNotFound."""
    return sheets.member_id(call.rt, Names(member_id=member_id))
