"""Messages to buyers and the channels that carry them; the first channel is e-mail.

One message at a time, its fate saved before the next begins. Nothing is sent twice: a message says that it is on its
way before the first byte leaves, and what happened to one found in that state is unknown, so it has failed. A notice
is written anew at the last moment and is dropped if it is no longer true. Only a notice that was taken in time lets
points burn. Consent, quiet hours and caps are not asked here: that gate comes with campaigns (specification of points,
section 5.8).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import structlog

from connector.errors import ConnectorError, NeedsReauth, NotConfigured, Refused, TimedOut, Unreachable
from connector.mail import Mailer, MailSettings
from flows.outgoing import Later
from loyalty import notices
from loyalty.burning import last_valid_day
from loyalty.wording import NO_BREAK_SPACE, count_text
from storage import addresses, members, messages, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from loyalty.notices import Notice
    from storage.messages import Message, State
    from storage.outbox import Kind

BATCH_FOR_S = 10.0
"""After so long the rest of a batch is put back: codes, CRM and cards wait in the same process."""

FIRST_GAP = timedelta(seconds=15)
GAP_MAX = timedelta(hours=1)
"""A message that could not be sent is tried again when it has waited twice as long, within these bounds."""

CODE_GOOD_FOR = timedelta(minutes=30)
"""A code that comes later finds nobody at the till."""

_CLOSED = {"sent": "уже отправлено", "failed": "закончено без успеха", "skipped": "отправлять не нужно"}
_REASONS = {
    "no_channel": "не отправлено: в файле правил нет раздела mail",
    "no_address": "не отправлено: у участника нет адреса",
    "outdated": "не отправлено: предупреждать уже не о чем или рано повторять",
    "too_late": "не отправлено: код больше не нужен",
    "merged": "не отправлено: участника уже предупредили",
    messages.UNKNOWN_OUTCOME: "неизвестно, дошло ли: второй раз не отправляем",
}

_log = structlog.get_logger(__name__)


class Channel(Protocol):
    """A way to reach a buyer. `send` returns when the other side has taken the message, and raises ConnectorError:
    `ambiguous` if it may have taken it all the same."""

    name: str

    def address_of(self, tx: sa.Connection, member_id: int) -> str | None:
        """Where this member is reached; None: not through this channel."""

    def send(self, address: str, subject: str, body: str, *, message_id: str) -> None:
        """`message_id` is the same in every attempt."""


class EmailChannel:
    """Letters through the owner's mail server. The mailer is made for the first letter: its certificates take time."""

    name = "email"

    def __init__(self, settings: MailSettings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now

    @cached_property
    def _mailer(self) -> Mailer:
        return Mailer(self._settings, now=self._now)

    def address_of(self, tx: sa.Connection, member_id: int) -> str | None:
        found = addresses.of_member(tx, member_id, "email")
        return found[0] if found else None

    def send(self, address: str, subject: str, body: str, *, message_id: str) -> None:
        self._mailer.send(address, subject, body, message_id=message_id)


@dataclass(frozen=True)
class _Ready:
    """A message as it leaves. `notice` is what a notice says now, `lot_ids` are the lots it tells of."""

    message: Message
    address: str
    subject: str
    body: str
    notice: Notice | None = None
    lot_ids: tuple[int, ...] = ()


def channel_of(rt: Runtime) -> Channel | None:
    """The channel that this installation has; None: nobody can be told anything. A stand-in on this machine (demo,
    tests) takes the place of the owner's mail server."""
    mail, stand_in = rt.file.mail, rt.settings.mail_stand_in
    if stand_in is not None:
        sender = "bonus@demo.invalid" if mail is None else mail.sender_address
        host, port = stand_in
        settings = MailSettings(host, port, "none", sender_address=sender, sender_name=rt.programme.name)
        return EmailChannel(settings, now=rt.now)
    if mail is None:
        return None
    settings = MailSettings(
        host=mail.host,
        port=mail.port,
        security=mail.security,
        sender_address=mail.sender_address,
        sender_name=mail.sender_name,
        username=mail.username,
        password=None if mail.password is None else mail.password.get_secret_value(),
    )
    return EmailChannel(settings, now=rt.now)


def queue_code(tx: sa.Connection, rt: Runtime, member_id: int, code: str, points: int, *, now: datetime) -> bool:
    """Plans a letter with the code that confirms a redemption. False: the member cannot be reached. After the commit
    the caller rings the outbox's bell."""
    channel = channel_of(rt)
    if channel is None or channel.address_of(tx, member_id) is None:
        return False
    amount = count_text(points, rt.point_forms)
    messages.add_code(
        tx,
        key=rt.new_id("code"),
        member_id=member_id,
        points=points,
        subject=f"Код для списания: {amount}".replace(NO_BREAK_SPACE, " "),
        body=f"Код: {code}\n\nНазовите его, чтобы оплатить заказ баллами ({amount}).\n"
        f"Если вы ничего не покупаете, никому его не сообщайте.\n\n{rt.programme.name}\n",
        now=now,
    )
    return True


def deliver(rt: Runtime, message_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """The outbox's handler. What may be tried again becomes a `Later`: hand the result to `plan_again` once the rows
    are finished. When the server itself is unwell, the rest of the batch is not tried.

    Raises ClaimLost, DatabaseAway.
    """
    channel = channel_of(rt)
    stop_at = time.monotonic() + BATCH_FOR_S
    outcomes: dict[int, str] = {}
    unwell: str | None = None
    for message_id in message_ids:
        if time.monotonic() > stop_at:
            outcomes[message_id] = Later.at(rt.now(), "очередь длинная, продолжение следует")
            continue
        outcome, trouble = _deliver_one(rt, channel, message_id, hold, unwell)
        outcomes[message_id] = outcome
        unwell = unwell or trouble
    return outcomes


def plan_again(tx: sa.Connection, kind: Kind, outcomes: Mapping[int, str], *, now: datetime) -> None:
    """Asks for what `deliver` put off. After finishing: only a finished row can be asked for at a later date."""
    for message_id, outcome in outcomes.items():
        if isinstance(outcome, Later):
            outbox.add(tx, kind, [message_id], now=now, due_at=outcome.due_at)


def _deliver_one(
    rt: Runtime, channel: Channel | None, message_id: int, hold: Callable[[], None], unwell: str | None
) -> tuple[str, str | None]:
    """The row's line, and what ails the server if it is unwell."""
    with rt.db.begin() as tx:
        message = messages.task(tx, message_id)
        if message is None:
            return "сообщения больше нет", None
        if message.state != "planned":
            return _CLOSED[message.state], None
        ready = _ready(tx, rt, channel, message)
        if isinstance(ready, str):
            state: State = "failed" if ready == messages.UNKNOWN_OUTCOME else "skipped"
            messages.close(tx, message.id, state, reason=ready, channel=None, now=rt.now())
            return _REASONS[ready], None
    if channel is None or unwell is not None:
        return _later(rt, message, unwell or ""), None
    hold()
    with rt.db.begin() as tx:
        if not messages.begin(tx, message.id):
            return _later(rt, message, "этим сообщением занят другой"), None
    try:
        channel.send(ready.address, ready.subject, ready.body, message_id=f"kopilka-message-{message.id}")
    except ConnectorError as failure:
        return _settle_failure(rt, channel, message, failure)
    _settle_sent(rt, channel, ready)
    return "отправлено", None


def _ready(tx: sa.Connection, rt: Runtime, channel: Channel | None, message: Message) -> _Ready | str:
    """The message as it must read now, or the reason why it is not sent."""
    now = rt.now()
    if message.is_under_way:
        return messages.UNKNOWN_OUTCOME
    if channel is None:
        return "no_channel"
    if message.kind == "redeem_code" and now - message.created_at > CODE_GOOD_FOR:
        return "too_late"
    address = channel.address_of(tx, message.member_id)
    if address is None:
        return "no_address"
    if message.kind == "redeem_code":
        return _Ready(message, address, message.subject, message.body or "")
    return _notice(tx, rt, message, address, now=now)


def _notice(tx: sa.Connection, rt: Runtime, message: Message, address: str, *, now: datetime) -> _Ready | str:
    """A notice is true while its very step is the closest one due for its day."""
    if messages.has_twin(tx, message):
        return "merged"
    zone = rt.programme.timezone
    lots = messages.ending(tx, [message.member_id], now=now, until=notices.horizon(rt.programme, now=now))
    due = notices.due([(lot.expires_at, lot.points) for lot in lots], rt.programme, now=now)
    notice = next((one for one in due if (one.burn_on, one.step_days) == (message.burn_on, message.step_days)), None)
    if notice is None:
        return "outdated"
    told = tuple(lot.lot_id for lot in lots if last_valid_day(lot.expires_at, zone) == notice.burn_on)
    member = members.by_ids(tx, [message.member_id])[message.member_id]
    letter = notices.letter(notice, rt.programme, card_url=rt.card_url(member.card_token))
    return _Ready(message, address, letter.subject, letter.body, notice, told)


def _settle_sent(rt: Runtime, channel: Channel, ready: _Ready) -> None:
    """The buyer has it. A notice that came in time lets its lots burn."""
    message, notice, now = ready.message, ready.notice, rt.now()

    def save(tx: sa.Connection) -> None:
        if notice is None:
            messages.close(tx, message.id, "sent", reason=None, channel=channel.name, now=now)
            return
        owner = members.living(tx, message.member_id)
        members.lock(tx, message.member_id if owner is None else owner.id)
        messages.rewrite(tx, message.id, points=notice.points, subject=ready.subject, body=ready.body)
        is_in_time = notices.is_told(notice.burns_at, sent_at=now)
        reason = None if is_in_time else "too_late_to_count"
        messages.close(tx, message.id, "sent", reason=reason, channel=channel.name, now=now)
        if is_in_time:
            day = notices.day_bounds(notice.burn_on, rt.programme.timezone)
            messages.mark_told(tx, ready.lot_ids, between=day, now=now)

    rt.db.run(save)


def _settle_failure(rt: Runtime, channel: Channel, message: Message, failure: ConnectorError) -> tuple[str, str | None]:
    """Never again if it may have arrived or was refused for good, later if the other side is unwell."""
    _log.info("message_not_sent", message_id=message.id, kind=message.kind, error=failure.code)
    is_unwell = isinstance(failure, TimedOut | Unreachable | NeedsReauth | NotConfigured)
    trouble = f"почта: {failure.code}" if is_unwell else None
    is_final = failure.ambiguous or isinstance(failure, Refused)
    reason = messages.UNKNOWN_OUTCOME if failure.ambiguous else _reason(failure)
    with rt.db.begin() as tx:
        if is_final:
            messages.close(tx, message.id, "failed", reason=reason, channel=channel.name, now=rt.now())
        else:
            messages.take_back(tx, message.id, reason=reason)
    if is_final:
        return _REASONS.get(reason, f"отказ: {reason}"), trouble
    return _later(rt, message, reason), trouble


def _later(rt: Runtime, message: Message, trouble: str) -> Later:
    now = rt.now()
    gap = min(max(now - message.created_at, FIRST_GAP), GAP_MAX)
    return Later.at(now + gap, f"не отправлено, попробуем ещё: {trouble}")


def _reason(failure: ConnectorError) -> str:
    return f"{failure.code} {failure.status}" if isinstance(failure, Refused) else failure.code
