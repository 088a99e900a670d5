"""Handlers of the server itself, agents, channels, tokens and the audit log."""

from gateway.edge.dispatch import Call
from gateway.services.agents import AgentsView
from gateway.services.health import ChannelHealth
from gateway.services.reloading import Reloading
from gateway.services.routing import Routing
from gateway.services.tokens import Tokens
from protocol import requests as wire
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import Result
from protocol.instants import from_instant
from protocol.limits import INTEGER_MAX
from protocol.records import AuditEntry
from storage.audit_ports import AuditStore
from storage.audit_values import AuditFilter
from storage.identity_ports import IdentityStore
from storage.values import Act


class Operational:
    """What operators do."""

    def __init__(
        self,
        info: wire.ServerInfoResult,
        agents: AgentsView,
        routing: Routing,
        reloading: Reloading,
        health: ChannelHealth,
        tokens: Tokens,
        identities: IdentityStore,
        audit: AuditStore,
    ) -> None:
        self._info = info
        self._agents = agents
        self._routing = routing
        self._reloading = reloading
        self._health = health
        self._tokens = tokens
        self._identities = identities
        self._audit = audit

    async def server_info(self, call: Call, params: wire.NoParams) -> Result:
        return self._info.model_copy(update={"default_agent_id": self._agents.default_id})

    async def agent_list(self, call: Call, params: wire.NoParams) -> Result:
        return wire.AgentListResult(agents=self._agents.all(call.act.org_id))

    async def agent_get(self, call: Call, params: wire.AgentParams) -> Result:
        return wire.AgentResult(agent=self._agents.get(call.act.org_id, params.agent_id))

    async def agent_reload(self, call: Call, params: wire.NoParams) -> Result:
        return wire.AgentReloadResult(changes=await self._reloading.reload(call.act))

    async def route_explain(self, call: Call, params: wire.RouteExplainParams) -> Result:
        return wire.RouteExplainResult(route=self._routing.explain(params))

    async def channel_list(self, call: Call, params: wire.NoParams) -> Result:
        return wire.ChannelListResult(channels=await self._health.statuses(call.act.org_id))

    async def channel_status(self, call: Call, params: wire.ChannelParams) -> Result:
        return wire.ChannelResult(channel=await self._health.status(call.act.org_id, params.channel_id))

    async def token_create(self, call: Call, params: wire.TokenCreateParams) -> Result:
        if (
            params.agent_id is not None
            and self._agents.get(call.act.org_id, params.agent_id).kind != "remote"
        ):
            raise invalid_params(
                [{"path": "agent_id", "message": "Only agents of kind remote are served by processes"}]
            )
        issued = await self._tokens.issue(call.act, call.caller.scopes, params)
        return wire.TokenCreateResult(token=issued.token, secret=issued.secret)

    async def token_list(self, call: Call, params: wire.Page) -> Result:
        tokens, cursor = await self._identities.list_tokens(call.act.org_id, params.limit, params.cursor)
        return wire.TokenListResult(tokens=tokens, next_cursor=cursor)

    async def token_revoke(self, call: Call, params: wire.TokenParams) -> Result:
        return await self._identities.revoke_token(call.act, params.token_id)

    async def audit_list(self, call: Call, params: wire.AuditListParams) -> Result:
        if params.cursor is not None and not _is_place(params.cursor):
            raise Fault(
                ErrorKind.CONFLICT, "The cursor is not one of ours", hint="Use next_cursor as it came"
            )
        after = int(params.cursor) if params.cursor is not None else params.after_seq
        org_id, wanted = call.act.org_id, filter_of(params)
        if wanted.names:
            entries, cursor = await self._audit.find(org_id, wanted, after, params.limit)
        else:
            entries, cursor = await self._audit.page(org_id, after, None, params.limit)
        if params.content:
            entries = await self._revealed(call.act, entries)
        return wire.AuditListResult(entries=entries, next_cursor=cursor)

    async def _revealed(self, act: Act, entries: list[AuditEntry]) -> list[AuditEntry]:
        """The entries with what they commit to; that somebody looked is an entry, too."""
        found = await self._audit.reveal(act, [entry.seq for entry in entries])
        return [
            entry.model_copy(
                update={"content": found[entry.seq].content, "address": found[entry.seq].address}
            )
            if entry.seq in found
            else entry
            for entry in entries
        ]


def filter_of(params: wire.AuditListParams) -> AuditFilter:
    """What is wanted of the audit log. Raises Fault for an instant that is none."""
    return AuditFilter(
        actor=params.actor,
        action=params.action,
        entity=params.entity,
        outcome=params.outcome,
        via=params.via,
        since_ms=_moment("since", params.since),
        until_ms=_moment("until", params.until),
    )


def _moment(name: str, instant: str | None) -> int | None:
    try:
        return from_instant(instant) if instant is not None else None
    except ValueError:
        raise invalid_params([{"path": name, "message": "There is no such day or time"}]) from None


def _is_place(cursor: str) -> bool:
    return cursor.isdecimal() and cursor.isascii() and int(cursor) <= INTEGER_MAX
