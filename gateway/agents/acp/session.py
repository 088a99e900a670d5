"""One session with one running program, in the words of the Agent Client Protocol (version 1).

Opening it, giving it one prompt, hearing what happens meanwhile, and cancelling. What it all means for a run is
decided in `agent.py`. The program gets no files and no terminal of ours: it works in its own process.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, TypeAlias, TypeVar

from acp.connection import Connection
from acp.exceptions import RequestError
from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from acp.schema import (
    AuthenticateRequest,
    AuthenticateResponse,
    CancelNotification,
    EnvVarAuthMethod,
    Implementation,
    InitializeRequest,
    InitializeResponse,
    LoadSessionRequest,
    LoadSessionResponse,
    NewSessionRequest,
    NewSessionResponse,
    PromptCapabilities,
    PromptRequest,
    PromptResponse,
    RequestPermissionRequest,
    RequestPermissionResponse,
    SessionNotification,
)
from acp.utils import notify_model, request_model, request_model_from_dict
from pydantic import BaseModel, ValidationError

from gateway.agents.acp.permission import CANCELLED
from gateway.agents.acp.process import AgentProcess
from gateway.agents.acp.prompt import Block
from gateway.agents.acp.wire import Wire
from gateway.agents.port import AgentFailure

AUTH_REQUIRED: Final = -32000
"""Error code of the protocol: somebody has to sign in first."""
WAITING_MAX: Final = 256
"""Updates that wait to be heard before reading pauses."""
CANCEL_S: Final = 0.2
"""How long a cancelled prompt may take to say so, before its program is ended."""
UPDATES: Final = frozenset(
    {
        "user_message_chunk",
        "agent_message_chunk",
        "agent_thought_chunk",
        "tool_call",
        "tool_call_update",
        "plan",
        "plan_update",
        "plan_removed",
        "available_commands_update",
        "current_mode_update",
        "config_option_update",
        "session_info_update",
        "usage_update",
    }
)
"""Kinds of session/update in this version; others are from later ones, and not ours to judge."""

Response = TypeVar("Response", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is ready for a prompt."""

    session_id: str
    is_loaded: bool
    can_load: bool
    takes: PromptCapabilities
    agent: str


@dataclass(frozen=True, slots=True)
class Permission:
    """The program waits for `decide` to be called."""

    request: RequestPermissionRequest
    decide: Callable[[RequestPermissionResponse], None]


Happening: TypeAlias = SessionNotification | Permission | PromptResponse


