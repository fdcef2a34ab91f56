"""Everything about the wallet cards that a phone or Google would refuse without a word, told before one is given out.

Reads files only: no database, no network, so it answers for a half-filled rules file too. A sample card is built as the
real ones are and then verified by `wallet.verify`, which shares nothing with the builder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.card_alone import read_card_alone
from config.programme import check_programme
from flows.wallet_files import demo_files, limited, owners_files
from flows.wallets import LOOPBACK_HOSTS, PASSES_PATH, design_of
from wallet.card import Card
from wallet.card_apple import card_pkpass
from wallet.certificates import Finding, examine, refusal
from wallet.errors import GoogleError, SigningError, WalletError
from wallet.google import GoogleSigner, resource_id, save_link
from wallet.verify import verify_pass
from wallet.verify_chain import Trust, read_certificates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from config.card_alone import CardAlone
    from config.model import ProgrammeFile
    from flows.wallet_files import AppleFiles

__all__ = ["Checked", "Finding", "Section", "check"]

SAMPLE_SERIAL = "sample-card-of-kopilka"
SAMPLE_TOKEN = "0123456789abcdef"  # noqa: S105 - of nobody's card
_NOT_FOR_A_SAMPLE = ("ca-not-given", "not-apple")
"""That no root is at hand, and that the intermediate is none of Apple's, is said of the certificate already."""


