"""How Slack writes users, channels, messages, files and views on its API and in its events.

Pure conversion from the records; decides nothing. Shapes follow https://docs.slack.dev/reference/objects.
"""

from channels.emulators.slack.records import Bot, Channel, Json, Message, Person, StoredFile, View


def user_to_wire(person: Person, team_id: str) -> Json:
    """A person as `users.info` shows one."""
    real_name = person.real_name or person.name
    return {
        **_user(person.id, team_id, person.name, real_name),
        "is_bot": False,
        "is_app_user": False,
    }


def bot_user_to_wire(bot: Bot) -> Json:
    """A bot's user."""
    user = _user(bot.user_id, bot.team.id, bot.app.name.lower(), bot.app.name)
    user["profile"] |= {"bot_id": bot.bot_id, "api_app_id": bot.app.id, "always_active": True}
    return {**user, "is_bot": True, "is_app_user": False}


def _user(user_id: str, team_id: str, name: str, real_name: str) -> Json:
    return {
        "id": user_id,
        "team_id": team_id,
        "name": name,
        "deleted": False,
        "real_name": real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": {
            "real_name": real_name,
            "display_name": real_name,
            "real_name_normalized": real_name,
            "display_name_normalized": real_name,
            "team": team_id,
        },
        "is_admin": False,
        "is_owner": False,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "updated": 0,
    }


def bot_profile(bot: Bot) -> Json:
    """The short form of a bot that its messages carry."""
    return {
        "id": bot.bot_id,
        "app_id": bot.app.id,
        "user_id": bot.user_id,
        "name": bot.app.name,
        "deleted": False,
        "updated": 0,
        "team_id": bot.team.id,
    }


def channel_to_wire(channel: Channel, bot: Bot) -> Json:
    """A conversation as one bot sees it."""
    wire: Json = {
        "id": channel.id,
        "created": int(channel.at),
        "is_archived": False,
        "is_im": channel.kind == "im",
        "is_org_shared": False,
        "context_team_id": channel.team.id,
        "updated": int(channel.at * 1000),
    }
    if channel.kind == "im":
        people = channel.members - {bot.user_id}
        return {**wire, "user": next(iter(people), bot.user_id), "is_user_deleted": False, "priority": 0}
    return {
        **wire,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_general": False,
        "is_shared": False,
        "is_ext_shared": False,
        "is_pending_ext_shared": False,
        "is_member": bot.user_id in channel.members,
        "creator": "USLACKBOT",
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def message_to_wire(channel: Channel, message: Message, base_url: str, with_metadata: bool = True) -> Json:
    """A message, without the channel it is in. Its root shows what hangs on it."""
    wire: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    if message.subtype:
        wire["subtype"] = message.subtype
    if message.bot is not None:
        wire |= {"bot_id": message.bot.bot_id, "app_id": message.bot.app.id}
        wire["bot_profile"] = bot_profile(message.bot)
    if message.username:
        wire["username"] = message.username
    if message.client_msg_id:
        wire["client_msg_id"] = message.client_msg_id
    wire["team"] = channel.team.id
    for name, value in (("blocks", message.blocks), ("attachments", message.attachments)):
        if value:
            wire[name] = value
    if message.files:
        wire |= {"files": [file_to_wire(one, base_url) for one in message.files], "upload": False}
    if message.edited:
        wire["edited"] = message.edited
    if message.reactions:
        wire["reactions"] = reactions_to_wire(message)
    if message.metadata and with_metadata:
        wire["metadata"] = message.metadata
    return wire | _thread_of(channel, message)


def _thread_of(channel: Channel, message: Message) -> Json:
    if message.thread_ts is not None and message.thread_ts != message.ts:
        root = channel.messages.get(message.thread_ts)
        parent = {"parent_user_id": root.user} if root is not None else {}
        return {"thread_ts": message.thread_ts, **parent}
    replies = [channel.messages[ts] for ts in channel.replies.get(message.ts, ())]
    living = [one for one in replies if one.deleted_at is None]
    if not living:
        return {}
    people = list(dict.fromkeys(one.user for one in living))
    return {
        "thread_ts": message.ts,
        "reply_count": len(living),
        "reply_users_count": len(people),
        "latest_reply": living[-1].ts,
        "reply_users": people,
        "is_locked": False,
        "subscribed": False,
    }


def tombstone(channel: Channel, message: Message) -> Json:
    """What is shown of a deleted root while replies hang on it."""
    return {
        "type": "message",
        "subtype": "tombstone",
        "user": "USLACKBOT",
        "text": "This message was deleted.",
        "hidden": True,
        "ts": message.ts,
    } | _thread_of(channel, message)


def reactions_to_wire(message: Message) -> list[Json]:
    """The reactions, by emoji."""
    return [
        {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
    ]


def file_to_wire(file: StoredFile, base_url: str) -> Json:
    """A file object; its addresses want a token."""
    if file.is_deleted:
        return {"id": file.id, "mode": "tombstone"}
    private = f"{base_url}/files-pri/{file.team_id}-{file.id}"
    places: dict[str, dict[str, list[Json]]] = {}
    for channel_id, ts, thread_ts in file.shares:
        share: Json = {"ts": ts, "reply_users": [], "reply_users_count": 0, "reply_count": 0}
        if thread_ts:
            share["thread_ts"] = thread_ts
        audience = "public" if channel_id.startswith("C") else "private"
        places.setdefault(audience, {}).setdefault(channel_id, []).append(share)
    return {
        "id": file.id,
        "created": int(file.at),
        "timestamp": int(file.at),
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": file.mimetype,
        "filetype": file.name.rpartition(".")[2] if "." in file.name else "binary",
        "pretty_type": file.mimetype,
        "user": file.owner,
        "user_team": file.team_id,
        "editable": False,
        "size": len(file.content) if file.content is not None else file.length,
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": "public" in places,
        "public_url_shared": False,
        "display_as_bot": False,
        "url_private": f"{private}/{file.name}",
        "url_private_download": f"{private}/download/{file.name}",
        "permalink": f"{base_url}/files/{file.owner}/{file.id}/{file.name}",
        "channels": sorted({place for place, _, _ in file.shares if place.startswith("C")}),
        "groups": sorted({place for place, _, _ in file.shares if place.startswith("G")}),
        "ims": sorted({place for place, _, _ in file.shares if place.startswith("D")}),
        "shares": places,
        "has_rich_preview": False,
        "file_access": "visible",
    }


def view_to_wire(view: View) -> Json:
    """A view as methods and interactions show it."""
    content = view.content
    return {
        "id": view.id,
        "team_id": view.bot.team.id,
        "type": content["type"],
        "blocks": content.get("blocks", []),
        "private_metadata": content.get("private_metadata", ""),
        "callback_id": content.get("callback_id", ""),
        "state": content.get("state", {"values": {}}),
        "hash": view.hash,
        "title": content.get("title"),
        "clear_on_close": bool(content.get("clear_on_close", False)),
        "notify_on_close": bool(content.get("notify_on_close", False)),
        "close": content.get("close"),
        "submit": content.get("submit"),
        "previous_view_id": view.previous_id,
        "root_view_id": view.root_id,
        "app_id": view.bot.app.id,
        "external_id": content.get("external_id", ""),
        "app_installed_team_id": view.bot.team.id,
        "bot_id": view.bot.bot_id,
    }
