"""What must be true when the faults have ended, each counted here from the bank's and the CRM's final state.

Nothing of the product's own rules or records is used to say what is right.
"""

from __future__ import annotations

import subprocess
import zipfile
from collections import Counter, defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

from chaos_keys import key_of
from chaos_load import PAID_STAGE
from chaos_town import Town

from flows import health

RATE_PERCENT = 10
WELCOME = 300
SEGMENTS = ((3, "Постоянный"), (1, "Стартовый"))
WON = "Успешно реализовано"
TOLD_FIELDS = {"Бонусы: баланс": "0", "Бонусы: ожидают": "0", "Сегмент карты": ""}
DELIVERIES = 100_000
FINE_ANSWERS = {0, 499, 503}
"""What a sender may see of us besides 2xx: nobody there, too slow, the database is away."""
STALE = ("stripe", 400)
"""Stripe signs the time of every try: the one that is under way while the town's clock is moved is refused as old."""


class Truth:
    """The final state of the outside world, read once."""

    def __init__(self, town: Town) -> None:
        self.crm: dict[str, Any] = town.crm("GET", "/sim/state")
        self.bank: dict[str, Any] = town.bank("GET", "/sim/state")
        self.hooks: list[dict[str, Any]] = town.crm("GET", f"/sim/hooks?limit={DELIVERIES}")["deliveries"]
        self.callbacks: list[dict[str, Any]] = town.bank("GET", f"/sim/callbacks?limit={DELIVERIES}")["callbacks"]
        paid: dict[int, list[int]] = defaultdict(list)
        for payment in self.bank["payments"]:
            if payment["captured"]:
                paid[payment["lead_id"]].append(payment["captured"] - payment["refunded"])
        self.deals = {deal["id"]: deal for deal in self.crm["deals"]}
        self.kept = {deal_id: self._kept(deal, paid.get(deal_id)) for deal_id, deal in self.deals.items()}

    def base(self, deal_id: int) -> int:
        return self.kept[deal_id] * RATE_PERCENT // 100 // 100

    def kept_deals(self, contact_id: int) -> list[int]:
        return [
            deal_id for deal_id, deal in self.deals.items() if deal["contact_id"] == contact_id and self.kept[deal_id]
        ]

    def returned_deals(self, contact_id: int) -> list[int]:
        """Deals that may have been paid once: the welcome points go with a first order that comes back whole."""
        return [
            deal_id
            for deal_id, deal in self.deals.items()
            if deal["contact_id"] == contact_id and not self.kept[deal_id]
        ]

    def has_points(self, contact_id: int) -> bool:
        return bool(self.kept_deals(contact_id))

    def segment(self, contact_id: int) -> str:
        count = len(self.kept_deals(contact_id))
        return next((title for least, title in SEGMENTS if count >= least), "")

    @staticmethod
    def _kept(deal: dict[str, Any], paid: list[int] | None) -> int:
        if paid is not None:
            return sum(paid)
        return round(deal["price_roubles"] * 100) if deal["status"] in (PAID_STAGE, WON) else 0


def unfinished(town: Town) -> list[str]:
    """Rows that are not done, as a person would describe them."""
    rows = town.rows(
        "SELECT 'in' AS box, id, source || ' ' || left(external_id, 40) AS what, state, failures, crashes, outcome "
        "FROM inbox WHERE state <> 'done' UNION ALL "
        "SELECT 'out', id, kind || ' ' || target_id, state, failures, crashes, outcome FROM outbox "
        "WHERE state <> 'done' ORDER BY 1, 2"
    )
    return [" ".join(str(value) for value in row) for row in rows]


def everything_answered_is_stored_and_done(town: Town, truth: Truth) -> None:
    done = {(row.source, row.external_id) for row in town.rows("SELECT * FROM inbox WHERE state = 'done'")}
    for delivery in [*truth.hooks, *truth.callbacks]:
        statuses = {attempt["status"] for attempt in delivery["attempts"]}
        strange = {status for status in statuses if status not in FINE_ANSWERS and not 200 <= status < 300}
        strange -= {status for policy, status in (STALE,) if delivery["policy"] == policy}
        assert not strange, f"answers {strange} to {delivery['event']}"
        assert delivery["state"] == "accepted", f"never accepted: {delivery['event']} {delivery['state']} {statuses}"
        assert key_of(delivery) in done, f"answered with 2xx and not done: {delivery['event']} {key_of(delivery)}"


