"""What a right rules file becomes, and what checking and loading do differently."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from config.model import CardConfig, CardLook
from config.problems import render_one
from config.programme import CheckResult, ProgrammeInvalid, check_programme, load_programme
from config.settings import read_environment
from loyalty.programme import Duration, Programme, SegmentRule, WelcomeRules

ROOT = Path(__file__).parents[2]
SMALLEST = "version: 1\nprogramme: {name: Клуб, timezone: Europe/Moscow}\naccrual: {rate: 12.5%}\n"

Check = Callable[..., CheckResult]


def test_a_right_file_becomes_rules_card_and_links(check: Check, shop_text: str) -> None:
    result = check(shop_text)

    file = result.programme_file
    assert result.problems == ()
    assert file is not None
    assert file.programme.accrual.rate_bps == 1000
    assert file.programme.accrual.activate_after == Duration(14, "days")
    assert file.programme.accrual.expire_after == Duration(180, "days")
    assert file.programme.point_value_kopecks == 100
    assert file.programme.welcome == WelcomeRules(300, True, Duration(0, "days"), Duration(60, "days"))
    assert file.programme.segments == (SegmentRule("start", "Стартовый", 1), SegmentRule("regular", "Постоянный", 3))
    assert file.card == CardConfig(look=CardLook(back=(("Магазин", "Спорт и горы"),)))
    assert file.amocrm is not None
    assert file.amocrm.host == "sportgory.amocrm.ru"
    assert file.amocrm.contact_fields["pending"] == "Бонусы: ожидают"
    assert file.amocrm.oauth is not None
    assert file.amocrm.oauth.client_secret.get_secret_value() == "integration-secret"
    assert [one.provider for one in file.acquirers] == ["yookassa", "tbank"]
    assert file.acquirers[1].credentials["password"].get_secret_value() == "terminal-password"


def test_the_smallest_file_takes_every_default(check: Check) -> None:
    result = check(SMALLEST)

    assert result.programme_file is not None
    assert result.programme_file.programme == Programme(
        "Клуб", "Europe/Moscow", result.programme_file.programme.accrual
    )
    assert result.programme_file.programme.accrual.rate_bps == 1250
    assert result.programme_file.amocrm is None
    assert [problem.code for problem in result.problems] == ["nothing-earns"]


def test_rules_know_their_lines(check: Check, shop_text: str) -> None:
    file = check(shop_text).programme_file

    assert file is not None
    rows = shop_text.splitlines()
    assert "rate: 10%" in rows[file.lines["accrual.rate"] - 1]
    assert "orders: 3" in rows[file.lines["segments[1].when.orders"] - 1]
    assert rows[file.lines["welcome"] - 1] == "welcome:"


def test_the_version_follows_the_rules_of_points_and_nothing_else(check: Check, changed: Callable[..., str]) -> None:
    first = check(changed()).programme_file
    commented = check(changed(("# базовая ставка", "# другая заметка"), ("barcode: qr", "barcode: code128")))
    dearer = check(changed(("rate: 10%", "rate: 11%"))).programme_file

    assert first is not None
    assert commented.programme_file is not None
    assert dearer is not None
    assert len(first.version) == 12
    assert commented.programme_file.version == first.version
    assert dearer.version != first.version
    assert Programme.from_data(json.loads(json.dumps(first.programme.to_data()))) == first.programme


def test_an_absent_secret_stops_a_load_and_only_warns_a_check(check: Check, shop_text: str) -> None:
    env = {"AMOCRM_CLIENT_ID": "x", "AMOCRM_CLIENT_SECRET": "y", "TBANK_TERMINAL": "t", "TBANK_PASSWORD": ""}

    checked = check(shop_text, env, secrets_required=False)
    loaded = check(shop_text, env)

    assert checked.programme_file is not None
    assert checked.programme_file.acquirers == ()
    assert (checked.errors, checked.warnings) == (0, 3)
    assert (loaded.errors, loaded.warnings) == (3, 0)
    with pytest.raises(ProgrammeInvalid, match="YOOKASSA_SECRET"):
        load_programme(Path("config/programme.yaml"), env)


def test_a_secret_may_stand_in_a_file_of_its_own(check: Check, changed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "config" / "bank.txt").write_text("from-a-file\n")
    (tmp_path / "token").write_text("from-name-file")
    env = {"SHOP_FILE": str(tmp_path / "token"), "TBANK_TERMINAL": "t", "TBANK_PASSWORD": "p"}
    env |= {"AMOCRM_CLIENT_ID": "x", "AMOCRM_CLIENT_SECRET": "y"}

    text = changed(("env:YOOKASSA_SHOP_ID", "env:SHOP"), ("env:YOOKASSA_SECRET", "file:bank.txt"))
    result = check(text, env)

    assert result.problems == ()
    assert result.programme_file is not None
    shop_id, secret = result.programme_file.acquirers[0].credentials.values()
    assert shop_id.get_secret_value() == "from-name-file"
    assert secret.get_secret_value() == "from-a-file"


def test_wallet_accounts_and_images_are_read(check: Check, changed: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "config"
    for name in ("pass.p12", "wwdr.pem", "google.json"):
        (folder / name).write_bytes(b"-")
    Image.new("RGB", (76, 76)).save(folder / "icon.png")
    apple = "{pass_type_id: pass.ru.x, team_id: A1B2C3D4E5, certificate: file:pass.p12, wwdr: file:wwdr.pem}"
    google = '{issuer_id: "3388000000012345678", class_suffix: club, key: file:google.json}'

    text = changed(("  barcode: qr", f"  apple: {apple}\n  google: {google}\n  images: {{icon@2x: icon.png}}"))
    card = check(text).programme_file.card

    assert card.apple is not None
    assert (card.apple.certificate, card.apple.password, card.apple.wwdr) == (
        folder / "pass.p12",
        None,
        folder / "wwdr.pem",
    )
    assert card.google is not None
    assert card.google.key == folder / "google.json"
    assert card.look.images == {"icon@2x": folder / "icon.png"}


def test_texts_that_yaml_would_turn_into_other_things_stay_texts(check: Check, changed: Callable[..., str]) -> None:
    text = changed(('text: "Спорт и горы"', "text: 21:00"), ("title: Постоянный", "title: no"), ('"77"', "0077"))

    file = check(text).programme_file

    assert file is not None
    assert file.card.look.back == (("Магазин", "21:00"),)
    assert file.programme.segments[1].title == "no"
    assert file.card.number_prefix == "0077"


def test_cross_checks_of_whole_sections_run_beside_a_broken_one(check: Check, changed: Callable[..., str]) -> None:
    text = changed(("amocrm:\n", "amocrm: нет\nunknown:\n"), ("{orders: 3}", "{orders: 1}"))

    codes = [problem.code for problem in check(text).problems]

    assert sorted(codes) == ["segment-orders", "type", "unknown-key"]


def test_a_file_that_is_not_there_is_a_problem_with_a_cure(tmp_path: Path) -> None:
    result = check_programme(tmp_path / "no.yaml", {})

    assert [problem.code for problem in result.problems] == ["file-missing"]
    assert "--file" in result.problems[0].fix
    assert check_programme(tmp_path, {}).errors == 1


def test_a_long_line_is_shown_as_a_window_with_the_caret_under_the_mistake(
    check: Check, changed: Callable[..., str]
) -> None:
    result = check(changed(("  barcode: qr", f"  barcode: {' ' * 900}qrr")))

    shown = render_one(result.problems[0], result.source).splitlines()
    assert shown[2].index("qrr") == shown[3].index("^^^")
    assert max(len(row) for row in shown) < 300


def test_control_characters_of_the_file_do_not_reach_the_terminal(check: Check, changed: Callable[..., str]) -> None:
    result = check(changed(("  barcode: qr", "  barcode: \u202e\u200bqr")))

    assert "\u202e" not in result.render()
    assert "\u200b" not in result.render()


def test_the_demo_shop_has_no_mistake() -> None:
    env = dict.fromkeys(
        (
            "AMOCRM_CLIENT_ID",
            "AMOCRM_CLIENT_SECRET",
            "YOOKASSA_SHOP_ID",
            "YOOKASSA_SECRET",
            "TBANK_TERMINAL",
            "TBANK_PASSWORD",
        ),
        "x",
    )

    file = load_programme(ROOT / "config/programme.yaml", env)

    assert check_programme(ROOT / "config/programme.yaml", env).problems == ()
    assert file.programme.name == "Клуб «Спорт и горы»"
    assert file.card.apple is None
    assert {one.provider for one in file.acquirers} == {"yookassa", "tbank"}


def test_the_sample_environment_names_every_secret_of_the_demo_shop() -> None:
    sample = (ROOT / ".env.example").read_text(encoding="utf-8")

    problems = check_programme(ROOT / "config/programme.yaml", read_environment({}, ROOT / ".env.example")).problems

    assert {problem.code for problem in problems} == {"env-missing"}
    names = {problem.message.split()[1] for problem in problems}
    assert all(f"{name}=" in sample for name in names)


def test_the_sample_environment_names_every_setting_and_every_secret_of_the_sample_rules() -> None:
    sample = (ROOT / ".env.example").read_text(encoding="utf-8")
    source = (ROOT / "config/settings.py").read_text(encoding="utf-8")
    settings = re.findall(r'reader\.(?:need|get)\("([A-Z_]+)"', source)
    secrets = re.findall(r"env:([A-Z0-9_]+)", (ROOT / "config/programme.yaml").read_text(encoding="utf-8"))

    named = set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", sample, re.MULTILINE))

    assert len(settings) > 20
    assert sorted({*settings, *secrets, "REDEEM_PIN"} - named - {"AMOCRM_TOKEN"}) == []


def test_a_check_is_quick(check: Check, shop_text: str) -> None:
    check(shop_text)

    started = time.process_time()
    for _ in range(5):
        check(shop_text)

    assert (time.process_time() - started) / 5 < 0.05
