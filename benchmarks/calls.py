"""Somebody calls: how long until the card of the caller is there, from the address of the API to its last byte.

Through the real web process and the database, among many members, one call at a time on a kept connection, as a
telephony widget asks; by turns with a bare Flask «ok» on the same server and with the bare look-up of the number.
Known callers and strangers alternate. Every answer must name the right person.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median

import psycopg
import sqlalchemy as sa

from benchmarks.table import Line
from benchmarks.world import WEB_THREADS, World, open_world, running
from flows import access

TARGET_P99_MS = 300.0
STEP_MEMBERS = 50_000
FIRST_PHONE = 79_000_000_000
STRANGERS_FROM = 79_990_000_000
TIMEOUT_S = 30
_MEMBERS = sa.text(
    """
    WITH made AS (
        INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, created_at)
        SELECT n, 'Анна Петрова', 'caller-token-' || n, 'caller-serial-' || n, 'caller-' || n, :now
        FROM generate_series(CAST(:first AS bigint), :last) AS n RETURNING id, contact_ref
    )
    INSERT INTO member_address (member_id, kind, value, added_at)
    SELECT id, 'phone', '+' || (:phone + contact_ref), :now FROM made
    """
)
_LOOK_UP = "SELECT member_id FROM member_address WHERE kind = 'phone' AND value = %s"


class WrongCaller(Exception):
    """The card of somebody else was shown, or none."""


@dataclass(frozen=True)
class Plan:
    members: int = 300_000
    rounds: int = 5
    calls: int = 60


def measure(plan: Plan) -> list[Line]:
    """Raises WrongCaller."""
    with open_world() as world:
        _seed(world, plan)
        web, bare = world.product("web"), world.helper("bare", str(WEB_THREADS))
        with running(web, bare), psycopg.connect(world.driver_url, autocommit=True) as direct:
            took: dict[str, list[float]] = {"known": [], "stranger": [], "bare": [], "look_up": []}
            api = HTTPConnection("127.0.0.1", int(web.ready["port"]), timeout=TIMEOUT_S)
            ok = HTTPConnection("127.0.0.1", int(bare.ready["port"]), timeout=TIMEOUT_S)
            dice = random.Random(7)
            _call(api, _headers(world, "warm"), _phone(1))
            for number in range(plan.rounds):
                headers = _headers(world, f"round-{number}")
                for _ in range(plan.calls // 2):
                    caller = dice.randint(1, plan.members)
                    _timed(took["bare"], _ok, ok)
                    _timed(took["known"], _known, api, headers, caller)
                    _timed(took["look_up"], _look_up, direct, caller)
                    _timed(took["stranger"], _stranger, api, headers, dice)
            api.close()
            ok.close()
    return _lines(took)


def _lines(took: dict[str, list[float]]) -> list[Line]:
    known, bare = median(took["known"]), median(took["bare"])
    worst = max(_p99(took["known"]), _p99(took["stranger"]))
    return [
        Line(
            key="calls.p50",
            title="incoming call: the caller's card, median",
            value=known,
            unit="ms",
            ratio=bare / known,
            against="bare Flask",
        ),
        Line(
            key="calls.p99",
            title="  the slowest of a hundred, known or stranger",
            value=worst,
            unit="ms",
            target=f"target < {TARGET_P99_MS:g} ms",
            is_reached=worst < TARGET_P99_MS,
        ),
        Line(key="calls.stranger", title="  a stranger, median", value=median(took["stranger"]), unit="ms"),
        Line(key="calls.look_up", title="  the bare look-up of a number", value=median(took["look_up"]), unit="ms"),
        Line(key="calls.bare", title="  bare Flask, one at a time", value=bare, unit="ms"),
    ]


def _p99(took_ms: list[float]) -> float:
    return sorted(took_ms)[(len(took_ms) - 1) * 99 // 100]


def _timed(took_ms: list[float], work: Callable[..., None], *arguments: object) -> None:
    began = time.perf_counter()
    work(*arguments)
    took_ms.append((time.perf_counter() - began) * 1000)


def _known(api: HTTPConnection, headers: dict[str, str], caller: int) -> None:
    told = _call(api, headers, _phone(caller))
    if [one["open_url"].rpartition("/")[2] for one in told["callers"]] != [str(caller)]:
        raise WrongCaller(f"{_phone(caller)} is contact {caller}, told was {told['callers']}")


def _stranger(api: HTTPConnection, headers: dict[str, str], dice: random.Random) -> None:
    told = _call(api, headers, f"+{STRANGERS_FROM + dice.randint(1, 9_999_999)}")
    if told["callers"] or not told["form"]:
        raise WrongCaller(f"a stranger was taken for {told['callers']}")


def _look_up(direct: psycopg.Connection[tuple[int]], caller: int) -> None:
    direct.execute(_LOOK_UP, (_phone(caller),)).fetchall()


def _ok(bare: HTTPConnection) -> None:
    bare.request("POST", "/ok", b"")
    bare.getresponse().read()


def _call(api: HTTPConnection, headers: dict[str, str], phone: str) -> dict[str, list[dict[str, str]]]:
    api.request("GET", f"/api/v1/calls?phone=%2B{phone.removeprefix('+')}", headers=headers)
    reply = api.getresponse()
    body = reply.read()
    if reply.status != 200:
        raise WrongCaller(f"{reply.status} {body[:200]!r}")
    told: dict[str, list[dict[str, str]]] = json.loads(body)
    return told


def _phone(caller: int) -> str:
    return f"+{FIRST_PHONE + caller}"


def _headers(world: World, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.create_token(world.rt, name)}"}


def _seed(world: World, plan: Plan) -> None:
    """Members with a phone each; contact and caller have the same number."""
    for first in range(1, plan.members + 1, STEP_MEMBERS):
        last = min(first + STEP_MEMBERS - 1, plan.members)
        with world.rt.db.begin() as tx:
            tx.execute(sa.text("SET LOCAL statement_timeout = '120s'"))
            tx.execute(_MEMBERS, {"first": first, "last": last, "phone": FIRST_PHONE, "now": world.rt.now()})
    with world.rt.db.autocommit() as single:
        single.execute(sa.text("ANALYZE member, member_address"))
