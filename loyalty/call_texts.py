"""The words of a call list's task: the owner's template with the buyer's name, points and segment put in.

Pure. Only the four known places are filled; nothing that comes from a buyer's name is ever read as a place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from loyalty.call_results import CODES_LINE

PLACES = ("имя", "баланс", "сгорает", "сегмент")
NAME_MAX = 80
TEMPLATE_MAX = 1000
_PLACE = re.compile(r"\{([^{}]{0,40})\}")
_MARK = re.compile(r"\[обзвон (?P<list>[0-9]{1,19})/(?P<task>[0-9]{1,19})\]\s*\Z")


@dataclass(frozen=True)
class BadPlace(Exception):
    """The template names something that we cannot put in."""

    place: str
    like: str | None


def check_template(template: str) -> None:
    """Raises BadPlace."""
    for found in _PLACE.finditer(template):
        if found[1] not in PLACES:
            like = get_close_matches(found[1].strip().casefold(), PLACES, n=1)
            raise BadPlace(found[1], like[0] if like else None)


def task_text(template: str, values: Mapping[str, str], *, title: str, list_id: int, task_id: int, try_no: int) -> str:
    """Who and what to say, how to close the task, and the mark by which we find it again."""
    said = _PLACE.sub(lambda found: values.get(found[1], found[0]), template)
    again = "" if try_no == 1 else f" (звонок {try_no})"
    head = f"{title}{again}: {values['имя']}"
    codes = f"Закройте задачу, начав результат с цифры: {CODES_LINE}"
    return f"{head}\n{said}\n{codes}\n[обзвон {list_id}/{task_id}]"


def marked_task(text: str) -> tuple[int, int] | None:
    """List and task of our own from the mark with which a text ends."""
    found = _MARK.search(text[-100:])
    return None if found is None else (int(found["list"]), int(found["task"]))
