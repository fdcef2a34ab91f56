"""What the console's page shows, and «Повторить»."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from kopilka_testing import Shop, SilentBell, StandingClock, posted, settle, tbank_body

from config.settings import load_settings
from console import access
from flows import health, inbox, lookup, sweep
from flows.runtime import Runtime, build_runtime

NO_DEAL = "Платёж tbank:8742591 на"

FormToken = Callable[[FlaskClient], str]


def test_an_empty_shop_has_nothing_to_worry_about_but_the_sweep(owner: FlaskClient) -> None:
    words = _words(owner.get("/console/").text)

    assert "Клуб «Спорт и горы»" in words
    assert "1 марта 2026, 12:00" in words
    assert "Участники с картой клуба 0" in words
    assert "amoCRM подключена" in words
    assert "сходится, операций 0" in words
    assert "ещё не запускался" in words
    assert "Ничего. Всё, что пришло, разобрано" in words


def test_members_boxes_ledger_and_sweep_are_counted(
    owner: FlaskClient, rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    sweep.sweep_once(rt)
    inbox.accept_hook(rt, b"x=1")
    clock.forward(seconds=20)

    words = _words(owner.get("/console/").text)

    assert "Участники с картой клуба 1" in words
    done = health.facts(rt).inbox["done"]
    assert done >= 2
    assert f"ждут очереди 1 в работе 0 ждут вас 0 готово {done} Дольше всех ждёт 20 секунд" in words
    assert "сходится, операций 3" in words
    assert "Обход 20 секунд назад" in words


def test_a_parked_payment_is_shown_with_its_reason_and_repeated_by_the_button(
    owner: FlaskClient, rt: Runtime, form_token: FormToken
) -> None:
    row_id = _parked_payment(rt)
    before = owner.get("/console/").text
    assert isinstance(rt.bell, SilentBell)
    rt.bell.rings.clear()

    reply = owner.post("/console/replay", data={"box": "inbox", "id": row_id, "form_token": form_token(owner)})
    after = owner.get(reply.headers["Location"])

    assert f"Т-Банк: платёж 8742591 {NO_DEAL}" in _words(before)
    assert "Ждёт вас 1" in _words(before)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/console/?said=again")
    assert "Повторяем." in after.text
    assert "Ничего. Всё, что пришло" in after.text
    assert rt.bell.rings == [("inbox", row_id)]
    settle(rt)
    assert NO_DEAL in owner.get("/console/").text


def test_repeating_what_is_not_parked_says_so(owner: FlaskClient, rt: Runtime, form_token: FormToken) -> None:
    row_id = _parked_payment(rt)
    token = form_token(owner)
    owner.post("/console/replay", data={"box": "inbox", "id": row_id, "form_token": token})

    again = owner.post("/console/replay", data={"box": "inbox", "id": row_id, "form_token": token})
    unknown = owner.post("/console/replay", data={"box": "outbox", "id": 2**63 - 1, "form_token": token})

    assert [reply.headers["Location"] for reply in (again, unknown)] == ["/console/?said=busy"] * 2
    assert "повторять нечего" in owner.get("/console/?said=busy").text


def test_a_form_of_another_site_or_another_visit_changes_nothing(
    owner: FlaskClient, rt: Runtime, form_token: FormToken, clock: StandingClock
) -> None:
    row_id = _parked_payment(rt)
    token = form_token(owner)
    clock.forward(hours=1)
    another_visit = access.form_token(rt, access.new_cookie(rt))

    replies = [
        owner.post("/console/replay", data={"box": "inbox", "id": row_id, "form_token": given})
        for given in ("", "x", "é", token[:-1], another_visit)
    ]
    replies.append(owner.post("/console/replay", data={"box": "inbox", "id": row_id}))
    by_address = owner.get(f"/console/replay?box=inbox&id={row_id}&form_token={token}")

    assert [reply.status_code for reply in replies] == [403] * 6
    assert by_address.status_code == 405
    assert _state(rt, row_id) == "parked"


def test_a_form_that_was_tampered_with_is_refused(owner: FlaskClient, rt: Runtime, form_token: FormToken) -> None:
    row_id = _parked_payment(rt)
    genuine = {"box": "inbox", "id": str(row_id), "form_token": form_token(owner)}
    changes = [{"box": "member"}, {"box": ""}, {"id": "x"}, {"id": "-1"}, {"id": "9" * 30}, {"id": "١"}, {"id": ""}]

    statuses = [owner.post("/console/replay", data={**genuine, **change}).status_code for change in changes]

    assert statuses == [400] * len(changes)
    assert _state(rt, row_id) == "parked"


def test_a_deal_without_a_buyer_is_shown_with_the_time_of_the_next_try(
    owner: FlaskClient, rt: Runtime, shop: Shop
) -> None:
    made = shop.crm("POST", "/sim/deals", {"name": "Заказ", "price_roubles": 100, "status": "Оплачен"})
    inbox.accept_payment(rt, "tbank", posted(tbank_body(made["deal_id"])))
    settle(rt)

    words = _words(owner.get("/console/").text)

    assert "Пока не получилось, повторим сами" in words
    assert f"Сделка {made['deal_id']} У сделки нет контакта" in words
    assert "01.03 12:00:05" in words


def test_a_crm_that_fails_is_explained_in_russian_with_the_detail_below(
    owner: FlaskClient, rt: Runtime, shop: Shop
) -> None:
    deal_id, _ = shop.deal(4_990)
    shop.faults(error_500=1.0)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)

    words = _words(owner.get("/console/").text)

    assert f"Сделка {deal_id} Ошибка на стороне сервиса Подробнее ServerFailed: " in words


def test_a_revoked_access_is_the_first_thing_one_sees(
    app: Flask, environment: dict[str, str], clock: StandingClock
) -> None:
    environment = {**environment, "AMOCRM_CLIENT_ID": "x", "AMOCRM_CLIENT_SECRET": "y"}
    shipped = load_settings({**environment, "PROGRAMME": "config/programme.yaml"}, dotenv=None)
    rt = build_runtime(shipped, bell=SilentBell(), clock=clock)
    app.extensions["runtime"] = rt
    client = app.test_client()
    client.get("/console/?" + rt.console_link().partition("?")[2])

    not_connected = _words(client.get("/console/").text)
    with rt.db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO oauth_token"
                " (name, sealed_pair, expires_at, refresh_fingerprint, state, reason, updated_at) VALUES"
                " ('amocrm', '', now(), '', 'needs_reauth', 'администратор отключил интеграцию', now())"
            )
        )
    revoked = _words(client.get("/console/").text)
    rt.db.close()

    assert "amoCRM ещё не подключена. Выдайте доступ" in not_connected
    assert "amoCRM доступ отозван. Выдайте доступ заново" in revoked
    assert "администратор отключил интеграцию" in revoked


def test_a_ledger_that_does_not_add_up_is_an_alarm(
    owner: FlaskClient, rt: Runtime, shop: Shop, clock: StandingClock
) -> None:
    deal_id, _ = shop.deal(4_990)
    inbox.accept_payment(rt, "tbank", posted(tbank_body(deal_id)))
    settle(rt)
    whole = owner.get("/console/").text
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET pending = pending + 1"))
    clock.forward(seconds=61)

    broken = owner.get("/console/").text

    assert "Книга баллов не сходится" not in whole
    assert "Книга баллов не сходится" in broken
    assert "остатки не равны сумме операций" in broken


def test_a_sweep_that_stopped_is_an_alarm(owner: FlaskClient, rt: Runtime, clock: StandingClock) -> None:
    sweep.sweep_once(rt)
    clock.forward(minutes=61)

    words = _words(owner.get("/console/").text)

    assert "Обход 1 час назад: проверьте, запущен ли" in words


def test_hostile_words_from_outside_are_text_on_the_page(owner: FlaskClient, rt: Runtime) -> None:
    row_id = _parked_payment(rt)
    with rt.db.begin() as tx:
        tx.execute(
            sa.text("UPDATE inbox SET source = :bad, outcome = :bad WHERE id = :id"),
            {"bad": "<script>alert(1)</script>{{7*7}}", "id": row_id},
        )

    page = owner.get("/console/").text

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_database_that_went_away_is_explained(app: Flask, environment: dict[str, str], clock: StandingClock) -> None:
    dead = load_settings({**environment, "DATABASE_URL": "postgresql://x:y@127.0.0.1:1/none"}, dotenv=None)
    app.extensions["runtime"] = rt = build_runtime(dead, bell=SilentBell(), clock=clock)
    client = app.test_client()
    client.get("/console/?" + rt.console_link().partition("?")[2])

    reply = client.get("/console/")

    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "5")
    assert "База данных не отвечает" in reply.text


def _parked_payment(rt: Runtime) -> int:
    """A genuine payment whose order is not of our making: only a person can say which deal it is."""
    inbox.accept_payment(rt, "tbank", posted(tbank_body(1, OrderId="счёт 7")))
    settle(rt)
    parked, _ = lookup.events(rt, states=["parked"], limit=1)
    return int(parked[0].id)


def _state(rt: Runtime, row_id: int) -> str:
    with rt.db.begin() as tx:
        return str(tx.execute(sa.text("SELECT state FROM inbox WHERE id = :id"), {"id": row_id}).scalar_one())


def _words(html: str) -> str:
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html.partition("<body>")[2])).split())
