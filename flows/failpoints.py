"""Named places where a test may kill the process: one for every window between two durable steps.

In production no name is set and `reach` does nothing.
"""

from __future__ import annotations

import os

EXIT_CODE = 70

NAMES = (
    "accept.before_insert",
    "accept.before_reply",
    "inbox.after_claim",
    "inbox.after_fetch",
    "inbox.before_commit",
    "inbox.after_commit",
    "outbox.after_claim",
    "outbox.after_remote",
    "outbox.after_settle",
    "crm.after_fields",
    "crm.after_create",
    "crm.after_segments",
    "note.after_write",
    "deal.after_fields",
    "google.after_class",
    "google.after_write",
    "google.before_message",
    "apple.after_tag",
    "apple.after_push",
    "bonus.after_write",
    "task.after_write",
    "api.after_commit",
    "tokens.after_answer",
)


class Failpoints:
    """`active` is one of NAMES or None."""

    def __init__(self, active: str | None) -> None:
        if active is not None and active not in NAMES:
            raise ValueError(f"unknown failpoint {active!r}; known: {', '.join(NAMES)}")
        self._active = active

    def reach(self, name: str) -> None:
        """Dies at once, without cleaning up, if this is the active place."""
        if self._active == name:
            os._exit(EXIT_CODE)
