"""`pairing list|approve|reject`: strangers whom the store knows before the gateway starts."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli

from gateway.clock import Clock
from gateway.content_keys import ContentSealer
from gateway.vault_key import cipher_beside
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind
from storage.channel_values import Delivered, Entry, PairingOffer, Telling
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, Notice

STRANGERS = {"1": "AAAA-1111", "2": "AAAA-2222", "3": "AAAA-3333"}
"""The network's id of a person → the code they were told."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running gateway that three people ask to be let in."""
    cli = Cli(tmp_path_factory.mktemp("asked"))
    asyncio.run(_ask(cli.data_dir))
    with cli.serving():
        yield cli


async def _ask(directory: Path) -> None:
    clock, now_ms = Clock(), time.time_ns() // 1_000_000
    store = await Store.open(
        directory,
        new_epoch="epo_1",
        new_log_id="log_1",
        now_ms=now_ms,
        sealer=ContentSealer(cipher_beside(directory)),
    )
    for sender_id, code in STRANGERS.items():
        told = Telling(notice=Notice(clock.new_id(IdPrefix.DELIVERY), '{"text":"","payload":{}}'))
        pairing_id, name = clock.new_id(IdPrefix.PAIRING), f"Eve\x1b[2J {sender_id}"
        offer = PairingOffer(pairing_id, name, code, now_ms + 600_000, 3, told, Telling())
        person = Actor(id=f"telegram:{sender_id}", kind=ActorKind.PERSON, name=name)
        act = Act(DEFAULT_ORG, person, "telegram:gate", now_ms)
        asking = Delivered(
            sender_id,
            "accepted",
            None,
            sender_id,
            room=sender_id,
            act=act,
            entry=Entry(frozenset()),
            offer=offer,
        )
        await store.inbox.commit(DEFAULT_ORG, "telegram", "gate", [asking], {}, now_ms)
    await store.close()


def test_people_are_listed_let_in_and_shut_out(asked: Cli) -> None:
    waiting = {pairing["subject"]: pairing for pairing in asked.json("pairing")}
    assert waiting.keys() == STRANGERS.keys()
    shown = "\n".join(asked.lines("pairing", "list"))
    assert all(pairing["id"] in shown for pairing in waiting.values())
    assert "telegram:gate" in shown
    assert "\x1b" not in shown, "a name is their own word"
    assert not any(code in shown for code in STRANGERS.values())

    (said,) = asked.lines("pairing", "approve", "aaaa1111")
    assert said.startswith("let in Eve")
    assert said.endswith("(1) on telegram:gate")
    (said,) = asked.lines("pairing", "reject", waiting["2"]["id"])
    assert said.startswith("shut out Eve")
    assert [pairing["subject"] for pairing in asked.json("pairing")] == ["3"]
    assert [pairing["subject"] for pairing in asked.json("pairing", "--state", "approved")] == ["1"]
    assert len(asked.json("pairing", "list", "--state", "all")) == 3


def test_access_is_taken_back_by_the_id(asked: Cli) -> None:
    (waiting,) = [pairing for pairing in asked.json("pairing") if pairing["subject"] == "3"]
    asked.lines("pairing", "approve", waiting["id"])
    asked.lines("pairing", "reject", waiting["id"])
    (found,) = [p for p in asked.json("pairing", "--state", "rejected") if p["subject"] == "3"]
    assert found["decided_at"] >= waiting["created_at"]


def test_an_empty_list_says_so(running: Cli) -> None:
    assert running.run("pairing").stderr == "Nobody waits to be let in.\n"
    assert running.run("pairing", "--state", "all").stderr == "No pairings.\n"


def test_what_is_wrong_is_said(asked: Cli) -> None:
    assert "no pending pairing with this code" in asked.refused("pairing", "approve", "ZZZZ-ZZZZ")
    assert "no such pairing" in asked.refused("pairing", "approve", "par_" + "0" * 26)
