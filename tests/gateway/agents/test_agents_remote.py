"""kind="remote", told with a real gateway and real connections: what workers say, and what becomes of their runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Wire
from workers_stage import AGENT, RemoteStage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


async def test_a_worker_is_given_the_run_and_what_it_says_is_the_answer(
    stage: RemoteStage, wire: Wire
) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "How are you?")
    run = await worker.execute()
    assert (run["run_id"], run["thread_id"], run["agent_id"]) == (sent["run_id"], sent["thread_id"], AGENT)
    assert (run["text"], run["history"], run["attempt"]) == ("How are you?", [], 1)
    await worker.say(run, "I am ", "fine.")
    await worker.output(run, "usage", usage={"input_tokens": 3, "output_tokens": 5})
    await worker.output(run, "done")
    assert await stage.answer(sent) == "I am fine."
    record = await stage.ended(sent["run_id"])
    assert (record["usage"]["input_tokens"], record["usage"]["output_tokens"]) == (3, 5)
    assert record["facts"]["worker"]["name"] == "raw"
