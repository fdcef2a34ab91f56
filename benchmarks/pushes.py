"""Installed Apple cards kept fresh: phones told of a change of their cards, and the cards fetched over HTTP.

Pushes: every phone's card has changed; our outbox worker gives the tags and pushes to a simulated Apple (real HTTP/2,
the pass certificate), held against the same pushes by a bare loop over the same client, and, as the peer, one HTTP/2
request after another. Passes: the web service's answer with a freshly signed card, held against bare RSA signatures in
the same round, and the answer «not modified». Every phone must have been told once, and every card fetched must say
the present balance.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.table import Line
from benchmarks.world import World, open_world, running
from cli.children import Child, run_json
from config.settings import load_settings
from flows import apple_cards, outbox
from flows.runtime import Runtime, build_runtime

TARGET_OF_BARE = 0.3
TARGET_OF_RSA = 0.1
CONNECTIONS = 4
TIMEOUT_S = 30
_SEED = (
    """
    INSERT INTO member (contact_ref, name, card_token, card_serial, card_number, available, created_at)
    SELECT 5000000 + n, 'Анна Петрова', 'pushed-token-' || n, 'pushedserial' || n, 'pushed-' || n, 0, :now
    FROM generate_series(1, :members) AS n
    """,
    """
    INSERT INTO apple_card (member_id, person_id, key_name, digest, tag, modified_at, changed_at, fetched_at)
    SELECT id, id, :key_name, '', row_number() OVER (ORDER BY id), date_trunc('second', CAST(:now AS timestamptz)),
        :now, :now
    FROM member WHERE card_serial LIKE 'pushedserial%'
    """,
    """
    INSERT INTO apple_device (library_id, push_token, registered_at)
    SELECT 'phone-' || member_id, lpad(to_hex(member_id), 64, '0'), :now FROM apple_card
    """,
    """
    INSERT INTO apple_registration (device_id, member_id, told_tag)
    SELECT device.id, card.member_id, card.tag
    FROM apple_card card JOIN apple_device device ON device.library_id = 'phone-' || card.member_id
    """,
    "ANALYZE member, apple_card, apple_device, apple_registration",
)
_CHANGE = "UPDATE member SET available = available + 1 WHERE card_serial LIKE 'pushedserial%'"
_MARK = """
    INSERT INTO outbox (kind, target_id, created_at, due_at)
    SELECT 'apple', member_id, :now, :now FROM apple_card ORDER BY member_id
