"""kind="http": an OpenAI-compatible chat-completions endpoint that is treated as a whole agent.

The whole of an answer is one request, and one step of the journal, kind `prompt`. How tries are told apart:

- The step of the first try is `prompt/1`. What is recorded as done is told again and not asked again.
- A try that had no effect (nobody listened, the endpoint answered with a refusal or an error of its own) is closed
  with outcome `error` and `{"retry": true}` in its result. Since a closed step stays closed, the next attempt of the
  run goes on to `prompt/2`.
- Any other failure (nonsense, too much, the agent's own error) is closed with `{"retry": false}`: a later attempt
  fails in the same way without asking.
- An answer that was cut off may have had an effect. With `idempotent` the step stays open, and the next attempt makes
  the same request again; without it the failure is final.
- A step that the end of this process left open is the turn's to settle: it asks a person unless the request is
  repeatable.

How the bytes of an answer are read is in `completions.py`. Redirects are not followed, proxies of the environment are
not used, cookies are not kept.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import aiohttp

from gateway.agent_settings import HttpSettings
from gateway.agents.completions import Answer, Incomplete, StreamedAnswer, WholeAnswer, failure_in
from gateway.agents.parts import AgentParts
from gateway.agents.port import (
    AgentBeat,
    AgentFailure,
    AgentOutput,
    AgentText,
    Journal,
    Json,
    Recorded,
    Recovery,
    RunContext,
    Step,
)
from protocol.limits import KIB

CONNECT_S: Final = 10.0
"""Time for name, connection and TLS together; an endpoint that listens needs a fraction of it."""
ERROR_BODY_BYTES: Final = 64 * KIB
"""As much of a refusal is read; what it says is cut further."""
RETRY_AFTER_MAX_S: Final = 86_400.0
"""A longer wait is no wait."""

_UNAUTHORIZED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_RELAYED: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
"""What a proxy says that has lost the endpoint: the request may be at work behind it."""


class _NotDone(AgentFailure):
    """The request had no effect, by the endpoint's own word or because nobody took it."""


class _Cut(AgentFailure):
    """Nobody knows what came of the request."""


def create(settings: HttpSettings, parts: AgentParts) -> "HttpAgent":
    """The agent of one `[[agents]]` table."""
    return HttpAgent(settings, parts)


