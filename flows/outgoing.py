"""Outgoing webhooks: an event becomes a delivery for every endpoint that wants it, and is sent until it is taken.

Emitting is part of the caller's transaction: the event is lost with it or kept with it. Sending is the outbox's work
of kind «webhook»: one delivery per row, its result saved before the next begins. A receiver that is unwell is left
alone for minutes, so that it does not keep the outbox from everybody else. Who receives is `flows/endpoints.py`.
"""

from __future__ import annotations

import json
import re
import time
import traceback
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, get_args
from zoneinfo import ZoneInfo

import structlog

from connector.errors import ConnectorError, TimedOut
from connector.outgoing import TlsFailed, WebhookPoster
from connector.public_address import AddressRefused
from flows.keys import CannotOpen
from storage import orders, outbox, outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import sqlalchemy as sa

    from flows.runtime import Runtime
    from storage.orders import Order
    from storage.outgoing import Task

EventType = Literal["points.accrued", "points.redeemed", "points.returned", "points.burn_soon", "segment.changed"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

PAYLOAD_BYTES_MAX = 20_000
"""Standard Webhooks asks for less than 20 kB."""

RETRY_GAPS = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Gaps after the 1st, 2nd … attempt without success, by Standard Webhooks; after the last the delivery has failed."""

FIRST_PAUSE = RETRY_GAPS[0]
PAUSE = timedelta(minutes=5)
"""How long an unwell endpoint is left alone: after its first failure, and after each further one."""

SPREAD_MAX = timedelta(minutes=30)
"""What waits for an unwell endpoint is looked at the more seldom the older it is, but this often at least."""

FAILING_MAX = timedelta(hours=120)
FAILING_ATTEMPTS_MIN = 6
"""Days without any success end with switching off, unless this delivery is a fresh one after a long silence."""

BATCH_FOR_S = 30.0
"""After so long the rest of a batch is put back: CRM and cards wait in the same process."""

_EVENT_ID = re.compile(r"[A-Za-z0-9_:/-]{1,200}")
_UNWELL = frozenset({429, 502, 503, 504})
_GONE = 410

_log = structlog.get_logger(__name__)


class Later(str):
    """A line for the outbox row of a delivery that is not over: it is looked at again at `due_at`."""

    due_at: datetime

    @classmethod
    def at(cls, due_at: datetime, line: str) -> Later:
        later = cls(line)
        later.due_at = due_at
        return later


@dataclass(frozen=True)
class _Attempt:
    """How one POST went. `trouble`: for a person, None when the event was taken."""

    status: int | None
    trouble: str | None
    is_unwell: bool = False
    retry_after: timedelta = timedelta()


def emit(
    tx: sa.Connection, rt: Runtime, event_type: EventType, *, event_id: str, data: Mapping[str, object], now: datetime
) -> None:
    """Tells one event to every endpoint that wants it, once however often it is called. `event_id` names the event
    among all of this installation; instants in `data` are told in the programme's zone."""
    emit_all(tx, rt, event_type, {event_id: data}, now=now)


def emit_all(
    tx: sa.Connection, rt: Runtime, event_type: EventType, events: Mapping[str, Mapping[str, object]], *, now: datetime
) -> None:
    """Many events of one type, by their ids. Costs one small query while nobody wants them. Beside an `order_id` stand
    the names under which the CRM and the shop know that order.

    Raises ValueError for a payload larger than receivers must take.
    """
    wanting = outgoing.wanting(tx, event_type) if events else ()
    if not wanting:
        return
    named = _with_order_names(tx, events.values())
    made = outgoing.add_deliveries(
        tx,
        wanting,
        event_type=event_type,
        event_ids=[webhook_id(event_id) for event_id in events],
        payloads=[_payload(rt, event_type, data, now) for data in named],
        now=now,
    )
    outbox.add(tx, "webhook", made, now=now)


def webhook_id(event_id: str) -> str:
    """The event's id as it stands in a header: itself, or its digest when a foreign key has made it long or odd."""
    return event_id if _EVENT_ID.fullmatch(event_id) else f"evt_{sha256(event_id.encode()).hexdigest()}"


def deliver(rt: Runtime, delivery_ids: Sequence[int], hold: Callable[[], None]) -> dict[int, str]:
    """The outbox's handler: sends each delivery that may go now. What went wrong outside becomes a `Later`, never an
    exception; hand the result to `plan_again` once the rows are finished. Raises ClaimLost, DatabaseAway."""
    with closing(poster(rt)) as post:
        return send(rt, post, delivery_ids, hold)


def send(
    rt: Runtime,
    post: WebhookPoster,
    delivery_ids: Sequence[int],
    hold: Callable[[], None],
    *,
    within_s: float = BATCH_FOR_S,
) -> dict[int, str]:
    """As `deliver`; begins no attempt after `within_s`."""
    stop_at = time.monotonic() + within_s
    return {
        delivery_id: _deliver_one(rt, post, delivery_id, hold, is_late=time.monotonic() >= stop_at)
        for delivery_id in delivery_ids
    }


def plan_again(tx: sa.Connection, outcomes: Mapping[int, str], *, now: datetime) -> None:
    """Asks for what `deliver` put off. After finishing: only a finished row can be asked for at a later date."""
    for delivery_id, outcome in outcomes.items():
        if isinstance(outcome, Later):
            outbox.add(tx, "webhook", [delivery_id], now=now, due_at=outcome.due_at)


def poster(rt: Runtime) -> WebhookPoster:
    return WebhookPoster(allow_private=rt.settings.webhooks_allow_private)


def secret_context(endpoint_id: int) -> str:
    return f"webhook_endpoint:{endpoint_id}"


def trouble_of(failure: ConnectorError) -> str:
    """What went wrong on the way, in the words of the one who must mend it."""
    if isinstance(failure, AddressRefused):
        return _REFUSALS[failure.reason]
    if isinstance(failure, TimedOut):
        return "приёмник не ответил вовремя"
    if isinstance(failure, TlsFailed):
        return "сертификат приёмника не принят"
    return "нет соединения с приёмником"


_REFUSALS = {
    "malformed": "это не адрес: нужен вид https://сервер/путь, без пробелов и «#»",
    "scheme": "адрес должен начинаться с https://",
    "userinfo": "имя и пароль в адресе не принимаются: подпись и так доказывает, что событие от нас",
    "port": "порт не подходит: 443, 80 или от 1024",
    "not_public": "адрес ведёт во внутреннюю сеть, туда события не отправляются",
}
_ENDED = {"delivered": "уже доставлено", "failed": "доставка закончена без успеха"}


def _with_order_names(tx: sa.Connection, events: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
    found = list(events)
    ids = {order_id for one in found if isinstance(order_id := one.get("order_id"), int)}
    known = orders.by_ids(tx, ids) if ids else {}
    return [_named(one, known) for one in found]


def _named(event: Mapping[str, object], known: Mapping[int, Order]) -> Mapping[str, object]:
    if "order_id" not in event:
        return event
    order_id = event["order_id"]
    order = known.get(order_id) if isinstance(order_id, int) else None
    return {**event, "deal": order and order.deal_ref, "order": order and order.shop_ref}


def _payload(rt: Runtime, event_type: EventType, data: Mapping[str, object], now: datetime) -> str:
    zone = ZoneInfo(rt.programme.timezone)

    def told(value: object) -> str:
        if isinstance(value, datetime):
            return value.astimezone(zone).isoformat(timespec="seconds")
        if isinstance(value, date):
            return value.isoformat()
        raise TypeError(f"{type(value).__name__} has no place in an event")

    event = {"type": event_type, "timestamp": now, "data": dict(data)}
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=told)
    if len(payload.encode()) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"an event of {event_type} is larger than {PAYLOAD_BYTES_MAX} bytes")
    return payload


