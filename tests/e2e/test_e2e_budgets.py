"""Budgets of a gateway that is killed: what is reserved is neither leaked nor doubled, and the switch stays off."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_stage import LOOK_S, PATIENCE_S, Stage, free_port, until_kind
from threadgate_client import BudgetExceeded, Client, InvalidState

from channels.emulators.openai import Answer, OpenAiEmulator, tokens

KEY = "sk-emulated"


@pytest.fixture
async def endpoint() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, endpoint: OpenAiEmulator) -> Stage:
    made = Stage(tmp_path, "", free_port())
    (tmp_path / "config.toml").write_text(
        f"""
port = {made.port}
log_level = "warning"
[[agents]]
id = "m"
kind = "model"
model = "demo"
base_url = "{endpoint.base_url}"
api_key = "{KEY}"
max_tokens = 100
input_price = 1.0
output_price = 1.0
[[budgets]]
name = "tokens of the house"
of = "tokens"
limit = 450
[[budgets]]
name = "one at a time"
of = "concurrent"
limit = 1
each = "agent"
"""
    )
    return made


async def asked(endpoint: OpenAiEmulator, times: int) -> None:
    """The model was asked so often."""
    async with asyncio.timeout(PATIENCE_S):
        while len(endpoint.requests) < times:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


async def stand(client: Client) -> dict[str, tuple[int, int]]:
    return {one.name: (one.used, one.reserved) for one in await client.usage.budgets()}


async def test_kills_neither_leak_nor_double_what_is_reserved(house: Stage, endpoint: OpenAiEmulator) -> None:
    late = Answer("late", first_delay_s=600)
    endpoint.say(late, late, late, tokens(80))
    thread_id, reserved = "", 0
    for kill in range(3):
        async with house.gateway() as gateway, Client(house.url, token=house.token) as client:
            if not thread_id:
                thread_id = (await client.send("hello")).thread_id
            await asked(endpoint, kill + 1)
            found = await stand(client)
            used, now = found["tokens of the house"]
            reserved = reserved or now
            assert (used, now) == (0, reserved) and reserved > 100
            assert found["one at a time"] == (0, 1)
            await gateway.end(signal.SIGKILL)
    async with house.gateway(), Client(house.url, token=house.token) as client:
        async with client.events(thread_id, "start") as events:
            await until_kind(events, [], "run.completed")
        (group,) = (await client.usage.list(by=["agent"])).items
        spent = group.input_tokens + group.output_tokens
        assert spent >= 80 and group.runs == 1
        assert await stand(client) == {"tokens of the house": (spent, 0), "one at a time": (0, 0)}


async def test_what_is_used_up_and_what_is_off_stays_so(house: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(tokens(450))
    async with house.gateway() as gateway, Client(house.url, token=house.token) as client:
        sent = await client.send("hello")
        async with client.events(sent.thread_id, "start") as events:
            await until_kind(events, [], "run.completed")
        await client.agents.switch_off("m", reason="it talks too much")
        await gateway.end(signal.SIGKILL)
    async with house.gateway(), Client(house.url, token=house.token) as client:
        with pytest.raises(InvalidState, match="it talks too much"):
            await client.send("hello")
        await client.agents.switch_on("m")
        with pytest.raises(BudgetExceeded, match="tokens of the house"):
            await client.send("hello")
