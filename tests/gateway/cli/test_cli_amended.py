"""`threads show` and `tail` of a thread in which people edited and deleted what they had said."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli, stop, wait_for

from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.vault_key import cipher_beside
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin
from storage.channel_values import Amendment, Delivered
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, Ending, NewMessage, NewThread

EVE = Actor(id="telegram:1", kind=ActorKind.PERSON, name="Eve")


@pytest.fixture(scope="module")
def amended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running gateway with one thread: a message that stands, one edited, one deleted."""
    cli = Cli(tmp_path_factory.mktemp("amended"))
    asyncio.run(_talk(cli.data_dir))
    with cli.serving():
        yield cli


async def _talk(directory: Path) -> None:
    clock = Clock()
    store = await Store.open(
        directory,
        new_epoch="epo_1",
        new_log_id="log_1",
        now_ms=clock.now_ms(),
        sealer=ContentSealer(cipher_beside(directory)),
    )
    taken_back = Ending(TRANSITIONS[RunEvent.CANCEL], "the message was deleted")
    batch = [
        *(_said(clock, ref, f"{ref} stands") for ref in ("one", "two", "three")),
        _changed(clock, "two", Amendment("two was edited", 1, author_id=EVE.id)),
        _changed(clock, "three", Amendment(None, 1, cancel=taken_back)),
    ]
    outcomes = await store.inbox.commit(DEFAULT_ORG, "telegram", "gate", batch, {}, clock.now_ms())
    assert [outcome.outcome for outcome in outcomes] == ["accepted"] * 5
    await store.close()


def _said(clock: Clock, ref: str, text: str) -> Delivered:
    origin = Origin(kind="channel", channel="telegram", account="gate", room="1")
    message = NewMessage(
        message_id=clock.new_id(IdPrefix.MESSAGE),
        run_id=clock.new_id(IdPrefix.RUN),
        thread_id=None,
        new_thread=NewThread(clock.new_id(IdPrefix.THREAD), "demo", "A thread", origin),
        agent_id=None,
        content=[{"type": "text", "text": text}],
        text=text,
        title="",
        queue_max=9,
    )
    act = Act(DEFAULT_ORG, EVE, "telegram:gate", clock.now_ms())
    return Delivered(ref, "accepted", None, "1", room="1", ref=ref, thread_key="1", act=act, message=message)


def _changed(clock: Clock, ref: str, change: Amendment) -> Delivered:
    act = Act(DEFAULT_ORG, EVE, "telegram:gate", clock.now_ms())
    return Delivered(f"{ref} again", "accepted", None, "1", room="1", ref=ref, act=act, amendment=change)


def test_a_thread_shows_what_stands_now(amended: Cli) -> None:
    shown = "\n".join(amended.lines("threads", "show", "last"))
    assert "one stands" in shown
    assert "two was edited" in shown
    assert "two stands" not in shown
    assert "three" not in shown


def test_tail_tells_of_each_change(amended: Cli) -> None:
    output = amended.home / "tail.out"
    with output.open("w") as out:
        following = amended.start("tail", "--thread", "last", "--from", "start", stdout=out)
        try:
            wait_for(lambda: "message.deleted" in output.read_text())
        finally:
            stop(following)
    lines = output.read_text().splitlines()
    assert any("message.updated" in line and "Eve: two was edited" in line for line in lines)
    assert any(" redacted " in line for line in lines)
    assert "three stands" not in output.read_text()