def _deliver_one(rt: Runtime, post: WebhookPoster, delivery_id: int, hold: Callable[[], None], *, is_late: bool) -> str:
    with rt.db.autocommit() as connection:
        task = outgoing.task(connection, delivery_id)
    now = rt.now()
    if task is None:
        return "доставки больше нет"
    if task.state != "waiting":
        return _ENDED[task.state]
    if not task.is_on:
        with rt.db.begin() as tx:
            outgoing.give_up(tx, task.id, error="адрес выключен", now=now)
        return "адрес выключен"
    if task.paused_until is not None and task.paused_until > now:
        spread = min(now - task.created_at, SPREAD_MAX)
        return Later.at(max(task.paused_until, now + spread), "приёмник не отвечает, пауза")
    if is_late:
        return Later.at(now, "очередь длинная, продолжение следует")
    hold()
    return _settle(rt, task, _attempt(rt, post, task))


def _attempt(rt: Runtime, post: WebhookPoster, task: Task) -> _Attempt:
    now = rt.now()
    try:
        secret = rt.keys.open(task.sealed_secret, context=secret_context(task.endpoint_id)).decode()
        answer = post.post(task.url, event_id=task.event_id, secret=secret, body=task.payload.encode(), now=now)
    except CannotOpen:
        return _Attempt(None, "секрет не открывается: верните прежний SECRET_KEY или добавьте адрес заново")
    except ConnectorError as failure:
        return _Attempt(None, trouble_of(failure), is_unwell=True)
    except Exception as failure:  # noqa: BLE001 - what nobody foresaw costs this delivery an attempt, others nothing
        place = traceback.extract_tb(failure.__traceback__)[-1]
        error = type(failure).__name__  # its text may quote the address or the secret
        _log.error("webhook_attempt_broke", delivery_id=task.id, error=error, where=f"{place.name}:{place.lineno}")
        return _Attempt(None, f"не получилось отправить: {error}")
    if 200 <= answer.status < 300:
        return _Attempt(answer.status, None)
    return _Attempt(
        answer.status,
        f"приёмник ответил {answer.status}",
        is_unwell=answer.status in _UNWELL,
        retry_after=timedelta(seconds=answer.retry_after_s or 0.0),
    )


