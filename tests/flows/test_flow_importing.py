"""Old balances become opening lots: each person once, whatever is repeated, damaged, merged or done twice at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from flow_points_world import together
from flow_shop_world import RULES, ShopWorld, opened
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kopilka_testing import StandingClock

from flows import explaining, importing, importing_rows, people
from flows.importing import Asked, Summary
from flows.importing_spool import Spool
from flows.people import Names
from loyalty.importing import Row, Verdict
from loyalty.importing_cells import Cell
from loyalty.importing_columns import columns
from loyalty.ledger import Balance
from loyalty.programme import SegmentRule, WelcomeRules
from loyalty.rules import Duration
from storage import addresses, members, outbox

pytestmark = pytest.mark.slow

HEADERS = ("Телефон", "Баланс", "Имя", "Почта", "Номер карты", "Сгорание", "Сегмент", "ID контакта", "Дата рождения")
TERMS = importing_rows.Terms(date(2026, 3, 1), (), "77", 10)
ANNA, BORIS = "+79161234567", "+79037654321"
_names = itertools.count(1)
SHARED_DATABASE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Told = list[tuple[int, str, str]]


@pytest.fixture
def world(database_url: str, clock: StandingClock, tmp_path: Path) -> Iterator[ShopWorld]:
    with opened(database_url, clock, tmp_path) as made:
        made.use(replace(RULES, segments=(SegmentRule("gold", "Золотой", is_manual=True),)))
        yield made


def line(phone: Cell = ANNA, points: Cell = "500", **more: Cell) -> list[Cell]:
    """A row under HEADERS."""
    named = {"Телефон": phone, "Баланс": points, **more}
    return [named.get(header, "") for header in HEADERS]


def spooled(world: ShopWorld, *lines: Sequence[Cell]) -> Spool:
    rows = enumerate(lines, start=2)
    *_, spool = importing.read(world.rt, rows, columns(HEADERS))
    assert isinstance(spool, Spool)
    return spool


def brought(
    world: ShopWorld,
    *lines: Sequence[Cell],
    name: str = "old",
    is_plan: bool = False,
    duplicates: str = "error",
    also: bool = False,
) -> tuple[Summary, Told]:
    """Imports these rows; what became of them, and what was told of each."""
    told: Told = []

    def tell(row: Row, verdict: Verdict) -> None:
        told.append((row.number, verdict.outcome, verdict.reason))

    asked = Asked(name, "kopilka: tests", importing.lifetime(world.rt), duplicates, also)  # type: ignore[arg-type]
    with closing(spooled(world, *lines)) as spool:
        *_, summary = (importing.look if is_plan else importing.run)(world.rt, spool, asked, tell)
    assert isinstance(summary, Summary)
    assert [number for number, _, _ in told] == sorted(number for number, _, _ in told)
    return summary, told


def outcomes(told: Told) -> list[str]:
    return [outcome for _, outcome, _ in told]


def find(world: ShopWorld, phone: str = ANNA) -> members.Member:
    with world.rt.db.begin() as tx:
        return people.find(tx, Names(phone=phone))


@pytest.mark.parametrize(
    ("cell", "phone"),
    [
        (Decimal(79161234567), ANNA),
        ("7.9161234567E+10", ANNA),
        ("79161234567.0", ANNA),
        ("89161234567", ANNA),
        ("9161234567", ANNA),
        ("'+7 916 123-45-67", ANNA),
        (Decimal(375291234567), "+375291234567"),
        ("00375291234567", "+375291234567"),
    ],
)
def test_a_phone_survives_excel(cell: Cell, phone: str) -> None:
    row = importing_rows.read(2, line(cell), columns(HEADERS), TERMS)

    assert (row.names, row.trouble) == ((("phone", phone),), None)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (line("7,91612E+10"), "телефон: Excel округлил"),
        (line("8 800 555-35-35"), "телефон: это номер организации"),
        (line(""), "неизвестно, кто это"),
        (line(points="-5"), "остаток баллов: остаток меньше нуля"),
        (line(Почта="анна"), "почта: это не адрес"),
        (line(Сгорание="01.02.2026"), "баллы уже сгорели"),
        (line(Сегмент="Платиновый"), "--map segment="),
        (line(**{"ID контакта": "77,5"}), "это не номер контакта"),
        (line(**{"Дата рождения": "17.05.2090"}), "проверьте год"),
        (line(**{"Номер карты": "карта"}), "латинских букв и цифр"),
        ([*line(), "лишнее"], "лишний разделитель"),
        ([ANNA], "строка оборвана"),
        (line(Имя="х" * 2_000), "не закрыта кавычка"),
        (line("телефон", "много"), "напишите, например, 500; телефон: это не номер телефона"),
    ],
)
def test_what_is_wrong_in_a_row_is_named_all_of_it(cells: Sequence[Cell], reason: str) -> None:
    row = importing_rows.read(2, cells, columns(HEADERS), TERMS)

    assert row.trouble is not None
    assert reason in row.trouble


@SHARED_DATABASE
@given(st.lists(st.one_of(st.text(max_size=30), st.decimals(allow_nan=False, allow_infinity=False), st.dates())))
def test_no_row_breaks_the_reading(cells: list[Cell]) -> None:
    row = importing_rows.read(2, cells, columns(HEADERS), TERMS)

    assert row.trouble is not None or row.names


def test_a_new_member_gets_his_points_and_nothing_else(world: ShopWorld) -> None:
    world.use(replace(RULES, welcome=WelcomeRules(points=200, on="signup")))

    summary, told = brought(
        world,
        line(ANNA, "1 234,50 р.", Имя="Анна", Почта="Anna@Example.ru", **{"Номер карты": "0012345"}),
        line(BORIS, "", **{"Дата рождения": "17.05.1990", "ID контакта": Decimal(77)}),
    )

    anna, boris = find(world), find(world, BORIS)
    assert outcomes(told) == ["new", "new"]
    assert (summary.points, summary.fraction_rows, summary.fraction) == (1_234, 1, Decimal("0.50"))
    assert (anna.name, anna.card_number, anna.balance) == ("Анна", "0012345", Balance(available=1_234))
    assert (boris.contact_ref, boris.birthday, boris.balance) == (77, date(1990, 5, 17), Balance())
    assert boris.card_number.startswith("77")
    [lot] = world.lots(anna.id)
    assert lot.expires_at == datetime(2026, 8, 28, 21, tzinfo=UTC)  # 180 days, as the rules say
    [cited] = explaining.statement(world.rt, anna.id, limit=5)
    assert "из прежней программы, доступны сразу, действуют по" in cited.line.text
    assert cited.line.rule == "import.balance"
    assert "перенос остатка из прежней программы, импорт «old», строка 2, kopilka: tests" in cited.line.event
    assert world.is_whole()


def test_a_repeated_import_changes_nothing_and_another_balance_is_left_to_a_person(world: ShopWorld) -> None:
    brought(world, line(), line(BORIS, "300"))
    before = world.everything()

    again = brought(world, line(), line(BORIS, "300"))
    other, told = brought(world, line(), line(BORIS, "500"))

    assert (again[0].outcomes, again[0].points) == ({"same": 2}, 0)
    assert other.outcomes == {"same": 1, "changed": 1}
    assert "в файле 500, внесено 300: не меняем; разницу внесите kopilka member adjust" in told[1][2]
    assert world.everything() == before


def test_a_plan_says_what_the_import_does_and_writes_nothing(world: ShopWorld) -> None:
    world.person("Борис", phone=BORIS)
    rows = [line(), line(BORIS, "300"), line("+79990000000", "-5"), line("+79990000001"), line("+79990000001")]
    before = world.everything()

    planned = brought(world, *rows, is_plan=True)
    after_plan = world.everything()
    done = brought(world, *rows)

    assert after_plan == before
    assert planned == done
    assert outcomes(done[1]) == ["new", "update", "error", "duplicate", "duplicate"]


def test_a_known_member_gets_what_he_lacks_and_keeps_what_he_has(world: ShopWorld) -> None:
    boris = world.person("Борис", phone=BORIS, birthday=date(1980, 1, 1))
    cells = {"Почта": "b@example.ru", "Дата рождения": "17.05.1990", "ID контакта": "77", "Сегмент": "золотой"}

    summary, told = brought(world, line(BORIS, "0", Имя="Чужой", **cells, **{"Номер карты": "55555"}))

    found = find(world, BORIS)
    assert outcomes(told) == ["update"]
    assert (found.name, found.birthday, found.contact_ref) == ("Борис", date(1980, 1, 1), 77)
    assert (found.manual_segment_code, found.segment_code) == ("gold", "gold")
    assert found.card_number == boris.card_number
    assert summary.cards_kept == 1
    with world.rt.db.begin() as tx:
        assert addresses.of_member(tx, boris.id, "email") == ["b@example.ru"]
    assert outcomes(brought(world, line(BORIS, "0", **cells))[1]) == ["same"]


def test_a_person_twice_in_the_file_is_refused_or_summed(world: ShopWorld) -> None:
    rows = [line(ANNA, "500"), line(BORIS), line("8 916 123 45 67", "300", Сгорание="31.03.2026"), line(ANNA, "7")]

    refused = brought(world, *rows, name="a")
    summed = brought(world, *rows, name="b", duplicates="sum", also=True)
    again = brought(world, *rows, name="b", duplicates="sum")

    assert outcomes(refused[1]) == ["duplicate", "new", "duplicate", "duplicate"]
    assert "в строках 2, 4, 5" in refused[1][0][2]
    assert outcomes(summed[1]) == ["new", "update", "summed", "summed"]
    assert find(world).balance == Balance(available=807)
    assert sorted(lot.available for lot in world.lots(find(world).id)) == [300, 507]
    assert outcomes(again[1]) == ["same", "same", "summed", "summed"]
    assert world.is_whole()


def test_rows_are_not_summed_over_a_shared_address_or_a_damaged_row(world: ShopWorld) -> None:
    family = [line(ANNA, "1"), line(ANNA, "2", Почта="we@example.ru"), line(BORIS, "3", Почта="we@example.ru")]
    damaged = [line("+79990000001", "5"), line("+79990000001", "пять")]

    told = brought(world, *family, *damaged, duplicates="sum")[1]

    assert outcomes(told) == ["duplicate", "duplicate", "duplicate", "duplicate", "error"]
    assert "общие почта" in told[0][2]


def test_one_member_under_two_names_in_the_file_is_credited_once(world: ShopWorld) -> None:
    world.person("Анна", phone=ANNA, email="anna@example.ru")
    rows = [line(ANNA, "500"), line("", "500", Почта="anna@example.ru")]

    first, second = brought(world, *rows), brought(world, *rows)

    assert outcomes(first[1]) == ["update", "duplicate"]
    assert outcomes(second[1]) == ["same", "duplicate"]
    assert find(world).balance == Balance(available=500)


def test_members_who_were_merged_after_the_import_are_not_credited_again(world: ShopWorld) -> None:
    rows = [line(ANNA, "500"), line(BORIS, "300")]
    brought(world, *rows)
    people.merge(world.rt, from_id=find(world).id, into_id=find(world, BORIS).id)

    again = brought(world, *rows)

    assert outcomes(again[1]) == ["same", "same"]
    assert find(world).balance == Balance(available=800)
    assert world.is_whole()


def test_a_phone_that_went_to_another_member_is_not_credited_again(world: ShopWorld) -> None:
    brought(world, line(ANNA, "500"))
    first, other = find(world), world.person("Другая")
    with world.rt.db.begin() as tx:
        addresses.replace(tx, first.id, "phone", [], now=world.clock())
        addresses.add(tx, other.id, "phone", [ANNA], now=world.clock())

    told = brought(world, line(ANNA, "500"))[1]

    assert outcomes(told) == ["same"]
    assert world.balance(other.id) == Balance()


def test_two_members_with_one_phone_are_left_to_a_person(world: ShopWorld) -> None:
    anna, boris = world.person(phone=ANNA), world.person("Борис")
    with world.rt.db.begin() as tx:
        addresses.add(tx, boris.id, "phone", [ANNA], now=world.clock())

    told = brought(world, line(), line(ANNA.replace("4567", "9999")))[1]

    assert outcomes(told) == ["ambiguous", "new"]
    assert f"{anna.id}, {boris.id}" in told[0][2]


def test_a_card_number_that_could_be_ours_is_refused(world: ShopWorld) -> None:
    told = brought(world, line(**{"Номер карты": "7700012345"}))[1]

    assert outcomes(told) == ["error"]
    assert "выглядит как наш" in told[0][2]


def test_the_same_table_under_another_name_credits_nobody_again(world: ShopWorld) -> None:
    rows = [line(ANNA, "500"), line(BORIS, "300")]
    brought(world, *rows)
    before = world.everything()

    plan, _ = brought(world, *rows, name="old (1)", is_plan=True)
    done, told = brought(world, *rows, line("+79990000001", "7"), name="old (1)")

    assert (plan.outcomes, plan.elsewhere, plan.rejected) == ({"credited": 2}, {"old": 2}, 2)
    assert outcomes(told) == ["credited", "credited", "new"]
    assert done.points == 7
    assert world.everything() != before
    assert [find(world, one).balance for one in (ANNA, BORIS)] == [Balance(available=500), Balance(available=300)]


def test_a_second_programme_credits_the_same_people_at_the_owners_word_and_once(world: ShopWorld) -> None:
    brought(world, line(ANNA, "500"))

    done, again = (brought(world, line(ANNA, "40"), name="second", also=True) for _ in range(2))
    without = brought(world, line(ANNA, "40"), name="second")

    assert [outcomes(one[1]) for one in (done, again, without)] == [["update"], ["same"], ["same"]]
    assert find(world).balance == Balance(available=540)
    assert world.is_whole()


def test_points_due_are_activated_and_a_debt_is_paid_by_what_was_brought(world: ShopWorld) -> None:
    boris = world.person("Борис", phone=BORIS)
    world.buy(boris.id, ref="o")
    world.clock.forward(days=15)
    debtor = world.person(phone=ANNA)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET debt = 100 WHERE id = :id"), {"id": debtor.id})

    brought(world, line(BORIS, "300"), line(ANNA, "500"))

    assert world.balance(boris.id) == Balance(available=799)
    assert world.balance(debtor.id) == Balance(available=400)
    assert [move for move, _ in world.moves(boris.id)] == ["accrue", "activate", "opening"]


def test_a_damaged_member_stops_nobody_else(world: ShopWorld) -> None:
    boris = world.person("Борис", phone=BORIS)
    with world.rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = 2147483647 WHERE id = :id"), {"id": boris.id})
    phones = [f"+7999000{number:04}" for number in range(20)]
    rows = [line(phone, "5") for phone in phones]
    rows.insert(9, line(BORIS, "5"))

    told = brought(world, *rows)[1]

    assert outcomes(told) == ["new"] * 9 + ["error"] + ["new"] * 11
    assert "kopilka verify-ledger" in told[9][2]


def test_a_member_whom_somebody_holds_is_left_for_the_next_run(world: ShopWorld) -> None:
    boris = world.person("Борис", phone=BORIS)
    with world.rt.db.begin() as tx:
        members.lock(tx, boris.id)
        held = brought(world, line(BORIS))[1]

    assert outcomes(held) == ["error"]
    assert "повторите импорт" in held[0][2]
    assert outcomes(brought(world, line(BORIS))[1]) == ["update"]


def test_two_runs_at_once_credit_everybody_once(world: ShopWorld) -> None:
    known = [world.person(f"П{number}", phone=f"+7903000{number:04}") for number in range(60)]
    rows = [line(f"+7999000{number:04}", "5") for number in range(700)]
    rows += [line(f"+7903000{number:04}", "7") for number in range(60)]

    ends = together(3, lambda _: dict(brought(world, *rows)[0].outcomes))

    total = {name: sum(end.get(name, 0) for end in ends) for name in ("new", "update", "same")}
    assert total == {"new": 700, "update": 60, "same": 2 * 760}
    assert all(world.balance(one.id) == Balance(available=7) for one in known)
    with world.rt.db.begin() as tx:
        assert members.count(tx) == 760
    assert world.is_whole()


def test_whoever_shows_the_members_is_told(world: ShopWorld) -> None:
    brought(world, line())

    with world.rt.db.begin() as tx:
        shown = tx.execute(sa.text("SELECT count(*) FROM outbox")).scalar_one()
        assert shown == len(importing.book.shown_by(world.rt))
        assert outbox.recent(tx, states=["parked"], limit=5) == []
        assert tx.execute(sa.text("SELECT count(*) FROM message")).scalar_one() == 0


def test_the_owner_says_how_long_the_points_live(world: ShopWorld) -> None:
    asked = Asked("old", "kopilka: tests", Duration(1, "months"))
    with closing(spooled(world, line(), line(BORIS, Сгорание="бессрочно"))) as spool:
        list(importing.run(world.rt, spool, asked, lambda *_: None))

    assert [lot.expires_at for lot in world.lots(find(world).id)] == [datetime(2026, 4, 1, 21, tzinfo=UTC)]
    assert [lot.expires_at for lot in world.lots(find(world, BORIS).id)] == [None]


@settings(SHARED_DATABASE, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40), st.sampled_from(["", "a@b.ru", "c@d.ru"])), max_size=12),
    st.sampled_from(["error", "sum"]),
)
def test_any_table_ends_with_a_whole_book_and_a_second_run_adds_nothing(
    world: ShopWorld, people_drawn: list[tuple[int, int, str]], duplicates: str
) -> None:
    name = f"n{next(_names)}"
    rows = [line(f"+7999000{phone:04}", str(points), Почта=mail) for phone, points, mail in people_drawn]

    first = brought(world, *rows, name=name, duplicates=duplicates, also=True)
    issued = _brought_points(world, name)
    again = brought(world, *rows, name=name, duplicates=duplicates, also=True)

    assert first[0].rows == len(rows)
    assert again[0].points == 0
    assert _brought_points(world, name) == issued == first[0].points
    assert world.is_whole()


def _brought_points(world: ShopWorld, name: str) -> int:
    statement = sa.text("SELECT COALESCE(sum(points), 0) FROM transfer WHERE move = 'opening' AND key LIKE :key")
    with world.rt.db.begin() as tx:
        return int(tx.execute(statement, {"key": f"import:{name}:%"}).scalar_one())
