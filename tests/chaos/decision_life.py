"""One life of a process that holds a store while many people decide at once, until somebody kills it.

`python -m tests.chaos.decision_life DIRECTORY --life N --histories M --seed S`: asks for M approvals, and for what an
earlier life left open lets people go on deciding: through the protocol, by the command line, by buttons and words in
chats, each several times and at the same moment; the expiry comes in between; and whoever has leave tries to use it
twice. What the deciders were told goes to `DIRECTORY/said.ndjson`, line by line, written before the next word.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from gateway.rules.deciding import judge
from protocol.approval_requests import ApprovalResult
from protocol.approvals import ApprovalState
from protocol.errors import Fault
from protocol.records import Actor, ActorKind
from storage import approval_ends, approval_people, approval_rows, approval_votes
from storage.approval_values import Decide, Edited, Judge, Terms
from storage.channel_values import Delivered
from storage.engine import Row, Transaction
from storage.values import DEFAULT_ORG, Act, ClaimedRun
from tests.storage.store_stage import Scene, open_store

SAID = "said.ndjson"
TOGETHER = 50
"""Histories that go on at the same time: some 500 decisions that meet in the same group commits."""
PEOPLE = ("ada", "bob", "cat", "dan", "eve")
"""All of them may decide, but for eve. Each has an account on every surface, linked to one user."""
SURFACES = ("ws", "http", "cli", "slack", "discord", "telegram")
CHATS = SURFACES[3:]
TERMS = (Terms(), Terms(quorum=2), Terms(quorum=2, denials=2), Terms(quorum=3, denials=2))
APPROVERS = tuple(f"user:prn_{name}" for name in PEOPLE if name != "eve")
LIFE_MS = 40
"""Of a short-lived approval, on the life's own clock, which goes on by a millisecond with every act."""


class Life(Scene):
    """A scene whose ids differ from those of every other life."""

    number = 0

    def new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self.number:06d}{self._made:020d}"


