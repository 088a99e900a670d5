"""kind="http" in a real gateway: an answer, and a refusal that passes."""

from pathlib import Path

from completions_stage import END, answers, chunk, endpoint, streams
from gateway_stage import Stage, words

from gateway.agent_settings import HttpSettings


async def test_a_refusal_that_passes_is_tried_again_and_answered(tmp_path: Path) -> None:
    async with endpoint() as place:
        place.will(answers(503, {}, {"Retry-After": "0"}), streams(chunk("Hel"), chunk("lo.", "stop"), END))
        stage = Stage(tmp_path / "data", agents=(HttpSettings(id="far", kind="http", url=place.url),))
        await stage.start()
        try:
            wire = await stage.connect()
            sent = await wire.call("message.send", content=words("hi"))
            await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
            await wire.event("run.completed", run_id=sent["run_id"])
            steps = (await wire.call("run.steps", run_id=sent["run_id"]))["steps"]
            said = [
                e["data"]["message"]
                for e in await stage.log(sent["thread_id"])
                if e["kind"] == "message.created"
            ]
        finally:
            await stage.close()
    assert said[-1]["content"] == words("Hello.")
    assert [(step["key"], step["outcome"]) for step in steps if step["kind"] == "prompt"] == [
        ("prompt/1", "error"),
        ("prompt/2", "ok"),
    ]
