"""Handlers of threads, messages and runs."""

from gateway.agents.registry import Agents
from gateway.edge.dispatch import Call
from gateway.services.conversations import Conversations
from gateway.services.handovers import Handovers
from protocol import requests as wire
from protocol.errors import invalid_params
from protocol.frames import RawJson, Result
from storage.ports import ThreadStore
from storage.run_ports import RunStore
from storage.values import LogPage


class Conversational:
    """What people and programs do with conversations."""

    def __init__(
        self,
        threads: ThreadStore,
        runs: RunStore,
        conversations: Conversations,
        handovers: Handovers,
        agents: Agents,
    ) -> None:
        self._threads = threads
        self._runs = runs
        self._conversations = conversations
        self._handovers = handovers
        self._agents = agents

    async def thread_create(self, call: Call, params: wire.ThreadCreateParams) -> Result:
        return await self._conversations.create_thread(call.act, params)

    async def thread_get(self, call: Call, params: wire.ThreadParams) -> Result:
        return wire.ThreadResult(thread=await self._threads.get(call.act.org_id, params.thread_id))

    async def thread_list(self, call: Call, params: wire.ThreadListParams) -> Result:
        threads, cursor = await self._threads.page(
            call.act.org_id, params.status, params.limit, params.cursor
        )
        return wire.ThreadListResult(threads=threads, next_cursor=cursor)

    async def thread_update(self, call: Call, params: wire.ThreadUpdateParams) -> Result:
        if params.agent_id is not None:
            self._agents.get(params.agent_id)
        return await self._threads.update(call.act, params.thread_id, params.title, params.agent_id)

    async def thread_assign(self, call: Call, params: wire.ThreadAssignParams) -> Result:
        return await self._handovers.assign(call.act, params)

    async def thread_archive(self, call: Call, params: wire.ThreadChangeParams) -> Result:
        return await self._threads.archive(call.act, params.thread_id)

    async def thread_restore(self, call: Call, params: wire.ThreadChangeParams) -> Result:
        return await self._threads.restore(call.act, params.thread_id)

    async def thread_delete(self, call: Call, params: wire.ThreadChangeParams) -> Result:
        return await self._threads.delete(call.act, params.thread_id)

    async def thread_history(self, call: Call, params: wire.ThreadHistoryParams) -> Result:
        if params.after_seq is not None and params.before_seq is not None:
            raise invalid_params(
                [{"path": "before_seq", "message": "Give after_seq or before_seq, not both"}]
            )
        page = await self._threads.history(
            call.act.org_id,
            params.thread_id,
            after=params.after_seq,
            before=params.before_seq,
            limit=params.limit,
            kinds=frozenset(params.kinds) if params.kinds is not None else None,
        )
        return _history(page)

    async def thread_search(self, call: Call, params: wire.ThreadSearchParams) -> Result:
        matches, cursor = await self._threads.search(
            call.act.org_id, params.query, params.thread_id, params.limit, params.cursor
        )
        return wire.ThreadSearchResult(matches=matches, next_cursor=cursor)

    async def message_send(self, call: Call, params: wire.MessageSendParams) -> Result:
        return await self._conversations.send(call.act, params)

    async def run_get(self, call: Call, params: wire.RunParams) -> Result:
        return wire.RunResult(run=await self._runs.get(call.act.org_id, params.run_id))

    async def run_list(self, call: Call, params: wire.RunListParams) -> Result:
        runs, cursor = await self._runs.page(
            call.act.org_id, params.thread_id, params.state, params.limit, params.cursor
        )
        return wire.RunListResult(runs=runs, next_cursor=cursor)

    async def run_cancel(self, call: Call, params: wire.RunCancelParams) -> Result:
        return await self._conversations.cancel(call.act, params.run_id, params.reason)

    async def run_retry(self, call: Call, params: wire.RunRetryParams) -> Result:
        return await self._conversations.retry(call.act, params.run_id)


def _history(page: LogPage) -> RawJson:
    # Events are stored as the bytes that go out: joining them is cheaper than reading and writing them again.
    events = b",".join(event.params for event in page.events)
    bounds = b'"first_seq":%d,"head_seq":%d' % (page.first_seq, page.head_seq)
    more = b"true" if page.more else b"false"
    return RawJson(b'{"events":[%b],%b,"more":%b}' % (events, bounds, more))
