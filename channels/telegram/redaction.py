"""Keeps the bot token out of the logs of the libraries below us.

Bot API addresses contain the token: httpx logs every address at INFO, the SDK its own at DEBUG. Our own log
records never hold an address.
"""

import logging
import re

# Everything between "/bot" and the next part of an address; a token has no slash.
_ADDRESS = re.compile(r"/bot[^/\s'\"]+")
_REDACTED = "/bot<token>"
# The loggers of httpx 0.28, httpcore 1 and python-telegram-bot 22.8; a filter does not reach child loggers.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "telegram.Bot",
    "telegram.request.BaseRequest",
    "telegram.request.HTTPXRequest",
)


class _TokenFilter(logging.Filter):
    """Rewrites a record before any handler, of whatever logger, can see it."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = _ADDRESS.sub(_REDACTED, message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


_token_filter = _TokenFilter()


def keep_tokens_out_of_logs() -> None:
    """Idempotent. Also silences httpx's line per request, unless its level was set on purpose."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_token_filter)
    httpx_logger = logging.getLogger("httpx")
    if httpx_logger.level == logging.NOTSET:
        httpx_logger.setLevel(logging.WARNING)
