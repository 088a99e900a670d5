"""What the gateway's tests share: a real gateway in this process, a raw client of its wire, and patience.

`Wire` is the websockets library and nothing else: it knows frames, not this product's client.
"""

import asyncio
import itertools
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, Message, TelegramEmulator
from channels.messages import HealthState
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.edge.websocket import Session
from gateway.rules.scopes import ROLE_SCOPES
from gateway.services.tokens import Tokens, new_secret
from gateway.settings import LimitSettings, RunSettings, Settings
from protocol import limits
from protocol.ids import IdPrefix
from protocol.records import ActorKind, Role
from protocol.requests import TokenCreateParams
from storage.identity_values import NewUser
from storage.store import Store
from storage.values import DEFAULT_ORG, Act

PATIENCE_S = 10.0
Frame = dict[str, Any]

GATE = BotAccount(
    token="42:gate-secret", id=42, username="gate_bot", first_name="Gate", may_stream_drafts=False
)
"""Without drafts, so that answers can be watched in messages that stay."""
UNHURRIED = LimitSettings(requests_per_s=100_000.0, request_burst=100_000)
"""Most tests are not about rates."""
QUICK_END = RunSettings(shutdown_s=0.0)
"""Turns are parked at once when the gateway stops."""


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until `condition` holds; waiting longer than `patience_s` is a failure."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


async def eventually(ask: Callable[[], Awaitable[object]], patience_s: float = PATIENCE_S) -> Any:
    """Ask until the answer is truthy, and return it."""
    deadline = time.monotonic() + patience_s
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return answer


def words(text: str) -> list[dict[str, str]]:
    """A message's content that says `text`."""
    return [{"type": "text", "text": text}]


class Refused(Exception):
    """A request was answered with an error."""

    def __init__(self, error: Frame) -> None:
        super().__init__(f"{error['code']} {error['data']['kind']}: {error['message']}")
        self.error = error
        self.code: int = error["code"]
        self.data: Frame = error["data"]
        self.kind: str = error["data"]["kind"]


class Wire:
    """One WebSocket connection as a client author would try it out by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.notes: list[Frame] = []
        self.raw: list[str] = []
        self.hello: Frame = {}
        self._answers: dict[int | str | None, Frame] = {}
        self._ids = itertools.count(1)

    async def send(self, text: str | bytes) -> None:
        await self.socket.send(text)

    async def receive(self, patience_s: float = PATIENCE_S) -> Frame:
        """The next frame, whatever it is."""
        async with asyncio.timeout(patience_s):
            text = await self.socket.recv()
        assert isinstance(text, str), "every frame is text"
        self.raw.append(text)
        frame = json.loads(text)
        assert frame["jsonrpc"] == "2.0"
        return frame

    async def _take(self, patience_s: float = PATIENCE_S) -> None:
        frame = await self.receive(patience_s)
        if "method" in frame:
            self.notes.append(frame)
        else:
            self._answers[frame["id"]] = frame

    async def post(self, method: str, **params: Any) -> int:
        """Send a request without waiting for its answer."""
        number = next(self._ids)
        params = {name.rstrip("_"): value for name, value in params.items()}
        await self.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return number

    async def answer(self, number: int | str | None) -> Frame:
        """The response to a request, as a frame; `None` is the answer to what had no readable id."""
        while number not in self._answers:
            await self._take()
        return self._answers.pop(number)

    async def call(self, method: str, **params: Any) -> Frame:
        """Ask and return the result. Raises Refused."""
        frame = await self.answer(await self.post(method, **params))
        if "error" in frame:
            raise Refused(frame["error"])
        assert isinstance(frame["result"], dict)
        return frame["result"]

    async def refusal(self, method: str, **params: Any) -> Refused:
        """Ask for what must be refused."""
        frame = await self.answer(await self.post(method, **params))
        assert "error" in frame, f"{method} was not refused: {frame}"
        return Refused(frame["error"])

    async def say_hello(self, token: str | None, **more: Any) -> Frame:
        """Challenge, hello, result. Raises Refused."""
        challenge = await self.receive()
        assert challenge["method"] == "challenge"
        auth = {"token": token} if token is not None else {}
        params = {"minor": 0, "client": {"name": "wire"}, "auth": auth, **more}
        self.hello = await self.call("hello", **params)
        return self.hello

    async def note(self, matches: Callable[[Frame], object], patience_s: float = PATIENCE_S) -> Frame:
        """The params of the first notification that matches, of those not yet taken; it is taken out."""
        seen = 0
        deadline = time.monotonic() + patience_s
        while True:
            for position in range(seen, len(self.notes)):
                if matches(self.notes[position]):
                    params: Frame = self.notes.pop(position)["params"]
                    return params
            seen = len(self.notes)
            await self._take(max(0.01, deadline - time.monotonic()))

    async def state(self, name: str) -> Frame:
        """The next `subscription` notification with this state."""
        return await self.note(
            lambda frame: frame["method"] == "subscription" and frame["params"]["state"] == name
        )

    async def event(self, kind: str, **wanted: Any) -> Frame:
        """The next durable event of a kind."""
        return await self.note(
            lambda frame: (
                frame["method"] == "event"
                and frame["params"]["kind"] == kind
                and all(frame["params"].get(name) == value for name, value in wanted.items())
            )
        )

    async def quiet(self, for_s: float = 0.15) -> list[Frame]:
        """Everything that comes until nothing came for a while; notifications that were not taken included."""
        while True:
            try:
                await self._take(for_s)
            except TimeoutError:
                notes, self.notes = self.notes, []
                return notes

    async def ended(self, patience_s: float = PATIENCE_S) -> tuple[list[Frame], int]:
        """Read to the end of the connection: the frames before it and the close code."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(await self.receive(patience_s))
        except ConnectionClosed as closed:
            return frames, closed.rcvd.code if closed.rcvd is not None else 1006

    async def close(self) -> None:
        await self.socket.close()


