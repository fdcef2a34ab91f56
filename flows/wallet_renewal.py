"""A new certificate in place of the old one: what would happen, and doing it.

Installed cards live on only if pass type and team stay the same; everything that would kill them is refused. Owns the
comparison and the swap of the file (atomic, the old one kept beside it); the programme's rules are not changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.card_alone import read_card_alone
from flows.wallet_files import AppleFiles, limited, owners_files
from wallet.certificates import Finding, examine, is_p12_name, refusal
from wallet.errors import SigningError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from wallet.certificates import Bundle

FILE_MODE = 0o600
_DEADLY = ("wallet-pass-type", "wallet-team-mismatch")


@dataclass(frozen=True)
class Named:
    """The new certificate as the person names it; `password` None: as the rules say."""

    path: Path
    password: str | None = None
    wwdr: Path | None = None


@dataclass(frozen=True)
class Renewal:
    """`present` None: there is nothing to renew; `new` None: none was named or it cannot be read."""

    present: AppleFiles | None
    old: Bundle | None
    new: Bundle | None
    data: bytes
    findings: tuple[Finding, ...]

    @property
    def is_possible(self) -> bool:
        return self.new is not None and not any(one.level == "error" for one in self.findings)


def plan(path: Path, env: Mapping[str, str], named: Named | None, *, now: datetime) -> Renewal:
    """What a renewal would do. Never raises for bad files."""
    alone = read_card_alone(path, env)
    apple = None if alone.card is None else alone.card.apple
    if apple is None:
        mend = "заполните card.apple целиком: kopilka wallet check скажет, чего не хватает"
        return Renewal(None, None, None, b"", (Finding("error", "wallet-apple-absent", "обновлять нечего", mend),))
    try:
        present = owners_files(apple)
    except (OSError, SigningError) as failure:
        return Renewal(None, None, None, b"", (_unread(failure),))
    try:
        old: Bundle | None = present.bundle()
        findings: list[Finding] = []
    except SigningError as failure:  # what is renewed may be broken itself
        told = refusal(failure)
        old, findings = None, [Finding("warning", told.code, f"нынешний сертификат: {told.text}", told.mend)]
    if named is None:
        return Renewal(present, old, None, b"", tuple(findings))
    new, data, found = _compared(present, old, named, now)
    return Renewal(present, old, new, data, (*findings, *found))


def replace(renewal: Renewal, *, now: datetime) -> Path:
    """Puts the new certificate in the old one's place; returns where the old one is kept. Raises OSError."""
    if renewal.present is None or not renewal.is_possible:
        raise ValueError("the renewal was refused")
    target = renewal.present.path.resolve()
    backup = target.with_name(f"{target.name}.{now:%Y%m%d-%H%M%S}.old")
    _write(backup, renewal.present.data)
    partial = target.with_name(f"{target.name}.new")
    partial.unlink(missing_ok=True)
    _write(partial, renewal.data)
    partial.replace(target)
    return backup


def _compared(
    present: AppleFiles, old: Bundle | None, named: Named, now: datetime
) -> tuple[Bundle | None, bytes, list[Finding]]:
    try:
        data = limited(named.path)
        password = present.password if named.password is None else named.password
        wwdr = present.wwdr if named.wwdr is None else limited(named.wwdr)
        files = AppleFiles(named.path, data, password, wwdr, present.pass_type_id, present.team_id)
        new, intermediate = files.bundle(), files.intermediate()
    except (OSError, SigningError) as failure:
        return None, b"", [_unread(failure)]
    rules = {"pass_type_id": present.pass_type_id, "team_id": present.team_id}
    found = [_deadly(one) for one in examine(new, intermediate, **rules, now=now)]
    found += _form(present, named, password)
    if named.wwdr is not None and wwdr != present.wwdr:
        mend = f"положите {named.wwdr} на место card.apple.wwdr до замены"
        found.append(Finding("error", "wallet-renew-wwdr", "в правилах другой промежуточный WWDR", mend))
    if not any(one.level == "error" for one in found):
        found += _unsigned(files, now)
    return new, data, found + _older(old, new)


def _unsigned(files: AppleFiles, now: datetime) -> list[Finding]:
    """The last word is that of the code which signs."""
    try:
        files.signer(now)
    except SigningError as failure:
        return [refusal(failure)]
    return []


def _deadly(finding: Finding) -> Finding:
    """The same fault weighs more here."""
    if finding.level != "error" or finding.code not in _DEADLY:
        return finding
    text = f"{finding.text.partition(';')[0]}: все установленные карты перестанут обновляться"
    return Finding("error", finding.code, text, "выпустите сертификат для того же Pass Type ID той же команды")


def _form(present: AppleFiles, named: Named, password: str | None) -> list[Finding]:
    """Whether the new file can stand under the old one's name and open with its password."""
    found = []
    if is_p12_name(named.path.name) != is_p12_name(present.path.name):
        mend = f"выгрузите его в том же виде, что {present.path.name}, или назовите новый файл в card.apple.certificate"
        found.append(Finding("error", "wallet-renew-form", "один файл .p12, другой .pem", mend))
    if password != present.password:
        mend = "впишите новый пароль туда, откуда его берёт card.apple.password, и повторите без --password-env"
        found.append(Finding("error", "wallet-renew-password", "пароль не тот, что в правилах", mend))
    return found


def _older(old: Bundle | None, new: Bundle) -> list[Finding]:
    if old is None:
        return []
    if old.certificate == new.certificate:
        return [Finding("error", "wallet-renew-same", "это тот же самый сертификат", "назовите новый файл")]
    if new.expires_at <= old.expires_at:
        text = f"новый кончается не позже нынешнего: {new.expires_at:%d.%m.%Y} и {old.expires_at:%d.%m.%Y}"
        return [Finding("warning", "wallet-renew-older", text, "проверьте, тот ли файл")]
    return [Finding("ok", "wallet-renew-longer", f"срок продлится до {new.expires_at:%d.%m.%Y}")]


def _unread(failure: OSError | SigningError) -> Finding:
    if isinstance(failure, SigningError):
        return refusal(failure)
    text = f"файл {failure.filename} не открывается: {failure.strerror}"
    return Finding("error", "file-unreadable", text, "проверьте путь и права на чтение")


def _write(path: Path, data: bytes) -> None:
    """A key for its owner only; an existing file is not written over."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