def points_of_every_order_are_right(town: Town, truth: Truth, *, moved_back: set[int]) -> None:
    rows = town.rows(
        """
        SELECT o.deal_ref, COALESCE(sum(l.earned - l.reversed), 0) AS net,
            (SELECT count(*) FROM transfer t WHERE t.order_id = o.id AND t.move = 'accrue') AS accruals
        FROM orders o LEFT JOIN lot l ON l.order_id = o.id AND l.source = 'accrual' GROUP BY o.id
        """
    )
    known = {row.deal_ref: row for row in rows}
    for deal_id, kept in truth.kept.items():
        row = known.get(deal_id)
        assert (int(row.net) if row else 0) == truth.base(deal_id), f"points of deal {deal_id}, kept {kept}: {row}"
        if row is not None and deal_id not in moved_back:
            assert row.accruals <= 1, f"deal {deal_id} was accrued {row.accruals} times"


def every_bank_is_heard(town: Town, truth: Truth) -> None:
    """Points alone do not show it: the deal's stage earns them too."""
    rows = town.rows(
        """
        SELECT p.acquirer, p.payment_ref, o.deal_ref, p.captured_kopecks, p.is_refund_total,
            GREATEST(p.refunded_kopecks, (SELECT COALESCE(sum(r.kopecks), 0) FROM payment_refund r
                WHERE r.payment_id = p.id AND NOT r.is_undone)) AS refunded_kopecks
        FROM payment p LEFT JOIN orders o ON o.id = p.order_id
        """
    )
    known = {(row.acquirer, row.payment_ref): row for row in rows}
    for payment in truth.bank["payments"]:
        row = known.get((payment["acquirer"], payment["id"]))
        assert row is not None, f"never heard of: {payment}"
        assert row.deal_ref == payment["lead_id"], f"{payment} belongs to {row}"
        told = row.captured_kopecks if row.is_refund_total else int(row.refunded_kopecks)
        assert (row.captured_kopecks, told) == (payment["captured"], payment["refunded"]), f"{payment} is {row}"
    assert len(known) == len(truth.bank["payments"])


def members_have_what_they_earned(town: Town, truth: Truth) -> int:
    """Returns how many members there are."""
    members = town.rows("SELECT * FROM member ORDER BY id")
    assert len({member.contact_ref for member in members}) == len(members)
    for member in members:
        net = member.available + member.pending + member.reserved - member.debt
        base = sum(truth.base(deal_id) for deal_id in truth.kept_deals(member.contact_ref))
        greeted = town.rows(
            f"SELECT deal_ref FROM orders WHERE is_greeted AND kept_kopecks > 0 AND member_id = {member.id}"
        )
        assert len(greeted) <= 1, f"member {member.id} was greeted for {greeted}"
        if not truth.returned_deals(member.contact_ref) and truth.kept_deals(member.contact_ref):
            assert greeted, f"member {member.id} keeps his orders and was not greeted"
        assert net == base + WELCOME * len(greeted), f"member {member.id} has {net}"
    known = {member.contact_ref for member in members}
    buyers = {deal["contact_id"] for deal_id, deal in truth.deals.items() if truth.kept[deal_id]}
    assert buyers <= known
    return len(members)


def the_book_is_whole(town: Town) -> None:
    verdict = health.verify_ledger(town.world.rt)
    assert verdict.is_whole, verdict.faults
    assert verdict.sum == 0


def the_crm_says_what_the_book_says(town: Town, truth: Truth) -> None:
    """A buyer who never had a point may not have been told of at all."""
    contacts = {contact["id"]: contact for contact in truth.crm["contacts"]}
    for member in town.rows("SELECT * FROM member ORDER BY id"):
        fields = contacts[member.contact_ref]["fields"]
        told = [fields.get(name) or empty for name, empty in TOLD_FIELDS.items()]
        balance = str(member.available - member.debt)
        right = [balance, str(member.pending), truth.segment(member.contact_ref)]
        assert told == right, f"member {member.id}: {town.rows(f'SELECT * FROM crm_state WHERE member_id={member.id}')}"
        assert fields.get("Ссылка на карту", "").endswith(f"/c/{member.card_token}") or not truth.has_points(
            member.contact_ref
        )


