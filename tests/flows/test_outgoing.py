"""Outgoing webhooks from the event to a real receiver: once, signed, on the schedule, and never at others' expense."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa
from kopilka_testing import ROOT, SilentBell, StandingClock
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from config.settings import load_settings
from connector.outgoing import WebhookPoster
from flows import endpoints, outbox, outgoing, settle
from flows.endpoints import EndpointRefused
from flows.outgoing import PAUSE, RETRY_GAPS, EventType
from flows.runtime import Runtime, build_runtime, prepare
from flows.settle import ClaimLost
from storage import orders
from storage import outbox as storage_outbox

pytestmark = pytest.mark.slow

ALL = outgoing.EVENT_TYPES


@dataclass
class Receiver:
    """A program of the shop. `answers`: statuses to give in turn, the last one for ever; 0 hangs up."""

    url: str
    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.seen]

    def take(self, headers: dict[str, str], body: bytes) -> int:
        self.seen.append((headers, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Makes receivers on this machine; each has a path of its own."""
    known: dict[str, Receiver] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver = known[self.path.partition("?")[0]]
            status = receiver.take(dict(self.headers), body)
            time.sleep(receiver.delay_s)
            if status == 0:
                return
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def make() -> Receiver:
        path = f"/hook/{len(known)}"
        known[path] = Receiver(f"http://127.0.0.1:{server.server_port}{path}?token=query-secret")
        return known[path]

    yield make
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def clock() -> StandingClock:
    """The receiver's library knows the real time only."""
    return StandingClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def rt(environment: dict[str, str], clock: StandingClock) -> Iterator[Runtime]:
    """The product on a machine where programs of the shop may live too."""
    settings = load_settings({**environment, "WEBHOOKS_ALLOW_PRIVATE": "yes"}, dotenv=None)
    runtime = build_runtime(settings, bell=SilentBell(), clock=clock)
    prepare(runtime)
    yield runtime
    runtime.db.close()


def emit(rt: Runtime, *event_ids: str, kind: EventType = "points.accrued", **data: object) -> None:
    with rt.db.begin() as tx:
        for event_id in event_ids:
            outgoing.emit(tx, rt, kind, event_id=event_id, data=data or {"points": 100}, now=rt.now())


def boxes(rt: Runtime) -> list[sa.Row[Any]]:
    with rt.db.begin() as tx:
        return list(tx.execute(sa.text("SELECT * FROM outbox WHERE kind = 'webhook' ORDER BY target_id")))


def deliveries(rt: Runtime) -> list[Any]:
    """The oldest first."""
    return list(endpoints.deliveries(rt, limit=200))[::-1]


def only(rt: Runtime) -> Any:
    (found,) = deliveries(rt)
    return found


def test_an_event_reaches_its_receiver_signed_and_in_the_programmes_time(rt: Runtime, receiver: Receiver) -> None:
    _, secret = endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "burn:1", kind="points.burn_soon", points=300, burns_at=rt.now(), burn_on=date(2026, 3, 1), name="Анна")

    outbox.drain(rt)

    ((headers, body),) = receiver.seen
    told = Webhook(secret).verify(body, headers)
    assert headers["webhook-id"] == "burn:1"
    assert told["type"] == "points.burn_soon"
    assert datetime.fromisoformat(told["timestamp"]) == rt.now()
    assert told["timestamp"].endswith("+03:00")
    assert told["data"] == {"points": 300, "burns_at": told["timestamp"], "burn_on": "2026-03-01", "name": "Анна"}
    assert "Анна".encode() in body
    assert (only(rt).state, only(rt).last_status, only(rt).attempts) == ("delivered", 204, 1)


def test_only_receivers_that_want_an_event_get_it(rt: Runtime, receivers: Callable[[], Receiver]) -> None:
    some, everything, none = receivers(), receivers(), receivers()
    endpoints.add_endpoint(rt, some.url, ["segment.changed"])
    endpoints.add_endpoint(rt, everything.url)
    off, _ = endpoints.add_endpoint(rt, none.url)
    endpoints.set_on(rt, off, is_on=False)

    emit(rt, "e1", kind="points.accrued")
    emit(rt, "e2", kind="segment.changed")
    outbox.drain(rt)

    assert (some.ids, sorted(everything.ids), none.ids) == (["e2"], ["e1", "e2"], [])


def test_without_a_receiver_an_event_leaves_no_row(rt: Runtime) -> None:
    emit(rt, "e1")

    assert (deliveries(rt), boxes(rt)) == ([], [])


