"""Handing threads over: a person takes one, gives it to somebody else, or back to its agent, and speaks in it.

The store keeps who holds a thread; here is what its room is told, and how what the holder says gets there.
"""

import asyncio
import re
from typing import Final

from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.hub.hub import Hub
from gateway.services.channels import Channels, freeze
from gateway.services.composing import HELD, Composer
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin, Thread
from protocol.requests import ThreadAssignParams
from storage.ports import ThreadStore
from storage.run_ports import HandoverStore
from storage.values import Act, Ending, Notice, Outbound

_PEOPLE: Final = frozenset({ActorKind.USER, ActorKind.PERSON})
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")
"""What CommonMark takes literally behind a backslash (spec 0.31, section 2.4)."""
_UNTIL: Final = "The agent will not answer until it is given back."


class Handovers:
    """Use cases of people who answer instead of an agent."""

    def __init__(
        self,
        handovers: HandoverStore,
        threads: ThreadStore,
        agents: Agents,
        channels: Channels,
        hub: Hub,
        composer: Composer,
        clock: Clock,
    ) -> None:
        self._handovers = handovers
        self._threads = threads
        self._agents = agents
        self._channels = channels
        self._hub = hub
        self._composer = composer
        self._clock = clock

    async def assign(self, act: Act, params: ThreadAssignParams) -> RawJson:
        """Take a thread over, hand it to somebody, give it back. Raises Fault: not_found, invalid params."""
        _check(params)
        if params.agent_id is not None:
            self._agents.get(params.agent_id)
        thread = await self._threads.get(act.org_id, params.thread_id)
        assignee = act.actor if params.action == "take" else params.person
        notice = self._notice(_words(act.actor, assignee, params.agent_id), thread.origin)
        return await self._handovers.assign(
            act,
            thread.id,
            assignee,
            params.agent_id,
            notice,
            self._ending(thread, assignee) if assignee is not None else None,
            params.note,
        )

    async def speak(self, act: Act, thread: Thread, text: str) -> RawJson:
        """What the holder of a thread says is its answer; the thread's room reads whose it is."""
        parts: list[Outbound] = []
        place = self._channels.of(thread.origin)
        if place is not None:
            adapter, room = place
            shown = f"**{_literally(act.actor.name)}:**\n\n{text}"
            parts = [
                Outbound(self._clock.new_id(IdPrefix.DELIVERY), number, freeze(content))
                for number, content in enumerate(
                    await asyncio.to_thread(adapter.render, shown, room), start=1
                )
            ]
        new_id = self._clock.new_id
        return await self._handovers.speak(
            act, thread.id, new_id(IdPrefix.MESSAGE), new_id(IdPrefix.RUN), text, parts
        )

    def _ending(self, thread: Thread, assignee: Actor) -> Ending:
        """How the runs end that the agent has not finished: whoever takes over is not talked over."""
        said = self._hub.being_said(thread.id)
        origin = thread.origin if said else Origin(kind="client")  # what nobody saw begin needs no end
        return self._composer.cancelled(f"{assignee.name} {HELD}", origin, said)

    def _notice(self, markdown: str, origin: Origin) -> Notice | None:
        place = self._channels.of(origin)
        if place is None:
            return None
        adapter, room = place
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(adapter.render(markdown, room)[0]))


def _check(params: ThreadAssignParams) -> None:
    """Raises Fault for params that do not go together."""
    if params.action == "assign" and params.person is None:
        raise invalid_params([{"path": "person", "message": "Say whom the thread is handed to"}])
    if params.person is not None and (params.action != "assign" or params.person.kind not in _PEOPLE):
        raise invalid_params([{"path": "person", "message": "A person, and only with action assign"}])
    if params.agent_id is not None and params.action != "give_back":
        raise invalid_params([{"path": "agent_id", "message": "Only with action give_back"}])


def refuse_files(blob_ids: list[str]) -> None:
    """Raises Fault: what the holder of a thread says is text."""
    if blob_ids:
        raise Fault(
            ErrorKind.INVALID_STATE,
            "Whoever has taken a thread over can send text only",
            hint="Send the file in the room itself, or give the thread back first",
        )


def _words(by: Actor, assignee: Actor | None, agent_id: str | None) -> str:
    """What the room is told."""
    who = _literally(by.name)
    if assignee is None and agent_id is None:
        return f"{who} has given this conversation back. The agent answers again."
    if assignee is None:
        return f"{who} has handed this conversation to the agent {_literally(agent_id or '')}."
    if assignee.id == by.id:
        return f"{who} has taken over. {_UNTIL}"
    return f"{who} has handed this conversation to {_literally(assignee.name)}. {_UNTIL}"


def _literally(name: str) -> str:
    """A name as CommonMark that says nothing else: in one line, and no markup."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(name.split()))
