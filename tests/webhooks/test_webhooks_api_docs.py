"""What is written about the API is true: the OpenAPI document, the docs page, docs/api.md and its commands."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest
from api_testing import ANNA, new_member, program
from flask import Flask
from kopilka_testing import ROOT
from werkzeug.test import TestResponse

from flows import access
from flows.access import CALLS_PER_SECOND, SCOPE_WORDS, SCOPES, WINDOW_S
from flows.refusals import Denied
from flows.runtime import Runtime
from webhooks.api import examples, openapi, pages, problems
from webhooks.api.route import Route
from webhooks.api.routes import ROUTES
from webhooks.app import create_app

DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
by_route = pytest.mark.parametrize("route", ROUTES, ids=[one.name for one in ROUTES])


@pytest.fixture
def app(rt: Runtime) -> Flask:
    return create_app(rt)


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    reply = app.test_client().get("/api/openapi.json")
    assert (reply.status_code, reply.content_type) == (200, "application/json")
    return dict(json.loads(reply.data))


def test_the_document_describes_every_address_and_no_other(document: dict[str, Any]) -> None:
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert document["openapi"] == "3.1.0"
    assert told == {(route.method, route.path) for route in ROUTES}
    assert document["servers"] == [{"url": "https://bonus.sportgory.ru/api/v1"}]


def test_flask_serves_exactly_the_addresses_of_the_table(app: Flask) -> None:
    served = {
        (method, str(rule).replace("<", "{").replace(">", "}").removeprefix("/api/v1"))
        for rule in app.url_map.iter_rules()
        if str(rule).startswith("/api/v1/")
        for method in rule.methods or ()
        if method != "HEAD"
    }

    assert served == {(route.method, route.path) for route in ROUTES}


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))

    assert references == set(document["components"]["schemas"])


def test_every_request_is_closed_and_every_field_of_an_answer_is_always_there(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name != "Problem":
            assert schema["additionalProperties"] is False, name
    for route in ROUTES:
        answer = document["components"]["schemas"][route.answer.__name__]
        assert sorted(answer["required"]) == sorted(answer["properties"]), route.name


@by_route
def test_the_example_of_every_request_is_read(route: Route) -> None:
    if route.has_body:
        assert route.asks is not None
        route.asks.model_validate_json(json.dumps(examples.BODIES[route.name]))
    assert re.fullmatch(openapi.KEY_PATTERN, examples.key(route))


@by_route
def test_the_example_of_every_answer_is_such_an_answer(route: Route) -> None:
    known = openapi.schemas()
    sample = examples.of(known[openapi.name_of(route.answer, known)], known)

    names = {field.serialization_alias or name: name for name, field in route.answer.model_fields.items()}
    assert set(sample) == set(names)


def test_every_route_has_a_name_a_right_and_words_of_its_own() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert {route.scope for route in ROUTES} == set(SCOPES) == set(SCOPE_WORDS)
    for route in ROUTES:
        assert re.search("[а-я]", route.title + route.text), route.name
        assert route.is_write == (route.method != "GET" and route.path != "/quotes"), route.name


def test_every_code_is_told_once_in_russian_with_what_to_do() -> None:
    told = pages.codes()

    codes = [one["code"] for one in told]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)
    assert all(re.search("[а-я]", one["title"]) and one["hint"] for one in told), told
    assert set(_classes_of_flows()) <= set(problems.every_refusal())


def test_the_page_loads_nothing_from_elsewhere_and_describes_everything(app: Flask) -> None:
    reply = app.test_client().get("/api/docs")
    page = _Page(reply.text)

    assert reply.status_code == 200
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "script" not in page.tags
    assert "style" not in page.attributes
    assert not any(name.startswith("on") for name in page.attributes)
    assert [address for address in page.loaded if not address.startswith("/")] == []
    assert [address for address in page.loaded if _status(app, address) != 200] == []
    for route in ROUTES:
        assert route.name in page.ids
        assert route.title in page.text
    for one in pages.codes():
        assert one["code"] in page.ids
    assert [link for link in page.inner_links if link not in page.ids] == []
    assert len(page.ids) == len(set(page.ids))


def test_a_problem_leads_to_its_line_on_the_page(app: Flask, rt: Runtime) -> None:
    reply = program(app, rt).get("/members/1")
    page = _Page(app.test_client().get("/api/docs").text)

    address, _, anchor = (reply.json or {})["type"].partition("#")
    assert address == "https://bonus.sportgory.ru/api/docs"
    assert anchor in page.ids


def test_the_tables_of_the_manual_are_those_of_the_code() -> None:
    addresses = "\n".join(f"| `{one.method} {one.path}` | {one.title} | `{one.scope}` |" for one in ROUTES)
    rights = "\n".join(f"| `{scope}` | {words} |" for scope, words in SCOPE_WORDS.items())
    codes = "\n".join(
        f"| `{one['code']}` | {one['status']} | {one['title']} | {one['hint']} |" for one in pages.codes()
    )

    for table in (addresses, rights, codes):
        missing = [line for line in table.splitlines() if line not in DOCS]
        assert missing == [], "paste these lines into docs/api.md"
    in_manual = set(re.findall(r"^\| `([a-z_]+)` \| \d{3} \|", DOCS, re.MULTILINE))
    assert in_manual == {one["code"] for one in pages.codes()}
    assert f"{CALLS_PER_SECOND * WINDOW_S} запросов за {WINDOW_S} секунд" in DOCS


def test_the_commands_of_the_manual_work_as_they_are_printed(app: Flask, rt: Runtime) -> None:
    shown = re.search(r"kopilka token create (.+)\)", DOCS)
    assert shown is not None
    options = dict(zip(*[iter(shlex.split(shown[1]))] * 2, strict=True))
    token = access.create_token(rt, options["--name"], options["--scope"].split(","), options["--channel"])

    replies = [
        _run(app, command, token) for command in re.findall(r"^curl .+?(?=\n```)", DOCS, re.MULTILINE | re.DOTALL)
    ]

    assert [reply.status_code for reply in replies] == [201, 200, 200]
    assert (replies[1].json or {})["will_accrue"] == (replies[2].json or {})["accrued"] == 540


@by_route
def test_the_command_of_every_route_on_the_page_is_understood(app: Flask, rt: Runtime, route: Route) -> None:
    caller = program(app, rt)
    new_member(caller, ANNA)

    reply = _run(app, examples.curl(route, "$URL"), caller.token)

    assert reply.status_code in (200, 201, 404, 409, 422), reply.text


def _status(app: Flask, address: str) -> int:
    with app.test_client().get(address) as reply:
        return reply.status_code


def _run(app: Flask, command: str, token: str) -> TestResponse:
    """What curl would send."""
    words = shlex.split(command.replace("\\\n", " ").replace("$TOKEN", token).replace("$URL", "/api/v1"))
    assert words[0] == "curl"
    headers, method, path, data = {}, "GET", "", ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(rest)
        else:
            path = word
    return app.test_client().open(path, method=method, headers=headers, data=data.encode())


def _classes_of_flows() -> list[type[Denied]]:
    from flows import refusals

    return [
        one
        for one in vars(refusals).values()
        if isinstance(one, type) and issubclass(one, Denied) and one is not Denied
    ]


class _Page(HTMLParser):
    """What a page loads, links to and says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.inner_links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(given)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag in ("link", "img", "script", "iframe"):
            self.loaded.append(str(given.get("href") or given.get("src")))
        if tag == "a" and str(given.get("href")).startswith("#"):
            self.inner_links.append(str(given["href"])[1:])

    def handle_data(self, data: str) -> None:
        self.text += data
