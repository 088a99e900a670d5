"""`holds`, `erase`, `retention` and the check of a certificate, against a running gateway."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli

from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.vault_key import cipher_beside
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin
from storage.channel_values import Delivered
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, NewMessage, NewThread

EVE = Actor(id="telegram:1", kind=ActorKind.PERSON, name="Eve")


@pytest.fixture
def talked(tmp_path: Path) -> Iterator[Cli]:
    """A running gateway with one conversation of one person."""
    cli = Cli(tmp_path)
    asyncio.run(_talk(cli.data_dir))
    cli.variables["THREADGATE_RETENTION__MESSAGES_DAYS"] = "30"
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
    origin = Origin(kind="channel", channel="telegram", account="gate", room="1")
    message = NewMessage(
        message_id=clock.new_id(IdPrefix.MESSAGE),
        run_id=clock.new_id(IdPrefix.RUN),
        thread_id=None,
        new_thread=NewThread(clock.new_id(IdPrefix.THREAD), "demo", "A thread", origin),
        agent_id=None,
        content=[{"type": "text", "text": "say hello"}],
        text="say hello",
        title="",
        queue_max=9,
    )
    act = Act(DEFAULT_ORG, EVE, "telegram:gate", clock.now_ms())
    said = Delivered("1", "accepted", None, "1", room="1", ref="1", thread_key="1", act=act, message=message)
    await store.inbox.commit(DEFAULT_ORG, "telegram", "gate", [said], {}, clock.now_ms())
    await store.close()


def test_a_person_is_held_released_and_erased_with_a_certificate_that_anybody_can_check(
    talked: Cli, tmp_path: Path
) -> None:
    assert talked.json("holds", "list") == []
    assert "held: person telegram:1" in talked.lines("holds", "add", EVE.id, "--reason", "case 12")[0]
    assert "case 12" in "\n".join(talked.lines("holds", "list"))
    assert "legal hold" in talked.refused("erase", "person", EVE.id, "--reason", "asked")
    assert "released" in talked.lines("holds", "release", EVE.id, "--reason", "closed")[0]

    assert talked.lines("erase", "person", EVE.id, "--preview")[0].startswith("would erase: 1 threads")
    file = tmp_path / "erased.json"
    told = talked.lines("erase", "person", EVE.id, "--reason", "asked", "--certificate", str(file))
    assert told[0].startswith("erased: 1 threads") and told[1].startswith("certificate ers_")
    (key,) = talked.lines("audit", "key")
    (verified,) = talked.lines("audit", "verify-certificate", str(file), "--key", key)
    certificate = json.loads(file.read_text())
    assert verified.startswith(f"erasure {certificate['erasure_id']}, audit entry {certificate['audit_seq']}")
    file.write_text(json.dumps({**certificate, "counts": {**certificate["counts"], "messages": 99}}))
    forged = talked.refused("audit", "verify-certificate", str(file), "--key", key, code=1)
    assert "another counts than the log" in forged
    assert talked.lines("audit", "verify")
    assert talked.lines("erase", "person", EVE.id, "--preview") == ["would erase: nothing"]


def test_what_is_over_its_time_is_shown_before_it_is_deleted(talked: Cli) -> None:
    plan = "\n".join(talked.lines("retention", "plan"))
    assert "messages" in plan and "30 days" in plan and "over its time" in plan
    (found,) = talked.json("retention", "run")["classes"]
    assert (found["name"], found["deleted"]) == ("messages", 0)
