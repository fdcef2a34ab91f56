"""Cells of a foreign table, its headers, and what becomes of a row: nothing is guessed, nobody is credited twice."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.account import Account, Cause
from loyalty.importing import Known, Part, Person, Repeat, Row, Terms, judge, key_of, open_balance
from loyalty.importing_cells import NEVER, POINTS_MAX, Cell, Unreadable, amount, day, long_number, text
from loyalty.importing_columns import FIELDS, ColumnsUnclear, columns
from loyalty.ledger import Balance
from loyalty.rules import Duration

TODAY = date(2026, 3, 1)
NBSP, NARROW = "\u00a0", "\u202f"
PHONE = ("phone", "+79161234567")
CELLS = st.one_of(
    st.text(max_size=40),
    st.decimals(allow_nan=False, allow_infinity=False, places=4),
    st.dates(),
    st.from_regex(r"[-+(]?[0-9 .,'eE]{1,20}[рруб.)]{0,4}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("cell", "points", "dropped"),
    [
        ("500", 500, "0"),
        ("", 0, "0"),
        ("-", 0, "0"),
        (f"1{NBSP}234,50", 1_234, "0.50"),
        (f"12{NARROW}345{NBSP}р.", 12_345, "0"),
        ("1 234 567 руб.", 1_234_567, "0"),
        ("1,234.56", 1_234, "0.56"),
        ("1.234,56", 1_234, "0.56"),
        ("1,234,567", 1_234_567, "0"),
        ("0,125", 0, "0.125"),
        ("12,5 баллов", 12, "0.5"),
        ("300 ₽", 300, "0"),
        ('="700"', 700, "0"),
        ("'700", 700, "0"),
        ("-0", 0, "0"),
        (Decimal("299.99"), 299, "0.99"),
        (Decimal("1.234"), 1, "0.234"),
    ],
)
def test_a_balance_is_read_as_a_person_reads_it(cell: Cell, points: int, dropped: str) -> None:
    found = amount(cell)

    assert (found.points, found.dropped) == (points, Decimal(dropped))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("-500", "меньше нуля"),
        ("(500)", "меньше нуля"),
        ("500-", "меньше нуля"),
        ("−1", "меньше нуля"),
        (Decimal(-1), "меньше нуля"),
        ("1,234", "непонятно, 1234 или 1,234"),
        ("1.234", "непонятно, 1234 или 1,234"),
        ("12 5", "не похож на число"),
        ("пятьсот", "не похож на число"),
        ("#Н/Д", "ошибка Excel"),
        ("1,23457E+15", "округлил"),
        ("1.5E+3", "округлил"),
        (date(2026, 5, 12), "дата"),
        (str(POINTS_MAX + 1), "больше"),
        ("1e999", "округлил"),
    ],
)
def test_a_balance_that_may_mean_two_things_is_refused(cell: Cell, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        amount(cell)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7.9161234567E+10", "79161234567"),
        ("7,9161234567E+10", "79161234567"),
        ("79161234567.0", "79161234567"),
        ("79161234567,00", "79161234567"),
        (Decimal(79161234567), "79161234567"),
        ("8 (916) 123-45-67", "8 (916) 123-45-67"),
        ('="0012345"', "0012345"),
    ],
)
def test_a_long_number_survives_excel_where_all_its_digits_do(cell: Cell, number: str) -> None:
    assert long_number(cell) == number


@pytest.mark.parametrize("cell", ["7,91612E+10", "7.916123456E+10", Decimal("4.27612341234123E+15"), date(2026, 1, 1)])
def test_a_number_that_excel_has_rounded_is_refused(cell: Cell) -> None:
    with pytest.raises(Unreadable, match="Excel"):
        long_number(cell)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("31.12.2026", date(2026, 12, 31)),
        ("1.2.2026", date(2026, 2, 1)),
        ("2026-12-31", date(2026, 12, 31)),
        ("31.12.2026 23:59:59", date(2026, 12, 31)),
        ("31/12/2026", date(2026, 12, 31)),
        ("46387", date(2026, 12, 31)),
        ("46387.75", date(2026, 12, 31)),
        (Decimal("46387"), date(2026, 12, 31)),
        (date(2026, 12, 31), date(2026, 12, 31)),
        ("", None),
        ("бессрочно", NEVER),
    ],
)
def test_a_day_is_read_in_every_form_excel_gives_it(cell: Cell, found: date | None) -> None:
    assert day(cell, today=TODAY) == found


@pytest.mark.parametrize("cell", ["31.12.26", "03/04/2026", "32.01.2026", "завтра", "#REF!"])
def test_a_day_that_is_not_certain_is_refused(cell: str) -> None:
    with pytest.raises(Unreadable):
        day(cell, today=TODAY)


@given(CELLS)
def test_no_cell_breaks_the_reading(cell: Cell) -> None:
    text(cell)
    for read in (amount, long_number, lambda one: day(one, today=TODAY)):
        with suppress(Unreadable):
            found = read(cell)
            if read is amount:
                assert 0 <= found.points <= POINTS_MAX
                assert 0 <= found.dropped < 1


@given(st.integers(0, POINTS_MAX), st.integers(0, 99), st.sampled_from([" ", NBSP, NARROW, ""]))
def test_a_sum_comes_back_from_any_russian_notation(whole: int, hundredths: int, space: str) -> None:
    grouped = f"{whole:,}".replace(",", space)

    found = amount(f"{grouped},{hundredths:02} р.") if whole < POINTS_MAX else amount(grouped)

    assert found.points == whole


def test_columns_are_found_by_russian_and_english_headers() -> None:
    found = columns(["ФИО", "Тел.", "E-mail", "Бонусный счёт", "Срок действия", "Комментарий", "Дата рождения"])

    assert dict(found.places) == {"name": 0, "phone": 1, "email": 2, "balance": 3, "expires": 4, "birthday": 6}
    assert found.ignored == ("Комментарий",)
    assert set(columns(["Phone", "Points", "Name"]).places) == {"phone", "balance", "name"}


def test_the_owner_says_which_column_is_what_and_which_is_not_read() -> None:
    found = columns(["Телефон", "Баланс", "Баллы", "Сегмент"], {"balance": "баллы", "segment": ""})

    assert found.header("balance") == "Баллы"
    assert found.ignored == ("Баланс", "Сегмент")


@pytest.mark.parametrize(
    ("headers", "named", "mend"),
    [
        (["Телефон", "Баланс", "Бонусы"], {}, '--map balance="Баланс"'),
        (["Телефон", "Сумма покупок"], {}, "--map balance="),
        (["Имя", "Баланс"], {}, "--map phone="),
        (["Телефон", "Остаток балов"], {"balance": "остаток баллов"}, "«Остаток балов»"),
        (["Телефон", "Баланс"], {"balance": "Баланс", "card": "Баланс"}, "свой столбец"),
    ],
)
def test_unclear_columns_are_not_guessed(headers: list[str], named: dict[str, str], mend: str) -> None:
    with pytest.raises(ColumnsUnclear) as refused:
        columns(headers, named)
    assert mend in refused.value.mend


@given(st.lists(st.text(max_size=12), max_size=6), st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8)))
def test_no_headers_break_the_finding_of_columns(headers: list[str], named: dict[str, str]) -> None:
    try:
        found = columns(headers, named)
    except ColumnsUnclear:
        return
    assert len(set(found.places.values())) == len(found.places)


def person(member_id: int = 5, *names: tuple[str, str], contact_ref: int | None = None) -> Person:
    return Person(member_id, "Анна", contact_ref, "7700000001", None, None, frozenset(names))  # type: ignore[arg-type]


def row(points: int = 500, *names: tuple[str, str]) -> Row:
    return Row(7, ("x",), names or (PHONE,), part=Part(points))  # type: ignore[arg-type]


def known(*people: Person, credited: dict[str, int] | None = None, **ids: tuple[int, ...]) -> Known:
    by_name = {PHONE: (people[0].id,)} if people and not ids else {}
    named = {tuple(name.split("_", 1)): found for name, found in ids.items()}
    owners = dict.fromkeys(credited or {}, people[0].id if people else 9)
    lots = {people[0].id if people else 9: credited or {}}
    return Known({**by_name, **named}, {one.id: one for one in people}, lots, owners)  # type: ignore[arg-type]


KEY = key_of("old", PHONE)


def test_each_row_ends_as_one_thing_with_a_reason_where_a_person_is_needed() -> None:
    anna = person(5, PHONE)

    assert judge(row(), Known(), None, "old").outcome == "new"
    assert judge(row(), known(anna), None, "old").outcome == "update"
    assert judge(row(0), known(anna), None, "old").outcome == "same"
    assert judge(row(), known(anna, credited={KEY: 500}), None, "old").outcome == "same"
    changed = judge(row(), known(anna, credited={KEY: 300}), None, "old")
    assert changed.outcome == "changed"
    assert changed.reason.startswith("в файле 500, внесено 300: не меняем; разницу внесите kopilka member adjust")
    assert judge(row(), Known(), Repeat("дважды"), "old").outcome == "duplicate"
    assert judge(row(), Known(), Repeat(None), "old").outcome == "summed"


def test_who_was_credited_and_has_lost_his_phone_since_is_not_made_anew() -> None:
    assert judge(row(), known(credited={KEY: 500}), None, "old").outcome == "same"


def test_whom_another_import_has_credited_is_credited_again_only_at_the_owners_word() -> None:
    found = known(person(5, PHONE), credited={KEY: 500})

    left, told = (judge(row(), found, None, "new", also_credited=word) for word in (False, True))

    assert (left.outcome, left.points, left.elsewhere) == ("credited", 0, ("old",))
    assert "импорт «old»" in left.reason
    assert "--also-credited" in left.reason
    assert (told.outcome, told.points, told.elsewhere) == ("update", 500, ("old",))
    assert judge(row(0), found, None, "new").outcome == "same"


def test_names_of_different_people_are_told_apart_by_the_surest() -> None:
    two = row(500, PHONE, ("email", "a@b.ru"))
    found = {5: person(5), 9: person(9)}

    apart = judge(two, Known({PHONE: (5,), ("email", "a@b.ru"): (9,)}, found), None, "old")
    shared = judge(two, Known({PHONE: (5, 9), ("email", "a@b.ru"): (9,)}, found), None, "old")

    assert (apart.outcome, shared.outcome, shared.member_id) == ("ambiguous", "update", 9)
    assert "5, 9" in apart.reason


def test_a_contact_of_another_is_not_taken() -> None:
    asked = row(500, PHONE, ("contact", "77"))
    found = Known({PHONE: (5,)}, {5: person(5, PHONE, contact_ref=70)})

    assert judge(asked, found, None, "old").outcome == "ambiguous"


def test_brought_points_pay_a_debt_first_and_end_when_the_row_says() -> None:
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    account = Account(Balance(debt=100), ())
    terms = Terms(at, "Europe/Moscow", Duration(1, "months"), "v1")

    parts = (Part(300), Part(200, date(2026, 3, 1)), Part(50, date(2026, 4, 1)), Part(7, NEVER))
    open_balance(account, parts, "import:old:x", terms, Cause(rule="import.balance"))

    assert account.balances["available"] == 457
    assert account.debt == 0
    ends = {lot.key: lot.expires_at for lot in account.lots.values()}
    assert ends == {
        "import:old:x": datetime(2026, 4, 1, 21, tzinfo=UTC),  # a month, and the row that names the same day
        "import:old:x:2": datetime(2026, 3, 1, 21, tzinfo=UTC),
        "import:old:x:3": None,
    }
    assert sum(lot.earned for lot in account.lots.values()) == 557
