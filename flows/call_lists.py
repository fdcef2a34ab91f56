"""Call lists for managers: whom to call and whom not, and why; making the list; stopping it.

Owns the choice. The tasks are written by `call_writing.py`, their results are read by `call_results.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from connector.amocrm import installing
from connector.errors import Refused
from loyalty.calendar import local_day, start_of_day
from loyalty.call_texts import PLACES, TEMPLATE_MAX, BadPlace, check_template
from loyalty.segments import by_code
from storage import call_lists, call_people, outbox
from storage.call_lists import NewList

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.call_people import Candidate

TITLE_MAX = 120
CALLS_MAX = 5_000
CANDIDATES_MAX = 50_000
DUE_WITHIN_DAYS = 366
ANY_POINTS = -(2**31)
STOPPED = "список остановлен"
LEFT_OUT = {
    "withdrew": "просил не звонить",
    "no_contact": "нет контакта в CRM",
    "no_phone": "нет телефона",
    "listed": "недавно был в списке",
    "over_limit": "сверх предела списка",
}


class ListRefused(Exception):
    """The list cannot be made; `mend` says what to do."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.mend = mend


@dataclass(frozen=True)
class Wish:
    """Whom to call and what to say. `rest_days`: who was on a list within so many days is left in peace."""

    segment_code: str
    title: str
    template: str
    due_on: date
    min_points: int | None = None
    burning_within_days: int | None = None
    responsible_ref: int | None = None
    limit: int = 200
    tries: int = 3
    again_after_days: int = 2
    rest_days: int = 30


@dataclass(frozen=True)
class Choice:
    """`list_id` None: it was only looked at. `left_out`: members by the reason, a key of LEFT_OUT. `is_cut`: the
    segment is larger than one look reads."""

    list_id: int | None
    chosen: Sequence[Candidate]
    left_out: Mapping[str, Sequence[Candidate]]
    is_cut: bool


def look(rt: Runtime, wish: Wish) -> Choice:
    """Who would be called. Changes nothing. Raises ListRefused, ConnectorError."""
    _check(rt, wish)
    with rt.db.begin() as tx:
        return _choose(tx, rt, wish)


def make(rt: Runtime, wish: Wish) -> Choice:
    """Makes the list as it comes out now; the tasks are written by the worker. Raises ListRefused, ConnectorError."""
    _check(rt, wish)
    now = rt.now()

    def work(tx: sa.Connection) -> Choice:
        call_lists.one_at_a_time(tx)
        choice = _choose(tx, rt, wish)
        if not choice.chosen:
            return choice
        new = NewList(
            title=wish.title.strip(),
            template=wish.template,
            segment_code=wish.segment_code,
            due_on=wish.due_on,
            responsible_ref=wish.responsible_ref,
            tries=wish.tries,
            again_after_days=wish.again_after_days,
        )
        list_id = call_lists.add_list(tx, new, now=now)
        members = [one.member_id for one in choice.chosen]
        outbox.add(tx, "task", call_lists.add_tasks(tx, list_id, members, due_on=wish.due_on, now=now), now=now)
        return Choice(list_id, choice.chosen, choice.left_out, choice.is_cut)

    made = rt.db.run(work)
    if made.list_id is not None:
        rt.bell.ring("outbox", made.list_id)
    return made


def stop(rt: Runtime, list_id: int) -> tuple[int, int]:
    """How many tasks will not be written, and how many are open with people. Raises ListRefused."""
    stopped = rt.db.run(lambda tx: call_lists.stop(tx, list_id, why=STOPPED, now=rt.now()))
    if stopped is None:
        raise ListRefused(f"Списка {list_id} нет", "номера списков покажет kopilka calls report")
    return stopped


def _choose(tx: sa.Connection, rt: Runtime, wish: Wish) -> Choice:
    now, zone = rt.now(), rt.programme.timezone
    burn_until = None
    if wish.burning_within_days is not None:  # the last valid day is one of these; the instant is the one after it
        burn_until = start_of_day(local_day(now, zone) + timedelta(days=wish.burning_within_days + 1), zone)
    found = call_people.candidates(
        tx,
        segment_code=wish.segment_code,
        min_points=ANY_POINTS if wish.min_points is None else wish.min_points,
        burn_until=burn_until,
        now=now,
        limit=CANDIDATES_MAX,
    )
    chosen: list[Candidate] = []
    left_out: dict[str, list[Candidate]] = {}
    for one in found:
        reason = _reason(one, wish, rt)
        if reason is None and len(chosen) >= wish.limit:
            reason = "over_limit"
        if reason is None:
            chosen.append(one)
        else:
            left_out.setdefault(reason, []).append(one)
    return Choice(None, chosen, left_out, is_cut=len(found) == CANDIDATES_MAX)


def _reason(one: Candidate, wish: Wish, rt: Runtime) -> str | None:
    if one.has_withdrawn:
        return "withdrew"
    if not one.has_contact:
        return "no_contact"
    if not one.has_phone:
        return "no_phone"
    if one.listed_at is not None and one.listed_at > rt.now() - timedelta(days=wish.rest_days):
        return "listed"
    return None


def _check(rt: Runtime, wish: Wish) -> None:
    """Raises ListRefused."""
    if rt.crm is None:
        raise ListRefused("amoCRM не подключена: задачи ставить некуда", "kopilka amocrm link")
    if by_code(wish.segment_code, rt.programme.segments) is None:
        known = ", ".join(rule.code for rule in rt.programme.segments) or "в правилах сегментов нет"
        raise ListRefused(f"Нет сегмента {wish.segment_code!r}", f"выберите из: {known}")
    if not 1 <= len(wish.title.strip()) <= TITLE_MAX:
        raise ListRefused("Название списка пустое или слишком длинное", f"до {TITLE_MAX} знаков")
    if not len(wish.template.strip()) >= 1 or len(wish.template) > TEMPLATE_MAX or "\x00" in wish.template + wish.title:
        raise ListRefused("Текст задачи пустой или слишком длинный", f"до {TEMPLATE_MAX} знаков")
    try:
        check_template(wish.template)
    except BadPlace as bad:
        places = ", ".join(f"{{{one}}}" for one in PLACES)
        mend = f"напишите {{{bad.like}}}" if bad.like else f"подставить можно: {places}"
        raise ListRefused(f"В тексте задачи есть {{{bad.place}}}, а подставить нечего", mend) from bad
    today = local_day(rt.now(), rt.programme.timezone)
    if not today <= wish.due_on <= today + timedelta(days=DUE_WITHIN_DAYS):
        raise ListRefused(f"Срок {wish.due_on:%d.%m.%Y} не подходит", "назовите день от сегодняшнего до года вперёд")
    if wish.responsible_ref is not None:
        _check_responsible(rt, wish.responsible_ref)


def _check_responsible(rt: Runtime, user_ref: int) -> None:
    """amoCRM would give the tasks of a user who is gone to nobody."""
    if rt.crm is None:
        return
    try:
        user = installing.user(rt.crm, user_ref)
    except Refused:  # only an administrator may look at users: then amoCRM itself decides
        return
    if user is None or not user.is_active:
        raise ListRefused(f"В amoCRM нет работающего пользователя {user_ref}", "номер виден в адресе его карточки")
