"""A refusal of a use case in the words of the command line: the API's own mends name addresses nobody types here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.common import fail
from flows.refusals import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WHO = "нужен номер участника, номер карты, телефон или почта"
_MENDS: Mapping[str, str] = {
    "member_not_found": _WHO,
    "bad_phone": _WHO,
    "bad_email": _WHO,
    "adjustment_limit": "раздел adjustments файла правил; изменённый применит kopilka apply",
    "action_unknown": "допишите его в gifts.actions файла правил и примените: kopilka apply",
}


@contextmanager
def denied_is_told() -> Iterator[None]:
    """Ends the command with the reason and its mend."""
    try:
        yield
    except Denied as denied:
        detail = f": {denied.detail}" if denied.detail else ""
        fail(f"{denied.title}{detail}", mend_of(denied))


def mend_of(denied: Denied) -> str:
    members = denied.details.get("members")
    if isinstance(members, list):
        return f"повторите с номером одного из участников: {', '.join(map(str, members))}"
    return _MENDS.get(denied.code, denied.hint)
