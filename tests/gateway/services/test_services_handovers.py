"""A person takes a thread over, answers in it and gives it back: what its agent leaves alone, what its room sees."""

import pytest
from gateway_stage import Frame, Stage, TelegramStage, Wire, eventually, until, words

from gateway.edge.authentication import LOCAL_ACTOR
from protocol.records import Role
from storage.values import DEFAULT_ORG, Act

EVE = {"id": "telegram:2002", "kind": "person", "name": "*Eve* _the_ [1]"}


async def threads_of(telegram: TelegramStage) -> str:
    """A conversation in a chat, with one answer."""
    telegram.emulator.say("say hello")
    thread_id = await telegram.only_thread()
    await telegram.settled(thread_id)
    return thread_id


async def shown(telegram: TelegramStage, *texts: str) -> None:
    """Wait until the chat shows these beside the first answer."""
    await until(lambda: telegram.texts() == ["hello", *texts])


def said_in(telegram: TelegramStage) -> list[str]:
    """What the chat shows, without what stands for a message that is not there yet."""
    return [text for text in telegram.texts() if text != "…"]


async def runs(wire: Wire, thread_id: str) -> list[Frame]:
    found: list[Frame] = (await wire.call("run.list", thread_id=thread_id))["runs"]
    return found


async def test_the_room_is_told_and_the_agent_is_silent_until_it_is_given_back(
    telegram: TelegramStage,
) -> None:
    thread_id, wire = await threads_of(telegram), await telegram.connect()
    me = LOCAL_ACTOR.name
    taken = f"{me} has taken over. The agent will not answer until it is given back."
    thread = (await wire.call("thread.assign", thread_id=thread_id, action="take"))["thread"]
    assert thread["assignee"]["id"] == LOCAL_ACTOR.id
    await shown(telegram, taken)

    telegram.emulator.say("say nothing of this")
    await eventually(lambda: _cancelled(telegram, thread_id))
    (event,) = await _cancelled(telegram, thread_id)
    assert event["data"]["reason"] == f"{me} has taken over this thread"

    await wire.call("thread.assign", thread_id=thread_id, action="give_back")
    back = f"{me} has given this conversation back. The agent answers again."
    await shown(telegram, taken, back)
    telegram.emulator.say("say again")
    await shown(telegram, taken, back, "again")


async def _cancelled(stage: Stage, thread_id: str) -> list[Frame]:
    return [event for event in await stage.log(thread_id) if event["kind"] == "run.cancelled"]


async def test_what_the_holder_says_is_an_answer_with_their_name(telegram: TelegramStage) -> None:
    thread_id, wire = await threads_of(telegram), await telegram.connect()
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    sent = await wire.call("message.send", thread_id=thread_id, content=words("- I am *here*"))
    assert sent["run_state"] == "completed"
    await until(lambda: len(said_in(telegram)) == 3)
    name, _, text = telegram.texts()[-1].partition("\n")
    assert name == f"{LOCAL_ACTOR.name}:" and text.strip() == "• I am here"
    said = [e["data"]["message"] for e in await telegram.log(thread_id) if e["kind"] == "message.created"][-1]
    assert (said["role"], said["author"]["id"]) == ("assistant", LOCAL_ACTOR.id)
    assert said["content"] == words("- I am *here*")


async def test_a_request_of_the_holder_is_done_once(telegram: TelegramStage) -> None:
    thread_id, wire = await threads_of(telegram), await telegram.connect()
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    ask = {"thread_id": thread_id, "content": words("once"), "idempotency_key": "k"}
    first = await wire.call("message.send", **ask)
    await wire.call("thread.assign", thread_id=thread_id, action="give_back")
    assert await wire.call("message.send", **ask) == first


