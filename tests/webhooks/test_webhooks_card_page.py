"""The buyer's card page and what it links to."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from kopilka_testing import StandingClock, posted, settle, tbank_body

from flows import inbox, lookup, people, sweep
from flows.people import Person
from flows.runtime import Runtime
from storage.members import Member

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15"

Pay = Callable[..., Member]


class Page(HTMLParser):
    """Tags with their attributes, and the text that a person reads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        """Where the buyer can go from here, but for the page in the other language."""
        hrefs = [attributes.get("href") or "" for tag, attributes in self.tags if tag == "a"]
        return [href for href in hrefs if not href.startswith("?lang=")]

    def values(self) -> list[str]:
        return [attributes.get("value") or "" for tag, attributes in self.tags if tag == "input"]

    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.mark.usefixtures("wallets")
def test_the_page_shows_the_balance_and_shortens_the_name(client: FlaskClient, pay: Pay) -> None:
    member = pay()

    reply = client.get(f"/c/{member.card_token}")

    page = Page(reply.text)
    assert reply.status_code == 200
    assert "300 баллов" in page.words()
    assert "= 300 ₽ скидки" in page.words()
    assert "Анна П." in page.words()
    assert "Стартовый" in page.words()
    assert "Петрова" not in reply.text
    assert "79000000001" not in reply.text
    assert "Ещё 499 баллов станут доступны 15 марта 2026" in page.words()
    assert f"/c/{member.card_token}/card.pkpass" in page.links()
    assert f"/c/{member.card_token}/google" in page.links()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Анна", "Анна"),
        ("Анна\u00a0Петрова", "Анна П."),
        ("Анна\tПетрова", "Анна П."),
        ("Петрова,Анна", "Петрова А."),
        ("Анна 89161234567", "Анна"),
        ("+79161234567", ""),
        ("8(916)123-45-67", ""),
        ("+7 916 123 45 67", ""),
        ("anna.petrova@example.ru", ""),
    ],
)
def test_a_phone_an_address_and_a_surname_never_stand_for_a_name(
    client: FlaskClient, rt: Runtime, name: str, shown: str
) -> None:
    member = people.create(rt, Person(name))

    reply = client.get(f"/c/{member.card_token}")

    assert f'<p class="who"><span>{shown}</span>' in reply.text
    assert not [
        word
        for word in ("Петрова<", "Петрова ", "1234567", "123-45", "example.ru<")
        if word in reply.text.replace("Петрова А.", "")
    ]


def test_the_page_says_what_it_is_to_a_screen_reader(client: FlaskClient, pay: Pay) -> None:
    page = Page(client.get(f"/c/{pay().card_token}").text)

    tags = dict(page.tags)
    assert tags["html"]["lang"] == "ru"
    assert tags["meta"]
    assert all(attributes.get("alt") is not None for tag, attributes in page.tags if tag == "img")
    assert {"name": "robots", "content": "noindex"} in [attributes for _, attributes in page.tags]


def test_a_shop_without_certificates_offers_no_wallet(client: FlaskClient, pay: Pay) -> None:
    token = pay().card_token

    page = Page(client.get(f"/c/{token}").text)

    assert page.links() == []
    assert client.get(f"/c/{token}/card.pkpass").status_code == 404
    assert client.get(f"/c/{token}/google").status_code == 404


@pytest.mark.usefixtures("wallets")
def test_the_devices_own_wallet_comes_first(client: FlaskClient, pay: Pay) -> None:
    token = pay().card_token
    agents = {"iPhone": IPHONE, "iPad": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "Android": "Android 16"}

    first = {
        name: Page(client.get(f"/c/{token}", headers={"User-Agent": agent}).text).links()[0]
        for name, agent in agents.items()
    }

    apple, google = f"/c/{token}/card.pkpass", f"/c/{token}/google"
    assert first == {"iPhone": apple, "iPad": apple, "Android": google}


