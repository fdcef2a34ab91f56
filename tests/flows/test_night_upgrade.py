"""An upgrade or new rules under running processes: old code stops posting at once, new rules decide what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from flow_points_world import at_once
from kopilka_testing import ROOT, SilentBell, StandingClock, tbank_body, until
from night_world import SMALL, Night
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from cli.services.valkey import RunningValkey
from flows import active_rules, gifts, inbox, nightly, outbox, queue, sweep
from flows.errors import SchemaMismatch
from flows.runtime import Runtime
from loyalty.programme import Programme
from loyalty.rules import Duration, GiftRules, HolidayGift
from storage import inbox as rows
from storage import rules, schema
from wsgi import build_app

pytestmark = pytest.mark.slow

TODAY = HolidayGift("Праздник", "03-01", 1_000, Duration(10, "days"))


class TellingBell(SilentBell):
    """Does something once when it is first rung: a drain rings when it has claimed a full batch."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work: Callable[[], None] | None = work

    def ring(self, name: str, row_id: int) -> None:
        super().ring(name, row_id)
        work, self._work = self._work, None
        if work is not None:
            work()


@pytest.fixture
def night(rt: Runtime, clock: StandingClock) -> Night:
    return Night(rt, clock)


@pytest.fixture
def upgrade(night: Night) -> Iterator[Callable[[], None]]:
    """Another process migrates the database to a schema this code does not know; taken back after the test."""

    def write(version: str) -> None:
        with night.rt.db.begin() as tx:
            tx.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        night.rt.rules_looked_at = 0.0  # a few seconds later

    yield lambda: write("9999")
    write(schema.expected())


def ask(night: Night, count: int = 1) -> list[int]:
    """Paid deals of one member, as they came from the bank."""
    member_id = night.member()
    deals = [night.deal(member_id) for _ in range(count)]
    with night.rt.db.begin() as tx:
        for number, deal in enumerate(deals):
            body = tbank_body(deal, payment_id=5_000 + number)
            rows.add(tx, source="tbank", external_id=f"p{number}", body=body, is_hint=False, now=night.clock())
    return deals


def posted(night: Night) -> int:
    return int(night.one("SELECT count(*) AS n FROM transfer").n)


def apply_elsewhere(night: Night, programme: Programme) -> str:
    """Another process applies these rules; this one has not looked yet."""
    version = replace(night.rt.file, programme=programme).version
    with night.rt.db.begin() as tx:
        rules.remember(tx, version, programme, now=night.clock())
        rules.apply(tx, version, source="", lines={}, by="owner", now=night.clock())
    night.rt.rules_looked_at = 0.0
    return version


def test_after_an_upgrade_an_old_process_posts_nothing_more(night: Night, upgrade: Callable[[], None]) -> None:
    ask(night)
    night.lot(night.buyer(), 10, night.clock(), told=True)
    before = posted(night)
    upgrade()

    for work in (
        lambda: inbox.drain(night.rt),
        lambda: outbox.drain(night.rt),
        lambda: nightly.run_due(night.rt, now=night.clock(), at_once=True),
        lambda: sweep.sweep_once(night.rt),
        lambda: sweep.sweep_forever(night.rt, is_stopped=lambda: False),
    ):
        with pytest.raises(SchemaMismatch, match=r"Схема базы стала 9999.*\nКак исправить: запустите его заново"):
            work()

    assert posted(night) == before
    assert night.one("SELECT state, claims FROM inbox") == ("waiting", 0)
    assert night.rows("SELECT name FROM heartbeat") == []


def test_it_stops_in_the_middle_of_a_long_drain(night: Night, upgrade: Callable[[], None]) -> None:
    ask(night, inbox.BATCH_ROWS + 10)
    night.rt.bell = TellingBell(upgrade)

    with pytest.raises(SchemaMismatch):
        inbox.drain(night.rt)

    states = {row.state: row.n for row in night.rows("SELECT state, count(*) AS n FROM inbox GROUP BY state")}
    assert states == {"done": inbox.BATCH_ROWS, "waiting": 10}


def test_it_stops_between_two_pieces_of_the_night_and_that_is_no_failure_of_the_job(
    night: Night, upgrade: Callable[[], None]
) -> None:
    for _ in range(9):
        night.lot(night.buyer(), 10, night.clock(), told=True)
    before = posted(night)

    with pytest.raises(SchemaMismatch):
        night.run("burn", on_progress=lambda _name, _progress: upgrade())

    assert posted(night) == before + 3  # one piece
    assert night.one("SELECT last_error FROM job WHERE name = 'burn'").last_error is None


