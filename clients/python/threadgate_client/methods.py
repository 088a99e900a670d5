"""The methods of the protocol, typed and grouped by what they are about: `client.threads`, `client.runs` …

One line of thought per method: name the params, ask, read the result. All of them raise what
`Client.request` raises, and ProtocolViolation for a result that cannot be read. Everything that changes
something takes an `idempotency_key`; without one, each call has its own.
"""

from collections.abc import Iterable, Sequence

from threadgate_client import limits
from threadgate_client.access import AuditEntry, Pairing, Token
from threadgate_client.answers import CreatedToken, HistoryPage, Reloaded, Route, SearchMatch
from threadgate_client.audits import AuditCheckpoint, AuditProof
from threadgate_client.fields import Fields
from threadgate_client.groups import Group, given
from threadgate_client.journals import Replay, RunFindings, RunStep
from threadgate_client.listings import HistoryListing, Listing
from threadgate_client.networks import Channel, Delivery
from threadgate_client.records import Actor, AgentInfo, Run, Thread
from threadgate_client.spending import Budget, Switched, UsageGroup


class Threads(Group):
    """`thread.*`, but for following one: that is `Client.subscribe`."""

    async def create(
        self, *, title: str | None = None, agent_id: str | None = None, idempotency_key: str | None = None
    ) -> Thread:
        """Make an empty thread; without `agent_id` the default agent answers in it."""
        return await self._one(
            "thread.create",
            "thread",
            Thread.from_json,
            title=title,
            agent_id=agent_id,
            idempotency_key=idempotency_key,
        )

    async def get(self, thread_id: str) -> Thread:
        """Read one thread."""
        return await self._one("thread.get", "thread", Thread.from_json, thread_id=thread_id)

    def list(
        self, *, status: str = "active", limit: int = limits.PAGE_DEFAULT, cursor: str | None = None
    ) -> Listing[Thread]:
        """Threads, newest change first. `status` is active, archived or all."""
        return self._listing("thread.list", "threads", Thread.from_json, cursor, status=status, limit=limit)

    async def update(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        agent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Thread:
        """Change what is given."""
        return await self._one(
            "thread.update",
            "thread",
            Thread.from_json,
            thread_id=thread_id,
            title=title,
            agent_id=agent_id,
            idempotency_key=idempotency_key,
        )

    async def take(self, thread_id: str, *, note: str = "", idempotency_key: str | None = None) -> Thread:
        """Take a thread over: its agent does not answer, what you send does. `note` is for the audit log."""
        return await self._assign(thread_id, "take", None, None, note, idempotency_key)

    async def assign(
        self, thread_id: str, person: Actor, *, note: str = "", idempotency_key: str | None = None
    ) -> Thread:
        """Hand a thread to a person."""
        return await self._assign(thread_id, "assign", person, None, note, idempotency_key)

    async def give_back(
        self,
        thread_id: str,
        *,
        agent_id: str | None = None,
        note: str = "",
        idempotency_key: str | None = None,
    ) -> Thread:
        """Let the thread's agent answer again, or another one."""
        return await self._assign(thread_id, "give_back", None, agent_id, note, idempotency_key)

    async def _assign(
        self,
        thread_id: str,
        action: str,
        person: Actor | None,
        agent_id: str | None,
        note: str,
        idempotency_key: str | None,
    ) -> Thread:
        whom = {"id": person.id, "kind": person.kind, "name": person.name} if person else None
        return await self._one(
            "thread.assign",
            "thread",
            Thread.from_json,
            thread_id=thread_id,
            action=action,
            person=whom,
            agent_id=agent_id,
            note=note,
            idempotency_key=idempotency_key,
        )

    async def archive(self, thread_id: str, *, idempotency_key: str | None = None) -> Thread:
        """Put a thread away."""
        return await self._change("thread.archive", thread_id, idempotency_key)

    async def restore(self, thread_id: str, *, idempotency_key: str | None = None) -> Thread:
        """Bring an archived thread back."""
        return await self._change("thread.restore", thread_id, idempotency_key)

    async def delete(self, thread_id: str, *, idempotency_key: str | None = None) -> Thread:
        """Erase a thread's content; its id stays taken."""
        return await self._change("thread.delete", thread_id, idempotency_key)

    async def _change(self, method: str, thread_id: str, idempotency_key: str | None) -> Thread:
        return await self._one(
            method, "thread", Thread.from_json, thread_id=thread_id, idempotency_key=idempotency_key
        )

    def history(
        self,
        thread_id: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int = limits.PAGE_DEFAULT,
        kinds: Iterable[str] | None = None,
    ) -> HistoryListing:
        """Events after or before a place; without either, the newest page and backward from there."""
        wanted = None if kinds is None else sorted(kinds)

        async def fetch(after: int | None, before: int | None) -> HistoryPage:
            place = {"thread_id": thread_id, "after_seq": after, "before_seq": before}
            params = given({**place, "limit": limit, "kinds": wanted})
            return HistoryPage.from_json(await self._engine.request("thread.history", params))

        return HistoryListing(fetch, after_seq, before_seq)

    def search(
        self,
        query: str,
        *,
        thread_id: str | None = None,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[SearchMatch]:
        """Messages with every word of `query`, newest first; the last word may be a beginning."""
        return self._listing(
            "thread.search",
            "matches",
            SearchMatch.from_json,
            cursor,
            query=query,
            thread_id=thread_id,
            limit=limit,
        )


class Runs(Group):
    """`run.*`."""

    async def get(self, run_id: str) -> Run:
        """Read one run."""
        return await self._one("run.get", "run", Run.from_json, run_id=run_id)

    def list(
        self,
        *,
        thread_id: str | None = None,
        state: str | None = None,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[Run]:
        """Runs, newest first."""
        return self._listing(
            "run.list", "runs", Run.from_json, cursor, thread_id=thread_id, state=state, limit=limit
        )

    async def cancel(self, run_id: str, *, reason: str = "", idempotency_key: str | None = None) -> Run:
        """Stop a run, whatever it is doing."""
        return await self._one(
            "run.cancel",
            "run",
            Run.from_json,
            run_id=run_id,
            reason=reason,
            idempotency_key=idempotency_key,
        )

    async def retry(self, run_id: str, *, idempotency_key: str | None = None) -> Run:
        """A new run with the same input."""
        return await self._one(
            "run.retry", "run", Run.from_json, run_id=run_id, idempotency_key=idempotency_key
        )

    async def steps(self, run_id: str) -> tuple[RunStep, ...]:
        """The journal of a run, in order."""
        result = await self._engine.request("run.steps", {"run_id": run_id})
        return Fields(result, "steps").many("steps", RunStep.from_json)

    async def diagnose(self, run_id: str | None = None) -> RunFindings:
        """Why unfinished runs are where they are: one, or all of them."""
        return RunFindings.from_json(await self._engine.request("run.diagnose", given({"run_id": run_id})))

    async def replay(self, run_id: str) -> Replay:
        """Execute a completed run again, with the answers of its journal. Raises InvalidState for others."""
        return await self._one("run.replay", "replay", Replay.from_json, run_id=run_id)


class Agents(Group):
    """`agent.*`."""

    async def list(self) -> tuple[AgentInfo, ...]:
        """All agents."""
        return Fields(await self._engine.request("agent.list", {}), "agents").many(
            "agents", AgentInfo.from_json
        )

    async def get(self, agent_id: str) -> AgentInfo:
        """Read one agent."""
        return await self._one("agent.get", "agent", AgentInfo.from_json, agent_id=agent_id)

    async def reload(self) -> Reloaded:
        """Let the gateway read its agents and routes again. Raises InvalidState when they are not valid."""
        answer = Fields(await self._engine.request("agent.reload", {}), "answer")
        return answer.one("changes", Reloaded.from_json)

    async def switch_off(
        self, agent_id: str | None, *, reason: str, idempotency_key: str | None = None
    ) -> Switched:
        """Stop an agent, with None all of them, at once and until it is switched on again; its runs are ended."""
        return await self._switch(agent_id, False, reason, idempotency_key)

    async def switch_on(self, agent_id: str | None, *, idempotency_key: str | None = None) -> Switched:
        """Let an agent answer again, with None all of them."""
        return await self._switch(agent_id, True, "", idempotency_key)

    async def _switch(self, agent_id: str | None, on: bool, reason: str, key: str | None) -> Switched:
        params = given({"agent_id": agent_id, "on": on, "reason": reason, "idempotency_key": key})
        return Switched.from_json(await self._engine.request("agent.switch", params))


class Usages(Group):
    """`usage.*`."""

    def list(
        self,
        *,
        by: Iterable[str] = ("day",),
        since: str | None = None,
        until: str | None = None,
        thread_id: str | None = None,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[UsageGroup]:
        """Usage of some days (`2026-11-21`), both included; this month unless told.

        `by` are among day, agent, person, room, token, model and one `tag:NAME` of a cost tag.
        """
        params = {"from": since, "to": until, "by": [*by], "thread_id": thread_id, "limit": limit}
        return self._listing("usage.get", "groups", UsageGroup.from_json, cursor, **params)

    async def budgets(self) -> tuple[Budget, ...]:
        """How budgets stand, fullest first."""
        result = await self._engine.request("usage.get", {"limit": 1})
        return Fields(result, "answer").many("budgets", Budget.from_json)


class Routes(Group):
    """`route.*`."""

    async def explain(
        self,
        text: str = "",
        *,
        channel: str = "client",
        account: str | None = None,
        room: str | None = None,
        mention: bool = False,
    ) -> Route:
        """Who would answer this text, said there."""
        return await self._one(
            "route.explain",
            "route",
            Route.from_json,
            text=text,
            channel=channel,
            account=account,
            room=room,
            mention=mention,
        )


class Channels(Group):
    """`channel.*`."""

    async def list(self) -> tuple[Channel, ...]:
        """All channel accounts."""
        result = await self._engine.request("channel.list", {})
        return Fields(result, "channels").many("channels", Channel.from_json)

    async def status(self, channel_id: str) -> Channel:
        """How one channel account fares."""
        return await self._one("channel.status", "channel", Channel.from_json, channel_id=channel_id)


class Deliveries(Group):
    """`delivery.*`."""

    def list(
        self,
        *,
        state: str | None = None,
        channel_id: str | None = None,
        thread_id: str | None = None,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[Delivery]:
        """What is or was owed to rooms, newest first."""
        return self._listing(
            "delivery.list",
            "deliveries",
            Delivery.from_json,
            cursor,
            state=state,
            channel_id=channel_id,
            thread_id=thread_id,
            limit=limit,
        )

    async def retry(self, delivery_id: str, *, idempotency_key: str | None = None) -> Delivery:
        """Send one that failed, or that is held, after all."""
        return await self._decide("delivery.retry", delivery_id, idempotency_key)

    async def settle(self, delivery_id: str, *, idempotency_key: str | None = None) -> Delivery:
        """It arrived: do not send it again."""
        return await self._decide("delivery.settle", delivery_id, idempotency_key)

    async def _decide(self, method: str, delivery_id: str, idempotency_key: str | None) -> Delivery:
        return await self._one(
            method, "delivery", Delivery.from_json, delivery_id=delivery_id, idempotency_key=idempotency_key
        )


class Tokens(Group):
    """`token.*`."""

    async def create(
        self,
        role: str,
        *,
        name: str = "",
        ttl_s: int | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        networks: Sequence[str] | None = None,
        requests_per_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedToken:
        """Make a token; without `ttl_s` it does not expire. Its secret is shown this once.

        It speaks for `user_id`, or for a service account made with it. With the role agent, `agent_id` names the
        agent that processes with this token answer for. `networks` are the CIDR ranges it may come from.
        """
        params = {
            "role": role,
            "name": name,
            "ttl_s": ttl_s,
            "agent_id": agent_id,
            "user_id": user_id,
            "networks": None if networks is None else [*networks],
            "requests_per_s": requests_per_s,
            "idempotency_key": idempotency_key,
        }
        return CreatedToken.from_json(await self._engine.request("token.create", given(params)))

    async def rotate(
        self,
        token_id: str,
        *,
        overlap_s: int | None = None,
        ttl_s: int | None = None,
        name: str = "",
        networks: Sequence[str] | None = None,
        requests_per_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedToken:
        """A new token in the place of another one, which is valid for `overlap_s` more (an hour unless told).

        What is not given is as it was there, its life too.
        """
        params = {
            "rotates": token_id,
            "overlap_s": overlap_s,
            "ttl_s": ttl_s,
            "name": name,
            "networks": None if networks is None else [*networks],
            "requests_per_s": requests_per_s,
            "idempotency_key": idempotency_key,
        }
        return CreatedToken.from_json(await self._engine.request("token.create", given(params)))

    def list(self, *, limit: int = limits.PAGE_DEFAULT, cursor: str | None = None) -> Listing[Token]:
        """Tokens, newest first."""
        return self._listing("token.list", "tokens", Token.from_json, cursor, limit=limit)

    async def revoke(self, token_id: str, *, idempotency_key: str | None = None) -> Token:
        """Revoke a token, at once."""
        return await self._one(
            "token.revoke", "token", Token.from_json, token_id=token_id, idempotency_key=idempotency_key
        )


class Pairings(Group):
    """`pairing.*`: who asks to be let in. Name one by `pairing_id`, or by the `code` they were shown."""

    def list(
        self, *, state: str = "pending", limit: int = limits.PAGE_DEFAULT, cursor: str | None = None
    ) -> Listing[Pairing]:
        """Pairings, newest first. `state` is pending, approved, rejected, expired or all."""
        return self._listing("pairing.list", "pairings", Pairing.from_json, cursor, state=state, limit=limit)

    async def approve(
        self,
        *,
        pairing_id: str | None = None,
        code: str | None = None,
        scopes: Sequence[str] | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Pairing:
        """Let somebody in; people are told. A device gets these scopes besides the minimum, and this name."""
        return await self._one(
            "pairing.approve",
            "pairing",
            Pairing.from_json,
            pairing_id=pairing_id,
            code=code,
            scopes=None if scopes is None else [*scopes],
            name=name,
            idempotency_key=idempotency_key,
        )

    async def reject(
        self, *, pairing_id: str | None = None, code: str | None = None, idempotency_key: str | None = None
    ) -> Pairing:
        """Shut somebody out, also a person who was let in before."""
        return await self._one(
            "pairing.reject",
            "pairing",
            Pairing.from_json,
            pairing_id=pairing_id,
            code=code,
            idempotency_key=idempotency_key,
        )


class Audit(Group):
    """`audit.*`."""

    def list(
        self,
        *,
        after_seq: int = 0,
        action: str | None = None,
        actor: str | None = None,
        entity: str | None = None,
        outcome: str | None = None,
        via: str | None = None,
        since: str | None = None,
        until: str | None = None,
        content: bool | None = None,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[AuditEntry]:
        """Entries in order after `after_seq` that fit every filter given.

        `action` may end with `.*`; `actor` is an id or `NETWORK:ID`, `entity` an id or `KIND:ID`; `since` counts,
        `until` does not, both RFC 3339 in UTC with three decimals. `content` also asks for what entries commit to,
        which leaves an entry of its own.
        """
        return self._listing(
            "audit.list",
            "entries",
            AuditEntry.from_json,
            cursor,
            after_seq=after_seq,
            action=action,
            actor=actor,
            entity=entity,
            outcome=outcome,
            via=via,
            since=since,
            until=until,
            content=content,
            limit=limit,
        )

    async def checkpoint(self) -> AuditCheckpoint:
        """The newest checkpoint; one is made now if entries are under none."""
        return await self._one("audit.checkpoint", "checkpoint", AuditCheckpoint.from_json)

    async def prove(self, seq: int) -> AuditProof:
        """The proof that an entry is in the log."""
        return await self._one("audit.prove", "proof", AuditProof.from_json, seq=seq)
