"""Users: making and changing principals, and linking chat identities to them by codes from both sides."""

from typing import Final

from gateway.clock import Clock
from gateway.rules.scopes import ROLE_SCOPES, require_grant
from gateway.services.pairings import LIFE_MS, new_code, normalized
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import ActorKind, Role
from protocol.scopes import Scope
from protocol.users import (
    UserLinkParams,
    UserLinkResult,
    UserListParams,
    UserListResult,
    UserSaveParams,
)
from storage.identity_ports import LinkStore, UserStore
from storage.identity_values import NewLinkCode, NewUser, UserChange, WrongLinkCode
from storage.values import Act

OPEN_CODES_MAX: Final = 3
"""Codes a user may have open: one for each of their chat networks."""
_OF_PEOPLE: Final = frozenset(Role) - {Role.AGENT, Role.DEVICE}


class Users:
    """Use cases of users."""

    def __init__(self, users: UserStore, links: LinkStore, clock: Clock) -> None:
        self._users = users
        self._links = links
        self._clock = clock

    async def page(self, org_id: str, params: UserListParams) -> UserListResult:
        """A page, newest first."""
        found, cursor = await self._users.page(org_id, params.kind, params.limit, params.cursor)
        return UserListResult(users=found, next_cursor=cursor)

    async def save(self, act: Act, held: frozenset[Scope], params: UserSaveParams) -> RawJson:
        """Make or change a principal. `held` are the scopes of who asks: nobody gives, or takes, others.

        Raises Fault: invalid_params, forbidden, not_found, conflict.
        """
        if params.role is not None and params.role not in _OF_PEOPLE:
            raise _invalid("role", "This role belongs to machines: tokens and pairings give it")
        if params.role is not None:
            require_grant(held, ROLE_SCOPES[params.role])
        if params.user_id is None:
            return await self._users.create(act, self._new(params))
        return await self._change(act, held, params, params.user_id)

    def _new(self, params: UserSaveParams) -> NewUser:
        if params.name is None or params.role is None:
            missing = "name" if params.name is None else "role"
            raise _invalid(missing, "It is needed to make a user")
        if params.disabled is not None or params.unlink is not None:
            given = "disabled" if params.disabled is not None else "unlink"
            raise _invalid(given, "It says something of a user that is there already: give user_id")
        user_id = self._clock.new_id(IdPrefix.PRINCIPAL)
        return NewUser(user_id, ActorKind(params.kind or "user"), params.name, params.role)

    async def _change(
        self, act: Act, held: frozenset[Scope], params: UserSaveParams, user_id: str
    ) -> RawJson:
        if params.kind is not None:
            raise _invalid("kind", "What somebody is does not change")
        user = await self._users.get(act.org_id, user_id)
        if params.role is not None and user.role not in _OF_PEOPLE:
            raise _invalid("role", "What an agent or a device may is not changed here")
        require_grant(held, ROLE_SCOPES[user.role])
        unlink = params.unlink
        change = UserChange(
            user_id,
            user.role,
            params.name,
            params.role,
            params.disabled,
            (unlink.channel, unlink.account, unlink.sender_id) if unlink is not None else None,
        )
        return await self._users.save(act, change)

    async def link(self, act: Act, params: UserLinkParams) -> UserLinkResult:
        """Begin to link a chat identity to the acting user, or finish it with the code that the chat was shown.

        Raises Fault: invalid_state, not_found (the code is wrong).
        """
        if params.code is not None:
            return await self._finish(act, params.code)
        code = new_code()
        new = NewLinkCode(self._clock.new_id(IdPrefix.LINK_CODE), code, act.at_ms + LIFE_MS, OPEN_CODES_MAX)
        result, is_new = await self._links.begin(act, new)
        return result.model_copy(update={"code": code}) if is_new else result

    async def _finish(self, act: Act, code: str) -> UserLinkResult:
        found = await self._links.finish(act, normalized(code))
        if isinstance(found, WrongLinkCode):
            hint = (
                f"Type /link and your code in a direct message to the bot; {found.left} guesses are left"
                if found.left
                else "Begin again: call user.link without a code"
            )
            raise Fault(ErrorKind.NOT_FOUND, "No chat was shown this code for you", hint=hint)
        return UserLinkResult(state="linked", link=found)


def _invalid(path: str, message: str) -> Fault:
    return invalid_params([{"path": path, "message": message}])
