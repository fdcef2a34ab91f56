"""`kopilka payments verify`: the verdict, its exit code and its explanation, for all known examples and by parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kopilka_testing import ROOT, TERMINAL, TERMINAL_PASSWORD, programme_with_token, tbank_body

from cli.main import main
from connector.acquiring.base import SECRET_MASK

ALL: list[dict[str, Any]] = json.loads((ROOT / "tests/connector/vectors/acquirers.json").read_text("utf-8"))
CHECKED_KINDS = ("notification", "ip", "doc_placeholder")
CHECKED = [one for one in ALL if one["kind"] in CHECKED_KINDS or (one["provider"], one["kind"]) == ("tbank", "request")]
OTHERS = [one for one in ALL if one not in CHECKED]

Verify = Callable[..., Result]


def _name(vector: dict[str, Any]) -> str:
    return f"{vector['provider']}-{vector['name']}"


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Runs the command in an empty folder with only this much of an environment: no database, no network."""
    monkeypatch.chdir(tmp_path)
    environment = {
        "PROGRAMME": str(programme_with_token(tmp_path)),
        "TBANK_TERMINAL": TERMINAL,
        "TBANK_PASSWORD": TERMINAL_PASSWORD,
        "YOOKASSA_SHOP_ID": "100500",
        "YOOKASSA_SECRET": "shop-secret",
    }

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner(env=environment | more).invoke(main, ["payments", "verify", *arguments])

    return run