class Ledger:
    """What people were told, as far as they heard it before the end."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / SAID, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **said: Any) -> None:
        os.write(self._file, orjson.dumps(said) + b"\n")


def link_people(tx: Transaction) -> None:
    for name in PEOPLE:
        tx.run(
            "INSERT INTO principals (id, org_id, kind, name, role, created_at)"
            " VALUES (:id, :org, 'user', :name, 'approver', 0) ON CONFLICT DO NOTHING",
            id=f"prn_{name}",
            org=DEFAULT_ORG,
            name=name,
        )
        for chat in CHATS:
            tx.run(
                "INSERT INTO chat_links VALUES (:org, :chat, 'main', :sender, :user, :name, 0) ON CONFLICT DO NOTHING",
                org=DEFAULT_ORG,
                chat=chat,
                sender=f"U{name}",
                user=f"prn_{name}",
                name=name,
            )


class Deciders:
    """Everybody who decides in one life."""

    def __init__(self, life: Life, ledger: Ledger, rng: random.Random, judge: Judge) -> None:
        self._life = life
        self._ledger = ledger
        self._rng = rng
        self._judge = judge

    async def history(self, approval_id: str, run: ClaimedRun | None) -> None:
        """Some people decide about one thing at once, over several surfaces; whoever has leave uses it, twice."""
        rng = self._rng
        acts: list[Coroutine[Any, Any, None]] = []
        for _ in range(rng.randint(2, 5)):
            name, surface = rng.choice(PEOPLE), rng.choice(SURFACES)
            vote = rng.choices(("approve", "deny", "request_changes", "edit"), (60, 25, 7, 8))[0]
            acts += [self._decide(approval_id, name, surface, vote) for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.2:
            acts.append(self._expire())
        rng.shuffle(acts)
        await asyncio.gather(*acts)
        if run is not None:
            await asyncio.gather(self._use(approval_id, run), self._use(approval_id, run))

    async def _decide(self, approval_id: str, name: str, surface: str, vote: str) -> None:
        await asyncio.sleep(self._rng.random() * 0.01)
        wanted = Decide(
            approval_id,
            "approve" if vote == "edit" else vote,  # type: ignore[arg-type]
            f"{name} says {vote}",
            self._judge,
            among=frozenset() if surface in CHATS else None,
        )
        if vote == "edit":
            now = await self._life.store.approvals.editable(DEFAULT_ORG, approval_id)
            base = now.subject_hash
            wanted = replace(wanted, edited=Edited({"arguments": name}, f"{name}{base}"[:64], base, "diff"))
        if surface in CHATS:
            told = await self._press(wanted, name, surface)
        else:
            told = await self._request(wanted, name, surface)
        self._ledger.note(approval=approval_id, who=name, over=surface, vote=wanted.vote, **told)

    async def _request(self, wanted: Decide, name: str, surface: str) -> dict[str, Any]:
        act = replace(self._life.act(name), via=surface)
        try:
            answer = await self._life.store.approvals.decide(act, wanted)
        except Fault as fault:
            return {"refused": fault.data["kind"], "state": fault.data.get("state")}
        return {"state": ApprovalResult.model_validate_json(bytes(answer)).approval.state.value}

    async def _press(self, wanted: Decide, name: str, surface: str) -> dict[str, Any]:
        """A button, delivered twice as networks do: the second time nothing happens."""
        actor = Actor(id=f"{surface}:U{name}", kind=ActorKind.PERSON, name=name)
        act = Act(DEFAULT_ORG, actor, f"{surface}:main", self._life.act().at_ms)
        delivery = Delivered(
            self._life.new_id("upd"), "accepted", None, f"U{name}", room="R", act=act, decide=wanted
        )
        says = ""
        for _ in range(2):
            ((outcome),) = await self._life.store.inbox.commit(
                DEFAULT_ORG, surface, "main", [delivery], {}, act.at_ms
            )
            assert says in ("", outcome.says), "a redelivery is told the same"
            says = outcome.says or ""
        return {"says": says}

    async def _expire(self) -> None:
        await asyncio.sleep(self._rng.random() * 0.01)
        await self._life.store.approvals.expire(self._life.now_ms, 100)

    async def _use(self, approval_id: str, run: ClaimedRun) -> None:
        """Go on with the run, and use the leave for a step; another step tries to use it again."""
        going_on = await self._life.resume(run)
        if going_on is None:
            return
        for key in ("tool/a", "tool/b"):
            step = replace(self._life.step(key), approval_id=approval_id)
            try:
                await self._life.store.journal.open(going_on, step, self._life.now_ms)
            except Fault as fault:
                self._ledger.note(approval=approval_id, use=key, refused=fault.data["kind"])
            else:
                self._ledger.note(approval=approval_id, use=key)


async def live(directory: Path, number: int, histories: int, seed: int, judge: Judge = judge) -> None:
    """A whole life, unless it is cut short."""
    rng = random.Random(seed)
    store = await open_store(directory)
    life = Life(store, directory)
    life.number, life.now_ms = number, life.now_ms + number * 10_000_000
    await store.engine.write(link_people)
    deciders = Deciders(life, Ledger(directory), rng, judge)
    left, _ = await store.approvals.page(DEFAULT_ORG, ApprovalState.PENDING, None, 5_000, None)
    print("alive", flush=True)
    waiting = [deciders.history(one.id, None) for one in left]
    for begun in range(0, histories, TOGETHER):
        made = []
        for _ in range(min(TOGETHER, histories - begun)):
            run = await life.started()
            terms = replace(rng.choice(TERMS), approvers=APPROVERS)
            life_ms = LIFE_MS if rng.random() < 0.15 else 10**9
            subject = {"arguments": "asked"}
            made.append((await life.ask(run, life_ms=life_ms, terms=terms, subject=subject), run))
        await asyncio.gather(*waiting, *(deciders.history(*one) for one in made))
        waiting = []
        print("on", flush=True)
    await asyncio.gather(*waiting)
    await store.close()


# --- the negative control ---------------------------------------------------------------------------


def break_it(*, without_condition: bool) -> None:
    """Let every decision see the approval as it was before the others, as if it had been read a moment ago; and, for a
    violation, take the condition out of the update that protects against just that."""
    find = approval_rows.find

    def seen_before(tx: Any, org_id: str, approval_id: str) -> Row:
        row = dict(find(tx, org_id, approval_id))
        return row | {"state": "pending"}  # type: ignore[return-value]

    def decide_anyway(tx: Transaction, act: Act, row: Row, wanted: Decide) -> Any:
        stale = seen_before(tx, act.org_id, row["id"])
        voter = approval_people.voter(tx, act, wanted.role)
        terms = approval_people.terms_of(stale)
        return approval_votes._count(tx, act, stale, terms, voter, wanted)

    approval_votes._decide = decide_anyway
    if without_condition:
        sql = approval_ends._SQL.settle
        approval_ends._SQL.__dict__["settle"] = sql.replace("AND state = 'pending' AND expires_at > :now", "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--histories", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--broken", choices=("no", "stale", "unconditional"), default="no")
    asked = parser.parse_args()
    if asked.broken != "no":
        break_it(without_condition=asked.broken == "unconditional")
    asyncio.run(live(asked.directory, asked.life, asked.histories, asked.seed))


if __name__ == "__main__":
    sys.exit(main())
