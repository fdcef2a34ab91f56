"""The failures that cross the border to the web and the command line, by one name each."""

from __future__ import annotations

from config.programme import ProgrammeInvalid
from config.settings import SettingsInvalid
from connector.errors import BadReply, BadSignature, ConnectorError
from flows.runtime import KeyMismatch, SchemaMismatch
from flows.settle import SetupIncomplete
from storage.db import DatabaseAway
from wallet.errors import WalletError

__all__ = [
    "BadReply",
    "BadSignature",
    "ConnectorError",
    "DatabaseAway",
    "KeyMismatch",
    "ProgrammeInvalid",
    "SchemaMismatch",
    "SettingsInvalid",
    "SetupIncomplete",
    "WalletError",
]
