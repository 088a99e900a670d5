"""An agent that speaks the Agent Client Protocol, for tests: a program on the agent side of the `acp` package.

    python acp_agent.py [--no-load] [--version N] [--auth [VARIABLE]] [--start hang|exit|garbage|noisy]

Every line of a message is a command: `COMMANDS` has them. It keeps its sessions as files in its directory, so that
a later process can load them.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import acp
from acp import schema
from acp.exceptions import RequestError

GRANDCHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""
OPTIONS = [
    schema.PermissionOption(option_id="always", name="Always", kind="allow_always"),
    schema.PermissionOption(option_id="once", name="Allow", kind="allow_once"),
    schema.PermissionOption(option_id="never", name="Never", kind="reject_always"),
    schema.PermissionOption(option_id="no", name="Reject", kind="reject_once"),
]


class Stopped(Exception):
    """The prompt ends with this reason."""


class TestAgent:
    """Does what it is told."""

    __test__ = False

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.client: Any = None
        self.cancelled = asyncio.Event()
        self.session_id = ""
        self.usage: schema.Usage | None = None
        self.is_signed_in = not options.auth

    def on_connect(self, client: Any) -> None:
        self.client = client

    # --- what the protocol asks ---------------------------------------------------------------

    async def initialize(self, protocol_version: int, **more: Any) -> schema.InitializeResponse:
        if self.options.start == "hang":
            await asyncio.Event().wait()
        methods: list[Any] = [schema.AuthMethodAgent(id="browser", name="In the browser")]
        if variable := self.options.auth_variable:
            needs = [schema.AuthEnvVar(name=variable)]
            methods.append(schema.EnvVarAuthMethod(id="key", name="Key", type="env_var", vars=needs))
        return schema.InitializeResponse(
            protocol_version=self.options.version,
            agent_capabilities=schema.AgentCapabilities(
                load_session=not self.options.no_load,
                prompt_capabilities=schema.PromptCapabilities(image=True, embedded_context=True),
            ),
            auth_methods=methods,
            agent_info=schema.Implementation(name="test-agent", version="1.0"),
        )

    async def authenticate(self, method_id: str, **more: Any) -> schema.AuthenticateResponse:
        self.is_signed_in = method_id == "key"
        return schema.AuthenticateResponse()

    async def new_session(self, cwd: str, **more: Any) -> schema.NewSessionResponse:
        if not self.is_signed_in:
            raise RequestError.auth_required()
        self.session_id = f"ses-{uuid.uuid4().hex[:8]}"
        self._file().write_text("[]")
        return schema.NewSessionResponse(session_id=self.session_id)

    async def load_session(self, cwd: str, session_id: str, **more: Any) -> schema.LoadSessionResponse:
        self.session_id = session_id
        if not self._file().exists():
            raise RequestError.resource_not_found(session_id)
        for text in json.loads(self._file().read_text()):
            await self.update(acp.update_user_message_text(text))
            await self.update(acp.update_agent_message_text("an answer of long ago"))
        return schema.LoadSessionResponse()

    async def cancel(self, session_id: str, **more: Any) -> None:
        self.cancelled.set()

    async def prompt(self, prompt: list[Any], session_id: str, **more: Any) -> schema.PromptResponse:
        texts = [block.text for block in prompt if block.type == "text"]
        message = [text for text in texts if not text.startswith("[")][-1]
        past = json.loads(self._file().read_text())
        self._file().write_text(json.dumps([*past, message]))
        reason: Any = "end_turn"
        for line in message.splitlines():
            name, _, rest = line.strip().partition(" ")
            if name == "blocks":
                dumped = [block.model_dump(mode="json", exclude_none=True) for block in prompt]
                await self.say(json.dumps(dumped))
                continue
            if name == "recall":
                await self.say(" | ".join(past) or "nothing")
                continue
            try:
                await COMMANDS[name](self, rest)
            except Stopped as stopped:
                reason = str(stopped)
                break
        return schema.PromptResponse(stop_reason=reason, usage=self.usage)

    # --- how it speaks ------------------------------------------------------------------------

    async def update(self, update: Any) -> None:
        await self.client.session_update(self.session_id, update)

    async def say(self, text: str) -> None:
        await self.update(acp.update_agent_message_text(text))

    def _file(self) -> Path:
        return Path(f"{self.session_id}.json")

    # --- commands -----------------------------------------------------------------------------

    async def stream(self, rest: str) -> None:
        for number in range(int(rest)):
            await self.say(f"word-{number + 1} ")

    async def think(self, rest: str) -> None:
        await self.update(acp.update_agent_thought_text(rest))

    async def plan(self, rest: str) -> None:
        entries = [acp.plan_entry(one.strip()) for one in rest.split(";")]
        await self.update(acp.update_plan(entries))

    async def tool(self, rest: str) -> None:
        """`tool ID TITLE`: a call from its announcement to its end, its input arriving in between."""
        call_id, _, title = rest.partition(" ")
        await self.update(acp.start_tool_call(call_id, title, kind="read", status="pending"))
        await self.update(
            acp.update_tool_call(call_id, status="in_progress", raw_input={"path": "notes.txt"})
        )
        done = acp.update_tool_call(
            call_id,
            status="completed",
            content=[acp.tool_content(acp.text_block("read"))],
            raw_output={"n": 1},
        )
        await self.update(done)

    async def start_tool(self, rest: str) -> None:
        await self.update(acp.start_tool_call(rest, "unfinished", status="in_progress"))

    async def fail_tool(self, rest: str) -> None:
        await self.update(acp.start_tool_call(rest, "doomed", status="in_progress"))
        await self.update(acp.update_tool_call(rest, status="failed"))

    async def effect(self, rest: str) -> None:
        """`effect FILE TEXT`: append a line."""
        append(*rest.split(" ", 1))

    async def ask(self, rest: str) -> None:
        """`ask ID FILE TEXT`: append a line if somebody allows it, as a call."""
        call_id, _, action = rest.partition(" ")
        await self.update(
            acp.start_tool_call(
                call_id, f"append {action}", kind="edit", status="pending", raw_input={"do": action}
            )
        )
        call = schema.ToolCallUpdate(tool_call_id=call_id, title=f"append {action}", raw_input={"do": action})
        answer = await self.client.request_permission(self.session_id, call, self._options())
        outcome = answer.outcome
        chosen = outcome.outcome if outcome.outcome == "cancelled" else outcome.option_id
        if chosen == "once":
            await self.effect(action)
        status: Any = "completed" if chosen == "once" else "failed"
        await self.update(acp.update_tool_call(call_id, status=status))
        await self.say(f"permission: {chosen}")

    def _options(self) -> list[schema.PermissionOption]:
        offered = os.environ.get("TEST_OPTIONS", "")
        return [one for one in OPTIONS if not offered or one.kind in offered.split(",")]

    async def ask_and_go(self, rest: str) -> None:
        """Ask, and do not wait for the answer."""
        asking = asyncio.ensure_future(self.ask(rest))
        await asyncio.sleep(0.2)
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def hang(self, rest: str) -> None:
        await self.cancelled.wait()
        raise Stopped("cancelled")

    async def wait_once(self, rest: str) -> None:
        """`wait-once FILE`: make the file and hang; go on when it was there already."""
        if is_first(rest):
            await self.hang("")

    async def hang_deaf(self, rest: str) -> None:
        """Ignore everything: cancel, the end of the input, SIGTERM."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await self.say("deaf")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        while True:
            signal.sigtimedwait([signal.SIGUSR1], 600)

    async def exit(self, rest: str) -> None:
        os._exit(int(rest))

    async def die(self, rest: str) -> None:
        os.kill(os.getpid(), signal.Signals[rest])

    async def flood(self, rest: str) -> None:
        piece = "x" * 1000
        for _ in range(int(rest) // 1000):
            await self.say(piece)

    async def line(self, rest: str) -> None:
        """One line of so many bytes."""
        await self.say("x" * int(rest))

    async def raw(self, rest: str) -> None:
        """Put a line on stdout as it is."""
        sys.stdout.write(f"{rest.replace('SESSION', self.session_id)}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.2)

    async def grandchild(self, rest: str) -> None:
        """`grandchild FILE [away]`: a process that ignores SIGTERM; its pid is in FILE, in a session of its own."""
        await asyncio.to_thread(spawn, *rest.split())

    async def allocate(self, rest: str) -> None:
        held = bytearray(int(rest) << 20)
        await self.say(f"{len(held)} bytes")

    async def burn(self, rest: str) -> None:
        while True:
            pass

    async def stop(self, rest: str) -> None:
        raise Stopped(rest)

    async def error(self, rest: str) -> None:
        raise RequestError(-32001, rest)

    async def call(self, rest: str) -> None:
        """`call METHOD`: ask the client for something and say what came of it."""
        try:
            await self.client._conn.send_request(rest, {"sessionId": self.session_id})
        except RequestError as error:
            await self.say(f"{rest}: {error.code}")
        else:
            await self.say(f"{rest}: done")

    async def env(self, rest: str) -> None:
        await self.say(json.dumps({name: os.environ[name] for name in sorted(os.environ)}))

    async def files(self, rest: str) -> None:
        """Open so many files and say how many could be opened."""
        await self.say(open_many(int(rest)))

    async def stderr(self, rest: str) -> None:
        print(rest, file=sys.stderr, flush=True)

    async def consume(self, rest: str) -> None:
        """`consume IN OUT USD`: say what it has cost."""
        tokens_in, tokens_out, usd = rest.split()
        self.usage = schema.Usage(
            total_tokens=int(tokens_in) + int(tokens_out),
            input_tokens=int(tokens_in),
            output_tokens=int(tokens_out),
        )
        cost = schema.Cost(amount=float(usd), currency="USD")
        await self.update(schema.UsageUpdate(session_update="usage_update", used=1, size=2, cost=cost))

    async def image(self, rest: str) -> None:
        block = acp.image_block("aGVsbG8=", "image/png")
        await self.update(acp.update_agent_message(block))


def append(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def is_first(path: str) -> bool:
    """Whether the file was not there; now it is."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def spawn(path: str, how: str = "near") -> None:
    """Start a grandchild and wait until it ignores SIGTERM."""
    subprocess.Popen([sys.executable, "-c", GRANDCHILD, path], start_new_session=how == "away")
    while not (Path(path).exists() and Path(path).read_text()):
        time.sleep(0.01)


def open_many(count: int) -> str:
    with ExitStack() as held:
        for number in range(count):
            try:
                held.enter_context(Path(os.devnull).open())
            except OSError as error:
                return f"{error.strerror} after {number}"
    return f"{count} are open"


COMMANDS: dict[str, Callable[[TestAgent, str], Any]] = {
    name.replace("_", "-"): method
    for name, method in vars(TestAgent).items()
    if callable(method) and not name.startswith("_")
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-load", action="store_true")
    parser.add_argument("--version", type=int, default=acp.PROTOCOL_VERSION)
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--auth-variable")
    parser.add_argument("--start", choices=["hang", "exit", "garbage", "noisy"])
    return parser.parse_args()


async def main() -> None:
    options = parse()
    if options.start == "exit":
        print("no licence found", file=sys.stderr)
        sys.exit(7)
    if options.start == "garbage":
        print("Welcome to the agent!", flush=True)
    await acp.run_agent(TestAgent(options))  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(main())
