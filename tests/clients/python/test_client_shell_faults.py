"""Property, on real sockets: whatever breaks, every reader of the client sees exactly the log."""

import asyncio
import random

import pytest
from scripted_server import ScriptedServer, scripted
from threadgate_client import Client, Cursor, Event, limits

THREAD = "thr_1"
EVENTS = 1500


async def read(client: Client, after: int, pace_s: float) -> list[int]:
    seqs: list[int] = []
    async with client.events(THREAD, Cursor("epo_1", after)) as events:
        async for event in events:
            assert isinstance(event, Event)
            seqs.append(event.seq)
            if pace_s and event.seq % 50 == 0:
                await asyncio.sleep(pace_s)
            if event.seq == EVENTS:
                return seqs
    raise AssertionError("the stream ended early")


async def disturb(server: ScriptedServer, dice: random.Random) -> None:
    """Fill the log in bursts, and break the connection in between, politely or not."""
    while (head := server.gateway.log(THREAD).head_seq) < EVENTS:
        for _ in range(min(dice.randint(1, 200), EVENTS - head)):
            server.gateway.append(THREAD, "run.started", {}, "run_1")
        server.flush()
        await asyncio.sleep(dice.choice([0, 0, 0.001, 0.01]))
        match dice.randint(0, 4):
            case 0:
                server.drop()
            case 1:
                await server.bye(dice.choice([4100, 4104, 4200, 1000]), "for a test")


@pytest.mark.parametrize("seed", range(12))
async def test_every_reader_sees_exactly_the_log(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 0.005)
    monkeypatch.setattr(limits, "RESUBSCRIBE_EVERY_S", 0.001)
    dice = random.Random(seed)
    async with scripted() as server, Client(server.url, token="secret") as client, asyncio.timeout(20):
        server.gateway.log(THREAD)
        starts = [0, 0, 1]
        readers = [
            asyncio.create_task(read(client, after, dice.choice([0, 0.001, 0.01]))) for after in starts
        ]
        sends = [asyncio.create_task(client.send(str(number), "thr_other")) for number in range(20)]
        await disturb(server, dice)
        for after, seqs in zip(starts, await asyncio.gather(*readers), strict=True):
            assert seqs == list(range(after + 1, EVENTS + 1))
        sent = await asyncio.gather(*sends)
        assert len({result.message_id for result in sent}) == 20
        kinds = [event["kind"] for event in server.gateway.logs["thr_other"].events]
        assert kinds.count("message.created") == 20, "each took effect once"
