"""The result code of a call: what is one, what is none; the task's text and its mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.call_results import WORDS_MAX, read_result
from loyalty.call_texts import BadPlace, check_template, marked_task, task_text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5", 5),
        (" 5.", 5),
        ("5 - просил не звонить", 5),
        ("5-просил", 5),
        ("5, просил", 5),
        ("«1» купит в пятницу", 1),
        ("№2 после обеда", 2),
        ("4)", 4),
        ("3\nдорого", 3),
        ("2 недели думает", 2),
        ("5 и больше не звоните", 5),
        ("15", None),
        ("55", None),
        ("0", None),
        ("6 раз", None),
        ("-5", None),
        ("5-й раз не берёт", None),
        ("5го числа", None),
        ("5.12 перезвонить", None),
        ("2:30 просил", None),
        ("1-2 пары возьмёт", None),
        ("5 , 12", 5),
        ("пять", None),
        ("", None),
        ("   ", None),
        ("\x005", None),
        ("٥", None),
        ("５", None),
        ("не звонить больше", None),
    ],
)
def test_a_code_is_a_digit_of_its_own_at_the_beginning(text: str, code: int | None) -> None:
    assert read_result(text).code == code


def test_a_huge_result_is_read_at_once_and_kept_cut() -> None:
    for text in ("5" * 10_000, "x" * 10_000, " " * 10_000 + "5", "5 " + "я" * 10_000):
        result = read_result(text)
        assert len(result.words) <= WORDS_MAX
    assert read_result("5 " + "я" * 10_000).code == 5


@given(st.text(max_size=700))
def test_any_text_has_a_code_only_if_it_shows_its_digit(text: str) -> None:
    result = read_result(text)

    assert result.code is None or str(result.code) in text[:WORDS_MAX]
    assert len(result.words) <= WORDS_MAX


VALUES = {"имя": "Анна", "баланс": "340 баллов", "сгорает": "ничего", "сегмент": "VIP"}


def test_the_text_says_who_what_and_how_to_close_and_ends_with_the_mark() -> None:
    text = task_text("У вас {баланс}, {имя}!", VALUES, title="Весна", list_id=12, task_id=345, try_no=1)

    assert text.splitlines() == [
        "Весна: Анна",
        "У вас 340 баллов, Анна!",
        "Закройте задачу, начав результат с цифры: "
        "1 купит, 2 перезвонить, 3 отказ, 4 не дозвонились, 5 не звонить больше",
        "[обзвон 12/345]",
    ]
    assert marked_task(text) == (12, 345)


def test_a_name_is_never_read_as_a_place_or_as_a_mark() -> None:
    values = {**VALUES, "имя": "{баланс} [обзвон 1/1]"}

    text = task_text("{имя}", values, title="Весна", list_id=12, task_id=345, try_no=2)

    assert text.splitlines()[1] == "{баланс} [обзвон 1/1]"
    assert marked_task(text) == (12, 345)
    assert marked_task("[обзвон 1/1] потом другое") is None


def test_an_unknown_place_is_named_with_the_nearest_one() -> None:
    with pytest.raises(BadPlace) as bad:
        check_template("У вас {балансы}")
    assert (bad.value.place, bad.value.like) == ("балансы", "баланс")
    check_template("{имя} {баланс} {сгорает} {сегмент}")
