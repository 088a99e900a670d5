"""What clients do with threads, messages and runs, where it is more than one call of the store."""

from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.hub.hub import Hub
from gateway.rules.routing import CLIENT, Arrival
from gateway.services.composing import Composer
from gateway.services.handovers import Handovers, refuse_files
from gateway.services.routing import Routing
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import BlobPart, Origin, TextPart, Thread
from protocol.requests import MessageSendParams, ThreadCreateParams
from storage.ports import BlobStore, ThreadStore
from storage.run_ports import RunStore
from storage.values import Act, NewThread

CLIENT_ORIGIN = Origin(kind="client")
FROM_CLIENT = Arrival(CLIENT)


class Conversations:
    """Use cases of clients."""

    def __init__(
        self,
        threads: ThreadStore,
        runs: RunStore,
        agents: Agents,
        routing: Routing,
        handovers: Handovers,
        hub: Hub,
        composer: Composer,
        clock: Clock,
        blobs: BlobStore,
        files_max: int,
    ) -> None:
        self._threads = threads
        self._runs = runs
        self._agents = agents
        self._routing = routing
        self._handovers = handovers
        self._hub = hub
        self._composer = composer
        self._clock = clock
        self._blobs = blobs
        self._files_max = files_max

    async def create_thread(self, act: Act, params: ThreadCreateParams) -> RawJson:
        """An empty thread. Raises Fault not_found for an unknown agent."""
        agent_id = params.agent_id or self._routing.choose(FROM_CLIENT).agent_id
        agent_id = self._agents.get(agent_id).settings.id
        thread_id = self._clock.new_id(IdPrefix.THREAD)
        return await self._threads.create(
            act, NewThread(thread_id, agent_id, params.title or "", CLIENT_ORIGIN)
        )

    async def send(self, act: Act, params: MessageSendParams) -> RawJson:
        """Accept a message. Raises Fault; see the store's port."""
        if params.agent_id is not None:
            self._agents.get(params.agent_id)
        texts = [part.text for part in params.content if isinstance(part, TextPart)]
        blob_ids = [part.blob_id for part in params.content if isinstance(part, BlobPart)]
        if not blob_ids and not any(text.strip() for text in texts):
            raise Fault(
                ErrorKind.INVALID_STATE, "The message says nothing", hint="Send at least one word, or a file"
            )
        origin = CLIENT_ORIGIN
        thread = await self._find(act, params.thread_id)
        if thread is not None:
            if thread.assignee is not None and thread.assignee.id == act.actor.id:
                refuse_files(blob_ids)
                return await self._handovers.speak(act, thread, "\n".join(texts))
            origin = thread.origin
        message = self._composer.message(
            texts,
            origin,
            FROM_CLIENT,
            thread_id=params.thread_id,
            agent_id=params.agent_id,
            on_busy=params.on_busy,
            content=[part.model_dump(include={"type", "text", "blob_id"}) for part in params.content],
            name=await self._name_of(act, blob_ids),
        )
        return await self._threads.accept(act, message)

    async def _find(self, act: Act, thread_id: str | None) -> Thread | None:
        """A message's thread. That it is gone is the store's to say, which also knows what it answered before."""
        try:
            return await self._threads.get(act.org_id, thread_id) if thread_id is not None else None
        except Fault:
            return None

    async def _name_of(self, act: Act, blob_ids: list[str]) -> str:
        """What the first of the files is called, if there is one; whether it can be sent is the store's word.

        Raises Fault too_large for too many.
        """
        if len(blob_ids) > self._files_max:
            raise Fault(
                ErrorKind.TOO_LARGE,
                f"A message has at most {self._files_max} files",
                hint="Send the rest in another message",
            )
        try:
            return (await self._blobs.get(act.org_id, blob_ids[0])).name if blob_ids else ""
        except Fault:
            return ""

    async def cancel(self, act: Act, run_id: str, reason: str) -> RawJson:
        """Stop a run, in whatever state it is. Raises Fault not_found, or invalid_state when it has ended."""
        run = await self._runs.get(act.org_id, run_id)
        thread = await self._threads.get(act.org_id, run.thread_id)
        said = self._hub.text_so_far(run.thread_id, run_id)
        ending = self._composer.cancelled(reason or "stopped by a person", thread.origin, said)
        return await self._runs.cancel(act, run_id, ending)

    async def retry(self, act: Act, run_id: str) -> RawJson:
        """A new run with the same input. Raises Fault not_found, or invalid_state while it has not ended."""
        new_run_id = self._clock.new_id(IdPrefix.RUN)
        return await self._runs.retry(act, run_id, new_run_id, self._composer.queue_max)
