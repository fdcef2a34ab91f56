"""The demo's nine shops: keys made once, rules like the shipped ones, and every bank paid through in the story."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kopilka_testing import ROOT

from cli import demo_banks
from cli.demo_keys import keys_of
from config.acquirers import ACQUIRERS
from config.programme import check_programme, load_programme

DEMO = ROOT / "config" / "demo.yaml"
SHIPPED = ROOT / "config" / "programme.yaml"
CRM = {"AMOCRM_CLIENT_ID": "id", "AMOCRM_CLIENT_SECRET": "secret"}
STORY_PATIENCE_S = 150


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What the demo's own rules file asks for."""
    return {**CRM, **demo_banks.environment(keys_of(tmp_path)), demo_banks.CERTIFICATE: "-----BEGIN CERTIFICATE-----"}


def test_keys_are_made_once_and_are_for_this_user_only(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)

    assert keys_of(tmp_path) == keys
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_the_folder_of_an_older_demo_keeps_its_keys_and_gets_the_new_ones(tmp_path: Path) -> None:
    older = {"secret_key": "of the database", "password": "of the terminal", "shop_secret": "of the shop"}
    (tmp_path / "secrets.json").write_text(json.dumps(older), encoding="utf-8")

    keys = keys_of(tmp_path)

    assert {name: keys[name] for name in older} == older
    assert keys["stripe_webhook_secret"].startswith("whsec_")
    assert keys_of(tmp_path) == keys


def test_no_two_folders_share_a_secret(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    one, two = (keys_of(folder) for folder in folders)

    shared = {name for name in one if one[name] == two[name]}

    assert shared == {*demo_banks.OPEN_KEYS, "client_id", "subdomain"}


def test_every_account_is_one_the_rules_know() -> None:
    for name, credentials in demo_banks.ACCOUNTS.items():
        known = {one.name for one in ACQUIRERS[name].credentials}
        assert credentials.keys() <= known
        assert ACQUIRERS[name].is_complete(credentials)
    assert demo_banks.ACCOUNTS.keys() == ACQUIRERS.keys()


def test_the_demo_plays_by_the_shipped_rules(env: dict[str, str]) -> None:
    demo, shipped = load_programme(DEMO, env), load_programme(SHIPPED, env)

    assert demo.programme == shipped.programme
    dressed = {name: getattr(demo.card, name) for name in ("look", "segments", "locations")}
    assert demo.card == replace(shipped.card, **dressed), "the demo's card is only dressed otherwise"
    assert demo.amocrm is not None
    assert shipped.amocrm is not None
    links = {"payment_link": "Ссылка на оплату"}
    assert demo.amocrm == replace(
        shipped.amocrm,
        lead_fields={**shipped.amocrm.lead_fields, **links},
        mark_invoices=True,
        purchases=True,
        next_purchase=True,
        bonus_points=True,
    )
    assert demo.payment_links is not None
    assert {one.provider for one in demo.acquirers} == ACQUIRERS.keys()


def test_the_demos_rules_ask_for_nothing_that_the_demo_does_not_have(env: dict[str, str]) -> None:
    asked = set(re.findall(r"env:([A-Z0-9_]+)", DEMO.read_text(encoding="utf-8")))

    assert asked <= env.keys()
    assert check_programme(DEMO, env, secrets_required=True).problems == ()


def test_ones_own_rules_file_says_which_banks_are_offered(env: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nprogrammes: {}\n", encoding="utf-8")
    del env[demo_banks.CERTIFICATE]  # the simulated bank hands it out only when it runs

    assert set(demo_banks.named(SHIPPED, env)) == {"yookassa", "tbank"}
    assert set(demo_banks.named(DEMO, env)) == ACQUIRERS.keys()
    assert set(demo_banks.named(wrong, env)) == ACQUIRERS.keys()


def test_programs_are_told_what_signs_under_one_name(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)

    told = demo_banks.contract(keys, demo_banks.ACCOUNTS)

    assert told["tbank"] == {
        "terminal": keys["terminal"],
        "password": keys["password"],
        "secret": keys["password"],
    }
    assert told["yookassa"] == {"shop_id": keys["shop_id"], "secret": keys["shop_secret"]}
    assert told["robokassa"]["secret"] == told["robokassa"]["password2"]
    assert told["sber"]["secret"] == told["sber"]["callback_key"] != told["alfabank"]["secret"]
    assert all(account["secret"] for account in told.values())


@pytest.mark.slow
def test_in_the_story_each_of_the_nine_is_paid_through_once(server_folder: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "demo", "--once", "--state", str(server_folder / "story")]

    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=STORY_PATIENCE_S, check=False)

    assert played.returncode == 0, played.stdout[-2_000:] + played.stderr[-2_000:]
    summary = json.loads(played.stdout.splitlines()[-1])
    assert summary["banks"].keys() == ACQUIRERS.keys()
    for name, told in summary["banks"].items():
        assert told["accrued"] == 99, name
        assert told["callbacks"] >= 1, name
        assert told["acquirer"] == ACQUIRERS[name].title_ru
