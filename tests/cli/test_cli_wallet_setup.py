"""`kopilka wallet check`, `verify` and `renew` as their user types them: no database, no network, every fault named."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from kopilka_testing import ROOT
from pass_forge import PASS_TYPE_ID, TEAM_ID, Authority, Leaf

from cli.main import main

pytestmark = pytest.mark.slow

PASSWORD = "чужой-секрет-p12"
APPLE = (
    "{{pass_type_id: {type_id}, team_id: {team_id}, certificate: file:{file}, "
    "password: env:PASS_P12_PASSWORD, wwdr: file:wwdr.pem}}"
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(datetime.now(UTC))


def p12(certificate: x509.Certificate, key: RSAPrivateKey, password: str = PASSWORD) -> bytes:
    return serialize_key_and_certificates(b"pass", key, certificate, None, BestAvailableEncryption(password.encode()))


def pem(certificate: x509.Certificate, key: RSAPrivateKey) -> bytes:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + secret


@dataclass
class Desk:
    """The folder of somebody who sets Wallet up, and the command in it."""

    folder: Path
    authority: Authority
    run: Callable[..., Result]

    def write(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def rules(self, apple: str | None = None, *, more: str = "") -> Path:
        text = (ROOT / "config" / "programme.yaml").read_text(encoding="utf-8")
        own = "" if apple is None else f"  apple: {apple}\n"
        return self.write("programme.yaml", text.replace("\ncard:\n", f"\ncard:\n{own}{more}"))

    def certificate(self, name: str = "pass.p12", leaf: Leaf | None = None, password: str = PASSWORD) -> Path:
        issued = self.authority.leaf(leaf or Leaf())
        return self.write(name, p12(issued, self.authority.leaf_key, password))

    def ready(self, *, type_id: str = PASS_TYPE_ID, team_id: str = TEAM_ID, leaf: Leaf | None = None) -> Path:
        self.certificate(leaf=leaf)
        return self.rules(APPLE.format(type_id=type_id, team_id=team_id, file="pass.p12"))


@pytest.fixture
def desk(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    environment = {
        "PROGRAMME": str(tmp_path / "programme.yaml"),
        "PUBLIC_URL": "https://bonus.sportgory.ru",
        "PASS_P12_PASSWORD": PASSWORD,
        "DEMO_WALLET_DIR": "",
    }

    def run(*arguments: str, **changed: str) -> Result:
        result = CliRunner().invoke(main, ["wallet", *arguments], env={**environment, **changed})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        assert PASSWORD not in result.output
        assert "Traceback" not in result.output
        return result

    desk = Desk(tmp_path, authority, run)
    desk.write("wwdr.pem", authority.wwdr.public_bytes(Encoding.PEM))
    desk.write("ca.cer", authority.root.public_bytes(Encoding.DER))
    return desk


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_finished_set_up_is_shown_line_by_line_before_any_card_is_given_out(desk: Desk) -> None:
    desk.ready()

    result = desk.run("check")

    assert result.exit_code == 0, result.output
    for words in (
        f"тип карты {PASS_TYPE_ID}: как в card.apple.pass_type_id",
        f"команда {TEAM_ID}: как в card.apple.team_id",
        "закрытый ключ подходит",
        "промежуточный WWDR выпустил",
        "осталось дней: 299",
        "карта собрана и проверена: файлов",
        "openssl согласен",
    ):
        assert words in result.output


def test_pem_with_both_parts_does_as_well(desk: Desk) -> None:
    desk.write("pass.pem", pem(desk.authority.leaf(Leaf()), desk.authority.leaf_key))
    apple = APPLE.format(type_id=PASS_TYPE_ID, team_id=TEAM_ID, file="pass.pem")
    desk.rules(apple.replace("password: env:PASS_P12_PASSWORD, ", ""))

    result = desk.run("check")

    assert result.exit_code == 0, result.output
    assert "карта собрана и проверена" in result.output


def test_the_sample_card_can_be_kept_and_verifies_up_to_the_root(desk: Desk) -> None:
    desk.ready()

    desk.run("check", "--save", "sample.pkpass", "--ca", "ca.cer")
    good = desk.run("verify", "sample.pkpass", "--ca", "ca.cer", "--wwdr", "wwdr.pem")

    assert good.exit_code == 0, good.output
    assert "Карта годится. Предупреждений: 0." in good.output


@pytest.mark.parametrize(
    ("code", "setting"),
    [
        ("wallet-team-mismatch", {"team_id": "ZX98Y76W54"}),
        ("wallet-pass-type", {"type_id": "pass.ru.other"}),
        ("wallet-not-a-pass-certificate", {"leaf": Leaf(is_for_passes=False)}),
        ("wallet-certificate-expired", {"leaf": Leaf(ends_days=-1)}),
        ("wallet-certificate-not-yet-valid", {"leaf": Leaf(begins_days=1)}),
        ("wallet-certificate-ending", {"leaf": Leaf(ends_days=3)}),
    ],
)
def test_a_certificate_that_the_phone_would_refuse_silently_is_refused_in_words(
    desk: Desk, code: str, setting: dict[str, object]
) -> None:
    desk.ready(**setting)  # type: ignore[arg-type]

    result = desk.run("check")

    assert result.exit_code == 2
    assert f"[{code}]" in result.output
    assert "как исправить: " in result.output


def test_all_that_is_wrong_is_said_at_once(desk: Desk) -> None:
    desk.ready(team_id="ZX98Y76W54", type_id="pass.ru.other", leaf=Leaf(ends_days=-1))
    foreign = Authority(desk.authority.now)
    desk.write("wwdr.pem", foreign.wwdr.public_bytes(Encoding.PEM))

    found = json.loads(desk.run("check", "--json").output)

    codes = {one["code"] for section in found["sections"] for one in section["findings"] if one["severity"] == "error"}
    assert codes >= {
        "wallet-pass-type",
        "wallet-team-mismatch",
        "wallet-certificate-expired",
        "wallet-issuer-mismatch",
    }
    assert found["errors"] >= len(codes)


def test_a_key_of_another_certificate_is_noticed(desk: Desk) -> None:
    desk.ready()
    other = generate_private_key(public_exponent=65537, key_size=2048)
    desk.write("pass.pem", pem(desk.authority.leaf(Leaf()), other))
    desk.rules(f"{{pass_type_id: {PASS_TYPE_ID}, team_id: {TEAM_ID}, certificate: file:pass.pem, wwdr: file:wwdr.pem}}")

    result = desk.run("check")

    assert result.exit_code == 2
    assert "[wallet-key-mismatch]" in result.output


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("wallet-password", lambda desk: desk.certificate(password="другой")),
        ("wallet-certificate-unreadable", lambda desk: desk.write("pass.p12", b"-----BEGIN CERTIFICATE-----\nno")),
        ("wallet-password", lambda desk: desk.write("pass.p12", b"")),
        ("wallet-certificate-unreadable", lambda desk: desk.write("pass.p12", bytes(2_000_000))),
        ("wallet-certificate-unreadable", lambda desk: desk.write("wwdr.pem", b"<html>404</html>")),
        ("wallet-apple-unfinished", lambda desk: (desk.folder / "pass.p12").unlink()),
        ("file-missing", lambda desk: desk.write("programme.yaml", "card: {apple: {certificate: file:no.p12}}")),
    ],
)
def test_files_that_are_no_certificates_end_in_a_mend(desk: Desk, code: str, change: Callable[[Desk], object]) -> None:
    desk.ready()
    change(desk)

    result = desk.run("check")

    assert result.exit_code == 2
    assert f"[{code}]" in result.output
    assert "как исправить: " in result.output


def test_a_missing_intermediate_is_named_with_where_to_get_it(desk: Desk) -> None:
    desk.certificate()
    apple = APPLE.format(type_id=PASS_TYPE_ID, team_id=TEAM_ID, file="pass.p12")
    desk.rules(apple.replace(", wwdr: file:wwdr.pem", ""))

    result = desk.run("check")

    assert result.exit_code == 2
    assert "[wallet-wwdr-missing]" in result.output
    assert "apple.com/certificateauthority" in result.output


def test_a_rules_file_that_is_only_begun_still_has_its_certificate_checked(desk: Desk) -> None:
    desk.certificate()
    apple = APPLE.format(type_id=PASS_TYPE_ID, team_id=TEAM_ID, file="pass.p12")
    desk.write("programme.yaml", f"version: 1\ncard:\n  apple: {apple}\n")

    result = desk.run("check")

    assert result.exit_code == 0, result.output
    assert f"тип карты {PASS_TYPE_ID}" in result.output


def test_the_demos_certificate_stands_in_and_is_called_one(desk: Desk, wallet_folder: Path) -> None:
    desk.rules()

    result = desk.run("check", DEMO_WALLET_DIR=str(wallet_folder))

    assert result.exit_code == 0, result.output
    assert "[wallet-demo]" in result.output
    assert "карта собрана и проверена" in result.output


def test_without_any_certificate_the_way_to_one_is_told(desk: Desk) -> None:
    desk.rules()

    plain, strict = desk.run("check"), desk.run("check", "--strict")

    assert (plain.exit_code, strict.exit_code) == (0, 1)
    assert "[wallet-apple-absent]" in plain.output
    assert "kopilka wallet renew --dry-run" in plain.output


@pytest.mark.parametrize("content", ["", "[]", "card: 5", "card:\n  apple: []", "\x00", "{"])
def test_a_rules_file_that_is_none_ends_in_words(desk: Desk, content: str) -> None:
    desk.write("programme.yaml", content)

    result = desk.run("check")

    assert result.exit_code == 2
    assert "как исправить: " in result.output


def test_an_address_that_phones_cannot_ask_is_warned_of(desk: Desk) -> None:
    desk.ready()

    result = desk.run("check", "--strict", PUBLIC_URL="")

    assert result.exit_code == 1
    assert "[wallet-address]" in result.output


def test_a_google_key_that_is_none_is_refused(desk: Desk) -> None:
    desk.write("google.json", '{"type": "authorized_user"}')
    desk.certificate()
    apple = APPLE.format(type_id=PASS_TYPE_ID, team_id=TEAM_ID, file="pass.p12")
    google = '  google: {issuer_id: "3388000000012345678", class_suffix: club, key: file:google.json}\n'
    desk.rules(apple, more=google)

    result = desk.run("check")

    assert result.exit_code == 2
    assert "[wallet-google-key]" in result.output
    assert "ключ сервисного аккаунта" in result.output


# --- verify ----------------------------------------------------------------------------------------------------------


def test_verify_names_every_fault_with_its_mend(desk: Desk) -> None:
    desk.ready()
    desk.run("check", "--save", "sample.pkpass")
    data = (desk.folder / "sample.pkpass").read_bytes()
    desk.write("bad.pkpass", data.replace(b'"formatVersion":1', b'"formatVersion":7'))

    text, found = desk.run("verify", "bad.pkpass"), desk.run("verify", "bad.pkpass", "--json")

    assert (text.exit_code, found.exit_code) == (2, 2)
    assert "[zip-damaged]" in text.output
    assert "Карта не годится" in text.output
    codes = {one["code"] for one in json.loads(found.output)["faults"]}
    assert "zip-damaged" in codes
    assert all(one["fix"] for one in json.loads(found.output)["faults"])


@pytest.mark.parametrize("data", [b"", b"PK", b"<html>", b"\x00" * 1000, b"PK\x05\x06" + bytes(18)])
def test_verify_takes_any_bytes(desk: Desk, data: bytes) -> None:
    desk.write("x.pkpass", data)

    result = desk.run("verify", "x.pkpass")

    assert result.exit_code == 2
    assert "как исправить: " in result.output


def test_verify_of_what_is_not_there_says_so(desk: Desk) -> None:
    desk.write("x.pkpass", b"")

    missing, no_root = desk.run("verify", "none.pkpass"), desk.run("verify", "x.pkpass", "--ca", "none.pem")
    bad_root = desk.run("verify", "x.pkpass", "--ca", "x.pkpass")

    assert (missing.exit_code, no_root.exit_code, bad_root.exit_code) == (2, 2, 2)
    assert all("Как исправить: " in one.output for one in (missing, no_root, bad_root))


# --- renew -----------------------------------------------------------------------------------------------------------


def test_a_renewal_is_shown_and_changes_nothing_until_asked(desk: Desk) -> None:
    desk.ready(leaf=Leaf(ends_days=10))
    before = (desk.folder / "pass.p12").read_bytes()
    desk.certificate("new.p12", Leaf(ends_days=400))

    result = desk.run("renew", "--dry-run", "--certificate", "new.p12")

    assert result.exit_code == 0, result.output
    assert "Нынешний: " in result.output
    assert "Новый: " in result.output
    assert "Установленные карты продолжат жить" in result.output
    assert "Ничего не изменено" in result.output
    assert (desk.folder / "pass.p12").read_bytes() == before


def test_a_renewal_puts_the_new_file_in_place_and_keeps_the_old_one(desk: Desk) -> None:
    desk.ready(leaf=Leaf(ends_days=-5))  # also one that has ended already
    before = (desk.folder / "pass.p12").read_bytes()
    new = desk.certificate("new.p12", Leaf(ends_days=400)).read_bytes()

    result = desk.run("renew", "--certificate", "new.p12", "--json")

    found = json.loads(result.output)
    assert (result.exit_code, found["replaced"]) == (0, True)
    assert (desk.folder / "pass.p12").read_bytes() == new
    assert Path(found["backup"]).read_bytes() == before
    assert stat.S_IMODE((desk.folder / "pass.p12").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(found["backup"]).stat().st_mode) == 0o600
    assert desk.run("check").exit_code == 0
    again = desk.run("renew", "--certificate", "new.p12")
    assert again.exit_code == 2
    assert "тот же самый сертификат" in again.output


@pytest.mark.parametrize(
    ("code", "leaf"),
    [
        ("wallet-pass-type", Leaf(pass_type_id="pass.ru.other", extension="pass.ru.other", ends_days=400)),
        ("wallet-team-mismatch", Leaf(team_id="ZX98Y76W54", ends_days=400)),
    ],
)
def test_a_certificate_that_would_kill_installed_cards_is_refused(desk: Desk, code: str, leaf: Leaf) -> None:
    desk.ready()
    before = (desk.folder / "pass.p12").read_bytes()
    desk.certificate("new.p12", leaf)

    result = desk.run("renew", "--certificate", "new.p12")

    assert result.exit_code == 2
    assert f"[{code}]" in result.output
    assert "все установленные карты перестанут обновляться" in result.output
    assert (desk.folder / "pass.p12").read_bytes() == before


def test_a_new_password_must_stand_in_the_rules_first(desk: Desk) -> None:
    desk.ready()
    desk.certificate("new.p12", Leaf(ends_days=400), password="новый-пароль")

    unopened = desk.run("renew", "--certificate", "new.p12")
    opened = desk.run("renew", "--certificate", "new.p12", "--password-env", "NEW_PASS", NEW_PASS="новый-пароль")
    unnamed = desk.run("renew", "--certificate", "new.p12", "--password-env", "NO_SUCH")

    assert (unopened.exit_code, opened.exit_code, unnamed.exit_code) == (2, 2, 2)
    assert "[wallet-password]" in unopened.output
    assert "[wallet-renew-password]" in opened.output
    assert "новый-пароль" not in opened.output
    assert "NO_SUCH" in unnamed.output


def test_without_a_new_file_the_steps_are_told(desk: Desk) -> None:
    desk.ready()

    told, refused = desk.run("renew", "--dry-run"), desk.run("renew")

    assert told.exit_code == 0
    assert "openssl req -new -newkey rsa:2048" in told.output
    assert PASS_TYPE_ID in told.output
    assert "НЕ отзывайте" in told.output
    assert refused.exit_code == 2
    assert "--dry-run" in refused.output


def test_with_nothing_to_renew_the_steps_to_the_first_one_are_told(desk: Desk) -> None:
    desk.rules()

    result = desk.run("renew", "--dry-run")

    assert result.exit_code == 2
    assert "обновлять нечего" in result.output
    assert "openssl req" in result.output
