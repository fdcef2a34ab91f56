"""The demo's story, played without a person and checked as it goes: `make demo ARGS=--once`.

A buyer pays 4 990 ₽; the bank's signed callback arrives five times and the CRM's hook three times, in any order; then
another buyer pays through the other bank and half of it goes back. Every claim is read from where its user would read
it: the CRM's fields from the CRM, the card from its page, the ledger from its proof.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from flows import health

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.demo_world import World

Found = TypeVar("Found")

PATIENCE_S = 60.0
POLL_S = 0.05
PAID_KOPECKS = 499_000
CALLBACKS = 5
HOOKS = 3
REFUNDED_PAYMENT_KOPECKS = 200_000
REFUND_KOPECKS = 50_000
SECOND_ROUBLES = 2_000


class StoryFailed(Exception):
    """Something that must be true was not. The text says what."""


@dataclass(frozen=True)
class Deal:
    deal_id: int
    contact_id: int


def play(world: World, say: Callable[[str], None]) -> dict[str, Any]:
    """Plays and checks; returns the summary line. `ok` is False and `error` says why when a check failed."""
    try:
        return _play(world, say)
    except StoryFailed as failure:
        say(f"НЕ ВЫШЛО: {failure}")
        return {"ok": False, "error": str(failure), "timings_s": world.timings_s}


def _play(world: World, say: Callable[[str], None]) -> dict[str, Any]:
    anna = _new_deal(world, "Палатка и спальник", PAID_KOPECKS, "Анна Петрова")
    began = time.monotonic()
    _pay(world, anna, "tbank", callbacks=CALLBACKS, hooks=HOOKS)
    say(f"Анна платит 4 990 ₽ через Т-Банк: {CALLBACKS} уведомлений банка и {HOOKS} хука amoCRM вразнобой")
    member = _until(lambda: _member(world, anna, net=_expected(world, PAID_KOPECKS)), "баллы за оплату не начислены")
    world.timings_s["payment_to_points"] = round(time.monotonic() - began, 2)
    balance = member["balance"]
    say(f"Начислено: доступно {balance['available']}, ожидают {balance['pending']}")
    crm = _until(lambda: _crm_agrees(world, anna, member), "поля amoCRM не сошлись с книгой баллов")
    world.timings_s["payment_to_crm"] = round(time.monotonic() - began, 2)
    say("В amoCRM: поля контакта, покупатель с сегментом, примечание в сделке")
    _refund_story(world, say)
    redeemed = _redeem_story(world, say)
    path = _save_pass(world, member)
    say(f"Карта Apple подписана и проверена: {path}")
    google_link = _google_link(world, member)
    _until(lambda: _callbacks_are_done(world), "не все уведомления обработаны")
    member = _member(world, anna, net=_expected(world, PAID_KOPECKS)) or member
    if len([line for line in member["statement"] if line["move"] == "accrue"]) != 1:
        raise StoryFailed("начислено не ровно один раз")
    verdict = health.verify_ledger(world.rt)
    if not verdict.is_whole:
        raise StoryFailed(f"книга баллов не сходится: {verdict.faults}")
    say(f"Книга сходится: операций {verdict.transfers}, сумма 0")
    return {
        "ok": True,
        "member": {key: member[key] for key in ("id", "contact", "card", "segment")},
        "balance": member["balance"],
        "ledger": {"transfers": verdict.transfers, "sum": verdict.sum},
        "pass": {"path": str(path), "ca_path": str(world.folder / "wallet" / "ca.pem")},
        "google_link": google_link,
        "crm": crm,
        "redeem": redeemed,
        "timings_s": {"start": round(world.started_s, 2), **world.timings_s},
    }


def _refund_story(world: World, say: Callable[[str], None]) -> None:
    boris = _new_deal(world, "Треккинговые палки", REFUNDED_PAYMENT_KOPECKS, "Борис Иванов")
    _pay(world, boris, "yookassa", callbacks=2, hooks=2)
    _until(lambda: _member(world, boris, net=_expected(world, REFUNDED_PAYMENT_KOPECKS)), "баллы Бориса не начислены")
    world.call("POST", f"{world.urls['crm']}/sim/deals/{boris.deal_id}/refund", {"amount_kopecks": REFUND_KOPECKS})
    kept = REFUNDED_PAYMENT_KOPECKS - REFUND_KOPECKS
    _until(lambda: _member(world, boris, net=_expected(world, kept)), "возврат не снял баллы")
    say("Борис платит 2 000 ₽ через ЮKassa, 500 ₽ возвращают: баллы за возвращённое сняты")


def _redeem_story(world: World, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The manager types a number into the deal, the CRM answers with the new total, the payment captures it."""
    names = world.rt.crm_names.lead_fields
    asked = _to_spend(world)
    if not asked or not {"redeem", "total"} <= names.keys():
        return None
    vera = _new_deal(world, "Фонарь", REFUNDED_PAYMENT_KOPECKS, "Вера Смирнова")
    _pay(world, vera, "tbank", callbacks=1, hooks=1)
    first = _until(lambda: _member(world, vera, net=_expected(world, REFUNDED_PAYMENT_KOPECKS)), "нет баллов Веры")
    body = {"name": "Гермомешок", "price_roubles": SECOND_ROUBLES, "contact_id": vera.contact_id}
    deal_id = world.call("POST", f"{world.urls['crm']}/sim/deals", body)["deal_id"]
    world.call("POST", f"{world.urls['crm']}/sim/deals/{deal_id}/fields", {names["redeem"]: asked})
    left = SECOND_ROUBLES - asked * world.rt.programme.point_value_kopecks // 100
    _until(lambda: _deal_field(world, deal_id, names["total"]) == str(left), "сделка не узнала новой суммы")
    say(f"Менеджер вписал «{names['redeem']}»: {asked}; к оплате стало {left} ₽")
    _pay(world, Deal(deal_id, vera.contact_id), "yookassa", callbacks=2, hooks=2)
    spent = first["balance"]["available"] - asked
    member = _until(lambda: _spent(world, vera, spent), "списание не проведено")
    say(f"Вера платит {left} ₽ через ЮKassa: {asked} списано, на остальное начислено")
    return {"deal": deal_id, "asked": asked, "to_pay_roubles": left, "balance": member["balance"]}