@dataclass(frozen=True)
class Section:
    """Findings about one thing. `title`: Russian, with the file's name where there is one."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Checked:
    """`sample`: the card that was built and verified, None when it could not be."""

    sections: tuple[Section, ...]
    sample: bytes | None

    def count(self, level: str) -> int:
        return sum(finding.level == level for section in self.sections for finding in section.findings)


def check(path: Path, env: Mapping[str, str], *, now: datetime, demo: Path | None, ca: bytes | None) -> Checked:
    """`demo`: the folder that stands in where the owner has no certificate; `ca`: a root to verify the sample by.
    Raises CertificateUnreadableError of `ca`."""
    alone = read_card_alone(path, env)
    problems = tuple(
        Finding(one.severity, one.code, f"строка {one.line}: {one.message}", one.fix) for one in alone.problems
    )
    rules = Section(f"Файл правил {path}", problems or (Finding("ok", "card", "раздел card без ошибок"),))
    files, findings = _apple(alone, demo, now)
    title = "Сертификат Apple" if files is None else f"Сертификат Apple {files.path}"
    apple = Section(title, tuple(findings))
    google = Section("Google Wallet", tuple(_google(alone, now)))
    found, sample = _sample(path, env, files, now=now, ca=ca)
    return Checked((rules, apple, google, Section("Пробная карта", tuple(found))), sample)


def _apple(alone: CardAlone, demo: Path | None, now: datetime) -> tuple[AppleFiles | None, list[Finding]]:
    """The files that sign, and what is right and wrong with them."""
    try:
        if alone.card is not None and alone.card.apple is not None:
            files = owners_files(alone.card.apple)
        elif "apple" not in alone.written and demo is not None:
            files = demo_files(demo)
        else:
            return None, [_absent(alone)]
        wwdr = files.intermediate()
        return files, examine(files.bundle(), wwdr, pass_type_id=files.pass_type_id, team_id=files.team_id, now=now)
    except SigningError as failure:
        return None, [refusal(failure)]
    except OSError as failure:
        text = f"файл {failure.filename} не открывается: {failure.strerror}"
        return None, [Finding("error", "file-unreadable", text, "проверьте путь и права на чтение")]


def _absent(alone: CardAlone) -> Finding:
    if "apple" in alone.written:
        text = "card.apple заполнен не до конца: сертификат не проверен"
        return Finding("error", "wallet-apple-unfinished", text, "исправьте то, что сказано о файле правил")
    mend = "получите сертификат Pass Type ID (kopilka wallet renew --dry-run покажет шаги) и заполните card.apple"
    return Finding("warning", "wallet-apple-absent", "карты Apple Wallet не настроены", mend)


def _google(alone: CardAlone, now: datetime) -> list[Finding]:
    google = None if alone.card is None else alone.card.google
    if google is None:
        if "google" in alone.written:
            text = "card.google заполнен не до конца: ключ не проверен"
            return [Finding("error", "wallet-google-unfinished", text, "исправьте то, что сказано о файле правил")]
        mend = "если нужны карты на Android, заполните card.google; в России Google Wallet официально не работает"
        return [Finding("ok", "wallet-google-absent", f"карты Google Wallet не настроены: {mend}")]
    try:
        signer = GoogleSigner.from_service_account_json(limited(google.key))
        class_id = resource_id(google.issuer_id, google.class_suffix)
        object_id = resource_id(google.issuer_id, f"{google.class_suffix}.{SAMPLE_SERIAL}")
        link = save_link(signer.service_account_email, signer, object_id=object_id, class_id=class_id, now=now)
    except (GoogleError, SigningError) as failure:
        text, _, mend = str(failure).partition(": ")
        return [Finding("error", failure.code, text, mend or "проверьте card.google")]
    except OSError as failure:
        text = f"файл {google.key} не открывается: {failure.strerror}"
        return [Finding("error", "file-unreadable", text, "проверьте путь и права на чтение")]
    mail = signer.service_account_email
    return [
        Finding("ok", "wallet-google-key", f"ключ сервисного аккаунта читается: {mail}"),
        Finding("ok", "wallet-google-issuer", f"класс карт {class_id}; дайте {mail} права в Google Wallet Console"),
        Finding("ok", "wallet-google-link", f"ссылка сохранения собирается, длина {len(link)}"),
    ]


def _sample(
    path: Path, env: Mapping[str, str], files: AppleFiles | None, *, now: datetime, ca: bytes | None
) -> tuple[list[Finding], bytes | None]:
    """Built as the cards of buyers are, in the look of every segment, and looked at by the independent check."""
    roots = () if ca is None else read_certificates(ca)
    file = check_programme(path, env, now=now).programme_file
    if file is None:
        text = "не собрана: в файле правил есть ошибки"
        return [Finding("warning", "wallet-sample-absent", text, "kopilka check покажет каждую с местом")], None
    if files is None:
        text = "не собрана: подписать её нечем"
        return [Finding("warning", "wallet-sample-absent", text, "сначала исправьте сертификат Apple")], None
    service_url, findings = _service_url(env.get("PUBLIC_URL", ""))
    try:
        signer = files.signer(now)
        design = design_of(file)
        looks = (None, *design.segments)
        cards = [card_pkpass(_card(file, code, service_url), design, signer, signed_at=now) for code in looks]
    except WalletError as failure:
        text, _, mend = str(failure).partition(": ")
        return [*findings, Finding("error", failure.code, text, mend or "исправьте раздел card")], None
    except OSError as failure:
        text = f"файл {failure.filename} не открывается: {failure.strerror}"
        return [*findings, Finding("error", "file-unreadable", text, "проверьте путь и права на чтение")], None
    for code, data in zip(looks, cards, strict=True):
        findings += _verified(data, code, Trust(roots, files.intermediate()), now)
    return findings, cards[0]


def _verified(data: bytes, segment: str | None, trust: Trust, now: datetime) -> list[Finding]:
    verdict = verify_pass(data, now=now, trust=trust)
    name = "карта" if segment is None else f"карта сегмента {segment}"
    found = [
        Finding(fault.level, fault.code, f"{name}: {fault.text}", fault.mend)
        for fault in verdict.faults
        if fault.code not in _NOT_FOR_A_SAMPLE
    ]
    if not any(one.level == "error" for one in found):
        judged = ", openssl согласен" if verdict.openssl == "accepted" else ""
        text = f"{name} собрана и проверена: файлов {verdict.files}, {len(data) // 1024 + 1} КБ{judged}"
        found.append(Finding("ok", "wallet-sample", text))
    return found


def _service_url(public_url: str) -> tuple[str | None, list[Finding]]:
    """Where phones would ask for updates."""
    address = urlsplit(public_url)
    if address.scheme == "https" or address.hostname in LOOPBACK_HOSTS:
        return f"{public_url.rstrip('/')}{PASSES_PATH}", []
    text = "PUBLIC_URL не задан или без https: установленные карты не будут обновляться"
    mend = "задайте PUBLIC_URL=https://… в .env"
    return None, [Finding("warning", "wallet-address", text, mend)]


def _card(file: ProgrammeFile, segment: str | None, service_url: str | None) -> Card:
    number = file.card.number_prefix.ljust(file.card.number_length - 1, "0") + "1"
    return Card(
        serial=SAMPLE_SERIAL,
        number=number,
        member_name="Анна П.",
        segment_title=next((one.title for one in file.programme.segments if one.code == segment), None),
        segment_code=segment,
        available_points=1_240,
        pending_points=468,
        next_activation_on=None,
        nearest_burn=None,
        card_url="https://club.example.ru/c/obrazec",
        authentication_token=None if service_url is None else SAMPLE_TOKEN,
        web_service_url=service_url,
    )
