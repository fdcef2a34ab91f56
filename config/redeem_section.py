"""The `redeem` section: how much of an order points may pay, and what the buyer confirms.

Owns its keys, defaults and limits. The PIN itself is a secret and never becomes part of the rules, whose text is kept
in the database and shown: it is returned beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from config import fields
from config.goods_section import read_exclusions
from config.secret_fields import Outside
from config.section import Keys, Section
from loyalty.rules import Confirm, RedeemRules

MAX_POINTS = 1_000_000
PIN_DIGITS = (4, 12)

REDEEM_KEYS = Keys(
    (
        "max_share",
        "min_points",
        "max_points",
        "exclude",
        "confirm",
        "confirm_from_points",
        "pin",
        "hold",
        "crm_hold",
    )
)

_CONFIRM: Mapping[str, Confirm] = {"none": "none", "code": "code", "pin": "pin"}
_DEFAULT = RedeemRules(max_share_bps=0)


def read_redeem(root: Section, outside: Outside) -> tuple[RedeemRules | None, SecretStr | None]:
    """The rules of spending, None when points cannot be spent, and the senior manager's PIN."""
    section = root.sub("redeem", REDEEM_KEYS)
    if section is None:
        return None, None
    points = fields.whole(1, MAX_POINTS)
    rules = RedeemRules(
        max_share_bps=section.need("max_share", fields.percent_bps, "30%"),
        min_points=section.get("min_points", points, _DEFAULT.min_points),
        max_points=section.get("max_points", points, _DEFAULT.max_points),
        exclude=read_exclusions(section, half=False),
        confirm=section.get("confirm", fields.one_of(_CONFIRM), _DEFAULT.confirm),
        confirm_from_points=section.get("confirm_from_points", points, _DEFAULT.confirm_from_points),
        hold=section.get("hold", fields.span, _DEFAULT.hold),
        crm_hold=section.get("crm_hold", fields.span, _DEFAULT.crm_hold),
    )
    _least_is_not_above_most(section, rules)
    return rules, _pin(section, outside, is_needed=rules.confirm == "pin")


def _least_is_not_above_most(section: Section, rules: RedeemRules) -> None:
    if rules.max_points is None or rules.min_points <= rules.max_points:
        return
    if section.notes.intact(section.at("min_points"), section.at("max_points")):
        message = (
            f"списать можно не меньше {rules.min_points} и не больше {rules.max_points}: ни одно число не подойдёт"
        )
        fix = f"напишите min_points не больше {rules.max_points}"
        section.notes.error_at_path(section.at("min_points"), "redeem-limits", message, fix)


def _pin(section: Section, outside: Outside, *, is_needed: bool) -> SecretStr | None:
    if is_needed and "pin" not in section and section.notes.intact(section.at("confirm"), section.at("pin")):
        section.missing("pin", "добавьте: pin: env:REDEEM_PIN")
    pin = outside.secret(section, "pin", rotate="и раздайте старшим менеджерам новый", optional=True)
    if pin is None:
        return None
    text = pin.get_secret_value()
    if text.isascii() and text.isdecimal() and PIN_DIGITS[0] <= len(text) <= PIN_DIGITS[1]:
        return pin
    message = f"ПИН старшего менеджера должен быть из {PIN_DIGITS[0]}–{PIN_DIGITS[1]} цифр"
    section.notes.error_at_path(section.at("pin"), "pin", message, "задайте другой ПИН в .env")
    return None
