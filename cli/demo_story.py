"""The demo's story, played without a person and checked as it goes: `make demo ARGS=--once`.

A buyer pays 4 990 ₽; the bank's signed callback arrives five times and the CRM's hook three times, in any order; then
another buyer pays through another bank and a part goes back; then somebody pays through each of the acquirers. Every
claim is read from where its user would read it: the CRM's fields from the CRM, the card from its page, the ledger from
its proof.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import zipfile
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from cli import demo_shop as shop
from flows import health

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.demo_world import World

PAID_KOPECKS = 499_000
CALLBACKS = 5
HOOKS = 3
REFUNDED_PAYMENT_KOPECKS = 200_000
REFUND_KOPECKS = 50_000
SECOND_ROUBLES = 2_000
SMALL_KOPECKS = 99_000


def play(world: World, say: Callable[[str], None]) -> dict[str, Any]:
    """Plays and checks; returns the summary line. `ok` is False and `error` says why when a check failed."""
    try:
        return _play(world, say)
    except shop.StoryFailed as failure:
        say(f"НЕ ВЫШЛО: {failure}")
        return {"ok": False, "error": str(failure), "timings_s": world.timings_s}


def _play(world: World, say: Callable[[str], None]) -> dict[str, Any]:
    anna = shop.new_deal(world, "Палатка и спальник", PAID_KOPECKS, "Анна Петрова")
    began = time.monotonic()
    shop.pay(world, anna, "tbank", callbacks=CALLBACKS, hooks=HOOKS)
    say(f"Анна платит 4 990 ₽ через Т-Банк: {CALLBACKS} уведомлений банка и {HOOKS} хука amoCRM вразнобой")
    member = shop.until(
        lambda: shop.member(world, anna, net=shop.expected(world, PAID_KOPECKS)), "баллы за оплату не начислены"
    )
    world.timings_s["payment_to_points"] = round(time.monotonic() - began, 2)
    balance = member["balance"]
    say(f"Начислено: доступно {balance['available']}, ожидают {balance['pending']}")
    crm = shop.until(lambda: _crm_agrees(world, anna, member), "поля amoCRM не сошлись с книгой баллов")
    world.timings_s["payment_to_crm"] = round(time.monotonic() - began, 2)
    say("В amoCRM: поля контакта, покупатель с сегментом, примечание в сделке")
    _refund_story(world, say)
    redeemed = _redeem_story(world, say)
    paid_through = _every_bank_story(world, say)
    path = _save_pass(world, member)
    say(f"Карта Apple подписана и проверена: {path}")
    google_link = _google_link(world, member)
    shop.until(lambda: _callbacks_are_done(world), "не все уведомления обработаны")
    member = shop.member(world, anna, net=shop.expected(world, PAID_KOPECKS)) or member
    if len([line for line in member["statement"] if line["move"] == "accrue"]) != 1:
        raise shop.StoryFailed("начислено не ровно один раз")
    verdict = health.verify_ledger(world.rt)
    if not verdict.is_whole:
        raise shop.StoryFailed(f"книга баллов не сходится: {verdict.faults}")
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
        "banks": paid_through,
        "timings_s": {"start": round(world.started_s, 2), **world.timings_s},
    }


def _refund_story(world: World, say: Callable[[str], None]) -> None:
    boris = shop.new_deal(world, "Треккинговые палки", REFUNDED_PAYMENT_KOPECKS, "Борис Иванов")
    shop.pay(world, boris, "yookassa", callbacks=2, hooks=2)
    shop.until(
        lambda: shop.member(world, boris, net=shop.expected(world, REFUNDED_PAYMENT_KOPECKS)),
        "баллы Бориса не начислены",
    )
    world.call("POST", f"{world.urls['crm']}/sim/deals/{boris.deal_id}/refund", {"amount_kopecks": REFUND_KOPECKS})
    kept = REFUNDED_PAYMENT_KOPECKS - REFUND_KOPECKS
    shop.until(lambda: shop.member(world, boris, net=shop.expected(world, kept)), "возврат не снял баллы")
    say("Борис платит 2 000 ₽ через ЮKassa, 500 ₽ возвращают: баллы за возвращённое сняты")


def _redeem_story(world: World, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The manager types a number into the deal, the CRM answers with the new total, the payment captures it."""
    names = world.rt.crm_names.lead_fields
    asked = _to_spend(world)
    if not asked or not {"redeem", "total"} <= names.keys():
        return None
    vera = shop.new_deal(world, "Фонарь", REFUNDED_PAYMENT_KOPECKS, "Вера Смирнова")
    shop.pay(world, vera, "tbank", callbacks=1, hooks=1)
    first = shop.until(
        lambda: shop.member(world, vera, net=shop.expected(world, REFUNDED_PAYMENT_KOPECKS)), "нет баллов Веры"
    )
    body = {"name": "Гермомешок", "price_roubles": SECOND_ROUBLES, "contact_id": vera.contact_id}
    deal_id = world.call("POST", f"{world.urls['crm']}/sim/deals", body)["deal_id"]
    world.call("POST", f"{world.urls['crm']}/sim/deals/{deal_id}/fields", {names["redeem"]: asked})
    left = SECOND_ROUBLES - asked * world.rt.programme.point_value_kopecks // 100
    shop.until(lambda: shop.deal_field(world, deal_id, names["total"]) == str(left), "сделка не узнала новой суммы")
    say(f"Менеджер вписал «{names['redeem']}»: {asked}; к оплате стало {left} ₽")
    shop.pay(world, shop.Deal(deal_id, vera.contact_id), "yookassa", callbacks=2, hooks=2)
    spent = first["balance"]["available"] - asked
    member = shop.until(lambda: _spent(world, vera, spent), "списание не проведено")
    say(f"Вера платит {left} ₽ через ЮKassa: {asked} списано, на остальное начислено")
    return {"deal": deal_id, "asked": asked, "to_pay_roubles": left, "balance": member["balance"]}


