from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.amocrm import hooks
from connector.amocrm.hooks import HookBody, HookEntity, parse_hook

GOLDEN = Path(__file__).parent / "golden" / "amocrm"
ACCOUNT = 29085955


@pytest.mark.parametrize(
    ("name", "account", "entities"),
    [
        ("lead_status_2018", (None, "apfitness"), [HookEntity("deal", "status", 10701093, 142, 9217056)]),
        ("lead_status_plain_brackets", (None, "apfitness"), [HookEntity("deal", "status", 10701093, 142, 9217056)]),
        (
            "lead_update_and_status",
            (ACCOUNT, "example"),
            [
                HookEntity("deal", "update", 555, 142, 77),
                HookEntity("deal", "status", 555, 142, 77),
                HookEntity("deal", "status", 556, 143, 77),
            ],
        ),
        ("lead_note_clash", (ACCOUNT, "example"), [HookEntity("deal", "note", 555)]),
        ("lead_delete", (ACCOUNT, "example"), [HookEntity("deal", "delete", 555, 143, 77)]),
        (
            "contact_and_company",
            (ACCOUNT, "example"),
            [HookEntity("contact", "update", 701, ticked=frozenset({11})), HookEntity("company", "update", 702)],
        ),
        (
            "contact_add_update_delete",
            (ACCOUNT, "example"),
            [
                HookEntity("contact", "add", 703),
                HookEntity("contact", "update", 701),
                HookEntity("contact", "delete", 702),
                HookEntity("contact", "delete", 704),
            ],
        ),
        ("digital_pipeline_minimal", (ACCOUNT, "example"), [HookEntity("deal", "status", 555, 142, 77)]),
        (
            "task_and_catalog",
            (ACCOUNT, "example"),
            [HookEntity("task", "update", 31), HookEntity("catalog_element", "update", 41)],
        ),
    ],
)
def test_real_bodies_are_read_whole(
    name: str, account: tuple[int | None, str | None], entities: list[HookEntity]
) -> None:
    body = parse_hook((GOLDEN / f"{name}.txt").read_bytes())

    assert body == HookBody(account[0], account[1], tuple(entities), ())


@pytest.mark.parametrize(
    ("raw", "ids", "problem"),
    [
        (b"leads[status][0][status_id]=142&leads[status][1][id]=2", [2], "deal status: no id"),
        (b"leads[status][0][id]=x&leads[status][1][id]=2", [2], "deal status: id is not an id"),
        (b"leads[status][0][id]=0&leads[status][1][id]=2", [2], "deal status: no id"),
        (b"leads[status][0][id]=-1&leads[status][1][id]=2", [2], "deal status: id is not an id"),
        (b"leads[status][0][id]=9223372036854775808&leads[status][1][id]=2", [2], "deal status: id is not an id"),
        (b"leads[status][0][id]=" + b"9" * 5000 + b"&leads[status][1][id]=2", [2], "deal status: id is not an id"),
        (b"leads[status][0][id]=5%00&leads[status][1][id]=2", [2], "deal status: id is not an id"),
        (b"leads[status][0][id]=1%B2&leads[status][1][id]=2", [2], "the body is not UTF-8"),
        (b"leads[status][0][id]=1&leads[status][0][status_id]=oops", [1], "deal status: status_id is not an id"),
        (b"leads[status][0][id]=1&leads[status][0][name]=%FF%FE", [1], "the body is not UTF-8"),
        (b"leads[status][0][id]=1&\xff\xfe[x]=1", [1], "the body is not UTF-8"),
        (b"leads[status][0][id]=1&leads[status][0]" + b"[a]" * 40 + b"=1", [1], "a key is deeper than 32 levels"),
        (b"leads[DROP TABLE][0][id]=1&leads[status][1][id]=2", [2], "deal: an action that is no word"),
        (b"leads=5&leads[status][1][id]=2", [2], "deal: a key without an action or an index"),
        (b"aliens[add][0][id]=1&leads[status][1][id]=2", [2], "the body speaks of an unknown kind of entity"),
        (b"account[id]=x&leads[status][1][id]=2", [2], "account: id is not an id"),
        (b"account[subdomain]=a.b/c&leads[status][1][id]=2", [2], "account: the subdomain is not a host name"),
    ],
)
def test_a_bad_entity_is_a_problem_and_does_not_stop_the_others(raw: bytes, ids: list[int], problem: str) -> None:
    body = parse_hook(raw)

    assert [entity.id for entity in body.entities] == ids
    assert problem in body.problems