def test_an_event_that_is_told_again_by_a_repeated_worker_is_delivered_once(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)

    for _ in range(3):
        emit(rt, "e1", "e2")
        outbox.drain(rt)

    assert sorted(receiver.ids) == ["e1", "e2"]


def test_an_event_of_a_transaction_that_is_rolled_back_is_not_told(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)

    def lose() -> None:
        with rt.db.begin() as tx:
            outgoing.emit(tx, rt, "points.accrued", event_id="e1", data={}, now=rt.now())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        lose()
    outbox.drain(rt)

    assert receiver.seen == []


def test_a_delivery_whose_worker_died_before_noting_it_comes_again_under_the_same_id(
    rt: Runtime, receiver: Receiver
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1")
    outbox.drain(rt)
    with rt.db.begin() as tx:  # as it was before the answer
        tx.execute(sa.text("UPDATE webhook_delivery SET state = 'waiting', attempts = 0, closed_at = NULL"))
        tx.execute(sa.text("UPDATE outbox SET state = 'waiting'"))

    outbox.drain(rt)

    assert receiver.ids == ["e1", "e1"]
    assert only(rt).state == "delivered"


def test_a_failed_delivery_is_tried_again_on_the_schedule_and_not_before(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [500]
    emit(rt, "e1")

    outbox.drain(rt)
    for number, gap in enumerate(RETRY_GAPS, start=1):
        assert (len(receiver.seen), only(rt).due_at) == (number, clock() + gap)
        clock.at += gap - timedelta(seconds=1)
        outbox.drain(rt)
        assert len(receiver.seen) == number
        clock.forward(seconds=1)
        outbox.drain(rt)

    assert sum(RETRY_GAPS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert (only(rt).state, only(rt).attempts, only(rt).last_error) == ("failed", 10, "приёмник ответил 500")
    assert boxes(rt)[0].outcome == "попытка 10 из 10: приёмник ответил 500; больше не пробуем"
    clock.forward(days=30)
    outbox.drain(rt)
    assert len(receiver.seen) == 10


def test_a_receiver_that_failed_once_is_well_again_after_the_next_try(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [500, 200]
    emit(rt, "e1")
    outbox.drain(rt)
    failing = endpoints.list_endpoints(rt)[0].failing_since
    clock.forward(seconds=5)
    outbox.drain(rt)

    assert failing == clock() - timedelta(seconds=5)
    assert endpoints.list_endpoints(rt)[0].failing_since is None
    assert receiver.ids == ["e1", "e1"]
    assert (only(rt).state, only(rt).attempts, only(rt).last_error) == ("delivered", 2, None)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_everything_but_2xx_is_a_failure(rt: Runtime, receiver: Receiver, status: int) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers, receiver.headers = [status], {"Location": receiver.url}
    emit(rt, "e1")

    outbox.drain(rt)

    assert len(receiver.seen) == 1
    assert (only(rt).state, only(rt).last_error) == ("waiting", f"приёмник ответил {status}")


def test_retry_after_is_respected_for_the_whole_receiver_up_to_an_hour(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers, receiver.headers = [429, 200], {"Retry-After": "600"}
    emit(rt, "e1", "e2")
    outbox.drain(rt)
    assert [row.due_at for row in deliveries(rt)] == [clock() + timedelta(minutes=10)] * 2
    clock.forward(seconds=599)
    outbox.drain(rt)
    assert len(receiver.seen) == 1
    clock.forward(seconds=1)
    outbox.drain(rt)

    assert receiver.ids == ["e1", "e1", "e2"]
    assert [(row.state, row.attempts) for row in deliveries(rt)] == [("delivered", 2), ("delivered", 1)]


def test_an_unwell_receiver_gets_one_try_per_pause_however_many_events_wait(
    rt: Runtime, receivers: Callable[[], Receiver], clock: StandingClock
) -> None:
    unwell, well = receivers(), receivers()
    unwell_id, _ = endpoints.add_endpoint(rt, unwell.url)
    endpoints.add_endpoint(rt, well.url)
    unwell.answers = [0]
    emit(rt, *[f"e{number}" for number in range(60)])

    outbox.drain(rt)
    assert (len(unwell.seen), len(well.seen)) == (1, 60)
    clock.forward(seconds=5)
    outbox.drain(rt)
    emit(rt, "late")
    outbox.drain(rt)
    assert (len(unwell.seen), len(well.seen)) == (2, 61)
    assert sum(row.attempts for row in endpoints.deliveries(rt, endpoint_id=unwell_id, limit=100)) == 2

    unwell.answers = [200]
    clock.at += PAUSE
    outbox.drain(rt)

    assert len(set(unwell.ids)) == 61
    assert all(row.state == "delivered" for row in deliveries(rt))


def test_a_slow_receiver_is_a_failure_and_costs_its_time_limit_once(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.delay_s = 1.0
    emit(rt, "e1", "e2")
    began = time.monotonic()

    with closing(WebhookPoster(allow_private=True, read_timeout_s=0.2)) as impatient:
        outgoing.send(rt, impatient, [row.id for row in deliveries(rt)], lambda: None)

    assert time.monotonic() - began < 1.0
    assert (deliveries(rt)[0].last_status, deliveries(rt)[0].last_error) == (None, "приёмник не ответил вовремя")
    assert len(receiver.seen) == 1


def test_a_batch_that_takes_too_long_goes_on_later(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1", "e2", "e3")

    with closing(outgoing.poster(rt)) as post:
        outcomes = outgoing.send(rt, post, [row.id for row in deliveries(rt)], lambda: None, within_s=0.0)

    assert len(receiver.seen) == 0
    assert [getattr(outcome, "due_at", None) for outcome in outcomes.values()] == [rt.now()] * 3


def test_an_attempt_begins_only_while_the_rows_are_still_ours(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1")

    def taken_by_another() -> None:
        raise ClaimLost

    with pytest.raises(ClaimLost):
        outgoing.deliver(rt, [only(rt).id], taken_by_another)
    assert receiver.seen == []


def test_410_switches_the_receiver_off_at_once_and_says_so(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [410]
    emit(rt, "e1", "e2")

    with capture_logs() as logs:
        outbox.drain(rt)

    (endpoint,) = endpoints.list_endpoints(rt)
    assert (endpoint.is_on, len(receiver.seen)) == (False, 1)
    assert "410" in (endpoint.off_reason or "")
    assert [row.state for row in deliveries(rt)] == ["failed", "failed"]
    assert deliveries(rt)[1].last_error == "адрес выключен"
    assert [log["log_level"] for log in logs if log["event"] == "webhook_endpoint_off"] == ["warning"]
    emit(rt, "e3")
    assert len(deliveries(rt)) == 2


def test_a_receiver_that_took_nothing_for_120_hours_is_switched_off(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [500]
    emit(rt, "e0")
    for hour in range(1, 121):
        outbox.drain(rt)
        clock.forward(hours=1)
        emit(rt, f"e{hour}")
        assert endpoints.list_endpoints(rt)[0].is_on
    with capture_logs() as logs:
        outbox.drain(rt)

    (endpoint,) = endpoints.list_endpoints(rt)
    assert not endpoint.is_on
    assert (endpoint.off_reason or "").startswith("ни одной удачной доставки с ")
    assert [log["log_level"] for log in logs if log["event"] == "webhook_endpoint_off"] == ["warning"]


def test_one_failure_after_a_long_silence_switches_nothing_off(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [500]
    emit(rt, "e1")
    outbox.drain(rt)
    clock.forward(days=30)
    emit(rt, "e2")
    outbox.drain(rt)
    receiver.answers = [200]
    clock.forward(seconds=300)
    outbox.drain(rt)

    assert endpoints.list_endpoints(rt)[0].is_on
    assert [row.state for row in deliveries(rt)] == ["delivered", "delivered"]


def test_a_person_may_have_a_delivery_sent_again(rt: Runtime, receiver: Receiver) -> None:
    endpoint_id, _ = endpoints.add_endpoint(rt, receiver.url)
    receiver.answers = [410, 200]
    emit(rt, "e1")
    outbox.drain(rt)

    with pytest.raises(EndpointRefused):
        endpoints.redeliver(rt, only(rt).id)
    assert endpoints.set_on(rt, endpoint_id, is_on=True)
    endpoints.redeliver(rt, only(rt).id)
    outbox.drain(rt)

    assert receiver.ids == ["e1", "e1"]
    assert only(rt).state == "delivered"


def test_a_key_that_is_lost_fails_the_delivery_and_nobody_elses(rt: Runtime, receivers: Callable[[], Receiver]) -> None:
    lost, other = receivers(), receivers()
    lost_id, _ = endpoints.add_endpoint(rt, lost.url)
    endpoints.add_endpoint(rt, other.url)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE webhook_endpoint SET sealed_secret = 'x' WHERE id = :id"), {"id": lost_id})
    emit(rt, "e1")

    outbox.drain(rt)

    assert (lost.seen, other.ids) == ([], ["e1"])
    assert "SECRET_KEY" in deliveries(rt)[0].last_error


def test_a_receivers_absurd_retry_after_delays_nobody_else(
    rt: Runtime, receivers: Callable[[], Receiver], clock: StandingClock
) -> None:
    absurd, well = receivers(), receivers()
    endpoints.add_endpoint(rt, absurd.url)
    endpoints.add_endpoint(rt, well.url)
    absurd.answers = [503]
    absurd.headers = {"Retry-After": "1 Jan 99999999999999999999 0:0:0 +0000"}
    emit(rt, "e1", "e2")

    outbox.drain(rt)

    assert sorted(well.ids) == ["e1", "e2"]
    assert [row.last_error for row in deliveries(rt) if row.attempts] == ["приёмник ответил 503", None, None]
    assert [row.state for row in boxes(rt)].count("done") == 2


def test_what_nobody_foresaw_costs_one_delivery_one_attempt(
    rt: Runtime, receivers: Callable[[], Receiver], clock: StandingClock
) -> None:
    odd, well = receivers(), receivers()
    odd_id, _ = endpoints.add_endpoint(rt, odd.url)
    endpoints.add_endpoint(rt, well.url)
    broken = rt.keys.seal(b"whsec_not-base64", context=outgoing.secret_context(odd_id))
    with rt.db.begin() as tx:
        tx.execute(
            sa.text("UPDATE webhook_endpoint SET sealed_secret = :it WHERE id = :id"), {"it": broken, "id": odd_id}
        )
    emit(rt, "e1")

    with capture_logs() as logs:
        outbox.drain(rt)

    first, second = deliveries(rt)
    assert (odd.seen, well.ids) == ([], ["e1"])
    assert (first.state, first.attempts, first.due_at) == ("waiting", 1, clock() + RETRY_GAPS[0])
    assert first.last_error == "не получилось отправить: Error"
    assert second.state == "delivered"
    assert [log["error"] for log in logs if log["event"] == "webhook_attempt_broke"] == ["Error"]


def test_rows_that_failed_together_for_an_unforeseen_reason_are_worked_alone(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1", "e2", "e3")
    with rt.db.begin() as tx:
        claimed = storage_outbox.claim(tx, "webhook", now=rt.now(), lease=rt.lease, limit=10, alone=False)

    def broken() -> None:
        raise OverflowError("of one of them")

    settle.outbox_rows(rt, [row.claim for row in claimed], broken)

    assert [(row.state, row.failures) for row in boxes(rt)] == [("waiting", 0)] * 3
    outbox.drain(rt)
    assert sorted(receiver.ids) == ["e1", "e2", "e3"]


def test_beside_an_orders_number_stand_its_names_in_the_crm_and_in_the_shop(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    with rt.db.begin() as tx:
        of_crm = orders.open_order(tx, 30112, now=rt.now())
        of_shop = orders.open_shop_order(tx, "A-1001", channel="site", now=rt.now())
        events = {
            "of-crm": {"order_id": of_crm.id},
            "of-shop": {"order_id": of_shop.id},
            "gift": {"order_id": None},
            "other": {"points": 1},
        }
        outgoing.emit_all(tx, rt, "points.accrued", events, now=rt.now())
    outbox.drain(rt)

    told = {headers["webhook-id"]: json.loads(body)["data"] for headers, body in receiver.seen}
    assert told == {
        "of-crm": {"order_id": of_crm.id, "deal": 30112, "order": None},
        "of-shop": {"order_id": of_shop.id, "deal": None, "order": "A-1001"},
        "gift": {"order_id": None, "deal": None, "order": None},
        "other": {"points": 1},
    }


def test_secrets_stand_in_no_log_no_repr_and_not_open_in_the_database(rt: Runtime, receiver: Receiver) -> None:
    with capture_logs() as logs:
        _, secret = endpoints.add_endpoint(rt, receiver.url)
        receiver.answers = [500]
        emit(rt, "e1")
        outbox.drain(rt)
    with rt.db.begin() as tx:
        stored = str(tx.execute(sa.text("SELECT w::text, sealed_secret FROM webhook_endpoint w")).all())

    assert secret.startswith("whsec_")
    told = str(logs) + repr(endpoints.list_endpoints(rt)) + repr(deliveries(rt))
    assert secret[6:] not in told + stored + str([tuple(row) for row in boxes(rt)])
    assert "query-secret" not in told


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://93.184.216.34/", "https"),
        ("https://10.0.0.1/", "внутреннюю сеть"),
        ("https://169.254.169.254/latest/meta-data", "внутреннюю сеть"),
        ("https://[::ffff:127.0.0.1]/", "внутреннюю сеть"),
        ("https://user:password@93.184.216.34/", "имя и пароль"),
        ("https://93.184.216.34:22/", "порт"),
        ("не адрес", "не адрес"),
    ],
)
def test_an_address_that_must_not_be_called_is_refused_with_the_reason(
    environment: dict[str, str], clock: StandingClock, url: str, reason: str
) -> None:
    strict = build_runtime(load_settings(environment, dotenv=None), bell=SilentBell(), clock=clock)

    with pytest.raises(EndpointRefused, match=reason):
        endpoints.add_endpoint(strict, url)
    endpoint_id, _ = endpoints.add_endpoint(strict, "https://93.184.216.34/hook")
    strict.db.close()

    assert endpoint_id > 0


def test_an_address_that_leads_inside_later_is_not_called(
    rt: Runtime, receiver: Receiver, clock: StandingClock
) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE webhook_endpoint SET url = 'https://169.254.169.254/'"))
    emit(rt, "e1")

    outbox.drain(rt)

    assert "внутреннюю сеть" in only(rt).last_error
    assert only(rt).state == "waiting"


def test_unknown_events_twins_and_too_many_addresses_are_refused(
    rt: Runtime, receivers: Callable[[], Receiver]
) -> None:
    first = receivers()
    endpoint_id, _ = endpoints.add_endpoint(rt, first.url)

    for url, events in ((receivers().url, ["points.lost"]), (receivers().url, []), (first.url, ALL)):
        with pytest.raises(EndpointRefused):
            endpoints.add_endpoint(rt, url, events)
    endpoints.set_on(rt, endpoint_id, is_on=False)
    endpoints.add_endpoint(rt, first.url)
    for _ in range(endpoints.ENDPOINTS_MAX - 1):
        endpoints.add_endpoint(rt, receivers().url)
    with pytest.raises(EndpointRefused, match="больше нельзя"):
        endpoints.add_endpoint(rt, receivers().url)
    with pytest.raises(EndpointRefused):
        endpoints.set_on(rt, 999_999, is_on=True)


def test_an_id_made_of_a_foreign_key_becomes_one_that_fits_a_header(rt: Runtime, receiver: Receiver) -> None:
    _, secret = endpoints.add_endpoint(rt, receiver.url)
    odd = ["evt_adjust:1:заказ 5.1", "evt_" + "x" * 300, "evt_line\r\nbreak", "", "evt_order:7:r2:base"]

    for _ in range(2):
        emit(rt, *odd)
        outbox.drain(rt)

    assert len(receiver.ids) == len(set(receiver.ids)) == len(odd)
    assert "evt_order:7:r2:base" in receiver.ids
    assert all(Webhook(secret).verify(body, headers) for headers, body in receiver.seen)


def test_an_event_larger_than_receivers_must_take_is_refused_at_once(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)

    with pytest.raises(ValueError, match="larger"):
        emit(rt, "e1", name="х" * 20_000)


def test_a_payload_is_json_of_three_keys(rt: Runtime, receiver: Receiver) -> None:
    endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1", text='кавычка " и \x00 и \u2028')
    outbox.drain(rt)

    assert list(json.loads(receiver.seen[0][1])) == ["type", "timestamp", "data"]
    assert json.loads(receiver.seen[0][1])["data"]["text"] == 'кавычка " и \x00 и \u2028'


def test_the_docs_name_every_event_and_their_python_verifies_what_we_send(rt: Runtime, receiver: Receiver) -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    code: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], code)
    _, secret = endpoints.add_endpoint(rt, receiver.url)
    emit(rt, "e1")
    outbox.drain(rt)

    ((headers, body),) = receiver.seen
    lower = {name.lower(): value for name, value in headers.items()}
    assert code["is_from_kopilka"](secret, lower, body)
    assert not code["is_from_kopilka"](secret, lower, body + b" ")
    assert re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE) == list(ALL)
