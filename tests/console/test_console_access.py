"""Who gets into the console and for how long."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient
from kopilka_testing import SECRET_KEY, StandingClock

from console import access
from flows.keys import Keys
from flows.runtime import Runtime

NEW_KEY = "bmV3LXNlY3JldC1rZXktdGhhdC1pcy1sb25nLWVub3VnaC10b28"


def test_a_stranger_reads_how_to_get_in_and_nothing_else(stranger: FlaskClient) -> None:
    replies = [stranger.get("/console/"), stranger.post("/console/replay", data={"box": "inbox", "id": "1"})]

    for reply in replies:
        assert reply.status_code == 403
        assert "kopilka console-link" in reply.text
        assert "Участники" not in reply.text
        assert "Set-Cookie" not in reply.headers


def test_the_link_is_on_the_public_address(rt: Runtime) -> None:
    assert rt.console_link().startswith("https://bonus.sportgory.ru/console/?k=")


def test_the_link_lets_in_with_a_strict_cookie_and_leaves_the_secret_behind(stranger: FlaskClient, rt: Runtime) -> None:
    secret = rt.console_link().partition("?k=")[2]

    entering = stranger.get(f"/console/?k={secret}")

    cookie = entering.headers["Set-Cookie"]
    assert entering.status_code == 200
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/console/"} <= {part.strip() for part in cookie.split(";")}
    assert secret not in cookie
    assert 'http-equiv="refresh" content="0; url=/console/"' in entering.text
    assert secret not in entering.text
    assert stranger.get("/console/").status_code == 200


def test_a_wrong_link_opens_nothing(stranger: FlaskClient, rt: Runtime) -> None:
    secret = rt.console_link().partition("?k=")[2]
    wrong = ["", "x", secret[:-1], secret + "A", secret.swapcase(), rt.keys.secret_path("amocrm hook"), "%00", "é"]

    replies = [stranger.get(f"/console/?k={given}") for given in wrong]

    assert [reply.status_code for reply in replies] == [403] * len(wrong)
    assert all("Set-Cookie" not in reply.headers for reply in replies)


def test_a_visit_ends_after_twelve_hours(owner: FlaskClient, clock: StandingClock) -> None:
    clock.forward(hours=11, minutes=59)
    before = owner.get("/console/")
    clock.forward(minutes=1)
    after = owner.get("/console/")

    assert (before.status_code, after.status_code) == (200, 403)


def test_a_cookie_that_was_made_or_changed_elsewhere_is_worthless(app: Flask, rt: Runtime) -> None:
    genuine = access.new_cookie(rt)
    until, _, signature = genuine.partition(".")
    forged = ["", ".", until, f"{int(until) + 1}.{signature}", f"{until}.{signature[:-2]}xx", f".{signature}", "é.é"]

    statuses = []
    for value in forged:
        client = app.test_client()
        client.set_cookie(access.COOKIE, value, path="/console/")
        statuses.append(client.get("/console/").status_code)

    assert statuses == [403] * len(forged)


def test_a_form_token_is_no_cookie(app: Flask, rt: Runtime) -> None:
    cookie = access.new_cookie(rt)
    client = app.test_client()
    client.set_cookie(access.COOKIE, f"{cookie.partition('.')[0]}.{access.form_token(rt, cookie)}", path="/console/")

    assert client.get("/console/").status_code == 403


def test_a_new_key_closes_every_door_and_an_old_link_works_while_its_key_does(
    app: Flask, owner: FlaskClient, rt: Runtime
) -> None:
    old_secret = rt.console_link().partition("?k=")[2]
    random_bytes: Callable[[int], bytes] = bytes

    rt.keys = Keys([NEW_KEY, SECRET_KEY], random_bytes=random_bytes)
    rotated = (owner.get("/console/").status_code, app.test_client().get(f"/console/?k={old_secret}").status_code)
    rt.keys = Keys([NEW_KEY], random_bytes=random_bytes)
    replaced = (owner.get("/console/").status_code, app.test_client().get(f"/console/?k={old_secret}").status_code)

    assert rotated == (403, 200)
    assert replaced == (403, 403)


def test_the_style_sheet_needs_no_link_and_no_page_holds_inline_code(stranger: FlaskClient, owner: FlaskClient) -> None:
    with stranger.get("/console/static/console.css") as style:
        assert style.status_code == 200
    page = owner.get("/console/")
    assert "<style" not in page.text
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert page.headers["Content-Security-Policy"] == "default-src 'self'; frame-ancestors 'none'"
    assert page.headers["Cache-Control"] == "no-store"
