"""Which hosts may see our secrets, where access is given, and how an uninstall hook is signed."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.amocrm.hosts import grant_url, sibling_url
from connector.amocrm.installing import is_genuine_uninstall, uninstall_signature

REAL = "https://sportgory.amocrm.ru"


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ("newname.amocrm.ru", "https://newname.amocrm.ru"),
        ("https://newname.amocrm.ru", "https://newname.amocrm.ru"),
        ("HTTPS://NewName.Kommo.com/", "https://newname.kommo.com"),
        ("old.amocrm.com", "https://old.amocrm.com"),
        ("api-a.amocrm.ru", "https://api-a.amocrm.ru"),
    ],
)
def test_hosts_of_amocrm_are_believed(told: str, url: str) -> None:
    assert sibling_url(told, like=REAL) == url


@pytest.mark.parametrize(
    "told",
    [
        "",
        "newname",
        "evil.example",
        "amocrm.ru",
        "a.b.amocrm.ru",
        "sportgory.amocrm.ru.evil.example",
        "sportgory.amocrm.ru@evil.example",
        "evil.example/.amocrm.ru",
        "sportgory.amocrm.ru:8443",
        "http://sportgory.amocrm.ru",
        "127.0.0.1:8000",
        "localhost",
        "sportgory.amocrm.ru\n.evil.example",
        "ѕportgory.amocrm.ru",
        "x" * 200 + ".amocrm.ru",
    ],
)
def test_other_hosts_are_not(told: str) -> None:
    assert sibling_url(told, like=REAL) is None


@given(st.text(max_size=60))
def test_no_text_whatever_leads_out_of_amocrm(told: str) -> None:
    found = sibling_url(told, like=REAL)

    assert found is None or found.endswith((".amocrm.ru", ".amocrm.com", ".kommo.com"))


@given(st.text(max_size=60))
def test_no_text_whatever_leads_out_of_this_machine(told: str) -> None:
    found = sibling_url(told, like="http://127.0.0.1:8001")

    assert found is None or found.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))


@pytest.mark.parametrize(
    ("base_url", "page"),
    [
        (REAL, "https://www.amocrm.ru/oauth?"),
        ("https://shop.kommo.com", "https://www.kommo.com/oauth?"),
        ("https://shop.amocrm.com", "https://www.amocrm.com/oauth?"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001/oauth?"),
    ],
)
def test_access_is_given_on_the_common_host(base_url: str, page: str) -> None:
    url = grant_url(base_url, client_id="c d", state="s&t")

    assert url == f"{page}client_id=c+d&state=s%26t&mode=popup"


def test_the_uninstall_signature_is_the_documented_one() -> None:
    right = hmac.new(b"secret", b"uuid|123", hashlib.sha256).hexdigest()

    assert uninstall_signature("secret", client_uuid="uuid", account_id="123") == right
    assert is_genuine_uninstall("secret", client_uuid="uuid", account_id="123", signature=right)
    assert not is_genuine_uninstall("secret", client_uuid="uuid", account_id="124", signature=right)
    assert not is_genuine_uninstall("secret", client_uuid="uuid|1", account_id="23", signature=right[:-1])
    assert not is_genuine_uninstall("secret", client_uuid="u" * 300, account_id="123", signature=right)
