"""What clients do with threads, messages and runs, where it is more than one call of the store."""

from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.hub.hub import Hub
from gateway.services.composing import Composer
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import Origin, TextPart
from protocol.requests import MessageSendParams, ThreadCreateParams
from storage.ports import RunStore, ThreadStore
from storage.values import Act, NewThread

CLIENT_ORIGIN = Origin(kind="client")


class Conversations:
    """Use cases of clients."""

    def __init__(
        self,
        threads: ThreadStore,
        runs: RunStore,
        agents: Agents,
        hub: Hub,
        composer: Composer,
        clock: Clock,
    ) -> None:
        self._threads = threads
        self._runs = runs
        self._agents = agents
        self._hub = hub
        self._composer = composer
        self._clock = clock

    async def create_thread(self, act: Act, params: ThreadCreateParams) -> RawJson:
        """An empty thread. Raises Fault not_found for an unknown agent."""
        agent_id = self._agents.get(params.agent_id or self._agents.default_id).record.id
        thread_id = self._clock.new_id(IdPrefix.THREAD)
        return await self._threads.create(
            act, NewThread(thread_id, agent_id, params.title or "", CLIENT_ORIGIN)
        )

    async def send(self, act: Act, params: MessageSendParams) -> RawJson:
        """Accept a message. Raises Fault; see the store's port."""
        if params.agent_id is not None:
            self._agents.get(params.agent_id)
        texts = [part.text for part in params.content if isinstance(part, TextPart)]
        if len(texts) < len(params.content):
            raise Fault(
                ErrorKind.NOT_FOUND, "There is no such blob", hint="Uploads are not part of this version"
            )
        if not any(text.strip() for text in texts):
            raise Fault(ErrorKind.INVALID_STATE, "The message says nothing", hint="Send at least one word")
        origin = CLIENT_ORIGIN
        if params.on_busy == "interrupt" and params.thread_id is not None:
            origin = (await self._threads.get(act.org_id, params.thread_id)).origin
        message = self._composer.message(
            texts,
            origin,
            thread_id=params.thread_id,
            agent_id=params.agent_id,
            on_busy=params.on_busy,
        )
        return await self._threads.accept(act, message)

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