@pytest.mark.parametrize(
    ("raw", "entities"),
    [
        (b"leads[status][0][id]=1&leads[status][0][id]=2", [HookEntity("deal", "status", 2)]),
        (b"leads[status][0][id]=1&leads[status][0][id][x]=2", [HookEntity("deal", "status", 1)]),
        (b"leads[status][0][id][x]=2&leads[status][0][id]=1", [HookEntity("deal", "status", 1)]),
        (b"leads[status]=7&leads[status][0][id]=1", [HookEntity("deal", "status", 1)]),
        (
            b"leads[status][][id]=1&leads[status][][id]=2",
            [HookEntity("deal", "status", 1), HookEntity("deal", "status", 2)],
        ),
        (
            b"leads[status][17][id]=1&leads[status][k][id]=2",
            [HookEntity("deal", "status", 1), HookEntity("deal", "status", 2)],
        ),
        (b"leads%5bstatus%5D[0]%5Bid]=%31%32", [HookEntity("deal", "status", 12)]),
        (b"%6Ceads[status][0][id]=1", [HookEntity("deal", "status", 1)]),
        (b"&&=&=x&leads[status][0][id]=1&", [HookEntity("deal", "status", 1)]),
        (b"message[add][0][id]=c0ffee&leads[call_in][0][id]=1", [HookEntity("deal", "call_in", 1)]),
        (b"leads[status][0][id]=9223372036854775807", [HookEntity("deal", "status", 2**63 - 1)]),
        (b"customers[note][0][note][element_id]=5&customers[note][0][note][id]=9", [HookEntity("customer", "note", 5)]),
    ],
)
def test_the_oddities_of_php_keys_are_tolerated(raw: bytes, entities: list[HookEntity]) -> None:
    assert list(parse_hook(raw).entities) == entities


def test_a_body_of_nothing_says_nothing() -> None:
    assert parse_hook(b"") == HookBody(None, None, (), ())


def test_a_body_over_the_size_limit_is_a_problem_and_is_not_read() -> None:
    body = parse_hook(b"leads[status][0][id]=1&x=" + b"a" * hooks.MAX_BODY_BYTES)

    assert (body.entities, len(body.problems)) == ((), 1)


def test_keys_over_the_limit_are_a_problem_and_the_first_ones_survive() -> None:
    raw = b"leads[status][0][id]=1&" + b"&".join(b"a=%d" % number for number in range(hooks.MAX_KEYS))

    body = parse_hook(raw)

    assert [entity.id for entity in body.entities] == [1]
    assert f"the body has more than {hooks.MAX_KEYS} keys" in body.problems


def test_ten_thousand_entities_are_all_returned() -> None:
    raw = b"&".join(b"leads[add][%d][id]=%d" % (number, number + 1) for number in range(9_000))

    assert [entity.id for entity in parse_hook(raw).entities] == list(range(1, 9_001))


