"""What the control side shows: everything people would see, and what was edited away or deleted.

Pure conversion from the records. Complete enough that a page can draw a network from it alone.
"""

from channels.emulators.slack.blocks import elements_of
from channels.emulators.slack.records import AgentThread, Bot, Channel, Json, Message, StoredFile, View
from channels.emulators.slack.wire import file_to_wire, reactions_to_wire, view_to_wire


def message_view(channel: Channel, message: Message, base_url: str) -> Json:
    """A message as people see it, with what they no longer see."""
    stream = message.stream
    return {
        "channel": channel.id,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "author": message.username or (message.bot.app.name if message.bot else message.user),
        "is_bot": message.bot is not None,
        "app_id": message.bot.app.id if message.bot else None,
        "subtype": message.subtype,
        "text": message.text,
        "blocks": message.blocks,
        "buttons": [_button(block, element) for block, element in elements_of(message.blocks)],
        "metadata": message.metadata,
        "attachments": message.attachments,
        "files": [file_view(file, base_url) for file in message.files],
        "reactions": reactions_to_wire(message),
        "mentions": list(message.mentions),
        "edited": message.edited is not None,
        "edits": [{"at": edit.at, "text": edit.text, "blocks": edit.blocks} for edit in message.edits],
        "deleted": message.deleted_at is not None,
        "deleted_at": message.deleted_at,
        "ephemeral_to": message.ephemeral_to,
        "streaming": stream is not None and stream.is_open,
        "stream": None
        if stream is None
        else {
            "chunks": stream.chunks,
            "display_mode": stream.display_mode,
            "recipient": stream.recipient,
            "expires_at": stream.expires_at,
            "ended_by": stream.ended_by,
        },
    }


def _button(block: Json, element: Json) -> Json:
    text = element.get("text") or element.get("placeholder") or {}
    return {
        "block_id": block.get("block_id", ""),
        "action_id": element["action_id"],
        "kind": element["type"],
        "text": text.get("text", ""),
        "value": element.get("value"),
        "style": element.get("style"),
        "url": element.get("url"),
        "options": element.get("options", []),
        "confirm": element.get("confirm"),
    }


def file_view(file: StoredFile, base_url: str) -> Json:
    """A file; `url` is on the control side and needs no token."""
    return file_to_wire(file, base_url) | {
        "url": f"{base_url}/control/files/{file.id}",
        "is_complete": file.is_complete,
        "deleted": file.is_deleted,
    }


def channel_view(channel: Channel) -> Json:
    """A channel with what apps show on it: status, titles, prompts."""
    return {
        "id": channel.id,
        "kind": channel.kind,
        "name": channel.name,
        "team_id": channel.team.id,
        "app_id": channel.bot.app.id if channel.bot else None,
        "members": sorted(channel.members),
        "message_count": len(channel.messages),
        "threads": [agent_thread_view(one) for one in channel.agent_threads.values()],
    }


def agent_thread_view(thread: AgentThread) -> Json:
    """What an app shows on a thread."""
    return {
        "thread_ts": thread.thread_ts,
        "status": thread.status,
        "loading_messages": thread.loading_messages,
        "title": thread.title,
        "session_status": thread.session_status,
        "prompts_title": thread.prompts_title,
        "prompts": thread.prompts,
    }


def view_view(view: View) -> Json:
    """A modal or an App Home, for whom, and what was wrong with the last submission."""
    return view_to_wire(view) | {"user": view.user, "is_open": view.is_open, "errors": view.errors}


def bot_view(bot: Bot) -> Json:
    """An installation, without its token."""
    return {
        "app_id": bot.app.id,
        "name": bot.app.name,
        "team_id": bot.team.id,
        "user_id": bot.user_id,
        "bot_id": bot.bot_id,
        "scopes": sorted(bot.scopes),
        "refusal": bot.refusal,
    }
