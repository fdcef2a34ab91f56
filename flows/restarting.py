"""What new rules ask of running processes beyond taking them over: some of the rules file is read at their start only.

Reads only. How rules come into force is `planning.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.read_at_start import changed_parts
from storage import rules

if TYPE_CHECKING:
    from flows.runtime import Runtime

CONFIRM = "redeem.confirm"
"""Changes without a restart, but stands or falls with what is read at the start: the PIN, the mail server."""


def parts_to_reread(rt: Runtime) -> tuple[str, ...]:
    """What differs between the rules file and the one that was applied last, of all that a process reads at its start.
    To be asked before applying: then those are one file."""
    with rt.db.begin() as tx:
        applied = rules.applied(tx)
    if applied is None:
        return ()
    before, after = (one.redeem and one.redeem.confirm for one in (applied.programme, rt.file.programme))
    changed = changed_parts(applied.source, rt.file.path.read_text(encoding="utf-8-sig"))
    return (CONFIRM, *changed) if after not in (None, "none", before) else changed