def test_the_number_of_problems_is_bounded_and_they_quote_no_values() -> None:
    raw = b"&".join(b"leads[a%s][0][id]=secret" % bytes([97 + n % 26, 97 + n // 26]) for n in range(200))

    problems = parse_hook(raw).problems

    assert len(problems) == hooks.MAX_PROBLEMS
    assert "secret" not in repr(problems)


def _executed_lines(raw: bytes) -> int:
    """Lines of the parser that ran: a measure of work that does not depend on the machine."""
    lines = 0

    def tracer(frame: object, event: str, _: object) -> object:
        nonlocal lines
        if getattr(frame, "f_code").co_filename != hooks.__file__:  # noqa: B009
            return None
        lines += event == "line"
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        parse_hook(raw)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"&".join(b"leads[add][%d][id]=1" % number for number in range(n)),
        lambda n: b"&".join([b"leads[add][0][id]=1"] * n),
        lambda n: b"&".join(b"a%d=1" % number for number in range(n)),
        lambda n: b"&".join(b"leads[add][%d][id]=x" % number for number in range(n)),
        lambda n: b"&".join(b"leads[add][0]" + b"[a]" * 30 + b"=%d" % number for number in range(n)),
    ],
    ids=["entities", "duplicates", "strangers", "problems", "deep"],
)
def test_work_grows_in_proportion_to_the_number_of_keys(make: object) -> None:
    small, large = (_executed_lines(make(count)) for count in (250, 2_000))  # type: ignore[operator]

    assert small > 250
    assert large / small < 8.5


def test_one_deep_key_costs_no_more_lines_than_a_flat_one() -> None:
    flat = _executed_lines(b"leads[add]=1")
    deep = _executed_lines(b"leads[add]" + b"[a]" * 1_000 + b"=1")

    assert deep <= flat


@given(st.binary(max_size=2_000))
def test_no_bytes_make_the_parser_raise(raw: bytes) -> None:
    body = parse_hook(raw)

    assert len(body.problems) <= hooks.MAX_PROBLEMS


_PIECES = st.sampled_from(
    [
        *[b"leads", b"contacts", b"[status]", b"[0]", b"[id]", b"[note]", b"[element_id]"],
        *[b"[", b"]", b"=", b"&", b"%5B", b"%", b"1", b"+", b"\xff", b"%00"],
    ]
)


@given(st.lists(_PIECES, max_size=60))
def test_no_pieces_of_a_hook_make_the_parser_raise(pieces: list[bytes]) -> None:
    assert all(entity.id > 0 for entity in parse_hook(b"".join(pieces)).entities)


@given(st.lists(st.tuples(st.integers(1, 2**63 - 1), st.integers(1, 10**9)), max_size=20))
def test_every_entity_written_is_read_back_in_order(deals: list[tuple[int, int]]) -> None:
    raw = "&".join(
        f"leads%5Bstatus%5D%5B{index}%5D%5Bid%5D={deal}&leads[status][{index}][status_id]={status}"
        for index, (deal, status) in enumerate(deals)
    ).encode()

    assert [(entity.id, entity.status_id) for entity in parse_hook(raw).entities] == deals


@pytest.mark.parametrize(
    ("fields", "ticked"),
    [
        ("[0][id]=7&{c}[0][values][0][value]=1", {7}),
        ("[0][values][0][value]=1&{c}[0][id]=7", {7}),
        ("[0][id]=7&{c}[0][values][0][value]=0", set()),
        ("[0][id]=7&{c}[0][values][0]=1", {7}),
        ("[0][id]=x&{c}[0][values][0][value]=1", set()),
        ("[0][values][0][value]=1", set()),
        ("[0]=1&{c}=1&{c}[0][id][1]=7&{c}[0][values]=1", set()),
        ("[0][id]=7&{c}[1][id]=8&{c}[1][values][0][value]=1", {8}),
    ],
)
def test_a_contacts_ticked_fields_are_told_as_a_hint(fields: str, ticked: set[int]) -> None:
    start = "contacts[update][0][custom_fields]"
    body = f"contacts[update][0][id]=5&{start}{fields.replace('{c}', start)}"

    [contact] = parse_hook(body.encode()).entities

    assert contact.ticked == ticked