class Stage:
    """A gateway on a directory, which can be stopped and started again, and the clients that a test opened."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._given = {"port": 0, "data_dir": directory, "limits": UNHURRIED, "runs": QUICK_END, **settings}
        self.clock = Clock()
        self.owner = new_secret()
        self.store: Store
        self.gateway: Gateway
        self.is_running = False
        self._wires: list[Wire] = []
        self._http: list[httpx.AsyncClient] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, **changes: Any) -> None:
        self._given.update(changes)
        await self.start_with(Settings(**self._given))

    async def start_with(self, settings: Settings) -> None:
        """Start on these settings, whatever they were made from."""
        self.store = await open_store(settings, self.clock)
        self.gateway = Gateway(settings, self.store, self.clock, self.owner)
        self.is_running = True
        await self.gateway.start()

    async def stop(self) -> None:
        if self.is_running:
            self.is_running = False
            await self.gateway.stop()
            await self.store.close()

    async def restart(self, **changes: Any) -> None:
        await self.stop()
        await self.start(**changes)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the test, until its end."""
        self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in self._wires:
            wire.socket.transport.abort()
        for wire in self._wires:
            await wire.socket.wait_closed()
        for client in self._http:
            await client.aclose()
        await self.stop()

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def sessions(self) -> list[Session]:
        """The server's ends of the open connections."""
        return list(self.gateway._server._context.sessions)

    async def open(self, path: str = "/v1/ws", **options: Any) -> Wire:
        """A WebSocket before its first frame."""
        address = self.url.replace("http:", "ws:") + path
        given: dict[str, Any] = {
            "subprotocols": [limits.SUBPROTOCOL],
            "ping_interval": None,
            "max_size": None,
            "compression": None,
            "proxy": None,
            **options,
        }
        wire = Wire(await connect(address, **given))
        self._wires.append(wire)
        return wire

    async def connect(
        self, token: str | None = None, resume: list[Frame] | None = None, **options: Any
    ) -> Wire:
        """A connection that has said hello, as the owner unless told."""
        wire = await self.open(**options)
        await wire.say_hello(token or self.owner, resume=resume or [])
        return wire

    async def connect_slow(self, token: str | None = None) -> Wire:
        """A connection with small buffers: pause its transport, and soon the gateway's frames wait."""
        return await self.connect(token, sock=await self.narrow_socket())

    async def narrow_socket(self) -> socket.socket:
        """A connected socket with small buffers."""
        host, port = self.url.removeprefix("http://").split(":")
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, (host, int(port)))
        return narrow

    def http(self, token: str | None = "", **options: Any) -> httpx.AsyncClient:
        """An HTTP client, as the owner unless told; None sends no credential."""
        token = self.owner if token == "" else token
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        client = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE_S, trust_env=False, **options
        )
        self._http.append(client)
        return client

    async def token(
        self,
        role: Role = Role.OPERATOR,
        ttl_s: int | None = None,
        name: str = "",
        agent_id: str | None = None,
        org_id: str = DEFAULT_ORG,
        **more: Any,
    ) -> str:
        """The secret of a new token."""
        act = Act(org_id, LOCAL_ACTOR, "test", self.clock.now_ms())
        wanted = TokenCreateParams(role=role, ttl_s=ttl_s, name=name, agent_id=agent_id, **more)
        tokens = Tokens(self.store.identities, self.store.users, self.clock)
        issued = await tokens.issue(act, ROLE_SCOPES[Role.OWNER], wanted)
        assert issued.secret is not None
        return issued.secret

    async def user(
        self, role: Role = Role.OPERATOR, name: str = "Grace", org_id: str = DEFAULT_ORG
    ) -> tuple[str, str]:
        """A new user: their id and the secret of a token of theirs."""
        user_id = self.clock.new_id(IdPrefix.PRINCIPAL)
        act = Act(org_id, LOCAL_ACTOR, "test", self.clock.now_ms())
        await self.store.users.create(act, NewUser(user_id, ActorKind.USER, name, role))
        return user_id, await self.token(role, user_id=user_id, org_id=org_id)

    async def log(self, thread_id: str) -> list[Frame]:
        """A thread's whole log, as the store has it."""
        page = await self.store.threads.replay(DEFAULT_ORG, thread_id, 0, 1_000_000, 1 << 40)
        return [json.loads(bytes(event.params)) for event in page.events]

    async def kinds(self, thread_id: str) -> list[str]:
        return [event["kind"] for event in await self.log(thread_id)]


