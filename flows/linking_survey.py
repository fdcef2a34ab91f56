"""What the account has, read in a few requests, and what it lacks of the things that we may create.

Changes nothing. What is wrong with it, in words, is `linking_compare.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from connector.amocrm import installing
from connector.amocrm.fields import FieldSpec, matched_fields
from connector.errors import FieldAmbiguous, FieldTypeMismatch, Refused
from flows import crm_fields, deal_fields
from flows.settle import SetupIncomplete
from storage import linking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from connector.amocrm.account import Account, Subscription
    from connector.amocrm.client import AmoCrm
    from connector.amocrm.fields import Field, Owner
    from connector.amocrm.installing import CrmUser
    from connector.amocrm.leads import Pipeline
    from flows.runtime import Runtime

SEGMENT_MODES = ("segments",)
OWNERS: tuple[Owner, ...] = ("contacts", "leads")


class OtherAccount(SetupIncomplete):
    """The access opens another account than the one whose deals and contacts are in our database."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"Это другой аккаунт: номер {found}, а база заведена с аккаунтом {known}. Контакты и сделки в них разные"
        )
        self.found = found
        self.known = known


@dataclass(frozen=True)
class Survey:
    """The account as it is. `user` None: amoCRM does not tell, `segments` None: customers are not wanted or off,
    `hooks` None: the tariff or the token's rights do not show them."""

    account: Account
    user: CrmUser | None
    pipelines: Sequence[Pipeline]
    fields: Mapping[Owner, Sequence[Field]]
    segments: Sequence[str] | None
    hooks: Sequence[Subscription] | None


def read(rt: Runtime) -> Survey:
    """Reads everything that the rules file names. Raises ConnectorError, SetupIncomplete, OtherAccount."""
    crm = rt.crm
    if crm is None:
        raise SetupIncomplete("amoCRM не настроена: заполните раздел amocrm файла правил")
    account = crm.account()
    with rt.db.begin() as tx:
        must_be_ours(tx, account)
    has_segments = rt.crm_names.customers and account.customers_mode in SEGMENT_MODES
    return Survey(
        account=account,
        user=_user(crm, account),
        pipelines=crm.pipelines(),
        fields={owner: crm.fields(owner) for owner in OWNERS},
        segments=[one.name for one in crm.segments()] if has_segments else None,
        hooks=_hooks(crm),
    )


def specs(rt: Runtime, owner: Owner) -> dict[str, FieldSpec]:
    """The fields of ours that the rules file names, by our keys."""
    names = rt.crm_names
    if owner == "leads":
        return {
            key: FieldSpec(name, *deal_fields.FIELD_TYPES[key][:2], is_api_only=deal_fields.FIELD_TYPES[key][2])
            for key, name in names.lead_fields.items()
        }
    return {
        key: crm_fields.spec(key, name)
        for key, name in names.contact_fields.items()
        if key not in crm_fields.READ_ROLES
    }


def missing_fields(rt: Runtime, survey: Survey, owner: Owner) -> list[FieldSpec]:
    """Fields that neither our code nor the name finds. One of another type is not missing: it is in the way."""
    wanted = specs(rt, owner).items()
    return [spec for key, spec in wanted if state_of(survey.fields[owner], key, spec) == "missing"]


def missing_segments(rt: Runtime, survey: Survey) -> list[str]:
    """Titles of the rules that no segment of customers bears, compared as those are that look for them later."""
    if survey.segments is None:
        return []
    known = {name.strip().casefold() for name in survey.segments}
    titles = dict.fromkeys(rule.title for rule in rt.programme.segments)
    return [title for title in titles if title.strip().casefold() not in known]


def state_of(
    existing: Sequence[Field], key: str, spec: FieldSpec
) -> FieldTypeMismatch | FieldAmbiguous | Literal["found", "missing"]:
    """Whether the account has this field, or what is in its way."""
    try:
        return "found" if matched_fields(existing, {key: spec}) else "missing"
    except (FieldTypeMismatch, FieldAmbiguous) as failure:
        return failure


def plain(name: str) -> str:
    """A name as people compare it."""
    return " ".join(name.split()).casefold().replace("ё", "е")


def must_be_ours(tx: sa.Connection, account: Account) -> None:
    """Any account will do before the first link. Raises OtherAccount."""
    known = linking.crm_account(tx).account_id
    if known is not None and known != account.id:
        raise OtherAccount(account.id, known)


def _user(crm: AmoCrm, account: Account) -> CrmUser | None:
    if account.current_user_id is None:
        return None
    try:
        return installing.user(crm, account.current_user_id)
    except Refused:  # only an administrator may look at users
        return installing.CrmUser(account.current_user_id, "", is_admin=False, is_active=True)


def _hooks(crm: AmoCrm) -> Sequence[Subscription] | None:
    try:
        return crm.webhooks()
    except Refused:
        return None
