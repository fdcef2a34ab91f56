"""Logs: one JSON object a line, without secrets, phones, e-mails or card numbers.

Owns the set-up of structlog and of the standard library's logging, so that rq, waitress and sqlalchemy pass through the
same mask. The mask is the last step before the text is made. Called once by the command that starts the process.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TextIO

import structlog
from pydantic import SecretBytes, SecretStr

from config.masking import STARS, is_hidden_key, mask_text

MAX_VALUE_CHARS = 16_000
MAX_ITEMS = 200
MAX_DEPTH = 6

_UNREADABLE_RECORD = '{"level": "error", "event": "log record could not be formatted"}\n'
# Their INFO lines carry SQL parameters, addresses and job arguments.
_QUIET_LOGGERS = ("sqlalchemy", "urllib3", "rq", "rq.worker", "google", "alembic", "httpx", "httpcore", "hpack")
_OWN_KEYS = frozenset({"_record", "_from_structlog"})


def configure_logging(level: str, *, human: bool, stream: TextIO | None = None) -> None:
    """Sends every log record of this process to `stream` (stderr when None); `human` gives lines for a terminal."""
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask_event, _renderer(human=human)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    # A warning for every request that waits for a thread says nothing that /metrics does not, and costs more than it.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def mask_event(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The structlog processor that hides what must not be read."""
    return {key: value if key in _OWN_KEYS else _masked(str(key), value, depth=0) for key, value in event.items()}


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the standard library's name
        """The default prints the record's arguments as they are."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(_UNREADABLE_RECORD)


def _renderer(*, human: bool) -> structlog.typing.Processor:
    if human:
        return structlog.dev.ConsoleRenderer(colors=False, timestamp_key="at")
    return structlog.processors.JSONRenderer(ensure_ascii=False)


def _masked(key: str, value: Any, *, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if is_hidden_key(key) or isinstance(value, SecretStr | SecretBytes):
        return STARS
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < MAX_DEPTH:
        return _masked_members(key, value, depth=depth + 1)
    if isinstance(value, int | float):
        return value if mask_text(str(value)) == str(value) else STARS
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return _masked_text(str(value))


def _masked_members(key: str, value: Mapping[Any, Any] | Iterable[Any], *, depth: int) -> Any:
    if isinstance(value, Mapping):
        pairs = islice(value.items(), MAX_ITEMS)
        return {_masked_text(str(name)): _masked(str(name), item, depth=depth) for name, item in pairs}
    return [_masked(key, item, depth=depth) for item in islice(value, MAX_ITEMS)]


def _masked_text(text: str) -> str:
    masked = mask_text(text[:MAX_VALUE_CHARS])
    if len(text) <= MAX_VALUE_CHARS:
        return masked
    # The cut may have left half of a secret, which no pattern knows: the last word goes too.
    return masked.rpartition(" ")[0] + "…"
