"""The failures that cross the border to the web and the command line, by one name each; and what a database's refusal
means there."""

from __future__ import annotations

from config.programme import ProgrammeInvalid
from config.settings import SettingsInvalid
from connector.errors import BadReply, BadSignature, ConnectorError, NotConfigured
from flows.migrating import TablesInUse
from flows.runtime import KeyMismatch, SchemaMismatch
from flows.settle import SetupIncomplete
from storage.db import DatabaseAway, sqlstate
from wallet.errors import WalletError

__all__ = [
    "BadReply",
    "BadSignature",
    "ConnectorError",
    "DatabaseAway",
    "KeyMismatch",
    "NotConfigured",
    "ProgrammeInvalid",
    "SchemaMismatch",
    "SettingsInvalid",
    "SetupIncomplete",
    "TablesInUse",
    "WalletError",
    "is_busy",
    "is_too_large",
]

_BUSY = frozenset({"55P03", "40P01", "40001", "57014"})
"""Lock not available, deadlock, serialization failure, statement cancelled."""

_OUT_OF_RANGE = "22003"


def is_busy(failure: Exception) -> bool:
    """The database is there, but others held what was wanted for too long: the same may succeed in a moment."""
    return sqlstate(failure) in _BUSY


def is_too_large(failure: Exception) -> bool:
    """A number does not fit its column; nothing was written."""
    return sqlstate(failure) == _OUT_OF_RANGE