def test_the_web_asks_its_callers_to_try_again(night: Night, upgrade: Callable[[], None]) -> None:
    client = build_app(night.rt).test_client()
    upgrade()

    answer = client.get("/api/v1/members/1", headers={"Authorization": "Bearer x"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("is_known", [True, False])
def test_a_worker_process_ends_with_the_reason(
    night: Night,
    upgrade: Callable[[], None],
    environment: dict[str, str],
    valkey_server: RunningValkey,
    is_known: bool,
) -> None:
    """Idle when it happens; the next bell ends it. Without an upgrade the same bell is a job like any other."""
    url = valkey_server.url
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "worker", "inbox"],
        cwd=ROOT,
        env={**os.environ, **environment, "REDIS_URL": url, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            until(lambda: _workers(url), "the worker listens")
            ask(night)
            if not is_known:
                upgrade()
            assert queue.ring_now(url, "inbox", 1)
            if is_known:
                until(lambda: night.one("SELECT state FROM inbox").state == "done", "the row is worked")
                worker.send_signal(signal.SIGTERM)
            _, told = worker.communicate(timeout=30)
        finally:
            worker.kill()

    assert worker.returncode == (0 if is_known else 2)
    assert ("Схема базы стала 9999" in told) is not is_known
    assert (posted(night) == 0) is not is_known


def test_a_signal_between_two_jobs_is_not_lost(valkey_server: RunningValkey) -> None:
    """It came after RQ had looked for it and before it said that it was idle."""
    connection = redis.Redis.from_url(valkey_server.url)
    worker = queue._Worker(["kopilka-nothing"], connection=connection, worker_ttl=60)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    worker.set_state(WorkerStatus.BUSY)
    try:
        worker.request_stop(signal.SIGTERM, None)

        with pytest.raises(StopRequested):
            worker.dequeue_job_and_maintain_ttl(1)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        connection.close()


def test_a_signal_just_after_a_job_ends_the_worker_without_an_error(valkey_server: RunningValkey) -> None:
    connection = redis.Redis.from_url(valkey_server.url)
    waiting = queue._queue(connection, "nothing")
    job = waiting.enqueue("time.sleep", 0)
    worker = queue._Worker([waiting], connection=connection, serializer=JSONSerializer, worker_ttl=60)

    def told_to_stop() -> None:
        raise StopRequested

    worker.after_job = told_to_stop
    with pytest.raises(StopRequested):
        worker.execute_job(job, waiting)

    assert worker.ended_by is None
    waiting.delete(delete_jobs=True)
    connection.close()


def _workers(url: str) -> Any:
    return redis.Redis.from_url(url).smembers("rq:workers:kopilka-inbox")


def test_rules_applied_in_the_middle_of_a_drain_decide_the_rest_of_it(night: Night) -> None:
    rt = night.rt
    deals = ask(night, inbox.BATCH_ROWS + 10)
    doubled = replace(rt.programme, accrual=replace(rt.programme.accrual, rate_bps=5_000))
    versions: list[str] = []
    night.rt.bell = TellingBell(lambda: versions.append(apply_elsewhere(night, doubled)))

    inbox.drain(rt)

    counted = [night.order(deal).rules_version == versions[0] for deal in deals]
    assert counted == [False] * inbox.BATCH_ROWS + [True] * 10


def test_rules_applied_in_the_middle_of_the_night_decide_the_rest_of_it(night: Night) -> None:
    night.apply(gifts=GiftRules(holidays=(TODAY,)))
    mended = replace(night.rt.programme, gifts=GiftRules(holidays=(replace(TODAY, points=100),)))
    buyers = [night.buyer() for _ in range(gifts.BATCH_MEMBERS + 5)]
    applied: list[str] = []

    def mend(_name: str, _progress: object) -> None:
        if not applied:
            applied.append(apply_elsewhere(night, mended))

    result = nightly.run_due(night.rt, now=night.clock(), only="gifts", at_once=True, on_progress=mend, schedule=SMALL)

    given = [night.balance(member_id).available for member_id in buyers]
    assert given == [1_000] * gifts.BATCH_MEMBERS + [100] * 5
    assert result[0].text == f"подарков: {len(buyers)}, баллов: {sum(given)}"


def test_two_threads_that_look_at_once_see_the_same(night: Night) -> None:
    version = apply_elsewhere(night, replace(night.rt.programme, point_value_kopecks=200))

    at_once([lambda: active_rules.look(night.rt, at_once=True)] * 4)

    assert night.rt.rules_version == version


def test_who_looked_a_moment_ago_does_not_look_again(night: Night, upgrade: Callable[[], None]) -> None:
    active_rules.look(night.rt, at_once=True)
    looked_at = night.rt.rules_looked_at
    upgrade()
    night.rt.rules_looked_at = looked_at

    active_rules.look(night.rt)

    with pytest.raises(SchemaMismatch):
        active_rules.look(night.rt, at_once=True)


@pytest.fixture(autouse=True)
def _whole_book(night: Night) -> Iterator[None]:
    yield
    assert night.verdict().faults == ()
