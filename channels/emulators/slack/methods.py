"""The table of Web API methods: which function does it, which scope it needs, how often it may be called.

Pure. A method that is not in the table does not exist. Scopes that depend on the kind of channel are checked by
the functions. Tiers are those of Slack's java SDK (rate_limit_tiers.json) and the methods' pages.
"""

from collections.abc import Callable
from dataclasses import dataclass

from channels.emulators.slack import accounts, agents, chat, conversations, files, modals, streams
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.lookups import need_scope
from channels.emulators.slack.records import Bot, Json
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.world import World

Function = Callable[[World, Bot, Arguments], Json]
_HISTORY = tuple(f"{one}:history" for one in ("channels", "groups", "im", "mpim"))
_READ = tuple(f"{one}:read" for one in ("channels", "groups", "im", "mpim"))
_ASSISTANT = ("assistant:write", "chat:write")


@dataclass(frozen=True, slots=True)
class Method:
    """One method. Any one of `scopes` suffices, none is needed without; `tier` 0 is the one of posting."""

    function: Function
    tier: int
    scopes: tuple[str, ...] = ()


POSTING_TIER = 0
METHODS: dict[str, Method] = {
    "auth.test": Method(accounts.auth_test, 4),
    "auth.revoke": Method(accounts.auth_revoke, 3),
    "team.info": Method(accounts.team_info, 3, ("team:read",)),
    "bots.info": Method(accounts.bots_info, 3, ("users:read",)),
    "users.info": Method(conversations.users_info, 4, ("users:read",)),
    "chat.postMessage": Method(chat.post_message, POSTING_TIER, ("chat:write",)),
    "chat.postEphemeral": Method(chat.post_ephemeral, 4, ("chat:write",)),
    "chat.update": Method(chat.update, 3, ("chat:write",)),
    "chat.delete": Method(chat.delete, 3, ("chat:write",)),
    "chat.getPermalink": Method(chat.get_permalink, 4),
    "chat.startStream": Method(streams.start_stream, 2, ("chat:write",)),
    "chat.appendStream": Method(streams.append_stream, 4, ("chat:write",)),
    "chat.stopStream": Method(streams.stop_stream, 2, ("chat:write",)),
    "conversations.history": Method(conversations.history, 3, _HISTORY),
    "conversations.replies": Method(conversations.replies, 3, _HISTORY),
    "conversations.info": Method(conversations.info, 3, _READ),
    "conversations.open": Method(conversations.open_direct, 3, ("im:write", "mpim:write")),
    "conversations.list": Method(conversations.list_channels, 2, _READ),
    "conversations.members": Method(conversations.members, 4, _READ),
    "reactions.add": Method(conversations.add_reaction, 3, ("reactions:write",)),
    "reactions.remove": Method(conversations.remove_reaction, 2, ("reactions:write",)),
    "reactions.get": Method(conversations.get_reactions, 3, ("reactions:read",)),
    "views.open": Method(modals.open_view, 4),
    "views.update": Method(modals.update_view, 4),
    "views.publish": Method(modals.publish_view, 4),
    "files.getUploadURLExternal": Method(files.get_upload_url, 4, ("files:write",)),
    "files.completeUploadExternal": Method(files.complete_upload, 4, ("files:write",)),
    "files.info": Method(files.files_info, 4, ("files:read",)),
    "files.delete": Method(files.files_delete, 3, ("files:write",)),
    "assistant.threads.setStatus": Method(agents.set_status, 4, _ASSISTANT),
    "assistant.threads.setTitle": Method(agents.set_title, 3, _ASSISTANT),
    "assistant.threads.setSuggestedPrompts": Method(agents.set_suggested_prompts, 3, _ASSISTANT),
    "agents.sessions.setStatus": Method(agents.set_session_status, 4, _ASSISTANT),
    "agents.sessions.rename": Method(agents.rename_session, 3, _ASSISTANT),
}


def method_named(name: str) -> Method:
    """Raises Refusal for a method that does not exist."""
    method = METHODS.get(name)
    if method is None:
        raise Refusal("unknown_method", fields={"req_method": name})
    return method


def call_method(world: World, bot: Bot, method: Method, arguments: Arguments) -> Json:
    """Do one call for a bot. Raises Refusal."""
    if method.scopes:
        need_scope(bot, *method.scopes)
    return method.function(world, bot, arguments)


def bot_of(world: World, token: str) -> Bot:
    """Whose token it is. Raises Refusal, with the error the token earns."""
    if not token:
        raise Refusal("not_authed")
    if token in world.retired_tokens:
        raise Refusal(world.retired_tokens[token])
    bot = world.bots.get(token)
    if bot is None:
        is_app_token = any(app.app_token == token for app in world.apps.values())
        raise Refusal("not_allowed_token_type" if is_app_token else "invalid_auth")
    if bot.refusal:
        raise Refusal(bot.refusal)
    return bot