class TelegramStage(Stage):
    """A gateway whose one channel is a bot of an emulated Telegram."""

    def __init__(self, directory: Path, emulator: TelegramEmulator, **channel: Any) -> None:
        self.emulator = emulator
        table = {
            "kind": "telegram",
            "account": "gate",
            "token": GATE.token,
            "api_base_url": emulator.url,
            "dm_policy": "open",
            "poll_timeout_s": 20,
            **channel,
        }
        super().__init__(directory, channels=(table,))

    async def stop(self) -> None:
        """Stop, but not while the adapter opens connections: cut off there, httpx leaves a socket open."""
        if self.is_running:
            with suppress(AssertionError):  # a network that a test has shut will not answer
                await eventually(self._has_connected, patience_s=1.0)
        await super().stop()

    async def _has_connected(self) -> bool:
        """Whether receiving has begun, and nothing that is owed waits for its first attempt."""
        if any(
            adapter.health().state is HealthState.STARTING for adapter in self.gateway.rooms.channels.all()
        ):
            return False

        def is_settled(tx: Any) -> bool:
            waiting = "SELECT 1 FROM outbox WHERE phase = 'sending' OR phase = 'idle' AND attempt = 0 LIMIT 1"
            return tx.one(waiting) is None

        return await self.store.engine.read(is_settled)

    def from_bot(self, chat_id: int = 1001) -> list[Message]:
        """What the bot has in a chat, without what was deleted."""
        return [
            message
            for message in self.emulator.messages(chat_id)
            if message.sender == GATE and message.deleted_at is None
        ]

    def texts(self, chat_id: int = 1001) -> list[str]:
        return [message.text for message in self.from_bot(chat_id)]

    async def settled(
        self, thread_id: str, deliveries: int = 1, patience_s: float = PATIENCE_S
    ) -> list[Frame]:
        """The log of a thread once so many deliveries are over."""

        async def over() -> list[Frame] | None:
            log = await self.log(thread_id)
            ends = [event for event in log if event["kind"] in ("delivery.sent", "delivery.failed")]
            return log if len(ends) >= deliveries else None

        log: list[Frame] = await eventually(over, patience_s)
        return log

    async def only_thread(self) -> str:
        """The id of the one thread there is, once there is one."""

        async def first() -> str | None:
            threads, _ = await self.store.threads.page(DEFAULT_ORG, "all", 2, None)
            assert len(threads) < 2, "one thread was expected"
            return threads[0].id if threads else None

        thread_id: str = await eventually(first)
        return thread_id


def make_emulator() -> TelegramEmulator:
    return TelegramEmulator([GATE], flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False)


@asynccontextmanager
async def blocked_writer(store: Store) -> AsyncIterator[None]:
    """The store's writer does nothing meanwhile; what is submitted then is committed together."""
    gate, begun = threading.Event(), threading.Event()

    def wait(tx: object) -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    blocked = asyncio.ensure_future(store.engine.write(wait))
    try:
        await until(begun.is_set)
        yield
    finally:
        gate.set()
        await blocked
