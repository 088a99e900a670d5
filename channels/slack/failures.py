"""What an error of the SDK or of the connection lets the caller do next. Pure.

Codes are those of the methods' pages (https://docs.slack.dev/reference/methods), in 2026-11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    StreamEnded,
    UnknownOutcome,
    Unreachable,
)

_AUTH_LOST = frozenset(
    {
        *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"),
        *("user_removed_from_team", "team_access_not_granted", "not_allowed_token_type"),
        *("app_uninstalled"),
    }
)
_GONE = frozenset(
    {
        *("channel_not_found", "is_archived", "not_in_channel", "message_not_found", "thread_not_found"),
        *("user_not_found", "user_disabled", "cannot_dm_bot"),
        *("file_not_found", "file_deleted"),
    }
)
_STREAM_ENDED = frozenset({"message_not_in_streaming_state", "stopped_by_user"})
# "Some aspect of the operation may have succeeded before the error was raised", say the methods' pages.
_UNKNOWN = frozenset({"internal_error", "fatal_error", "service_unavailable", "service_timeout"})
# Certainly not done, and over by itself.
_PASSING = frozenset({"request_timeout", "team_added_to_org", "accesslimited"})
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
# Slack always says how long; this is for a proxy that does not.
_RETRY_AFTER_S = 30.0
_CODE_MAX = 80
# Certain failures: aiohttp raises these before a byte of the request has left.
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)

TRANSPORT = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What a connection can raise."""
# What the SDK raises when an answer does not look as it expects; the request was carried out by then.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Slack said: HTTP status, error code, and which scope it misses."""

    status: int
    code: str
    needed: str
    retry_after_s: float


def refusal_of(error: SlackApiError) -> Refusal:
    """The answer behind an error of the SDK, which holds its own response or aiohttp's."""
    response: Any = error.response
    status = getattr(response, "status_code", None) or getattr(response, "status", None) or 0
    data = getattr(response, "data", None)
    fields: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    headers: Mapping[str, str] = getattr(response, "headers", None) or {}
    code = str(fields.get("error") or f"HTTP {status}")[:_CODE_MAX]
    needed = str(fields.get("needed") or "")[:_CODE_MAX]
    return Refusal(int(status), code, needed, _seconds(headers.get("Retry-After")))


def to_channel_error(refusal: Refusal, method: str, scope: str) -> ChannelError:
    """The typed error; `scope` is what a rate limit of this method holds back."""
    code, text = refusal.code, f"{method}: {refusal.code}"
    if refusal.status == 429 or code in _RATE_LIMITED:
        return RateLimited(refusal.retry_after_s, scope)
    if code in _AUTH_LOST:
        return AuthLost(f"{text}: the token no longer works, install the app again and set its new token")
    if code in _GONE:
        return Gone(text)
    if code in _STREAM_ENDED:
        return StreamEnded(text)
    if code in _PASSING:
        return Unreachable(text)
    if code in _UNKNOWN or refusal.status >= 500 or refusal.status == 0:
        return UnknownOutcome(text)
    if refusal.status == 200 and code.startswith("HTTP"):
        return UnknownOutcome(f"{method}: unreadable answer")
    return Permanent(f"{text} ({refusal.needed})" if refusal.needed else text)


def to_transport_error(error: BaseException, method: str) -> ChannelError:
    """What a broken connection means: only before the request left is it certain that nothing happened."""
    text = f"{method}: {type(error).__name__}"
    return Unreachable(text) if isinstance(error, _NEVER_SENT) else UnknownOutcome(text)


def _seconds(value: str | None) -> float:
    try:
        return max(float(value), 0.0) if value is not None else _RETRY_AFTER_S
    except ValueError:
        return _RETRY_AFTER_S
