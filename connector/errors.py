"""The tree of everything that can go wrong outside.

Owns the classes and what a caller may do about each: `retryable`, `retry_after_s`, `ambiguous`. Must not carry
tokens, bodies or personal data: a message names the service, the operation and codes, never values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

REAUTH_RETRY_AFTER_S = 3600.0
UNPAID_RETRY_AFTER_S = 3600.0


class ConnectorError(Exception):
    """Something outside failed.

    code: stable English word for logs and metrics.
    retryable: the same call may succeed later without anybody changing anything.
    retry_after_s: not earlier than this, when known.
    ambiguous: the call was a write and may have been applied.
    """

    code: ClassVar[str] = "connector_error"
    retryable: bool = False
    retry_after_s: float | None = None

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        if retryable is not None:
            self.retryable = retryable
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class Unreachable(ConnectorError):
    """No connection, or the connection broke."""

    code = "unreachable"
    retryable = True


class TimedOut(ConnectorError):
    """Connected or sent, but no whole answer in time."""

    code = "timed_out"
    retryable = True


class RateLimited(ConnectorError):
    """429 or a quota."""

    code = "rate_limited"
    retryable = True


class Blocked(ConnectorError):
    """The service shuts us out as a whole (403 without JSON) or our own circuit is open: stop all calls for a while."""

    code = "blocked"
    retryable = True


class ServerFailed(ConnectorError):
    """5xx."""

    code = "server_failed"
    retryable = True


class NeedsReauth(ConnectorError):
    """A person must connect the service again. Keep the work: it becomes possible afterwards."""

    code = "needs_reauth"
    retry_after_s = REAUTH_RETRY_AFTER_S


class ForeignAccount(NeedsReauth):
    """Our access opens another account than the one whose ids the database keeps: deal 7 there is not our deal 7."""

    code = "foreign_account"


@dataclass(frozen=True)
class Problem:
    """One complaint of a refused request. `detail` is foreign text: show it to an operator, do not log it."""

    code: str
    path: str
    detail: str
    request_id: str = ""


class Refused(ConnectorError):
    """4xx: the service understood and said no. Repeating the same request is useless."""

    code = "refused"

    def __init__(self, message: str, *, status: int, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


class AccountUnpaid(Refused):
    """402: the account or the tariff is not paid for. It heals when somebody pays."""

    code = "account_unpaid"
    retryable = True
    retry_after_s = UNPAID_RETRY_AFTER_S


class WrongMode(Refused):
    """422: the feature is switched off in the account (for example customers are not in segments mode)."""

    code = "wrong_mode"


class NotFound(Refused):
    """404."""

    code = "not_found"


class AlreadyExists(Refused):
    """409."""

    code = "already_exists"


class BadReply(ConnectorError):
    """An answer or a notification that cannot be read as what it must be."""

    code = "bad_reply"


class BadMoney(BadReply):
    """An amount that is not a whole number of kopecks within bounds."""

    code = "bad_money"


class BadSignature(ConnectorError):
    """A notification that does not prove where it comes from. Store nothing of it."""

    code = "bad_signature"


class NotConfigured(ConnectorError):
    """A credential or an address is missing or not acceptable."""

    code = "not_configured"


class FieldTypeMismatch(ConnectorError):
    """A CRM field with our code or name exists, but with another type."""

    code = "field_type_mismatch"

    def __init__(self, *, name: str, field_id: int, actual_type: str, wanted_type: str) -> None:
        super().__init__(f"CRM field {name!r} (id {field_id}) has type {actual_type!r}, needed {wanted_type!r}")
        self.name = name
        self.field_id = field_id
        self.actual_type = actual_type
        self.wanted_type = wanted_type


class FieldAmbiguous(ConnectorError):
    """Several CRM fields bear the wanted name and none has our code."""

    code = "field_ambiguous"

    def __init__(self, *, name: str, field_ids: tuple[int, ...]) -> None:
        super().__init__(f"several CRM fields are named {name!r}: ids {', '.join(map(str, field_ids))}")
        self.name = name
        self.field_ids = field_ids
