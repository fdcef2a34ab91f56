"""Settings: all faults at once, values never shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from config.setting_values import decode_key
from config.settings import SettingsInvalid, load_settings, read_environment

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
RIGHT = {
    "DATABASE_URL": "postgresql://kopilka:canary-password@127.0.0.1:5432/kopilka",
    "REDIS_URL": "redis://:canary-password@127.0.0.1:6379/0",
    "PUBLIC_URL": "https://bonus.sportgory.ru/",
    "SECRET_KEY": KEY,
}


def test_four_settings_are_enough() -> None:
    settings = load_settings(RIGHT, dotenv=None)

    assert settings.public_url == "https://bonus.sportgory.ru"
    assert decode_key(settings.secret_keys[0].get_secret_value()) == bytes(range(32))
    assert settings.programme_path == Path("config/programme.yaml")
    assert (settings.web_threads, settings.trusted_proxies, settings.crm_requests_per_second) == (8, 0, 7)
    assert settings.amocrm_base_url is None
    assert settings.acquirer_api_urls["yookassa"] == "https://api.yookassa.ru"
    assert settings.yookassa_check_ip
    assert settings.clock_file is None
    assert settings.demo_wallet_dir is None
    assert settings.lease_s == 90


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings({}, dotenv=None)

    assert [fault.name for fault in raised.value.faults] == ["DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY"]
    assert "kopilka init" in str(raised.value)
    assert str(raised.value).count("как исправить") == 4


WRONG = {
    "DATABASE_URL": "mysql://u:canary@h/db",
    "REDIS_URL": "http://canary",
    "PUBLIC_URL": "http://canary.example.com",
    "SECRET_KEY": f"{KEY},canary",
    "WEB_PORT": "canary",
    "WEB_THREADS": "0",
    "TRUSTED_PROXIES": "-1",
    "AMOCRM_BASE_URL": "https://canary.example.com",
    "YOOKASSA_API_URL": "https://api.yookassa.ru.canary.example/v3",
    "TBANK_API_URL": "http://127.0.0.1.canary.example/",
    "CLOUDPAYMENTS_API_URL": "https://api.cloudpayments.ru@canary.example",
    "ROBOKASSA_API_URL": "http://auth.robokassa.ru/canary",
    "SBER_API_URL": "https://canary.example",
    "ALFABANK_API_URL": "//127.0.0.1/canary",
    "PRODAMUS_API_URL": "https://canary.payform.ru",
    "PAYKEEPER_API_URL": "https://canary.server.paykeeper.ru",
    "STRIPE_API_URL": "https://api.stripe.com:canary",
    "GOOGLE_API_URL": "http://127.0.0.1@canary.example/",
    "APNS_URL": "https://api.push.apple.com.canary.example",
    "GOOGLE_TOKEN_URL": "ftp://127.0.0.1/canary",
    "LEASE_S": "0",
    "SWEEP_INTERVAL_S": "canary",
    "CRM_REQUESTS_PER_SECOND": "1000",
    "LOG_LEVEL": "canary",
    "FAILPOINT": "canary point",
    "YOOKASSA_CHECK_IP": "canary",
    "WEB_HOST": "canary host",
}


def test_every_fault_is_told_in_one_message_without_values() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(WRONG, dotenv=None)

    assert {fault.name for fault in raised.value.faults} == set(WRONG)
    assert "canary" not in f"{raised.value}{raised.value!r}{raised.value.faults!r}"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8001", "http://localhost:8001/", "http://[::1]:8001", "https://127.3.4.5"]
)
def test_a_foreign_system_may_be_replaced_on_this_machine(url: str) -> None:
    settings = load_settings({**RIGHT, "AMOCRM_BASE_URL": url, "TBANK_API_URL": url}, dotenv=None)

    assert settings.amocrm_base_url == url.rstrip("/")
    assert settings.acquirer_api_urls["tbank"] == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://192.168.1.5:8000", "http://localhost:8000"])
def test_plain_http_is_enough_inside_ones_own_network(url: str) -> None:
    assert load_settings({**RIGHT, "PUBLIC_URL": url}, dotenv=None).public_url == url


@pytest.mark.parametrize("key", ["change-me", "A" * 42, "ключ" * 20, f"{KEY},", "!" * 50, f"{KEY}.{KEY}"])
def test_a_weak_key_is_refused(key: str) -> None:
    with pytest.raises(SettingsInvalid, match="SECRET_KEY"):
        load_settings({**RIGHT, "SECRET_KEY": key}, dotenv=None)


def test_several_keys_are_kept_in_their_order() -> None:
    other = base64.urlsafe_b64encode(b"\xff" * 40).decode()

    keys = load_settings({**RIGHT, "SECRET_KEY": f"{other}, {KEY}"}, dotenv=None).secret_keys

    assert [decode_key(key.get_secret_value()) for key in keys] == [b"\xff" * 40, bytes(range(32))]


def test_any_setting_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    env = {**RIGHT, "SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / "key")}

    assert load_settings(env, dotenv=None).secret_keys[0].get_secret_value() == KEY


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x" * 70_000])
def test_an_unreadable_secret_file_is_one_fault(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsInvalid) as raised:
        load_settings({**RIGHT, "SECRET_KEY": "", "SECRET_KEY_FILE": str(path)}, dotenv=None)

    assert [fault.name for fault in raised.value.faults] == ["SECRET_KEY"]


def test_a_setting_given_twice_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="REDIS_URL_FILE"):
        load_settings({**RIGHT, "REDIS_URL_FILE": str(tmp_path)}, dotenv=None)


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("WEB_PORT=9001\nLOG_LEVEL=debug\nPASSWORD=a$HOME'b\n", encoding="utf-8")

    settings = load_settings({**RIGHT, "WEB_PORT": "9002"}, dotenv)

    assert (settings.web_port, settings.log_level) == (9002, "debug")
    assert settings.environment["PASSWORD"] == "a$HOME'b"


def test_a_dotenv_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"A=\xff\n")

    with pytest.raises(SettingsInvalid, match="UTF-8"):
        read_environment({}, dotenv)


def test_the_repr_of_settings_shows_no_secret() -> None:
    text = repr(load_settings({**RIGHT, "BANK": "canary-password"}, dotenv=None))

    assert "canary" not in text
    assert KEY not in text
