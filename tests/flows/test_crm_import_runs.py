"""Who becomes a member, what is shown beforehand, and that an import may be stopped, repeated and started twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa
from crm_import_world import facts, import_all, one_value, real_time, rows, years_of
from kopilka_testing import CRM_TOKEN, Shop, StandingClock, settle

from connector.amocrm.exports import Place
from flows import crm_import, health
from flows.crm_import import Asked, CrmImport, ImportRunning, OtherOptions
from flows.jobs import JobLost
from flows.runtime import Runtime
from storage import rules

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def today(clock: StandingClock) -> None:
    real_time(clock)


def test_what_is_shown_beforehand_is_what_happens(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=120, deals=300, without_phone=10, same_phone=10, lost_share=20, customers=15)

    done = import_all(rt)

    totals = done.preview.totals
    assert done.counts["members"] == done.preview.new_members == one_value(rt, "SELECT count(*) FROM member")
    assert done.counts["orders"] == totals.deals == one_value(rt, "SELECT count(*) FROM orders")
    standing: Counter[str | None] = Counter(code for (code,) in rows(rt, "SELECT segment_code FROM member"))
    assert {line.code: line.after for line in done.preview.segments if line.after} == dict(standing)
    assert sum(count for _, count in done.preview.years) == totals.deals
    phones = "SELECT count(*) FROM member m WHERE NOT EXISTS (SELECT FROM member_address a WHERE a.member_id = m.id)"
    assert totals.without_phone == one_value(rt, phones) > 0
    assert totals.same_phone == len([one for one in done.rejects if "это разные участники" in one.reason]) > 0
    assert one_value(rt, "SELECT count(*) FROM crm_import_deal") == 0, "nobody is kept who is not needed"
    assert health.verify_ledger(rt).is_whole


def test_a_dry_run_changes_nothing_and_the_import_after_it_asks_the_crm_nothing(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=30, deals=60)
    before = facts(rt)
    one = crm_import.begin(rt, Asked())
    list(one.read())
    one.preview()
    one.pause()

    assert facts(rt) == before
    shop.faults(error_500=1.0)
    again = crm_import.begin(rt, Asked())
    assert list(again.read()) == []
    list(again.write())
    again.finish()
    assert one_value(rt, "SELECT count(*) FROM orders") == 60


def test_a_second_import_changes_nothing(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=30, deals=60, customers=5)
    import_all(rt)
    before = facts(rt)

    done = import_all(rt)

    assert facts(rt) == before
    assert {name: done.counts.get(name, 0) for name in ("members", "orders", "linked", "moved")} == {
        "members": 0,
        "orders": 0,
        "linked": 0,
        "moved": 0,
    }


def test_an_import_killed_after_every_piece_ends_as_one_that_was_not(
    rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    made = years_of(shop, contacts=700, deals=900, years=4, customers=10)
    kills = 0
    while True:
        one = crm_import.begin(rt, Asked())
        if next(one.read(), None) is None and next(one.write(), None) is None:
            break
        kills += 1  # the process is gone; its lease runs out
        clock.forward(minutes=3)
    one.finish()

    assert kills > 8
    assert one_value(rt, "SELECT count(*) FROM member") == len({*_buyers(shop, made)})
    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept") == 900
    assert one_value(rt, "SELECT count(*) FROM transfer") == 0
    assert one_value(rt, "SELECT count(*) FROM crm_state WHERE customer_ref IS NOT NULL") == 10
    assert health.verify_ledger(rt).is_whole


def test_of_two_at_once_the_second_is_told_until_when_to_wait(rt: Runtime, shop: Shop, clock: StandingClock) -> None:
    years_of(shop, contacts=5, deals=5)
    first = crm_import.begin(rt, Asked())

    with pytest.raises(ImportRunning) as told:
        crm_import.begin(rt, Asked())

    assert told.value.until > clock.at
    clock.forward(minutes=3)  # the first one hangs; the second takes over, and the first may write nothing more
    second = crm_import.begin(rt, Asked())
    list(second.read())
    with pytest.raises(JobLost):
        list(first.read())
    list(second.write())
    assert one_value(rt, "SELECT count(*) FROM orders") == 5


def test_a_half_written_import_goes_on_with_its_own_options_only(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=600, deals=600, customers=600)
    one = crm_import.begin(rt, Asked())
    list(one.read())
    next(one.write())
    one.pause()

    with pytest.raises(OtherOptions):
        crm_import.begin(rt, Asked(all_contacts=True))

    _finished(crm_import.begin(rt, Asked()))
    assert one_value(rt, "SELECT count(*) FROM orders") == 600


def test_other_options_before_anything_was_written_read_anew(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=10, deals=3)
    one = crm_import.begin(rt, Asked())
    list(one.read())
    one.pause()

    _finished(crm_import.begin(rt, Asked(all_contacts=True)))

    seeded = len(shop.crm("GET", "/sim/state")["contacts"])
    assert one_value(rt, "SELECT count(*) FROM member") == seeded


def test_only_buyers_and_customers_become_members(rt: Runtime, shop: Shop) -> None:
    stages = ("Новый заказ", "Закрыто и не реализовано", "Успешно реализовано")
    people = [_buyer(shop, f"+7916000000{number}", stage) for number, stage in enumerate(stages)]
    made = years_of(shop, contacts=2, deals=0, customers=1)

    import_all(rt)

    members = sorted(ref for (ref,) in rows(rt, "SELECT contact_ref FROM member"))
    assert members == sorted([people[2], made["contact_ids"][0]])


def test_a_paid_stage_that_is_not_the_last_one_counts_and_the_refund_stage_does_not(rt: Runtime, shop: Shop) -> None:
    for stage in ("Оплачен", "Отправлен", "Возврат", "Ждёт оплаты"):
        shop.deal(1_000, status=stage)

    import_all(rt)

    assert one_value(rt, "SELECT count(*) FROM orders WHERE is_kept") == 2


def test_another_funnel_is_taken_if_it_is_named(rt: Runtime, shop: Shop) -> None:
    deal_id, _ = shop.deal(1_000)
    pipelines = _api(shop, "GET", "/api/v4/leads/pipelines")["_embedded"]["pipelines"]
    wholesale = next(one["id"] for one in pipelines if one["name"] == "Опт")
    _api(shop, "PATCH", "/api/v4/leads", [{"id": deal_id, "pipeline_id": wholesale, "status_id": 142}])

    import_all(rt)
    without = one_value(rt, "SELECT count(*) FROM orders")
    import_all(rt, Asked(pipelines=("Опт",)))

    assert without == 0
    assert rows(rt, "SELECT deal_ref, is_kept, shop_paid_kopecks FROM orders") == [(deal_id, True, 100_000)]


def test_a_customer_of_the_crm_is_used_and_no_second_one_is_made(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=3, deals=9, customers=3)
    before = len(shop.crm("GET", "/sim/state")["customers"])

    import_all(rt)
    settle(rt)

    assert len(shop.crm("GET", "/sim/state")["customers"]) == before
    assert one_value(rt, "SELECT count(*) FROM crm_state WHERE pushed_segment IS NOT NULL") == 3


def test_the_shops_own_segments_of_a_customer_stay_and_ours_follow_the_member(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=3, deals=30, customers=3)
    made = _api(shop, "POST", "/api/v4/customers/segments", {"name": "Опт: отсрочка 30 дней", "color": "10599d"})
    foreign = made["_embedded"]["segments"][0]["id"] if "_embedded" in made else made["id"]
    customers = [one["id"] for one in shop.crm("GET", "/sim/state")["customers"]]
    marked = [{"id": one, "_embedded": {"segments": [{"id": foreign}]}} for one in customers]
    _api(shop, "PATCH", "/api/v4/customers", marked)

    import_all(rt)
    settle(rt)
    first = [_segments_of(shop, one) for one in customers]
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET segment_code = 'vip' WHERE segment_code IS DISTINCT FROM 'vip'"))
        tx.execute(sa.text("UPDATE outbox SET state = 'waiting', wanted = wanted + 1"))
        tx.execute(sa.text("UPDATE crm_state SET pushed_segment = NULL"))
    settle(rt)
    second = [_segments_of(shop, one) for one in customers]

    assert all(foreign in one for one in first)
    assert all(foreign in one and len(one) == 2 for one in second), "theirs and ours, and of ours one"
    assert len({frozenset(one) for one in second}) == 1


def test_a_segment_of_rules_that_are_no_more_is_taken_off_and_the_shops_own_stay(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=3, deals=30, customers=3)
    named = [
        _api(shop, "POST", "/api/v4/customers/segments", {"name": name, "color": "10599d"})["id"]
        for name in ("Золотой клуб", "Опт")
    ]
    customers = [one["id"] for one in shop.crm("GET", "/sim/state")["customers"]]
    body = [{"id": one, "_embedded": {"segments": [{"id": segment} for segment in named]}} for one in customers]
    _api(shop, "PATCH", "/api/v4/customers", body)
    former = replace(rt.programme, segments=(replace(rt.programme.segments[0], title="золотой клуб "),))
    with rt.db.begin() as tx:
        rules.remember(tx, "of-last-year", former, now=rt.now())

    import_all(rt)
    settle(rt)

    assert [_segments_of(shop, one) & set(named) for one in customers] == [{named[1]}] * 3


def test_a_segment_that_is_called_otherwise_follows_on_the_customer(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=3, deals=30, customers=3)
    import_all(rt)
    settle(rt)
    customers = [one["id"] for one in shop.crm("GET", "/sim/state")["customers"]]
    before = [_segments_of(shop, one) for one in customers]
    with rt.db.begin() as tx:
        rules.remember(tx, "of-last-year", rt.programme, now=rt.now())
        tx.execute(sa.text("UPDATE outbox SET state = 'waiting', wanted = wanted + 1 WHERE kind = 'crm'"))
    renamed = tuple(replace(one, title=f"{one.title} 2027") for one in rt.programme.segments)
    rt.active = replace(rt.active, programme=replace(rt.programme, segments=renamed))

    settle(rt)

    after = [_segments_of(shop, one) for one in customers]
    assert [len(one) for one in before] == [len(one) for one in after] == [1, 1, 1]
    assert all(not old & new for old, new in zip(before, after, strict=True))


def test_nobody_is_told_and_the_crm_only_if_it_shall_be(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=10, deals=10)

    import_all(rt, Asked(push=False))

    assert one_value(rt, "SELECT count(*) FROM outbox") == 0
    assert one_value(rt, "SELECT count(*) FROM message") == 0
    assert one_value(rt, "SELECT count(*) FROM webhook_delivery") == 0


def test_an_account_without_customers_is_imported_all_the_same(rt: Runtime, shop: Shop) -> None:
    years_of(shop, contacts=3, deals=3)
    _api(shop, "PATCH", "/api/v4/customers/mode", {"mode": "segments", "is_enabled": False})

    done = import_all(rt)

    assert done.counts["no_customers"] == 1
    assert done.counts["orders"] == 3


def test_pages_hand_over_every_deal_once_though_others_leave_and_come_meanwhile(rt: Runtime, shop: Shop) -> None:
    """Among them a second in which more deals were made than fit on a page."""
    years_of(shop, contacts=10, deals=700)
    made = [_api_deals(shop, 50) for _ in range(11)]
    crm = rt.crm
    assert crm is not None
    pipeline = next(one for one in crm.pipelines() if one.name == rt.crm_names.pipeline)
    stages = {(pipeline.id, 142)}
    seen: list[int] = []
    place: Place | None = Place()
    left: list[int] = []
    while place is not None:
        page = crm.sold_deals(stages, place)
        seen += [one.id for one in page.rows]
        if len(seen) > 300 and not left:
            left = seen[:3]  # three deals behind us leave the list
            for deal_id in left:
                shop.move(deal_id, "Возврат")
            made.append(_api_deals(shop, 7))
        place = page.next

    assert len(seen) == len(set(seen))
    assert len(seen) == 700 + 11 * 50 + 7


def _buyer(shop: Shop, phone: str, stage: str) -> int:
    """A new contact with one deal in this stage."""
    asked = {"price_roubles": 1000, "status": stage, "contact": {"name": "Некто", "phone": phone}}
    return int(shop.crm("POST", "/sim/deals", asked)["contact_id"])


def _api_deals(shop: Shop, count: int) -> list[int]:
    """All made in one second, long ago enough for the second to be over."""
    rows = [{"name": "Разом", "status_id": 142, "price": 100, "created_at": 1_780_000_000} for _ in range(count)]
    if count == 7:
        rows = [{"name": "Новая", "status_id": 142, "price": 100} for _ in range(count)]
    return [row["id"] for row in _api(shop, "POST", "/api/v4/leads", rows)["_embedded"]["leads"]]


def _segments_of(shop: Shop, customer_id: int) -> set[int]:
    shown = _api(shop, "GET", f"/api/v4/customers/{customer_id}")
    return {one["id"] for one in shown["_embedded"]["segments"]}


def _finished(one: CrmImport) -> None:
    list(one.read())
    list(one.write())
    one.finish()


def _buyers(shop: Shop, made: dict[str, list[int]]) -> list[int]:
    """Contacts with a deal or a customer."""
    state = shop.crm("GET", "/sim/state")
    first, last = made["contact_ids"]
    owners = {one["contact_id"] for one in state["deals"] if one["status"] == "Успешно реализовано"}
    return [ref for ref in range(first, last + 1) if ref in owners or ref - first < 10]


def _api(shop: Shop, method: str, path: str, body: object = None) -> dict[str, object] | None:
    headers = {"Authorization": f"Bearer {CRM_TOKEN}"}
    reply = shop.session.request(method, shop.crm_url + path, json=body, headers=headers, timeout=10)
    assert reply.status_code < 300, reply.text
    return reply.json() if reply.content else None
