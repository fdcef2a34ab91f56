"""Connecting the CRM: the first tokens, our fields, our hook. Run by a person, repeatable without harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.amocrm.auth import OAuthTokens
from flows import consent_fields, crm_fields, deal_fields, deals
from flows.settle import SetupIncomplete

if TYPE_CHECKING:
    from flows.runtime import Runtime

HOOK_EVENTS = (
    "add_lead",
    "update_lead",
    "delete_lead",
    "restore_lead",
    "status_lead",
    "delete_contact",
    "update_task",
    "delete_task",
)
CONSENT_EVENTS = ("update_contact",)
"""Only where managers tick our fields: every write of ours to a contact fires this one back at us."""


def hook_events(rt: Runtime) -> tuple[str, ...]:
    """What the account's hook is subscribed to."""
    return HOOK_EVENTS + (CONSENT_EVENTS if consent_fields.are_kept(rt) else ())


@dataclass(frozen=True)
class Connected:
    """What a set-up found or made. `fields`: how many fields of contacts and deals are ours."""

    subdomain: str
    customers_mode: str
    fields: int


def exchange(rt: Runtime, code: str) -> None:
    """Spends the one-time code. Raises ConnectorError; SetupIncomplete when the rules file uses a long-lived token."""
    if not isinstance(rt.tokens, OAuthTokens):
        raise SetupIncomplete("В файле правил нет amocrm.oauth: код авторизации не нужен")
    rt.tokens.exchange_code(code)


def set_up(rt: Runtime) -> Connected:
    """Finds or creates the contact fields, subscribes the hook. Raises ConnectorError, SetupIncomplete."""
    if rt.crm is None:
        raise SetupIncomplete("amoCRM не подключена: заполните раздел amocrm файла правил")
    account = rt.crm.account()
    rt.directory.put(deals.ACCOUNT, {"id": account.id, "subdomain": account.subdomain})
    fields = {**crm_fields.field_ids(rt, rt.crm), **deal_fields.field_ids(rt, rt.crm)}
    rt.crm.subscribe(f"{rt.settings.public_url}{rt.hook_path()}", hook_events(rt))
    return Connected(account.subdomain, account.customers_mode, len(fields))
