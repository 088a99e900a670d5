"""What went wrong with a provider, in the gateway's kinds. Pure.

The text of a provider's error is not passed on: it may quote the request, and with some proxies the key. What is
said is the category, the status and the provider's own code where it is a plain word.
"""

import re
from http import HTTPStatus
from typing import Final

import httpx2
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UserError,
)

from gateway.agents.model.connection import AnswerTooLarge
from gateway.agents.port import AgentFailure

NONSENSE: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What SDKs stumble with over JSON of another shape than they know."""
FAILURES: Final = (AgentRunError, UserError, httpx2.HTTPError, TimeoutError, *NONSENSE)
"""What can come out of a model request."""
RETRY_AFTER_MAX_S: Final = 3600.0
"""A provider that says longer is not waited for so long: somebody would have to notice first."""
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CAUSES_MAX: Final = 10
"""How deep a cause is looked for; exceptions may be chained in a circle."""


def failure_of(error: Exception, model: str) -> AgentFailure:
    """What one of FAILURES means."""
    if (large := _caused_by(error, AnswerTooLarge)) is not None:
        return AgentFailure("too_large", f"{model} sent too much: {large}.")
    if isinstance(error, TimeoutError):
        return AgentFailure("timeout", f"{model} did not finish its answer in time.", passes=True)
    if isinstance(error, ModelAPIError):
        return _api_failure(error, model)
    if isinstance(error, ContentFilterError):
        return AgentFailure(
            "content_refused", f"{model} refused to answer: its provider's filter stopped it."
        )
    if isinstance(error, UserError):
        return AgentFailure("bad_configuration", f"{model} cannot be used with these settings.")
    if isinstance(error, httpx2.HTTPError):
        return AgentFailure("agent_unavailable", f"{model} broke off its answer.", passes=True)
    return AgentFailure("bad_output", f"{model} sent an answer that makes no sense.")


_REJECTIONS: Final[tuple[tuple[type[ModelAPIError], str, str], ...]] = (
    (ModelQuotaExceededError, "rate_limited", "says that the account's quota or credit is used up"),
    (ModelAuthenticationError, "unauthorized", "refuses the key; check api_key and what it may use"),
    (ModelNotFoundError, "bad_request", "is not known to the provider; check model and base_url"),
    (ModelContextWindowExceededError, "context_too_long", "cannot take that much text at once"),
    (ModelRequestRejectedError, "bad_request", "refuses the request"),
)
"""What is the same however often it is tried. Subclasses before their bases."""


def _api_failure(error: ModelAPIError, model: str) -> AgentFailure:
    detail = _detail(error)
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    if status == HTTPStatus.REQUEST_TIMEOUT or isinstance(error, ModelTimeoutError | ModelRequestTimeout):
        return _passing("timeout", f"{model} did not answer in time.", error)
    if status == HTTPStatus.TOO_MANY_REQUESTS and not isinstance(error, ModelQuotaExceededError):
        return _passing("rate_limited", f"{model} takes no more requests at the moment{detail}.", error)
    for category, kind, says in _REJECTIONS:
        if isinstance(error, category):
            return AgentFailure(kind, f"{model} {says}{detail}.")
    if isinstance(error, ModelRateLimitError):
        return _passing("rate_limited", f"{model} takes no more requests at the moment{detail}.", error)
    if isinstance(error, ModelConnectionError):
        broke = error.phase == "read"
        says = "broke off its answer" if broke else "cannot be reached"
        return _passing("agent_unavailable", f"{model} {says}.", error)
    if isinstance(error, ModelUnavailableError | ModelServerError):
        return _passing("provider_error", f"{model} has a problem of its own{detail}.", error)
    if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return AgentFailure("bad_request", f"{model} refuses the request{detail}.")
    if (cause := error.__cause__) is not None and isinstance(cause, ValueError):
        # What could not be decoded: json.JSONDecodeError and UnicodeDecodeError are ValueErrors.
        return AgentFailure("bad_output", f"{model} sent an answer that cannot be read.")
    return _passing("provider_error", f"{model} broke off its answer{detail}.", error)


def _passing(kind: str, text: str, error: ModelAPIError) -> AgentFailure:
    wait_s = error.retry_after
    known = wait_s is not None and 0 <= wait_s <= RETRY_AFTER_MAX_S
    return AgentFailure(kind, text, passes=True, retry_after_s=wait_s if known else None)


def _detail(error: ModelAPIError) -> str:
    """Status and code in brackets, as far as they are known and plain."""
    known = [f"HTTP {error.status_code}"] if isinstance(error, ModelHTTPError) else []
    for code in (error.provider_error_code, error.provider_error_type):
        if code is not None and _CODE.fullmatch(code):
            known.append(code)
            break
    return f" ({', '.join(known)})" if known else ""


def _caused_by(error: BaseException, kind: type[Exception]) -> Exception | None:
    current: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if current is None or isinstance(current, kind):
            return current
        current = current.__cause__ or current.__context__
    return None
