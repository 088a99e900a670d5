"""The control side of what happens from above: the gateway's troubles, and what moderators and owners change.

Each request names an `action`; the other fields are that action's. `bot` is a username or id, the first bot
when it is left out.
"""

from collections.abc import Callable

from aiohttp import web

from channels.emulators.control import integer_of, optional_text_of, read_body, text_of
from channels.emulators.discord.fields import flag_of, id_of, optional_id_of
from channels.emulators.discord.intents import Intent
from channels.emulators.discord.network import Network
from channels.emulators.discord.permissions import NO_PERMISSIONS, Permission
from channels.emulators.discord.records import Json
from channels.emulators.errors import ControlError

Action = Callable[[Json, str | None], object]


class ControlAbove:
    """The handlers of both."""

    def __init__(self, network: Network) -> None:
        self._network = network
        gateway, moderation = network.gateway, network.moderation
        self._gateway_actions: dict[str, Action] = {
            "close": lambda body, bot: gateway.close(integer_of(body, "code"), bot=bot),
            "cut": lambda body, bot: gateway.cut(bot=bot),
            "reconnect": lambda body, bot: gateway.ask_to_reconnect(bot=bot),
            "invalidate": lambda body, bot: gateway.invalidate(resumable=flag_of(body, "resumable"), bot=bot),
            "refuse_upgrades": lambda body, bot: gateway.refuse_upgrades(integer_of(body, "count", 1)),
            "hold": lambda body, bot: gateway.hold(bot=bot),
            "held": lambda body, bot: gateway.held(bot=bot),
            "release": lambda body, bot: gateway.release(_order(body), bot=bot),
            "lose": lambda body, bot: gateway.lose(
                integer_of(body, "count", 1), optional_text_of(body, "event"), bot=bot
            ),
            "redeliver": lambda body, bot: gateway.redeliver(optional_text_of(body, "event"), bot=bot),
        }
        self._moderation_actions: dict[str, Action] = {
            "remove_bot": lambda body, bot: moderation.remove_bot(id_of(body, "guild_id"), bot=bot),
            "add_bot": lambda body, bot: moderation.add_bot(id_of(body, "guild_id"), bot=bot),
            "outage": lambda body, bot: moderation.tell_outage(
                id_of(body, "guild_id"), is_over=flag_of(body, "is_over")
            ),
            "set_permissions": lambda body, bot: moderation.set_permissions(
                id_of(body, "channel_id"), allow=_bits(body, "allow"), deny=_bits(body, "deny"), bot=bot
            ),
            "create_channel": lambda body, bot: str(
                moderation.create_channel(
                    id_of(body, "guild_id"), text_of(body, "name"), optional_id_of(body, "channel_id")
                ).id
            ),
            "delete_channel": lambda body, bot: moderation.delete_channel(id_of(body, "channel_id")),
            "change_thread": lambda body, bot: moderation.change_thread(
                id_of(body, "thread_id"),
                archived=flag_of(body, "archived") if "archived" in body else None,
                locked=flag_of(body, "locked") if "locked" in body else None,
            ),
            "close_dms": lambda body, bot: moderation.close_dms(
                id_of(body, "user_id"), closed=flag_of(body, "closed", default=True)
            ),
            "revoke_token": lambda body, bot: moderation.revoke_token(bot=bot),
            "restore_token": lambda body, bot: moderation.restore_token(bot=bot),
            "set_intent": lambda body, bot: moderation.set_intent(
                _intent(body), enabled=flag_of(body, "enabled"), bot=bot
            ),
        }

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.post("/control/gateway", self.gateway),
            web.post("/control/moderation", self.moderation),
        ]

    async def gateway(self, request: web.Request) -> web.Response:
        return _act(self._gateway_actions, await read_body(request))

    async def moderation(self, request: web.Request) -> web.Response:
        return _act(self._moderation_actions, await read_body(request))


def _act(actions: dict[str, Action], body: Json) -> web.Response:
    action = text_of(body, "action")
    if action not in actions:
        raise ControlError(f"action must be one of {', '.join(actions)}")
    return web.json_response({"result": actions[action](body, optional_text_of(body, "bot"))})


def _order(body: Json) -> list[int] | None:
    order = body.get("order")
    if order is not None and not (isinstance(order, list) and all(isinstance(one, int) for one in order)):
        raise ControlError("order must be a list of places")
    return order


def _bits(body: Json, name: str) -> Permission:
    """Permissions by their names."""
    bits = NO_PERMISSIONS
    for one in body.get(name) or []:
        if one not in Permission.__members__:
            raise ControlError(f"{one} is no permission; known are {', '.join(Permission.__members__)}")
        bits |= Permission[one]
    return bits


def _intent(body: Json) -> Intent:
    name = text_of(body, "intent")
    if name not in Intent.__members__:
        raise ControlError(f"{name} is no intent")
    return Intent[name]
