"""Structured logs: JSON lines to stderr, or readable ones for a person. No content and no secret is logged.

Should a text of somebody else's hold one all the same (a library's message, an exception), the last step masks it.

Every record has a short sentence, a stable `action` and ids. Third-party loggers go through the same pipe;
the HTTP client's are silenced below WARNING, because their lines hold URLs with bot tokens.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog
from aiohttp.http_exceptions import HttpProcessingError


class _Unreadable(logging.Filter):
    """Requests that are no HTTP: the library logs them as errors, with the bytes that a stranger sent. Here they are a
    line for debugging, without a word of theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        record.exc_info = record.exc_text = None
        record.msg, record.args = "a request could not be read", ()
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger().isEnabledFor(logging.DEBUG)


_OURS: Final = frozenset({"timestamp", "level", "action"})
"""Keys of a record whose values are never somebody else's."""
_DEPTH_MAX: Final = 8
"""Values inside values of a record; deeper ones are written as one text."""


def configure(*, level: str, json: bool, redact: Callable[[str], str]) -> None:
    """Set up logging for the process; called once, by the daemon. `redact` masks what must not be in a log."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor
    if json:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain, because the default traceback shows local variables: tokens and what people said.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=40, exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last = [_masked_values(redact), renderer] if json else [renderer, _masked_line(redact)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "telegram", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    server = logging.getLogger("aiohttp.server")
    if not any(isinstance(one, _Unreadable) for one in server.filters):
        server.addFilter(_Unreadable())
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # its errors quote what servers and people said


def _masked_values(redact: Callable[[str], str]) -> structlog.typing.Processor:
    """For JSON: before it is written, because a mask inside of it could end a string early."""

    def masked(value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return redact(value)
        if depth < _DEPTH_MAX and isinstance(value, dict):
            return {redact(str(name)): masked(one, depth + 1) for name, one in value.items()}
        if depth < _DEPTH_MAX and isinstance(value, list | tuple):
            return [masked(one, depth + 1) for one in value]
        return value if isinstance(value, int | float | None) else redact(str(value))

    def process(
        logger: Any, method: str, record: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:  # structlog's signature
        for name, value in record.items():
            if name not in _OURS:
                record[name] = masked(value)
        return record

    return process


def _masked_line(redact: Callable[[str], str]) -> structlog.typing.Processor:
    """For people: after it is written, tracebacks included."""

    def process(logger: Any, method: str, line: Any) -> Any:
        return redact(line)

    return process
