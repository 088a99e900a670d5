"""What an error of the SDK lets the caller do next: the Bot API's refusals as the port's errors. Pure."""

from typing import Any

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)

from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)

# Descriptions of 400s that mean "there is nothing to write to any more", in lower case (Bot API 10.0 server).
_GONE = (
    "chat not found",
    "message to edit not found",
    "message to react not found",
    "message thread not found",
    "topic_deleted",
    "message_id_invalid",
)
# A file beyond what the server takes (413) or hands out (getFile).
_TOO_LARGE = ("request entity too large", "file is too big", "is too big for a photo")
# Certain failures: httpx raises these before a byte of the request has left.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class AnotherPoller(Permanent):
    """Telegram gives the updates of this token to someone else: another poller, or a webhook."""


def to_channel_error(error: TelegramError, description: str) -> ChannelError:
    """`description` is the error's text, safe to log."""
    match error:
        case RetryAfter():
            return RateLimited(_seconds(error.retry_after), scope="room")
        case InvalidToken():
            # 404 is what the server says to a malformed token, and a wrong server to any.
            return AuthLost(
                f"the token was refused ({description}): set a valid token, or check api_base_url"
            )
        case Conflict():
            return AnotherPoller(
                f"someone else receives this bot's messages, another poller or a webhook ({description}): "
                "stop it, or use another token"
            )
        case ChatMigrated():
            return Gone(f"the group is chat {error.new_chat_id} now")
        case Forbidden():
            return Gone(description)
        case _ if any(phrase in description.lower() for phrase in _TOO_LARGE):
            return TooLarge(description)
        case BadRequest():
            is_gone = any(phrase in description.lower() for phrase in _GONE)
            return Gone(description) if is_gone else Permanent(description)
        case NetworkError() if isinstance(error.__cause__, NEVER_SENT):
            return Unreachable(description)
        case _:
            return UnknownOutcome(description)


def _seconds(period: Any) -> float:
    """The SDK says timedelta, or int where an operator set PTB_TIMEDELTA otherwise."""
    return float(period) if isinstance(period, int | float) else float(period.total_seconds())