class HttpAgent:
    """`gateway.agents.port.AgentAdapter` for kind="http"."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: HttpSettings, parts: AgentParts) -> None:
        self.settings = settings
        self._parts = parts
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Raises AgentFailure missing_secret, or bad_configuration for a header that cannot be sent."""
        headers = await asyncio.to_thread(self._headers)  # a secret may be in a file
        self._session = aiohttp.ClientSession(
            # A kept connection that the endpoint closes just then would look like an answer that was cut off.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_S, sock_read=self.settings.step_timeout_s
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def stop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        request = await self._request(context)
        key, recorded = await self._begin(context.journal, request)
        if recorded is not None:
            yield AgentText(recorded)
            return
        try:
            async with self._post(key, request, context) as response:
                answer = _answer_of(response)
                async with aclosing(self._pieces(response, answer)) as pieces:
                    async for piece in pieces:
                        yield piece
        except AgentFailure as failure:
            await self._close_failed(context.journal, key, failure)
            raise
        usage = answer.usage
        result = {"text": answer.text, "usage": usage.model_dump()}
        await context.journal.finish(key, result, usage=usage)

    # --- the journal ------------------------------------------------------------------------------

    async def _begin(self, journal: Journal, request: Json) -> tuple[str, str | None]:
        """The step of this try, and None: go and ask. Or what was answered before."""
        for number in itertools.count(1):
            key = f"prompt/{number}"
            step = Step(key, "prompt", self.settings.model, request, repeatable=self.settings.idempotent)
            recorded = await journal.begin(step)
            if recorded is None:
                return key, None
            if recorded.outcome == "ok":
                return key, recorded.result["text"]
            if recorded.outcome != "error" or not recorded.result["retry"]:
                raise _failed_before(recorded)
        raise AssertionError("the journal of a run has an end")

    async def _close_failed(self, journal: Journal, key: str, failure: AgentFailure) -> None:
        if isinstance(failure, _Cut) and self.settings.idempotent:
            return
        result = {"retry": isinstance(failure, _NotDone), "kind": failure.kind, "error": str(failure)}
        await journal.finish(key, result, outcome="error")

    # --- the request ------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        secret = self._parts.secret
        headers = {name: secret(value) for name, value in self.settings.headers.items()}
        if self.settings.api_key is not None:
            headers["Authorization"] = f"Bearer {secret(self.settings.api_key)}"
        for name, value in headers.items():
            if not (name + value).isprintable() or not value.isascii():
                raise AgentFailure("bad_configuration", f"The header {name!r} cannot be sent as it is")
        return {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"} | headers

    async def _request(self, context: RunContext) -> dict[str, Json]:
        """What is asked, without the credentials."""
        messages = []
        if self.settings.instructions:
            messages.append({"role": "system", "content": self.settings.instructions})
        before = self.settings.history_messages
        said = (await context.said(before + 1))[:-1] if before else []
        messages += [{"role": past.role, "content": past.text} for past in said]
        messages.append({"role": "user", "content": _with_files(context)})
        return {
            "model": self.settings.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @asynccontextmanager
    async def _post(
        self, key: str, request: Json, context: RunContext
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer's head has come, and it is one. Raises AgentFailure for everything that goes wrong."""
        assert self._session is not None, "it was started"
        name = {"Idempotency-Key": f"{context.run_id}/{key}"}
        try:
            async with self._session.post(
                self.settings.url, json=request, headers=name, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise await self._refused(response, context.now_ms())
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotDone(
                "agent_unavailable", f"The agent's endpoint cannot be reached: {_why(error)}", passes=True
            ) from None
        except aiohttp.SocketTimeoutError:
            silent = f"The agent's endpoint said nothing for {self.settings.step_timeout_s:g} s"
            raise self._cut("timeout", silent) from None
        except (aiohttp.ClientError, Incomplete):
            raise self._cut("provider_error", "The endpoint's answer ended before it was complete") from None

    def _cut(self, kind: str, text: str) -> _Cut:
        if self.settings.idempotent:
            return _Cut(kind, text, passes=True)
        return _Cut(kind, f"{text}. It may be at work, so it is not asked again by itself: retry the run")

    async def _refused(self, response: aiohttp.ClientResponse, now_ms: int) -> AgentFailure:
        """What an answer without an answer means."""
        status = response.status
        said = f"The agent's endpoint answered {status} {response.reason or ''}".rstrip()
        if status in _RELAYED:
            return self._cut("provider_error", said)
        kind, words = failure_in(await _beginning(response), "bad_request")
        said = f"{said}: {words}" if words else said
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return _NotDone("rate_limited", said, passes=True, retry_after_s=_wait(response, now_ms))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _NotDone("provider_error", said, passes=True, retry_after_s=_wait(response, now_ms))
        if status in _UNAUTHORIZED:
            return _NotDone("unauthorized", said)
        if status < HTTPStatus.BAD_REQUEST:
            hint = "A redirect is not followed: give the final address in `url`"
            return _NotDone("bad_configuration", f"{said}. {hint}")
        return _NotDone(kind, said)

    async def _pieces(
        self, response: aiohttp.ClientResponse, answer: Answer
    ) -> AsyncGenerator[AgentOutput, None]:
        """The answer as it comes; bytes that complete no piece are a sign of life."""
        received = 0
        async for data in response.content.iter_any():
            received += len(data)
            if received > self.settings.output_bytes:
                raise AgentFailure(
                    "too_large", f"The endpoint's answer has more than {self.settings.output_bytes} bytes"
                )
            pieces = answer.feed(data)
            yield AgentText("".join(pieces)) if pieces else AgentBeat()
        for piece in answer.end():
            yield AgentText(piece)


def _answer_of(response: aiohttp.ClientResponse) -> Answer:
    match response.content_type:
        case "text/event-stream":
            return StreamedAnswer()
        case "application/json":
            return WholeAnswer()
        case other:
            raise AgentFailure(
                "bad_output",
                f"The endpoint answered with {other[:100]!r} instead of text/event-stream or application/json",
            )


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Of the body of a refusal, as far as it comes: the refusal stands without it."""
    body = bytearray()
    try:
        async for data in response.content.iter_any():
            body += data
            if len(body) >= ERROR_BODY_BYTES:
                break
    except aiohttp.ClientError:
        pass
    return bytes(body[:ERROR_BODY_BYTES])


def _failed_before(recorded: Recorded) -> AgentFailure:
    """The failure that a step was closed with, by this agent or by the person who was asked about it."""
    if recorded.outcome == "error":
        return AgentFailure(recorded.result["kind"], recorded.result["error"])
    return AgentFailure(
        "provider_error", "The request was cut off, and it was decided not to make it again: retry the run"
    )


def _with_files(context: RunContext) -> str:
    """The message to answer. Files are named only: an endpoint of this kind is sent words."""
    names = [f"[file: {file.name}, {file.media_type}]" for file in context.files]
    return "\n".join([context.text, *names] if context.text else names)


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    return type(error).__name__


def _wait(response: aiohttp.ClientResponse, now_ms: int) -> float | None:
    """Retry-After in seconds (RFC 9110, section 10.2.3: a number of seconds, or a date); None for none."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:12]), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now_ms / 1000
    return min(max(0.0, seconds), RETRY_AFTER_MAX_S)
