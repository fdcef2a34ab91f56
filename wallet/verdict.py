"""What an independent look at a .pkpass found: faults with their stable codes, texts and mends. Owns no rule.

Texts are Russian because owners and integrators read them; `code` is the stable English name for programs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["error", "warning"]

MAX_FAULTS = 200
"""Of each level: a file of ten thousand broken entries is broken enough with its first two hundred, and two hundred
warnings must not hide an error."""

_SHOWN_CHARS = 60


@dataclass(frozen=True)
class Fault:
    """An error makes the phone refuse the card or show something else; a warning is worth a look."""

    code: str
    level: Level
    text: str
    mend: str


@dataclass
class Faults:
    """Collects what the checks find, in their order, each once."""

    found: list[Fault] = field(default_factory=list)

    def error(self, code: str, text: str, mend: str) -> None:
        self._add(Fault(code, "error", text, mend))

    def warning(self, code: str, text: str, mend: str) -> None:
        self._add(Fault(code, "warning", text, mend))

    def has_error(self, *prefixes: str) -> bool:
        """Whether an error's code begins with one of these."""
        return any(one.level == "error" and one.code.startswith(prefixes) for one in self.found)

    def _add(self, fault: Fault) -> None:
        same_level = sum(one.level == fault.level for one in self.found)
        if same_level < MAX_FAULTS and fault not in self.found:
            self.found.append(fault)


def shown(value: object) -> str:
    """A stranger's text as it may be printed: short, on one line, without what drives a terminal."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return "".join(char if char.isprintable() else "·" for char in cut)
