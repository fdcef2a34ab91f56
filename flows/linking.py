"""`kopilka amocrm link` without its words: what would be made in the account, making it, and proving that it works.

Every step looks before it writes, so the whole may be repeated, and what an interrupted one left is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.amocrm.customers import SEGMENTS_DIRECTORY_NAME
from connector.amocrm.fields import DIRECTORY_NAME, LEAD_DIRECTORY_NAME
from flows import (
    crm_fields,
    deal_fields,
    deal_stages,
    deals,
    linking_compare,
    linking_grant,
    linking_hook,
    linking_survey,
)
from flows.settle import SetupIncomplete
from storage import linking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.amocrm.client import AmoCrm
    from connector.amocrm.fields import FieldSpec
    from flows.linking_compare import Finding
    from flows.linking_hook import Rotated
    from flows.linking_survey import Survey
    from flows.runtime import Runtime

CACHES = (DIRECTORY_NAME, LEAD_DIRECTORY_NAME, SEGMENTS_DIRECTORY_NAME, deal_stages.PAID_STAGES)


@dataclass(frozen=True)
class Plan:
    """What would be made. `troubles` stop it: nothing is made while a name of the rules file leads nowhere."""

    contact_fields: Sequence[FieldSpec]
    lead_fields: Sequence[FieldSpec]
    segments: Sequence[str]
    old_hooks: int
    troubles: Sequence[Finding]
    advice: Sequence[Finding]

    @property
    def is_empty(self) -> bool:
        return not (self.contact_fields or self.lead_fields or self.segments)


@dataclass(frozen=True)
class Made:
    """What is there now. The numbers count what the rules file names, made or found."""

    contact_fields: int
    lead_fields: int
    segments: int


def survey(rt: Runtime) -> Survey:
    """Reads the account, and remembers which one it is; what waited for access goes on.

    Raises ConnectorError, SetupIncomplete, OtherAccount.
    """
    found = linking_survey.read(rt)
    with rt.db.begin() as tx:
        linking_survey.must_be_ours(tx, found.account)  # another link may have been quicker
        linking.save_account_id(tx, found.account.id)
    rt.directory.put(deals.ACCOUNT, {"id": found.account.id, "subdomain": found.account.subdomain})
    linking_grant.wake(rt)
    return found


def plan(rt: Runtime, found: Survey) -> Plan:
    """Compares, and lists what would be made. Asks nobody but our database."""
    compared = linking_compare.compare(rt, found)
    may_create = rt.crm_names.create_missing_fields
    hooks = linking_hook.findings(rt, found)
    closed = [one for one in hooks if one.code == "amocrm-hooks-closed"]
    return Plan(
        contact_fields=linking_survey.missing_fields(rt, found, "contacts") if may_create else (),
        lead_fields=linking_survey.missing_fields(rt, found, "leads") if may_create else (),
        segments=linking_survey.missing_segments(rt, found),
        old_hooks=len(linking_hook.ours(rt, found.hooks or ())),
        troubles=[one for one in compared if one.level == "error"] + closed,
        advice=[one for one in compared if one.level == "warning"],
    )


def make(rt: Runtime, found: Survey) -> Made:
    """Makes what is missing. What people have made meanwhile is found, not made twice. Raises ConnectorError,
    SetupIncomplete."""
    crm = _crm(rt)
    for name in CACHES:
        rt.directory.put(name, {})
    contact_ids = crm_fields.field_ids(rt, crm)
    lead_ids = deal_fields.field_ids(rt, crm)
    deal_stages.paid(rt, crm)  # the funnel may have been renamed while the plan was being read
    titles = [rule.title for rule in rt.programme.segments] if found.segments is not None else []
    segments = crm.ensure_segments(rt.directory, titles) if titles else {}
    return Made(len(contact_ids), len(lead_ids), len(segments))


def connect_hook(rt: Runtime, *, within_s: float = linking_hook.HOOK_WITHIN_S) -> Rotated:
    """A fresh secret address, proven by a round trip. Raises ConnectorError."""
    crm = _crm(rt)
    pipeline_id, _ = deal_stages.paid(rt, crm).entry
    return linking_hook.rotate(rt, crm, pipeline_id, within_s=within_s)


def keep_hook(rt: Runtime) -> None:
    """The address in use stays: one that nobody has proven must not take its place. Raises ConnectorError."""
    linking_hook.subscribe_again(rt, _crm(rt))


def _crm(rt: Runtime) -> AmoCrm:
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не настроена: заполните раздел amocrm файла правил")
    return rt.crm
