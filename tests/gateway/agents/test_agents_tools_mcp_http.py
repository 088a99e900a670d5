"""Tools of MCP servers over streamable HTTP, with a server made with the MCP package as a process of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import http_tool_server
import pytest
from tools_stage import call, effects, toolbox

from gateway.agents.port import Recorded
from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.tools.use import told

START_S = 30.0
SOON_S = 1.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(port: int, file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The server, from the moment it takes connections to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, http_tool_server.__file__, str(port), env={**os.environ, "EFFECTS": str(file)}
    )
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def paid(tmp_path: Path) -> Path:
    return tmp_path / "effects"


def far(port: int, **changes: Any) -> dict[str, Any]:
    headers = {"Authorization": "Bearer open sesame"}
    return {"name": "far", "url": f"http://127.0.0.1:{port}/mcp", "headers": headers, **changes}


async def calls_until_one_works(box: Toolbox, bill: str) -> Recorded:
    """As an agent would, that is told the server cannot be used just now."""
    async with asyncio.timeout(START_S):
        for key in count():
            record = await call(box, "far.pay", {"id": bill}, key=str(key))
            if record.outcome == "ok":
                return record
            await asyncio.sleep(0.1)
    raise AssertionError


async def test_tools_are_listed_and_called(tmp_path: Path, port: int, paid: Path) -> None:
    async with serving(port, paid), toolbox(tmp_path, far(port)) as box:
        tools = await box.tools()
        assert (tools["far.pay"].is_repeatable, tools["far.look"].is_repeatable) == (False, True)
        assert told(await call(box, "far.pay", {"id": "a"})) == {"result": "paid a"}
        assert told(await call(box, "far.look", {}, key="2")) == {"paid": ["a"]}
        slow = await call(box, "far.pay", {"id": "b", "then": "hang"}, key="3", in_s=SOON_S)
        assert slow.outcome == "unknown"
        assert told(await call(box, "far.look", {}, key="4")) == {"paid": ["a", "b"]}


async def test_an_answer_without_bounds_is_an_error_of_the_call(
    tmp_path: Path, port: int, paid: Path
) -> None:
    async with serving(port, paid), toolbox(tmp_path, far(port)) as box:
        record = await call(box, "far.pay", {"id": "a", "then": "huge"}, in_s=20)
    assert record.outcome == "unknown"
    assert "had an effect is not known" in told(record)


async def test_a_server_that_does_not_know_us_is_a_clear_error(tmp_path: Path, port: int, paid: Path) -> None:
    async with serving(port, paid), toolbox(tmp_path, far(port, headers={})) as box:
        tools = await box.tools()
        assert "The server far cannot be used: " in tools.missing["far"]


async def test_a_server_that_is_not_there_is_a_clear_error(tmp_path: Path, port: int) -> None:
    async with toolbox(tmp_path, far(port)) as box:
        record = await call(box, "far.pay", {"id": "a"})
    assert record.outcome == "error"
    assert "The server far cannot be used: " in told(record)


async def test_a_server_that_dies_and_comes_back_is_used_again(tmp_path: Path, port: int, paid: Path) -> None:
    async with toolbox(tmp_path, far(port)) as box:
        async with serving(port, paid) as process:
            await box.tools()
            lost = await call(box, "far.pay", {"id": "a", "then": "exit"})
            assert lost.outcome == "unknown"
            assert "The server far was lost during the call" in told(lost)
            await process.wait()
        async with serving(port, paid):
            again = await calls_until_one_works(box, "b")
    assert told(again) == {"result": "paid b"}
    assert effects(paid) == ["a", "b"]


async def test_a_restarted_server_that_forgot_us_is_greeted_anew(
    tmp_path: Path, port: int, paid: Path
) -> None:
    async with toolbox(tmp_path, far(port)) as box:
        async with serving(port, paid):
            await box.tools()
        async with serving(port, paid):
            record = await calls_until_one_works(box, "b")
    assert told(record) == {"result": "paid b"}
    assert effects(paid) == ["b"]
