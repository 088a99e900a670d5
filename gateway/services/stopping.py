"""Stopping an agent from its chat room: which messages say so, and how what is running ends then.

The store ends the runs, in the transaction that records the message; turns learn of it as of every cancellation.
"""

from contextlib import suppress
from typing import Final

from channels.messages import Addressed, Inbound
from channels.port import Adapter
from gateway.hub.hub import Hub
from gateway.services import notices
from gateway.services.composing import Composer
from protocol.errors import Fault
from protocol.records import Actor, Origin
from storage.channel_values import Stop, Telling
from storage.ports import InboxStore, ThreadStore

WORDS: Final = frozenset({"stop", "/stop", "!stop"})


def is_stop(said: Inbound) -> bool:
    """Whether a message is the word and nothing else."""
    return said.text.strip().lower() in WORDS and not said.attachments


class Stops:
    """Prepares what the store does with a message that says stop."""

    def __init__(self, inbox: InboxStore, threads: ThreadStore, hub: Hub, composer: Composer) -> None:
        self._inbox = inbox
        self._threads = threads
        self._hub = hub
        self._composer = composer

    async def prepare(
        self, org_id: str, adapter: Adapter, said: Inbound, actor: Actor, nothing: Telling
    ) -> Stop:
        """How the conversation's runs end. `nothing` is told when there are none; not to who was not speaking to us."""
        origin, so_far = Origin(kind="client"), ""
        thread_id = await self._inbox.find_thread(
            org_id, adapter.kind, adapter.account, said.room.room, said.thread_key, said.reply_to
        )
        if thread_id is not None:
            so_far = self._hub.being_said(thread_id)
            with suppress(Fault):  # it was erased just now: the store will find nothing to stop
                origin = (await self._threads.get(org_id, thread_id)).origin
        ending = self._composer.cancelled(f"stopped by {actor.name}", origin, so_far)
        is_command = said.message_ref is None
        if said.addressed is Addressed.AMBIENT:
            nothing = Telling()
        return Stop(ending, notices.STOPPED if is_command else None, nothing)