def _to_spend(world: World) -> int:
    """What the rules let a newcomer spend at once: part of his welcome points, within the share of the order."""
    rules, welcome = world.rt.programme.redeem, world.rt.programme.welcome
    if rules is None or welcome is None or rules.confirm != "none" or not welcome.activate_after.is_zero:
        return 0
    cap = SECOND_ROUBLES * 100 * rules.max_share_bps // (10_000 * world.rt.programme.point_value_kopecks)
    points = min(welcome.points, cap)
    return points if points >= rules.min_points else 0


def _deal_field(world: World, deal_id: int, name: str) -> str | None:
    state = world.call("GET", f"{world.urls['crm']}/sim/state?deal={deal_id}")
    value = state["deals"][0]["fields"].get(name)
    return None if value is None else str(value)


def _spent(world: World, deal: Deal, available: int) -> dict[str, Any] | None:
    headers = {"Authorization": f"Bearer {world.api_token}"}
    found = world.call("GET", f"{world.urls['web']}/api/v1/members?contact={deal.contact_id}", headers=headers)
    captured = any(line["move"] == "capture" for line in found.get("statement", []))
    return dict(found) if captured and found["balance"]["available"] == available else None


def _new_deal(world: World, name: str, kopecks: int, buyer: str) -> Deal:
    """A deal with a buyer nobody knows yet: the story may be played many times in one folder."""
    phone = f"+7900{secrets.randbelow(10**7):07}"
    body = {"name": name, "price_roubles": kopecks / 100, "contact": {"name": buyer, "phone": phone}}
    made = world.call("POST", f"{world.urls['crm']}/sim/deals", body)
    return Deal(made["deal_id"], made["contact_id"])


def _pay(world: World, deal: Deal, acquirer: str, *, callbacks: int, hooks: int) -> None:
    body = {"acquirer": acquirer, "callbacks": callbacks, "hooks": hooks, "shuffle": True}
    world.call("POST", f"{world.urls['crm']}/sim/deals/{deal.deal_id}/pay", body)


