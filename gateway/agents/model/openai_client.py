"""The OpenAI SDK's client without its request builder: one streamed request for chat completions, made directly.

The SDK walks through every parameter and builds every chunk field by field in Python: 16 tokens took 4.2 ms of
processor time through it, and 1.1 ms through httpx2 and pydantic's validator alone. Its types, its parser of events and
its errors are used as they are. What it would do beside that (repeat requests, send details of this machine, look into
the environment) is not wanted here.
"""

from functools import cached_property
from typing import Any, Final, TypeVar, cast

import httpx2
from openai import APIConnectionError, APITimeoutError, AsyncOpenAI, AsyncStream, NotGiven, Omit
from openai.resources.chat.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletionChunk
from pydantic import ValidationError

ResponseT = TypeVar("ResponseT")

PATH: Final = "chat/completions"
NO_KEY: Final = "none"
"""The SDK insists on a key, and would look for one in the environment."""
FIRST_OF_NO_ANSWER: Final = 300
"""HTTP statuses from here on carry none; redirections are not followed."""


def chat_client(base_url: str, key: str | None, http: httpx2.AsyncClient) -> AsyncOpenAI:
    """A client for one endpoint."""
    return _Client(
        base_url=base_url, api_key=key or NO_KEY, http_client=http, timeout=http.timeout, max_retries=0
    )


class _Client(AsyncOpenAI):
    @cached_property
    def chat(self) -> AsyncChat:
        return _Chat(self)

    def _process_response_data(
        self, *, data: object, cast_to: type[ResponseT], response: httpx2.Response
    ) -> ResponseT:
        """A chunk, by pydantic's compiled validator; of another shape, as the SDK builds it: that accepts anything."""
        if cast_to is ChatCompletionChunk:
            try:
                return cast("ResponseT", ChatCompletionChunk.model_validate(data))
            except ValidationError:
                pass
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


class _Chat(AsyncChat):
    @cached_property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    async def create(  # type: ignore[override]
        self,
        *,
        extra_headers: dict[str, str] | None = None,
        extra_body: dict[str, Any] | None = None,
        timeout: httpx2.Timeout | NotGiven | float | None = None,
        **asked: Any,
    ) -> AsyncStream[ChatCompletionChunk]:
        """The stream of an answer. Raises the SDK's APIStatusError, APITimeoutError, APIConnectionError."""
        client = self._client
        http = client._client
        body = {name: value for name, value in asked.items() if not isinstance(value, Omit | NotGiven)}
        request = http.build_request(
            "POST",
            client.base_url.join(PATH),
            json=body | (extra_body or {}),
            headers={"Authorization": f"Bearer {client.api_key}", **(extra_headers or {})},
        )
        try:
            response = await http.send(request, stream=True)
            if response.status_code >= FIRST_OF_NO_ANSWER:
                await response.aread()
        except httpx2.TimeoutException as error:
            raise APITimeoutError(request=request) from error
        except httpx2.HTTPError as error:
            raise APIConnectionError(request=request) from error
        if response.status_code >= FIRST_OF_NO_ANSWER:
            raise client._make_status_error_from_response(response)
        return AsyncStream(cast_to=ChatCompletionChunk, response=response, client=client)