@pytest.fixture
def vector_file(tmp_path: Path) -> Callable[[object], str]:
    def write(vector: object) -> str:
        path = tmp_path / "vector.json"
        path.write_text(json.dumps(vector), encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("vector", CHECKED, ids=_name)
def test_every_known_example_is_judged_as_it_should_be(
    verify: Verify, vector_file: Callable[[object], str], vector: dict[str, Any]
) -> None:
    told, data = verify("--vector", vector_file(vector)), verify("--vector", vector_file(vector), "--json")

    assert (told.exit_code, data.exit_code) == ((0, 0) if vector["valid"] else (2, 2)), told.output
    found = json.loads(data.output)
    assert found["genuine"] is vector["valid"]
    assert [check["good"] for check in found["checks"]].count(False) == (0 if vector["valid"] else 1)
    assert ("НЕ подлинное" in told.output) is not vector["valid"]
    if vector["secret"] and len(vector["secret"]) > 2:
        assert vector["secret"] not in told.output + data.output
    if "ack" in vector:
        assert found["reply"]["body"] == vector["ack"]


@pytest.mark.parametrize("vector", OTHERS, ids=_name)
def test_an_example_that_is_no_notification_is_not_judged(
    verify: Verify, vector_file: Callable[[object], str], vector: dict[str, Any]
) -> None:
    result = verify("--vector", vector_file(vector))

    assert result.exit_code == 2
    assert result.output.startswith("Этот пример не уведомление\nКак исправить: ")


def test_a_genuine_callback_is_explained_and_understood(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(tbank_body(1234, kopecks=249_050, Data={"phone": "+79990000000"}))

    result = verify("--acquirer", "tbank", "--body-file", "body")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "Т-Банк: уведомление подлинное",
        "  [да] терминал (TerminalKey): сошёлся",
        "  [да] подпись Token (SHA-256): сошлась",
        f"        подписан текст ({SECRET_MASK} вместо секрета):",
        f"          2490500L1234-1{SECRET_MASK}8742591CONFIRMEDtrue{TERMINAL}",
        "Событие: 8742591:CONFIRMED:249050:true",
        "  что           оплачено",
        "  платёж        8742591",
        "  сделка        1234",
        "  номер заказа  L1234-1",
        "  получено      2 490,50 ₽",
        "  телефон       +79990000000",
        "Ответ сервиса: 200, text/plain; charset=utf-8, OK",
    ]


def test_a_wrong_secret_is_explained_without_telling_it(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(tbank_body(1234))

    told = verify("--acquirer", "tbank", "--body-file", "body", TBANK_PASSWORD="another-password")
    data = verify("--acquirer", "tbank", "--body-file", "body", "--json", TBANK_PASSWORD="another-password")

    assert (told.exit_code, data.exit_code) == (2, 2)
    assert "another-password" not in told.output + data.output
    assert "подпись Token (SHA-256): не сошлась" in told.output
    assert "ожидали:" in told.output
    assert "пришло:" in told.output
    assert "различаются с" in told.output
    assert "Ответ сервиса: 403" in told.output
    terminal, signature = json.loads(data.output)["checks"]
    assert (terminal["good"], signature["good"], signature["differs_at"]) == (True, False, 1)
    assert json.loads(data.output)["event"] is None


def test_a_line_break_that_an_editor_added_is_named(verify: Verify, tmp_path: Path) -> None:
    query = "mdOrder=06cf5599-3f17-7c86-bdbc-bd7d00a8b38b"
    vector = next(one for one in ALL if one["name"] == "pay_completed_content_hmac")
    (tmp_path / "body").write_bytes(vector["body"].encode() + b"\n")
    text = (tmp_path / "programme.yaml").read_text(encoding="utf-8")
    more = "acquirers:\n  - {provider: cloudpayments, public_id: env:CP_ID, secret: env:CP_SECRET}\n"
    (tmp_path / "programme.yaml").write_text(text.replace("acquirers:\n", more), encoding="utf-8")
    signature = f"content-hmac: {vector['expected']}"
    arguments = ("--acquirer", "cloudpayments", "--header", signature)

    spoiled = verify(*arguments, "--body-file", "body", CP_ID="pk", CP_SECRET=vector["secret"])
    (tmp_path / "body").write_bytes(vector["body"].encode())
    right = verify(*arguments, "--body-file", "body", CP_ID="pk", CP_SECRET=vector["secret"])
    asked = verify(*arguments, "--query", vector["body"], CP_ID="pk", CP_SECRET=vector["secret"])
    filed = verify(*arguments, "--method", "GET", "--body-file", "body", CP_ID="pk", CP_SECRET=vector["secret"])
    other = verify(*arguments, "--query", query, CP_ID="pk", CP_SECRET=vector["secret"])

    codes = (spoiled.exit_code, right.exit_code, asked.exit_code, filed.exit_code, other.exit_code)
    assert codes == (2, 0, 0, 0, 2)
    assert "Подсказка: в конце файла лишний перевод строки; без него уведомление подлинное" in spoiled.output
    assert "Подсказка" not in other.output


@pytest.mark.parametrize(("ip", "exit_code"), [("77.75.156.11", 0), ("203.0.113.9", 2), ("nonsense", 2)])
def test_the_sender_is_judged_when_it_is_told(verify: Verify, tmp_path: Path, ip: str, exit_code: int) -> None:
    body = {"type": "notification", "event": "payment.succeeded", "object": {"id": "2d", "status": "succeeded"}}
    (tmp_path / "body").write_text(json.dumps(body), encoding="utf-8")

    without, told = (verify("--acquirer", "yookassa", "--body-file", "body", *more) for more in ((), ("--ip", ip)))

    assert without.exit_code == 0
    assert without.output.startswith("ЮKassa: уведомление без подписи, принято как повод перечитать платёж\n")
    assert "только повод перечитать платёж 2d у банка" in without.output
    assert told.exit_code == exit_code


def test_an_old_stamp_is_judged_as_of_the_day_it_came(verify: Verify, vector_file: Callable[[object], str]) -> None:
    vector = next(one for one in ALL if one["name"] == "async_stripe_construct_event")

    stale = verify("--vector", vector_file({**vector, "now": vector["now"] + 301}))
    today = verify("--vector", vector_file({name: value for name, value in vector.items() if name != "now"}))

    assert (stale.exit_code, today.exit_code) == (2, 2)


def test_no_control_character_and_no_endless_text_reaches_the_terminal(verify: Verify, tmp_path: Path) -> None:
    body = {"TerminalKey": TERMINAL, "Message": "\x1b[2J\u2028\u202e\ud800" + "я" * 20_000, "Token": "\x07"}
    (tmp_path / "body").write_text(json.dumps(body), encoding="utf-8")

    result = verify("--acquirer", "tbank", "--body-file", "body")

    assert result.exit_code == 2
    assert all(char.isprintable() or char == "\n" for char in result.output)
    assert "\\x1b[2J\\u2028\\u202e\\ud800" in result.output
    assert len(result.output) < 10_000


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "--vector или --acquirer"),
    "both": (("--vector", "v", "--acquirer", "tbank"), "--vector или --acquirer"),
    "no callback": (("--acquirer", "tbank"), "Нечего проверять"),
    "no such file": (("--acquirer", "tbank", "--body-file", "away"), "не открывается"),
    "no such vector": (("--vector", "away"), "не открывается"),
    "not configured": (("--acquirer", "stripe", "--query", "a=1"), "Stripe: нет в файле правил"),
    "a header without a colon": (("--acquirer", "tbank", "--query", "a=1", "--header", "Sign"), "Не понимаю заголовок"),
    "no rules file": (("--acquirer", "tbank", "--query", "a=1", "--file", "away"), "kopilka check"),
    "a date that is none": (("--acquirer", "tbank", "--query", "a=1", "--at", "вчера"), "Не понимаю дату"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_the_caller_ends_with_the_mend(verify: Verify, name: str) -> None:
    arguments, words = MISTAKES[name]

    result = verify(*arguments)

    assert result.exit_code == 2
    assert words in result.output
    assert "Как исправить: " in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[1]",
        b"null",
        b"[" * 100_000,
        b"{}",
        b'{"provider": "nobody", "body": ""}',
        b'{"provider": ["tbank"], "body": ""}',
        b'{"provider": "tbank"}',
        b'{"provider": "tbank", "body": {"TerminalKey": "x"}}',
        b'{"provider": "tbank", "kind": ["notification"], "body": ""}',
        b'{"provider": "sber", "secret": "-----BEGIN CERTIFICATE-----", "body": ""}',
        b" " * (1024 * 1024 + 1),
    ],
    ids=lambda content: repr(content[:60]),
)
def test_an_example_that_cannot_be_read_is_told_apart_from_a_forged_one(
    verify: Verify, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "v.json").write_bytes(content)

    result = verify("--vector", "v.json")

    assert result.exit_code == 2
    assert "Как исправить: " in result.output
    assert "подлинное" not in result.output


ODD = [
    {"secret": None, "headers": ["a"], "body": "x"},
    {"secret": 5, "headers": {"Sign": 5}, "body": "\ud800", "method": 7, "now": 10**30, "query": []},
    {"credentials": {"secret": 5}, "body": "", "content_type": 5, "now": True},
    {"credentials": [], "body": "[" * 5_000, "method": "get"},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("provider", sorted({one["provider"] for one in ALL}))
def test_an_odd_example_is_refused_and_breaks_nothing(
    verify: Verify, vector_file: Callable[[object], str], provider: str, odd: dict[str, Any]
) -> None:
    result = verify("--vector", vector_file({"provider": provider, **odd}))

    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
