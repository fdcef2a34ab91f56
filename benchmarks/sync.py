"""The CRM kept in step at the speed it allows: members whose balance has changed, told to a CRM with its limit on.

A contact's fields are one request for fifty members, so N changed members cannot be told in less than
ceil(N / 50) / 7 seconds: that is the ceiling. The peer is one request per member, as integrations commonly do. Says too
how often the CRM refused (429), and whether every contact shows what the ledger says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import requests
import sqlalchemy as sa

from benchmarks.table import Line
from benchmarks.world import World, open_world, running, simulated_crm
from config.settings import load_settings
from connector.amocrm.api import WRITE_BATCH
from flows import adjusting, crm_fields, outbox, queue
from flows.adjusting import Adjustment
from flows.runtime import Runtime, build_runtime
from storage import members

REQUESTS_PER_S = 7
TARGET_OF_FLOOR = 1.1
EVERYBODY = 700_000
WORKERS = ("worker outbox 1", "worker outbox 2")
CONTACTS_PER_REQUEST = 250
THREADS = 2
POLL_S = 0.05
STARTING_S = 30.0


class NotInStep(Exception):
    """The CRM shows something else than the ledger."""


@dataclass(frozen=True)
class Plan:
    """How many members change."""

    members: int = 10_000
    patience_s: float = 300.0


def measure(plan: Plan) -> list[Line]:
    """A world of its own, because its CRM is slow on purpose. Raises NotInStep."""
    with open_world() as world:
        contacts = _make_contacts(world, plan.members)
        _enrol(world, contacts)
        _told_once(world)
        with _limited(world) as limited:
            _change(limited.rt, plan.members)
            seconds = _in_step(limited, plan)
            refused = _refusals(limited.folder)
            _compare(limited)
    return _lines(plan, seconds, refused)


def _make_contacts(world: World, count: int) -> list[int]:
    """Contacts in the simulated CRM, by its API."""
    made: list[int] = []
    token = world.rt.tokens.access_token() if world.rt.tokens is not None else ""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for start in range(0, count, CONTACTS_PER_REQUEST):
            body = [{"name": f"Покупатель {n}"} for n in range(start, min(count, start + CONTACTS_PER_REQUEST))]
            reply = session.post(f"{world.crm_url}/api/v4/contacts", json=body, timeout=60)
            reply.raise_for_status()
            made += [row["id"] for row in reply.json()["_embedded"]["contacts"]]
    return made


def _enrol(world: World, contacts: list[int]) -> None:
    """As few transactions as the statement allows."""
    now = world.rt.now()
    for start in range(0, len(contacts), 1_000):
        with world.rt.db.begin() as tx:
            for contact_id in contacts[start : start + 1_000]:
                members.enrol(tx, contact_ref=contact_id, name="Анна Петрова", card=world.rt.new_card(), now=now)
    with world.rt.db.begin() as tx:
        tx.execute(
            sa.text(
                """
                INSERT INTO outbox (kind, target_id, created_at, due_at) SELECT 'crm', id, :now, :now FROM member
                ON CONFLICT DO NOTHING
                """
            ),
            {"now": now},
        )


def _told_once(world: World) -> None:
    """The CRM knows every member before anything changes: without a limit, and without customers and Google."""
    rt = world.rt
    if rt.file.amocrm is not None:
        rt.file = replace(rt.file, amocrm=replace(rt.file.amocrm, customers=False))
    rt.google = None
    while outbox.drain(rt):
        pass


@contextmanager
def _limited(world: World) -> Iterator[World]:
    """The same CRM, started again with the limit of a real one, and a product that keeps it."""
    programme = world.folder / "programme.yaml"
    text = Path(world.environment["PROGRAMME"]).read_text(encoding="utf-8")
    programme.write_text(text.replace("customers: yes", "customers: no"), encoding="utf-8")
    crm = simulated_crm(world.folder, requests_per_second=REQUESTS_PER_S, name="limited crm")
    with running(crm):
        url = crm.ready["url"]
        environment = world.environment | {
            "AMOCRM_BASE_URL": url,
            "CRM_REQUESTS_PER_SECOND": str(REQUESTS_PER_S),
            "PROGRAMME": str(programme),
        }
        environment = {key: value for key, value in environment.items() if key != "GOOGLE_API_URL"}
        rt = build_runtime(load_settings(environment, dotenv=None))
        rt.google = None
        try:
            yield replace(world, environment=environment, crm_url=url, rt=rt)
        finally:
            rt.db.close()


def _change(rt: Runtime, count: int) -> None:
    """Everybody gets a point: the balance in the CRM is out of date."""
    with rt.db.begin() as tx:
        ids = list(tx.execute(sa.text("SELECT id FROM member ORDER BY id LIMIT :n"), {"n": count}).scalars())
    asked = Adjustment(1, "gift", "сверка скорости", "benchmark", "one")
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda one: adjusting.adjust(rt, one, asked), ids):
            pass


def _in_step(world: World, plan: Plan) -> float:
    """Seconds from the bell to the last member told, by two real workers."""
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("DELETE FROM outbox WHERE kind <> 'crm'"))
    with running(*(world.product(name) for name in WORKERS)):
        _wait_for_workers(world)
        began = time.perf_counter()
        queue.ring_now(world.services.redis_url, "outbox", 0)
        while _waiting(world.rt):
            if time.perf_counter() - began > plan.patience_s:
                raise NotInStep(f"{_waiting(world.rt)} members were not told within {plan.patience_s:.0f} s")
            time.sleep(POLL_S)
        return time.perf_counter() - began


def _wait_for_workers(world: World) -> None:
    deadline = time.monotonic() + STARTING_S
    with redis.Redis.from_url(world.services.redis_url) as connection:
        while int(connection.scard(f"rq:workers:{queue.QUEUE_PREFIX}outbox")) < len(WORKERS):
            if time.monotonic() > deadline:
                raise NotInStep("the workers did not come up")
            time.sleep(POLL_S)


def _waiting(rt: Runtime) -> int:
    with rt.db.begin() as tx:
        found = tx.execute(sa.text("SELECT count(*) FROM outbox WHERE kind = 'crm' AND state <> 'done'"))
        return int(found.scalar_one())


def _refusals(folder: Path) -> int:
    """429 in the logs of the workers."""
    logs = list((folder / "logs").glob("worker outbox*"))
    return sum(text.count("status=429") + text.count('"status": 429') for text in (p.read_text("utf-8") for p in logs))


def _compare(world: World) -> None:
    """Every contact shows the balance of the ledger."""
    rt = world.rt
    if rt.crm is None:
        raise NotInStep("the CRM is not connected")
    field = crm_fields.field_ids(rt, rt.crm)["balance"]
    with rt.db.begin() as tx:
        rows = tx.execute(sa.text("SELECT contact_ref, available FROM member ORDER BY id")).all()
    balances = {int(row.contact_ref): int(row.available) for row in rows}
    page, wrong, seen = 1, 0, 0
    while True:
        found = _contacts(world, page)
        if not found:
            break
        for contact in found:
            seen += contact["id"] in balances
            wrong += contact["id"] in balances and _value(contact, field) != balances[contact["id"]]
        page += 1
    if wrong or seen < len(balances):
        raise NotInStep(f"{wrong} contacts show another balance, {len(balances) - seen} were not found")


def _contacts(world: World, page: int) -> list[dict[str, Any]]:
    rt = world.rt
    token = rt.tokens.access_token() if rt.tokens is not None else ""
    url = f"{world.crm_url}/api/v4/contacts?limit={CONTACTS_PER_REQUEST}&page={page}"
    time.sleep(1 / REQUESTS_PER_S)
    reply = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    return [] if reply.status_code == 204 else list(reply.json()["_embedded"]["contacts"])


def _value(contact: dict[str, Any], field_id: int) -> int:
    for one in contact.get("custom_fields_values") or []:
        if one["field_id"] == field_id:
            return int(float(one["values"][0]["value"]))
    return 0


def _lines(plan: Plan, seconds: float, refused: int) -> list[Line]:
    floor_s = math.ceil(plan.members / WRITE_BATCH) / REQUESTS_PER_S
    slower = seconds / floor_s
    everybody_min = math.ceil(EVERYBODY / WRITE_BATCH) / REQUESTS_PER_S * slower / 60
    return [
        Line(
            key="sync.seconds",
            title=f"{plan.members} changed members told to the CRM",
            value=seconds,
            unit="s",
            ratio=slower,
            against=f"ceil(N/{WRITE_BATCH})/{REQUESTS_PER_S} s",
            target=f"target <= {TARGET_OF_FLOOR:g} x",
            is_reached=slower <= TARGET_OF_FLOOR,
        ),
        Line(
            key="sync.peer",
            title="  the same, one request per member",
            value=plan.members / REQUESTS_PER_S,
            unit="s",
            ratio=plan.members / REQUESTS_PER_S / seconds,
            against="ours",
        ),
        Line(
            key="sync.refused",
            title="  refused by the CRM (429)",
            value=float(refused),
            unit="times",
            target="target = 0",
            is_reached=refused == 0,
        ),
        Line(key="sync.everybody", title=f"  projected for {EVERYBODY}", value=everybody_min, unit="min"),
    ]
