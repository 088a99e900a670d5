"""The table of REST calls: verb and path, and who answers. The text of both is the call's name in scripts and logs.

In paths `{c}` is a channel, `{m}` a message, `{u}` a user, `{g}` a guild, `{a}` an application, `{k}` a command,
`{i}` an interaction, `{t}` its token and `{e}` an emoji.
"""

from typing import Final

from channels.emulators.discord import bot_commands, bot_messages, bot_rooms, responses
from channels.emulators.discord.exchange import Handler

BY_BOT: Final[dict[str, Handler]] = {
    "GET /users/@me": bot_commands.get_me,
    "GET /oauth2/applications/@me": bot_commands.get_application,
    "GET /applications/@me": bot_commands.get_application,
    "GET /applications/{a}/commands": bot_commands.list_commands,
    "PUT /applications/{a}/commands": bot_commands.overwrite_commands,
    "POST /applications/{a}/commands": bot_commands.create_command,
    "GET /applications/{a}/commands/{k}": bot_commands.get_command,
    "DELETE /applications/{a}/commands/{k}": bot_commands.delete_command,
    "GET /applications/{a}/guilds/{g}/commands": bot_commands.list_commands,
    "PUT /applications/{a}/guilds/{g}/commands": bot_commands.overwrite_commands,
    "POST /applications/{a}/guilds/{g}/commands": bot_commands.create_command,
    "GET /applications/{a}/guilds/{g}/commands/{k}": bot_commands.get_command,
    "DELETE /applications/{a}/guilds/{g}/commands/{k}": bot_commands.delete_command,
    "GET /users/@me/guilds": bot_rooms.list_guilds,
    "POST /users/@me/channels": bot_rooms.open_dm,
    "GET /users/{u}": bot_rooms.get_user,
    "GET /guilds/{g}": bot_rooms.get_guild,
    "GET /guilds/{g}/channels": bot_rooms.list_channels,
    "GET /guilds/{g}/threads/active": bot_rooms.list_active_threads,
    "GET /guilds/{g}/members/{u}": bot_rooms.get_member,
    "GET /channels/{c}": bot_rooms.get_channel,
    "PATCH /channels/{c}": bot_rooms.edit_channel,
    "DELETE /channels/{c}": bot_rooms.remove_channel,
    "GET /channels/{c}/threads/archived/public": bot_rooms.list_archived_threads,
    "POST /channels/{c}/threads": bot_rooms.start_thread,
    "POST /channels/{c}/messages/{m}/threads": bot_rooms.start_thread_from_message,
    "PUT /channels/{c}/thread-members/@me": bot_rooms.join_thread,
    "GET /channels/{c}/messages": bot_messages.list_messages,
    "POST /channels/{c}/messages": bot_messages.create_message,
    "POST /channels/{c}/messages/bulk-delete": bot_messages.delete_messages,
    "GET /channels/{c}/messages/{m}": bot_messages.get_message,
    "PATCH /channels/{c}/messages/{m}": bot_messages.edit_message,
    "DELETE /channels/{c}/messages/{m}": bot_messages.delete_message,
    "POST /channels/{c}/typing": bot_messages.start_typing,
    "GET /channels/{c}/messages/{m}/reactions/{e}": bot_messages.list_reactions,
    "PUT /channels/{c}/messages/{m}/reactions/{e}/@me": bot_messages.add_reaction,
    "DELETE /channels/{c}/messages/{m}/reactions/{e}/@me": bot_messages.remove_reaction,
    "DELETE /channels/{c}/messages/{m}/reactions/{e}/{u}": bot_messages.remove_reaction,
}
"""Calls that need a bot's token in the header."""

BY_INTERACTION: Final[dict[str, Handler]] = {
    "POST /interactions/{i}/{t}/callback": responses.respond,
    "POST /webhooks/{a}/{t}": responses.follow_up,
    "GET /webhooks/{a}/{t}/messages/@original": responses.get_response,
    "PATCH /webhooks/{a}/{t}/messages/@original": responses.edit_response,
    "DELETE /webhooks/{a}/{t}/messages/@original": responses.delete_response,
    "GET /webhooks/{a}/{t}/messages/{m}": responses.get_response,
    "PATCH /webhooks/{a}/{t}/messages/{m}": responses.edit_response,
    "DELETE /webhooks/{a}/{t}/messages/{m}": responses.delete_response,
}
"""Calls that are allowed by the token in their path."""

GATEWAY: Final = "GET /gateway"
GATEWAY_BOT: Final = "GET /gateway/bot"
ATTACHMENT: Final = "GET /attachments/{c}/{m}/{filename}"


def pattern_of(path: str) -> str:
    """A path as the router takes it: ids are digits, tokens and emojis anything without a slash."""
    for name in "cmugaki":
        path = path.replace(f"{{{name}}}", f"{{{name}:[0-9]+}}")
    return path