def every_buyer_is_one_customer_in_the_right_segment(town: Town, truth: Truth) -> None:
    by_contact: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for customer in truth.crm["customers"]:
        assert customer["contacts"], f"a customer of nobody: {customer['name']}"
        for contact_id in customer["contacts"]:
            by_contact[contact_id].append(customer)
    for member in town.rows("SELECT * FROM member ORDER BY id"):
        customers = by_contact[member.contact_ref]
        segment = truth.segment(member.contact_ref)
        assert len(customers) == 1 or (not segment and not customers), f"member {member.id}: {customers}"
        for customer in customers:
            assert customer["segments"] == ([segment] if segment else []), f"member {member.id}: {customer}"


def notes_tell_each_change_once(town: Town, truth: Truth) -> None:
    notes: dict[int, list[str]] = defaultdict(list)
    for note in sorted(truth.crm["notes"], key=lambda note: note["id"]):
        if "Всего за сделку" in note["text"]:
            notes[note["entity_id"]].append(note["text"])
    nets = town.rows(
        "SELECT o.deal_ref, COALESCE(sum(l.earned - l.reversed), 0)::int AS net FROM orders o "
        "LEFT JOIN lot l ON l.order_id = o.id GROUP BY o.id"
    )
    for row in nets:
        texts = notes.get(row.deal_ref, [])
        doubled = [text for text, count in Counter(texts).items() if count > 1]
        assert not doubled, f"deal {row.deal_ref}: {doubled}"
        told = _total(texts[-1]) if texts else 0
        assert told == row.net, f"deal {row.deal_ref} has {row.net} points, its feed: {texts}"
        changes = sum(_change(text) for text in texts)
        assert changes == row.net, f"deal {row.deal_ref} has {row.net} points, its feed: {texts}"


def google_shows_what_the_book_says(town: Town, truth: Truth) -> None:
    objects = truth.bank["google"]["loyaltyObject"]
    for member in town.rows("SELECT * FROM member ORDER BY id"):
        shown = [one for one in objects if one["id"].endswith(member.card_serial)]
        assert len(shown) == 1 or (not shown and not truth.has_points(member.contact_ref)), (
            f"member {member.id}: {shown}"
        )
        for one in shown:
            told = [one[name]["balance"]["int"] for name in ("loyaltyPoints", "secondaryLoyaltyPoints")]
            assert told == [member.available - member.debt, member.pending], f"member {member.id}"


def the_pass_of(town: Town, member: Any, folder: Path) -> None:
    """The .pkpass of a member, from his page, verified by openssl."""
    reply = town.get(f"/c/{member.card_token}/card.pkpass")
    assert reply.status_code == 200
    with zipfile.ZipFile(BytesIO(reply.content)) as archive:
        archive.extractall(folder)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", str(folder / "signature")]
    command += ["-content", str(folder / "manifest.json"), "-CAfile", str(town.world.folder / "wallet" / "ca.pem")]
    checked = subprocess.run([*command, "-out", "/dev/null"], capture_output=True, timeout=20, check=False)
    assert checked.returncode == 0, checked.stderr
    assert member.card_number in (folder / "pass.json").read_text(encoding="utf-8").replace(" ", "")


def logs_tell_of_no_surprise(town: Town) -> None:
    """A traceback in our logs is a failure that nobody foresaw; RQ's own tell of a lost Redis."""
    surprises: list[str] = []
    for path in sorted(town.logs.glob("*.log")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if path.stem not in ("crm", "bank"):
            surprises += [f"{path.name}: {line[-600:]}" for line in lines if _is_surprise(line)]
    assert not surprises, "\n".join(surprises[:10])


def _is_surprise(line: str) -> bool:
    return ('"exception"' in line and '"rq.worker"' not in line) or line.startswith("Traceback")


def _total(text: str) -> int:
    return _first_number(text.partition("Всего за сделку: ")[2])


def _change(text: str) -> int:
    sign, word = (-1, "Снято ") if "Снято " in text else (1, "Начислено ")
    return sign * _first_number(text.partition(word)[2])


def _first_number(text: str) -> int:
    digits = "".join(char for char in text.split("балл", maxsplit=1)[0] if char.isdigit())
    return int(digits)