def _settle(rt: Runtime, task: Task, attempt: _Attempt) -> str:
    """Saves how the attempt ended. Returns the outbox row's line."""
    now = rt.now()
    if attempt.trouble is None:
        with rt.db.begin() as tx:
            outgoing.save_delivered(tx, task, status=attempt.status or 0, now=now)
        return f"доставлено, ответ {attempt.status}"
    off_reason = _off_reason(task, attempt, now)
    is_last = off_reason is not None or task.attempts >= len(RETRY_GAPS)
    with rt.db.begin() as tx:
        outgoing.save_failure(tx, task, status=attempt.status, error=attempt.trouble, now=now)
        if is_last:
            outgoing.give_up(tx, task.id, error=attempt.trouble, now=now)
        if off_reason is not None:
            outgoing.switch(tx, task.endpoint_id, is_on=False, reason=off_reason)
        elif attempt.is_unwell:
            rest = FIRST_PAUSE if task.failing_since is None else PAUSE
            outgoing.pause(tx, task.endpoint_id, until=now + max(rest, attempt.retry_after), reason=attempt.trouble)
    if off_reason is not None:
        _log.warning("webhook_endpoint_off", endpoint_id=task.endpoint_id, reason=off_reason)
    line = f"попытка {task.attempts + 1} из {len(RETRY_GAPS) + 1}: {attempt.trouble}"
    if is_last:
        return f"{line}; больше не пробуем"
    return Later.at(now + max(RETRY_GAPS[task.attempts], attempt.retry_after), line)


def _off_reason(task: Task, attempt: _Attempt, now: datetime) -> str | None:
    if attempt.status == _GONE:
        return "приёмник ответил 410: этот адрес больше не принимает события"
    since = task.failing_since
    if since is None or now - since < FAILING_MAX or task.attempts + 1 < FAILING_ATTEMPTS_MIN:
        return None
    return f"ни одной удачной доставки с {since:%d.%m.%Y %H:%M} UTC; последняя попытка: {attempt.trouble}"