def test_an_in_app_browser_is_told_to_open_a_real_one(client: FlaskClient, pay: Pay) -> None:
    token = pay().card_token

    inside = Page(client.get(f"/c/{token}", headers={"User-Agent": f"{IPHONE} Instagram 300.0"}).text)
    outside = Page(client.get(f"/c/{token}", headers={"User-Agent": IPHONE}).text)

    assert "откройте страницу в Safari" in inside.words()
    assert f"https://bonus.sportgory.ru/c/{token}" in inside.values()
    assert "откройте страницу в Safari" not in outside.words()


def test_a_debt_is_told_in_words_and_is_worth_nothing(client: FlaskClient, pay: Pay, rt: Runtime) -> None:
    member = pay()
    with rt.db.begin() as tx:
        tx.execute(sa.text("UPDATE member SET available = 0, debt = 200"))

    page = Page(client.get(f"/c/{member.card_token}").text)

    assert "−200 баллов" in page.words()
    assert "скидки" not in page.words()
    assert "ушли в минус после возврата" in page.words()


def test_the_history_and_the_balance_follow_time_and_returns(
    client: FlaskClient, pay: Pay, rt: Runtime, clock: StandingClock
) -> None:
    member = pay(kopecks=499_000)
    clock.forward(days=15)
    sweep.sweep_once(rt)
    inbox.accept_payment(rt, "tbank", posted(_refund_of(member, rt)))
    settle(rt)

    page = Page(client.get(f"/c/{member.card_token}").text)

    assert "0 баллов" in page.words()
    assert "−499" in page.text
    assert "возврат" in page.text.lower()


def test_an_unknown_link_gets_a_page_that_explains(client: FlaskClient) -> None:
    tokens = ["unknown", "a" * 64, "a" * 5_000, "%00", "%D1%8F", "%27%20OR%201=1", "{{7*7}}"]

    replies = {token: client.get(f"/c/{token}") for token in tokens}

    assert {token: reply.status_code for token, reply in replies.items()} == dict.fromkeys(tokens, 404)
    assert all("Карта не найдена" in reply.text for reply in replies.values())


@pytest.mark.usefixtures("wallets")
def test_an_unknown_link_has_no_pass_no_picture_and_no_google(client: FlaskClient) -> None:
    statuses = {path: client.get(f"/c/unknown/{path}").status_code for path in ("card.pkpass", "qr.svg", "google")}

    assert statuses == {"card.pkpass": 404, "qr.svg": 404, "google": 404}


def test_a_hostile_name_is_text_and_nothing_else(client: FlaskClient, pay: Pay) -> None:
    name = '<script>alert(1)</script> "><img src=x onerror=alert(1)> {{7*7}} ${7*7}'

    reply = client.get(f"/c/{pay(buyer=name).card_token}")

    page = Page(reply.text)
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert reply.status_code == 200
    assert scripts == [{"src": "/static/card.js", "defer": None}]
    assert [tag for tag, _ in page.tags].count("img") == 1
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "49" not in page.words().split()


def test_a_name_is_shortened_to_a_first_name_and_a_letter(client: FlaskClient, pay: Pay, rt: Runtime) -> None:
    token = pay().card_token
    names = {
        "Анна Петрова": "Анна П.",
        "Анна": "Анна",
        "  Анна   Мария  Петрова ": "Анна М.",
        "Нур-Султан аль": "Нур-Султан а.",
        "": "",
    }

    shown = {}
    for name in names:
        with rt.db.begin() as tx:
            tx.execute(sa.text("UPDATE member SET name = :name"), {"name": name})
        page = Page(client.get(f"/c/{token}").text)
        shown[name] = page.words().split("Стартовый")[0].split("English")[-1].strip()

    assert shown == names