class Session:
    """Speaks with one program. Whoever made it calls `close`."""

    def __init__(self, process: AgentProcess, output_bytes: int) -> None:
        self._process = process
        self._wire = Wire(process, output_bytes)
        self._connection = Connection(self._handle, self._wire)
        self._happened: asyncio.Queue[Happening | AgentFailure | None] = asyncio.Queue()
        self._session_id: str | None = None
        self._prompt: asyncio.Task[PromptResponse] | None = None
        self._undecided: set[asyncio.Future[RequestPermissionResponse]] = set()
        self._is_closing = False

    # --- opening ------------------------------------------------------------------------------

    async def open(self, known_id: str | None, timeout_s: float) -> Opened:
        """Greet the program and get a session: `known_id` when it can load that one, else a new one.

        Raises AgentFailure; ends and timeouts pass, nothing was asked of the program yet.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(known_id)
        except TimeoutError:
            reason = f"It was not ready within {timeout_s:g} s."
            raise AgentFailure("timeout", reason, passes=True) from None
        except ConnectionError:
            raise self._wire.failure or await self._process.why_gone(passes=True) from None
        except RequestError as error:
            raise AgentFailure("agent_error", f"It refused to start a session: {self._said(error)}") from None

    async def _open(self, known_id: str | None) -> Opened:
        mine = Implementation(name="threadgate", version=version("threadgate"))
        greeting = InitializeRequest(protocol_version=PROTOCOL_VERSION, client_info=mine)
        greeted = await self._ask("initialize", greeting, InitializeResponse)
        if greeted.protocol_version != PROTOCOL_VERSION:
            theirs = greeted.protocol_version
            reason = f"It speaks version {theirs} of the protocol, this gateway version {PROTOCOL_VERSION}."
            raise AgentFailure("bad_output", reason)
        can = greeted.agent_capabilities
        can_load = can is not None and bool(can.load_session)
        is_loaded = known_id is not None and can_load and await self._load(known_id)
        if is_loaded:
            self._session_id = known_id
        else:
            self._session_id = await self._new(greeted)
        assert self._session_id is not None
        info = greeted.agent_info
        return Opened(
            session_id=self._session_id,
            is_loaded=is_loaded,
            can_load=can_load,
            takes=(can.prompt_capabilities if can is not None else None) or PromptCapabilities(),
            agent=self._process.program.presentable(f"{info.name} {info.version}")
            if info is not None
            else "",
        )

    async def _load(self, session_id: str) -> bool:
        """Whether the program still has that session. It tells the whole of it again, which nobody hears."""
        request = LoadSessionRequest(
            cwd=str(self._process.program.cwd), session_id=session_id, mcp_servers=[]
        )
        try:
            await self._ask("session_load", request, LoadSessionResponse, is_optional=True)
        except RequestError:
            return False
        return True

    async def _new(self, greeted: InitializeResponse) -> str:
        request = NewSessionRequest(cwd=str(self._process.program.cwd), mcp_servers=[])
        try:
            made = await self._ask("session_new", request, NewSessionResponse)
        except RequestError as error:
            if error.code != AUTH_REQUIRED:
                raise
            await self._authenticate(greeted)
            made = await self._ask("session_new", request, NewSessionResponse)
        return made.session_id

    async def _authenticate(self, greeted: InitializeResponse) -> None:
        """Sign in by the first way that takes what is in the environment. Raises AgentFailure (unauthorized)."""
        given = self._process.program.env
        for method in greeted.auth_methods or []:
            if isinstance(method, EnvVarAuthMethod) and all(
                one.name in given or one.optional for one in method.vars
            ):
                request = AuthenticateRequest(method_id=method.id)
                await self._ask("authenticate", request, AuthenticateResponse, is_optional=True)
                return
        names = ", ".join(method.name for method in greeted.auth_methods or []) or "none that it names"
        raise AgentFailure(
            "unauthorized",
            f"It demands to be signed in ({self._process.program.presentable(names)}): sign in once yourself, "
            "as the gateway's user, or give its key in `env`.",
        )

    # --- the prompt ---------------------------------------------------------------------------

    def prompt(self, blocks: Sequence[Block]) -> None:
        """Give it the prompt; `next` tells what happens then."""
        assert self._session_id is not None and self._prompt is None
        self._wire.renew()
        request = PromptRequest(session_id=self._session_id, prompt=list(blocks))
        asking = self._ask("session_prompt", request, PromptResponse)
        self._prompt = asyncio.create_task(asking, name="acp prompt")
        self._prompt.add_done_callback(lambda _: self._happened.put_nowait(None))

    async def next(self) -> Happening:
        """What happens next, in order; the last is the PromptResponse. Raises AgentFailure."""
        happening = await self._happened.get()
        if self._happened.qsize() < WAITING_MAX // 2:
            self._wire.has_room.set()
        if isinstance(happening, AgentFailure):
            raise happening
        return happening if happening is not None else await self.outcome()

    async def over(self) -> None:
        """Return when the prompt is over or the program is gone, whatever else has happened."""
        assert self._prompt is not None
        await asyncio.wait({self._prompt, self._process.exited}, return_when=asyncio.FIRST_COMPLETED)

    async def outcome(self) -> PromptResponse:
        """How the prompt ended. Raises AgentFailure."""
        assert self._prompt is not None
        self._wire.has_room.set()
        try:
            return await self._prompt
        except ConnectionError:
            raise self._wire.failure or await self._process.why_gone(passes=True) from None
        except RequestError as error:
            raise AgentFailure("agent_error", f"It says: {self._said(error)}") from None

    async def close(self) -> None:
        """Cancel what is under way, and say no more. The program may live on."""
        self._is_closing = True
        self._wire.has_room.set()
        for undecided in self._undecided:
            if not undecided.done():
                undecided.set_result(CANCELLED)
        if self._prompt is not None and not self._prompt.done():
            await self._cancel(self._prompt)
        await self._connection.close()
        if self._prompt is not None:
            await asyncio.wait({self._prompt})
            self._prompt.exception()  # looked at, so that nobody complains that it was not

    async def _cancel(self, prompt: "asyncio.Task[PromptResponse]") -> None:
        assert self._session_id is not None
        notice = CancelNotification(session_id=self._session_id)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CANCEL_S):
                await notify_model(self._connection, AGENT_METHODS["session_cancel"], notice)
                await asyncio.wait({prompt})

    # --- both ways ----------------------------------------------------------------------------

    async def _ask(
        self, method: str, request: BaseModel, response: type[Response], *, is_optional: bool = False
    ) -> Response:
        """One request. Raises AgentFailure (bad_output), RequestError, ConnectionError."""
        ask = request_model_from_dict if is_optional else request_model
        try:
            return await ask(self._connection, AGENT_METHODS[method], request, response)
        except ValidationError:
            reason = f"Its answer to {AGENT_METHODS[method]} is not what the protocol says."
            raise AgentFailure("bad_output", reason) from None

    async def _handle(self, method: str, params: Any, is_notification: bool) -> Any:
        """What the program sends by itself. Never raises for a notification: that would only be logged."""
        if method == CLIENT_METHODS["session_update"] and is_notification:
            self._hear(params)
        elif method == CLIENT_METHODS["session_request_permission"] and not is_notification:
            return await self._permit(params)
        elif not is_notification:
            raise RequestError.method_not_found(method)
        return None

    def _hear(self, params: Any) -> None:
        if self._prompt is None or self._is_closing:
            return  # a loaded session is told again
        update = params.get("update") if isinstance(params, dict) else None
        kind = update.get("sessionUpdate") if isinstance(update, dict) else None
        if isinstance(kind, str) and kind not in UPDATES:
            return
        try:
            heard = SessionNotification.model_validate(params)
        except ValidationError:
            self._put(AgentFailure("bad_output", "It sent an update that is not what the protocol says."))
            return
        if heard.session_id == self._session_id:
            self._put(heard)

    async def _permit(self, params: Any) -> RequestPermissionResponse:
        try:
            request = RequestPermissionRequest.model_validate(params)
        except ValidationError:
            self._put(
                AgentFailure(
                    "bad_output", "It asks for a permission in a way that the protocol does not know."
                )
            )
            raise RequestError.invalid_params() from None
        if self._is_closing or self._prompt is None or request.session_id != self._session_id:
            return CANCELLED
        decision: asyncio.Future[RequestPermissionResponse] = asyncio.get_running_loop().create_future()

        def decide(response: RequestPermissionResponse) -> None:
            if not decision.done():
                decision.set_result(response)

        self._undecided.add(decision)
        try:
            self._put(Permission(request, decide))
            return await decision
        finally:
            self._undecided.discard(decision)

    def _put(self, happening: Happening | AgentFailure) -> None:
        self._happened.put_nowait(happening)
        if self._happened.qsize() >= WAITING_MAX:
            self._wire.has_room.clear()

    def _said(self, error: RequestError) -> str:
        return self._process.program.presentable(str(error)) or f"error {error.code}"
