"""A gateway in this process with one agent of kind remote, its `Agent` of the client's, and a client that asks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from threadgate_client import Agent, Approval, Client, Event, SendResult
from threadgate_client.executions import Handler

from gateway.agent_settings import RemoteSettings
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.rules.scopes import ROLE_SCOPES
from gateway.services.tokens import Tokens, new_secret
from gateway.settings import RunSettings, Settings
from protocol.records import Actor, ActorKind, Role
from protocol.requests import TokenCreateParams
from storage.values import DEFAULT_ORG, Act

AGENT = "crew"
PATIENCE_S = 10.0


class AgentStage:
    """Everything a test of agents needs."""

    def __init__(self, directory: Path, **agent: Any) -> None:
        settings = RemoteSettings(id=AGENT, kind="remote", **agent)
        self._settings = Settings(
            port=0, data_dir=directory, runs=RunSettings(shutdown_s=0), agents=(settings,)
        )
        self._clock = Clock()
        self._owner = new_secret()
        self.secret = ""
        self.client: Client
        self.url = ""

    async def start(self) -> None:
        self._store = await open_store(self._settings, self._clock)
        self._gateway = Gateway(self._settings, self._store, self._clock, self._owner)
        await self._gateway.start()
        self.url = self._gateway.url
        act = Act(
            DEFAULT_ORG, Actor(id="test", kind=ActorKind.USER, name="test"), "test", self._clock.now_ms()
        )
        tokens = Tokens(self._store.identities, self._store.users, self._clock)
        wanted = TokenCreateParams(role=Role.AGENT, name="crew", agent_id=AGENT)
        self.secret = (await tokens.issue(act, ROLE_SCOPES[Role.OWNER], wanted)).secret or ""
        self.client = Client(self.url, token=self._owner)
        await self.client.connect()

    async def close(self) -> None:
        await self.client.close()
        await self._gateway.stop()
        await self._store.close()

    @asynccontextmanager
    async def serving(self, handler: Handler, **options: Any) -> AsyncIterator[Agent]:
        """An agent that is connected and answers with this handler."""
        agent = Agent(self.url, token=self.secret, **options)
        agent.on_run(handler)
        task = asyncio.create_task(agent.run())
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not agent.is_connected and not task.done():
                assert time.monotonic() < deadline, "it did not connect"
                await asyncio.sleep(0.005)
            yield agent
        finally:
            agent.stop()
            async with asyncio.timeout(PATIENCE_S):
                await task

    async def ask(self, text: str, thread_id: str | None = None) -> str:
        """The whole answer to a message."""
        async with asyncio.timeout(PATIENCE_S):
            stream = self.client.ask(text, thread_id)
            async for _ in stream:
                pass
            return stream.text

    async def event(self, sent: SendResult, kind: str) -> Event:
        """The first event of a kind in a thread."""
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.client.events(sent.thread_id, "start"):
                if event.kind == kind:
                    return event
        raise AssertionError("the stream ended")

    async def reply(self, sent: SendResult) -> str:
        """The answer to a message that was sent."""
        await self.event(sent, "run.completed")
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.client.events(sent.thread_id, "start"):
                message = event.message if event.kind == "message.created" else None
                if message is not None and message.role == "assistant" and event.run_id == sent.run_id:
                    return message.text
        raise AssertionError("the stream ended")

    async def pending(self) -> Approval:
        """The approval that waits."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async for approval in self.client.approvals.list(state="pending"):
                    return approval
                await asyncio.sleep(0.01)