@pytest.mark.usefixtures("wallets")
def test_the_pass_downloads_and_openssl_accepts_its_signature(
    client: FlaskClient, pay: Pay, wallet_folder: Path, tmp_path: Path
) -> None:
    member = pay()

    reply = client.get(f"/c/{member.card_token}/card.pkpass")

    assert reply.status_code == 200
    assert reply.content_type == "application/vnd.apple.pkpass"
    with zipfile.ZipFile(BytesIO(reply.data)) as archive:
        card = json.loads(archive.read("pass.json"))
        archive.extractall(tmp_path)
    assert card["serialNumber"]
    assert card["barcodes"][0]["message"] == member.card_number
    openssl = shutil.which("openssl")
    assert openssl, "these tests need openssl"
    command = [openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", str(tmp_path / "signature")]
    command += ["-content", str(tmp_path / "manifest.json"), "-CAfile", str(wallet_folder / "ca.pem")]
    verified = subprocess.run([*command, "-out", str(tmp_path / "out")], capture_output=True, check=False)
    assert verified.returncode == 0, verified.stderr.decode()


@pytest.mark.usefixtures("wallets")
def test_google_gets_a_save_link_and_no_person_in_it(client: FlaskClient, pay: Pay) -> None:
    reply = client.get(f"/c/{pay().card_token}/google")

    assert reply.status_code == 302
    address = urlsplit(reply.headers["Location"])
    assert (address.scheme, address.netloc) == ("https", "pay.google.com")
    assert address.path.startswith("/gp/v/save/ey")


def test_the_qr_code_is_an_svg_that_refers_to_nothing(client: FlaskClient, pay: Pay) -> None:
    reply = client.get(f"/c/{pay().card_token}/qr.svg")

    assert reply.mimetype == "image/svg+xml"
    root = ET.fromstring(reply.data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not any("href" in key for element in root.iter() for key in element.attrib)
    assert b"<script" not in reply.data


def test_the_owners_colours_come_as_a_style_sheet(client: FlaskClient) -> None:
    reply = client.get("/c/colours.css")

    assert reply.mimetype == "text/css"
    assert reply.text == ":root{--card:#16382C;--text:#FFFFFF;--label:#BFE3D0}"


def test_the_logo_is_a_png_for_googles_servers(client: FlaskClient) -> None:
    reply = client.get("/c/logo.png")

    assert reply.mimetype == "image/png"
    assert reply.data.startswith(b"\x89PNG")
    assert "max-age" in reply.headers["Cache-Control"]


def _refund_of(member: Member, rt: Runtime) -> bytes:
    account = lookup.by_id(rt, member.id)
    assert account is not None
    deal_ref = next(line.deal_ref for line in account.lines if line.deal_ref)
    return tbank_body(deal_ref, "REFUNDED")


@pytest.mark.usefixtures("wallets")
def test_the_owners_official_buttons_stand_in_place_of_words(
    client: FlaskClient, pay: Pay, rt: Runtime, tmp_path: Path
) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="160" height="50"><rect width="160" height="50"/></svg>'
    (tmp_path / "apple.svg").write_bytes(svg)
    rt.file = replace(rt.file, card=replace(rt.file.card, badges={"apple": tmp_path / "apple.svg"}))
    token = pay().card_token

    on_iphone = Page(client.get(f"/c/{token}", headers={"User-Agent": IPHONE}).text)
    in_english = Page(client.get(f"/c/{token}?lang=en", headers={"User-Agent": IPHONE}).text)
    picture, none = client.get("/c/badge/apple"), client.get("/c/badge/google")

    badges = [attributes for tag, attributes in on_iphone.tags if attributes.get("src") == "/c/badge/apple"]
    assert [one["alt"] for one in badges] == ["Добавить в Apple Wallet"]
    assert "Добавить в Apple Wallet" not in on_iphone.words()
    assert f"/c/{token}/card.pkpass" in on_iphone.links()
    assert "Add to Apple Wallet" in in_english.words(), "a Russian button has no place on an English page"
    assert (picture.data, picture.mimetype, none.status_code) == (svg, "image/svg+xml", 404)
    assert "script-src" not in picture.headers["Content-Security-Policy"]
    assert picture.headers["Content-Security-Policy"].startswith("default-src 'none'")