def _expected(world: World, kopecks: int) -> int:
    """What the rules promise for a first order, counted here without the product's own functions."""
    programme = world.rt.programme
    base = kopecks * programme.accrual.rate_bps // (10_000 * programme.point_value_kopecks)
    welcome = programme.welcome
    if welcome is None:
        return base
    return welcome.points + (base if welcome.with_base else 0)


def _member(world: World, deal: Deal, *, net: int) -> dict[str, Any] | None:
    """The buyer's account over our API, once it holds `net` points."""
    headers = {"Authorization": f"Bearer {world.api_token}"}
    found = world.call("GET", f"{world.urls['web']}/api/v1/members?contact={deal.contact_id}", headers=headers)
    balance = found.get("balance")
    if balance is None or balance["available"] + balance["pending"] + balance["reserved"] - balance["debt"] != net:
        return None
    return dict(found)


def _crm_agrees(world: World, deal: Deal, member: dict[str, Any]) -> dict[str, Any] | None:
    """The contact, lead and customer as the CRM shows them, once they say what the ledger says."""
    state = world.call("GET", f"{world.urls['crm']}/sim/state?deal={deal.deal_id}")
    contact = next(one for one in state["contacts"] if one["id"] == deal.contact_id)
    names = world.rt.crm_names.contact_fields
    fields = contact["fields"]
    title = next((rule.title for rule in world.rt.programme.segments if rule.code == member["segment"]), "")
    wanted = {
        "balance": str(member["balance"]["available"]),
        "pending": str(member["balance"]["pending"]),
        "segment": title,
        "card_link": member["card"]["url"],
    }
    if any(str(fields.get(names[key])) != value for key, value in wanted.items() if key in names):  # type: ignore[index]
        return None
    notes = [note["text"] for note in state["notes"] if note.get("deal_id", note.get("entity_id")) == deal.deal_id]
    customers = [one for one in state["customers"] if deal.contact_id in _contact_ids(one)]
    if not notes or not customers or title not in str(customers[0]):
        return None
    return {
        "contact": {"id": deal.contact_id, "fields": fields},
        "lead": {"id": deal.deal_id, "notes": notes},
        "customer": customers[0],
    }


def _contact_ids(customer: dict[str, Any]) -> list[int]:
    return [one["id"] if isinstance(one, dict) else one for one in customer.get("contacts", [])]


def _callbacks_are_done(world: World) -> bool:
    facts = health.facts(world.rt)
    return all(box["waiting"] + box["working"] + box["parked"] == 0 for box in (facts.inbox, facts.outbox))


def _save_pass(world: World, member: dict[str, Any]) -> Path:
    url = f"{member['card']['url']}/card.pkpass"
    reply = world.http.send("GET", url, route="demo")
    if reply.status != 200 or reply.headers.get("content-type") != "application/vnd.apple.pkpass":
        raise StoryFailed(f"страница карты не отдала .pkpass: {reply.status}")
    folder = world.folder / "cards"
    folder.mkdir(exist_ok=True)
    path = folder / f"{member['card']['number']}.pkpass"
    path.write_bytes(reply.body)
    _check_signature(reply.body, folder, world.folder / "wallet" / "ca.pem")
    return path


def _check_signature(pkpass: bytes, folder: Path, ca_path: Path) -> None:
    """`openssl cms -verify`, where openssl is installed; the tests of the product always run it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return
    with zipfile.ZipFile(BytesIO(pkpass)) as archive:
        for name in ("manifest.json", "signature"):
            (folder / name).write_bytes(archive.read(name))
    command = [openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", str(folder / "signature")]
    command += ["-content", str(folder / "manifest.json"), "-CAfile", str(ca_path), "-out", "/dev/null"]
    checked = subprocess.run(command, capture_output=True, timeout=20, check=False)
    if checked.returncode != 0:
        raise StoryFailed(f"openssl не принимает подпись карты: {checked.stderr.decode(errors='replace')[-200:]}")


def _google_link(world: World, member: dict[str, Any]) -> str | None:
    if world.rt.google is None:
        return None
    reply = world.http.send("GET", f"{member['card']['url']}/google", route="demo")
    return reply.headers.get("location")


def _until(look: Callable[[], Found | None], what: str) -> Found:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(POLL_S)
    raise StoryFailed(what)
