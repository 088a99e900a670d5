"""Ten thousand messages over five hundred rooms through each adapter, and their answers, with what they cost.

The gateway is a process of its own; the emulated network and the people are this one. In each room somebody asks
on when the last answer is there, so that order and completeness can be checked: an answer that is missing, doubled
or out of its place ends the benchmark with an error.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from bench.peer import GatewayProcess
from tests.contract.discord_network import DiscordNetwork
from tests.contract.networks import Network, Person, Said, Shown, Spot
from tests.contract.slack_network import SlackNetwork
from tests.contract.telegram_network import TelegramNetwork

ROOMS = 500
ROUNDS = 20
MESSAGES = ROOMS * ROUNDS
DEADLINE_S = 300.0
"""For one network: ten times what a good quarter of an hour of this machine takes."""
LOOK_S = 0.02
NETWORKS: dict[str, Callable[[], Network]] = {
    "slack": SlackNetwork,
    "telegram": TelegramNetwork,
    "discord": DiscordNetwork,
}


async def run() -> dict[str, Any]:
    """Figures of each network."""
    figures = {}
    for kind, make in NETWORKS.items():
        network = make()
        await network.open()
        try:
            async with asyncio.timeout(DEADLINE_S):
                figures[f"channel_{kind}"] = await _measure(network)
        finally:
            await network.close()
    return figures


async def _measure(network: Network) -> dict[str, Any]:
    table = {"dm_policy": "open", "messages_per_minute": 100_000, **network.table()}
    lines = ["[[channels]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    async with GatewayProcess(more_config="\n".join(lines), command=("-m", "bench.unpaced")) as gateway:
        await _connected(gateway, network.kind)
        people = [_Person(network, number) for number in range(1, ROOMS + 1)]
        await _round(people, 0)
        memory, used, began = [gateway.rss_bytes()], gateway.cpu_s(), time.perf_counter()
        for number in range(1, ROUNDS):
            await _round(people, number)
            if number in (ROUNDS // 2, ROUNDS - 1):
                memory.append(gateway.rss_bytes())
        took_s, cpu_s = time.perf_counter() - began, gateway.cpu_s() - used
        for person in people:
            person.check()
        counted = ROOMS * (ROUNDS - 1)
        return {
            "messages": MESSAGES,
            "rooms": ROOMS,
            "answered_per_s": round(counted / took_s),
            "gateway_cpu_ms_per_message": round(cpu_s / counted * 1000, 2),
            "rss_mb_start_middle_end": [round(one / 1e6, 1) for one in memory],
        }


class _Person:
    """Asks in one direct chat, always in the same conversation."""

    def __init__(self, network: Network, number: int) -> None:
        self._network = network
        self._who = Person(number, f"Person {number}")
        self._spot: Spot = network.direct(self._who)
        self._first: Said | None = None
        self._answer: Shown | None = None
        self._said = 0

    def ask(self, number: int) -> None:
        text = f"say answer-{number}"
        if self._first is None:
            self._first = self._network.say(self._spot, text, self._who)
        else:
            assert self._answer is not None, "the first answer came before the second question"
            self._network.reply(self._first, self._answer, text, self._who)
        self._said = number + 1

    def is_answered(self) -> bool:
        last = self._network.from_bot(self._spot, 1)
        if not last or last[0].text != f"answer-{self._said - 1}":
            return False
        self._answer = self._answer or last[0]
        return True

    def check(self) -> None:
        shown = [one.text for one in self._network.from_bot(self._spot)]
        expected = [f"answer-{number}" for number in range(self._said)]
        if shown != expected:
            raise RuntimeError(f"{self._who.name} was shown {shown} and not {len(expected)} answers in order")


async def _round(people: list[_Person], number: int) -> None:
    """Everybody asks once and is answered."""
    for person in people:
        person.ask(number)
    waiting = people
    while waiting := [person for person in waiting if not person.is_answered()]:  # noqa: ASYNC110 - emulators tell nobody
        await asyncio.sleep(LOOK_S)


async def _connected(gateway: GatewayProcess, kind: str) -> None:
    labels = f'threadgate_channel_up{{account="gate",channel="{kind}"}}'
    while not await gateway.metric(labels):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)