"""
_UNTOLD = "SELECT count(*) FROM apple_registration JOIN apple_card USING (member_id) WHERE told_tag < tag"


class NotTold(Exception):
    """A phone was not told, or twice, or was given an old card."""


@dataclass(frozen=True)
class Plan:
    phones: int = 10_000
    bare: int = 2_000
    one_by_one: int = 300
    rounds: int = 5
    passes: int = 400


def measure(plan: Plan) -> list[Line]:
    """Raises NotTold."""
    with open_world() as world:
        apple = Child(
            "apns",
            ["-m", "simulator", "apns", "--ca", str(world.folder / "wallet" / "ca.pem"), "--state", str(world.folder)],
            {},
            world.folder / "logs",
            announces=True,
        )
        with running(apple):
            ready = apple.ready
            environment = {
                **world.environment,
                "APNS_URL": ready["apns_url"],
                "APNS_CA_FILE": ready["apns_ca_file"],
            }
            rt = build_runtime(load_settings(environment, dotenv=None))
            try:
                _seed(rt, plan)
                lines = _pushes(rt, plan, ready["url"])
                return lines + _passes(replace(world, environment=environment), rt, plan)
            finally:
                rt.db.close()
                if rt.apple is not None and rt.apple.push is not None:
                    rt.apple.push.close()


def _pushes(rt: Runtime, plan: Plan, control_url: str) -> list[Line]:
    assert rt.apple is not None
    assert rt.apple.push is not None
    push = rt.apple.push.push
    push(["0" * 64])
    tokens = [f"{number:064x}" for number in range(plan.bare)]
    bare = _per_second(plan.bare, lambda: push(tokens))
    alone = _per_second(plan.one_by_one, lambda: [push([token]) for token in tokens[: plan.one_by_one]])
    before = run_json("GET", f"{control_url}/sim/state", None)["pushes"]
    with rt.db.begin() as tx:
        tx.execute(sa.text(_CHANGE))
        tx.execute(sa.text(_MARK), {"now": rt.now()})
    ours = _per_second(plan.phones, lambda: outbox.drain(rt))
    state = run_json("GET", f"{control_url}/sim/state", None)
    with rt.db.begin() as tx:
        untold = tx.execute(sa.text(_UNTOLD)).scalar_one()
    if state["pushes"] - before != plan.phones or untold or state["connections"] != 1:
        raise NotTold(f"{state['pushes'] - before} pushes for {plan.phones} phones, {untold} untold, {state}")
    return [
        Line(
            key="pushes.told",
            title="phone told: new tag, push, remembered",
            value=ours,
            unit="/s",
            ratio=ours / bare,
            against="bare pushes",
            target=f"target >= {TARGET_OF_BARE:g} x",
            is_reached=ours >= TARGET_OF_BARE * bare,
        ),
        Line(
            key="pushes.of_alone", title="  the same", value=ours, unit="/s", ratio=ours / alone, against="one by one"
        ),
        Line(key="pushes.bare", title="bare pushes, a hundred at once", value=bare, unit="/s"),
        Line(key="pushes.alone", title="bare pushes, one by one", value=alone, unit="/s"),
    ]


def _passes(world: World, rt: Runtime, plan: Plan) -> list[Line]:
    web = world.product("web")
    paths, tokens = _cards(rt, plan.passes)
    key_pem = (Path(world.environment["DEMO_WALLET_DIR"]) / "pass-key.pem").read_bytes()
    key: Any = load_pem_private_key(key_pem, None)
    rates: dict[str, list[float]] = {"rsa": [], "fetched": [], "unmodified": []}
    with running(web):
        port = int(web.ready["port"])
        _fetch(port, paths[:4], tokens, {})
        for _ in range(plan.rounds):
            rates["rsa"].append(
                _per_second(plan.passes, lambda: [key.sign(b"x", PKCS1v15(), hashes.SHA256()) for _ in paths])
            )
            dates: dict[str, str] = {}
            rates["fetched"].append(_per_second(plan.passes, lambda dates=dates: _fetch(port, paths, tokens, dates)))  # type: ignore[misc]
            rates["unmodified"].append(
                _per_second(plan.passes, lambda dates=dates: _fetch(port, paths, tokens, dates))  # type: ignore[misc]
            )
    rsa, fetched, unmodified = (median(rates[name]) for name in ("rsa", "fetched", "unmodified"))
    return [
        Line(
            key="pushes.fetched",
            title="card fetched over HTTP, signed anew",
            value=fetched,
            unit="/s",
            ratio=median(one / other for one, other in zip(rates["fetched"], rates["rsa"], strict=True)),
            against="bare RSA-2048",
            target=f"target >= {TARGET_OF_RSA:g} x",
            is_reached=fetched >= TARGET_OF_RSA * rsa,
        ),
        Line(key="pushes.unmodified", title="  not modified", value=unmodified, unit="/s"),
    ]


def _cards(rt: Runtime, count: int) -> tuple[list[str], dict[str, str]]:
    assert rt.signer is not None
    paths, tokens = [], {}
    for number in range(1, count + 1):
        serial = f"pushedserial{number}"
        path = f"/passes/v1/passes/{rt.signer.pass_type_id}/{serial}"
        paths.append(path)
        tokens[path] = apple_cards.token_of(rt, serial)
    return paths, tokens


def _fetch(port: int, paths: list[str], tokens: dict[str, str], dates: dict[str, str]) -> None:
    """Each card once, over a few kept connections; with its date, if it is known, it must not be modified."""

    def some(part: list[str]) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        for path in part:
            known = dates.get(path)
            headers = {"Authorization": f"ApplePass {tokens[path]}"} | (
                {} if known is None else {"If-Modified-Since": known}
            )
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != (200 if known is None else 304):
                raise NotTold(f"{path}: {reply.status}")
            if known is None:
                _check(body)
                dates[path] = reply.headers["Last-Modified"]
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, [paths[start::CONNECTIONS] for start in range(CONNECTIONS)]))


def _check(pkpass: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(pkpass)) as archive:
        content = json.loads(archive.read("pass.json"))
    if content["storeCard"]["headerFields"][0]["value"] != "1":
        raise NotTold("an old card was fetched")


def _seed(rt: Runtime, plan: Plan) -> None:
    with rt.db.begin() as tx:
        tx.execute(sa.text("SET LOCAL statement_timeout = '120s'"))
        for statement in _SEED:
            values = {"now": rt.now(), "members": plan.phones, "key_name": rt.keys.fingerprints[0]}
            tx.execute(sa.text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


def _per_second(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)
