"""The owner's rules file: the one validator for start-up, `kopilka check`, the console and CI.

Owns the order of the check: bytes, YAML, sections, then what must fit together. Says everything that is wrong in one
run. Must not read the environment (it is an argument), open a socket, or show a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from config.card_section import read_card
from config.cross_checks import check_together
from config.links_sections import complete, read_acquirers, read_amocrm
from config.mail_section import read_mail
from config.masked_source import masked_source
from config.model import ProgrammeFile
from config.payment_links_section import read_payment_links
from config.problems import Problem, Source, Span, count, error_at, in_file_order, render, shown_lines, to_data
from config.redeem_section import read_redeem
from config.rules_sections import read_programme
from config.secret_fields import Outside
from config.section import Keys, Notes, Section
from config.strict_yaml import MAX_BYTES, Document, read_yaml

_START = Span(1, 1)
ROOT_KEYS = Keys(
    (
        "version",
        "programme",
        "accrual",
        "welcome",
        "redeem",
        "refund",
        "burn",
        "gifts",
        "segments",
        "segment_rules",
        "limits",
        "adjustments",
        "card",
        "mail",
        "amocrm",
        "acquirers",
        "payment_links",
    ),
    planned=("rfm", "messages", "campaigns", "match_payment_to_lead"),
)


class ProgrammeInvalid(Exception):
    """The rules file has errors. The text of the exception is the whole report and holds no secret."""

    def __init__(self, problems: tuple[Problem, ...], source: Source) -> None:
        super().__init__(render(problems, source))
        self.problems = problems
        self.source = source


@dataclass(frozen=True)
class CheckResult:
    """What a check found. `programme_file` is None when there is an error."""

    programme_file: ProgrammeFile | None
    problems: tuple[Problem, ...]
    source: Source

    @property
    def errors(self) -> int:
        return count(self.problems, "error")

    @property
    def warnings(self) -> int:
        return count(self.problems, "warning")

    def render(self) -> str:
        """The report for people; secrets are stars."""
        return render(self.problems, self.source)

    def to_data(self) -> dict[str, Any]:
        """The report for programs."""
        version = self.programme_file.version if self.programme_file else None
        return {**to_data(self.problems, self.source), "version": version}


def load_programme(path: Path, env: Mapping[str, str]) -> ProgrammeFile:
    """The rules with all their secrets, to be used. Raises ProgrammeInvalid."""
    result = check_programme(path, env, secrets_required=True)
    if result.programme_file is None:
        raise ProgrammeInvalid(result.problems, result.source)
    return result.programme_file


def check_programme(
    path: Path, env: Mapping[str, str], *, secrets_required: bool = False, now: datetime | None = None
) -> CheckResult:
    """Everything that is wrong with the file. Never raises for bad content.

    Without `secrets_required` an absent secret is a warning, and the result lacks what needs it: the acquirer, the
    Apple or Google account, amoCRM's token. With `now` it also warns of rules whose last day is over.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "файла правил нет" if isinstance(error, FileNotFoundError) else "файл правил не открывается"
        fix = "укажите путь ключом --file или переменной PROGRAMME; образец лежит в config/programme.yaml поставки"
        return CheckResult(None, (error_at(_START, "file-missing", reason, fix),), Source(str(path), ()))
    document = read_yaml(data)
    notes = Notes(problems=list(document.problems))
    programme_file = _read(document, path, notes, Outside(env, path.parent, secrets_required), now)
    problems = in_file_order(notes.problems)
    source = masked_source(str(path), document, shown_lines(problems))
    return CheckResult(None if notes.has_errors else programme_file, problems, source)


def _read(document: Document, path: Path, notes: Notes, outside: Outside, now: datetime | None) -> ProgrammeFile | None:
    if document.root is None:
        if not notes.has_errors:
            fix = "начните с version: 1; образец создаст kopilka init"
            notes.error("", _START, "empty-file", "файл правил пуст", fix)
        return None
    root = Section.open(notes, document.root, "", _START, ROOT_KEYS)
    redeem, redeem_pin = read_redeem(root, outside)
    programme = read_programme(root, redeem)
    card = read_card(root, outside)
    mail = read_mail(root, outside)
    amocrm = read_amocrm(root, outside)
    named = read_acquirers(root, outside)
    acquirers = complete(named)
    links = read_payment_links(root, named)
    if root.readable:
        today = None if now is None else now.astimezone(ZoneInfo(programme.timezone)).date().isoformat()
        check_together(notes, programme, card, amocrm, today)
    return ProgrammeFile(programme, card, amocrm, acquirers, path, notes.lines(), mail, redeem_pin, links)
