"""Handlers of users, of the chat identities linked to them, and of the credential of a connection."""

from gateway.edge.authentication import Authenticator
from gateway.edge.dispatch import Call
from gateway.services.users import Users
from protocol import users as wire
from protocol.errors import ErrorKind, Fault
from protocol.frames import Result
from protocol.instants import to_instant
from protocol.records import Principal


class Administering:
    """Who is in an organization, and who they are elsewhere."""

    def __init__(self, users: Users, authenticator: Authenticator) -> None:
        self._users = users
        self._authenticator = authenticator

    async def user_list(self, call: Call, params: wire.UserListParams) -> Result:
        return await self._users.page(call.act.org_id, params)

    async def user_save(self, call: Call, params: wire.UserSaveParams) -> Result:
        return await self._users.save(call.act, call.caller.scopes, params)

    async def user_link(self, call: Call, params: wire.UserLinkParams) -> Result:
        return await self._users.link(call.act, params)

    async def auth_refresh(self, call: Call, params: wire.AuthRefreshParams) -> Result:
        if call.renew is None:
            raise Fault(
                ErrorKind.INVALID_STATE,
                "Only a WebSocket connection keeps a credential",
                hint="Over HTTP every request brings its own",
            )
        before = call.caller.bearer
        caller = await self._authenticator.authenticate(params.auth.token, call.caller.via, call.caller.peer)
        bearer = caller.bearer
        whose = (bearer.org_id, bearer.actor.id, bearer.agent_id)
        if whose != (before.org_id, before.actor.id, before.agent_id):
            raise Fault(
                ErrorKind.FORBIDDEN,
                "The credential is somebody else's",
                hint="Connect anew with it, or make one for the same principal (token.create with rotates)",
            )
        call.renew(caller)
        actor, expires = bearer.actor, bearer.expires_at_ms
        return wire.AuthRefreshResult(
            principal=Principal(id=actor.id, kind=actor.kind, name=actor.name),
            scopes=sorted(scope.value for scope in caller.scopes),
            auth_expires_at=to_instant(expires) if expires is not None else None,
        )
