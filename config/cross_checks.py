"""Rules that are right one by one and wrong together.

Owns the checks between sections; those of the card, of segments, of lifetimes and of rules that do nothing have files
of their own. Each looks only at what was read without a mistake, so that a mistake elsewhere neither hides nor doubles
what is said here.
"""

from __future__ import annotations

from config.card_checks import check_card
from config.idle_checks import check_idle_rules
from config.lifetime_checks import check_lifetimes
from config.model import AmoCrmConfig, CardConfig
from config.section import Notes
from config.segment_checks import check_named_by_bots, check_segments
from loyalty.programme import Programme


def check_together(
    notes: Notes, programme: Programme, card: CardConfig, amocrm: AmoCrmConfig | None, today: str | None
) -> None:
    """`today` is the programme's day, ISO; None: what the calendar has ended is not looked for."""
    check_segments(notes, programme)
    check_named_by_bots(notes, programme, amocrm)
    check_lifetimes(notes, programme)
    check_idle_rules(notes, programme, amocrm, today)
    _something_earns(notes, programme)
    _codes_can_be_sent(notes, programme)
    check_card(notes, programme, card)


def _something_earns(notes: Notes, programme: Programme) -> None:
    """A source of accrual without the section that feeds it stays silent for ever. A programme that gives nothing for
    buying, only gifts, needs no source."""
    rules = programme.accrual
    if not any((rules.rate_bps, *(step.rate_bps for step in rules.steps), *(one.rate_bps for one in rules.by_method))):
        return
    section_of = {"payment": "acquirers", "stage": "amocrm"}
    lacking = [source for source in programme.accrual.earn_on if not notes.written(section_of[source])]
    if not notes.intact("accrual.earn_on") or not lacking:
        return
    if len(lacking) == len(programme.accrual.earn_on):
        path = "accrual.earn_on" if notes.written("accrual.earn_on") else "accrual"
        message = "баллы ни за что не начислятся: нет ни одного источника, названного в earn_on"
        notes.warn(path, "nothing-earns", message, f"добавьте раздел {section_of[lacking[0]]}")
    elif notes.written("accrual.earn_on"):
        section = section_of[lacking[0]]
        message = f"«{lacking[0]}» не сработает: в файле нет раздела {section}"
        notes.warn("accrual.earn_on", "silent-source", message, f"добавьте раздел {section} или уберите «{lacking[0]}»")


def _codes_can_be_sent(notes: Notes, programme: Programme) -> None:
    if programme.redeem is None or programme.redeem.confirm != "code" or notes.written("mail"):
        return
    if notes.intact("redeem.confirm"):
        message = "код подтверждения покупателю пока нечем доставить: в файле нет раздела mail"
        notes.warn("redeem.confirm", "code-undeliverable", message, "добавьте раздел mail или напишите confirm: none")