async def test_others_start_no_run_meanwhile(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say hi"))
    person = {"id": "prn_other", "kind": "user", "name": "Olga"}
    await wire.call("thread.assign", thread_id=sent["thread_id"], action="assign", person=person)
    held = await wire.call("message.send", thread_id=sent["thread_id"], content=words("say ho"))
    assert held["run_state"] == "cancelled"
    run = (await wire.call("run.get", run_id=held["run_id"]))["run"]
    assert "started_at" not in run
    log = await stage.log(sent["thread_id"])
    assert log[-1]["data"]["reason"] == "Olga has taken over this thread"


async def test_what_the_agent_has_not_finished_ends_when_a_person_takes_over(telegram: TelegramStage) -> None:
    telegram.emulator.say("stream 2000 20")
    thread_id, wire = await telegram.only_thread(), await telegram.connect()
    await until(lambda: "word-2" in "".join(telegram.texts()))
    behind = await wire.call("message.send", thread_id=thread_id, content=words("say later"))
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    assert {run["state"] for run in await runs(wire, thread_id)} == {"cancelled"}
    assert (await wire.call("run.get", run_id=behind["run_id"]))["run"]["state"] == "cancelled"
    await until(lambda: len(said_in(telegram)) == 2)
    answer, notice = said_in(telegram)
    assert "word-1" in answer and answer.endswith("Stopped.") and "has taken over." in notice


async def test_a_person_is_named_in_plain_words(telegram: TelegramStage) -> None:
    thread_id, wire = await threads_of(telegram), await telegram.connect()
    await wire.call("thread.assign", thread_id=thread_id, action="assign", person=EVE, note="knows it")
    me = LOCAL_ACTOR.name
    until_back = "The agent will not answer until it is given back."
    await shown(telegram, f"{me} has handed this conversation to *Eve* _the_ [1]. {until_back}")
    entries = (await wire.call("audit.list", action="thread.assign"))["entries"]
    assert entries[-1]["subject"]["assignee"].startswith("per_")
    assert "knows it" not in entries[-1]["body"] and EVE["id"] not in entries[-1]["body"]
    behind = await telegram.store.audit.reveal(
        Act(DEFAULT_ORG, LOCAL_ACTOR, "test", telegram.clock.now_ms()), [entries[-1]["seq"]]
    )
    assert behind[entries[-1]["seq"]].content == {"note": "knows it"}
    assert "knows it" not in str(await telegram.log(thread_id)) + str(telegram.texts())


async def test_the_same_again_changes_nothing_and_tells_nobody(telegram: TelegramStage) -> None:
    thread_id, wire = await threads_of(telegram), await telegram.connect()
    for action in ("give_back", "take", "take"):
        await wire.call("thread.assign", thread_id=thread_id, action=action)
    updates = [event for event in await telegram.log(thread_id) if event["kind"] == "thread.updated"]
    assert [set(event["data"]) for event in updates] == [{"assignee"}]


async def test_a_thread_is_given_back_to_another_agent(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    give = {"thread_id": thread_id, "action": "give_back"}
    refused = await wire.refusal("thread.assign", **give, agent_id="nobody")
    assert refused.kind == "not_found"
    thread = (await wire.call("thread.assign", **give, agent_id="demo"))["thread"]
    assert "assignee" not in thread


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"action": "assign"}, "person"),
        ({"action": "take", "person": EVE}, "person"),
        ({"action": "assign", "person": {**EVE, "kind": "agent"}}, "person"),
        ({"action": "take", "agent_id": "demo"}, "agent_id"),
    ],
)
async def test_params_that_do_not_go_together_are_refused(
    stage: Stage, wire: Wire, params: Frame, path: str
) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    refused = await wire.refusal("thread.assign", thread_id=thread_id, **params)
    assert (refused.code, refused.data["errors"][0]["path"]) == (-32602, path)


async def test_a_viewer_takes_nothing_over(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    assert (await viewer.refusal("thread.assign", thread_id=thread_id, action="take")).kind == "forbidden"


async def test_the_holder_sends_words_only(stage: Stage, wire: Wire) -> None:
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    content = [{"type": "blob", "blob_id": "blb_1"}]
    refused = await wire.refusal("message.send", thread_id=thread_id, content=content)
    assert refused.kind == "invalid_state" and "text only" in str(refused)