def _every_bank_story(world: World, say: Callable[[str], None]) -> dict[str, Any]:
    """A small deal through each acquirer. Points alone would not show it, the deal's stage earns them too: the bank
    must have been believed, and the deal must know through whom it was paid."""
    began = time.monotonic()
    deals = {bank: shop.new_deal(world, "Носки", SMALL_KOPECKS, "Глеб Соколов") for bank in world.banks}
    payments = {bank: shop.pay(world, deal, bank, callbacks=1, hooks=1) for bank, deal in deals.items()}
    told = {}
    for bank, deal in deals.items():
        callbacks = shop.until(partial(shop.believed, world, payments[bank]), f"{bank}: уведомление банка не принято")
        net = shop.expected(world, SMALL_KOPECKS)
        member = shop.until(partial(shop.member, world, deal, net=net), f"{bank}: баллы не начислены")
        earned = sum(line["points"] for line in member["statement"] if line["move"] == "accrue")
        told[bank] = {
            "deal": deal.deal_id,
            "payment": payments[bank],
            "callbacks": callbacks,
            "accrued": earned,
            "acquirer": _paid_through(world, deal, bank),
        }
    world.timings_s["every_bank"] = round(time.monotonic() - began, 2)
    say(
        f"По 990 ₽ через каждый эквайринг, их {len(told)}: уведомления приняты, баллы начислены, сделки знают свой банк"
    )
    return told


def _paid_through(world: World, deal: shop.Deal, bank: str) -> str | None:
    """The bank as the deal names it, where the rules keep it there."""
    name = world.rt.crm_names.lead_fields.get("acquirer")
    if name is None:
        return None
    found = shop.until(partial(shop.deal_field, world, deal.deal_id, name), f"{bank}: сделка не узнала своего банка")
    if found != world.rt.acquirers[bank].title_ru:
        raise shop.StoryFailed(f"{bank}: в сделке стоит {found}")
    return found


def _to_spend(world: World) -> int:
    """What the rules let a newcomer spend at once: part of his welcome points, within the share of the order."""
    rules, welcome = world.rt.programme.redeem, world.rt.programme.welcome
    if rules is None or welcome is None or rules.confirm != "none" or not welcome.activate_after.is_zero:
        return 0
    cap = SECOND_ROUBLES * 100 * rules.max_share_bps // (10_000 * world.rt.programme.point_value_kopecks)
    points = min(welcome.points, cap)
    return points if points >= rules.min_points else 0


def _spent(world: World, deal: shop.Deal, available: int) -> dict[str, Any] | None:
    found = shop.account(world, deal)
    captured = any(line["move"] == "capture" for line in found.get("statement", []))
    return found if captured and found["balance"]["available"] == available else None


def _crm_agrees(world: World, deal: shop.Deal, member: dict[str, Any]) -> dict[str, Any] | None:
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
        raise shop.StoryFailed(f"страница карты не отдала .pkpass: {reply.status}")
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
        raise shop.StoryFailed(f"openssl не принимает подпись карты: {checked.stderr.decode(errors='replace')[-200:]}")


def _google_link(world: World, member: dict[str, Any]) -> str | None:
    if world.rt.google is None:
        return None
    reply = world.http.send("GET", f"{member['card']['url']}/google", route="demo")
    return reply.headers.get("location")
