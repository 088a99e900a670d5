"""`chat.startStream`, `appendStream` and `stopStream`: messages that grow before people's eyes.

Pure. A stream lives about five minutes from its start, whatever is appended (slackapi/python-slack-sdk issue
1859); after that its message stays as it is and takes no more. In channels the recipient must be named.
"""

from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.blocks import check_message_blocks, with_ids
from channels.emulators.slack.chat import MARKDOWN_TEXT_MAX, settle_status
from channels.emulators.slack.lookups import (
    joined_channel,
    message_of,
    metadata_of,
    thread_root,
    writable_channel,
)
from channels.emulators.slack.mentions import marks_in_blocks
from channels.emulators.slack.records import Bot, Channel, Json, Message, Stream
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.wire import message_to_wire
from channels.emulators.slack.world import World

CHUNK_BLOCKS_MAX = 50
TITLE_MAX = 256
TASK_STATES = ("pending", "in_progress", "complete", "error")
DISPLAY_MODES = ("timeline", "plan", "dense")
SESSION_STATES = ("active", "processing", "suspended", "closed")


def start_stream(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = writable_channel(world, bot, arguments.text("channel"))
    thread_ts = thread_root(channel, arguments)
    if thread_ts is None:
        raise Refusal("invalid_arguments", "missing required field: thread_ts")
    recipient = _recipient(channel, arguments)
    mode = arguments.text("task_display_mode", "timeline")
    if mode not in DISPLAY_MODES:
        raise Refusal("invalid_arguments", f"unknown task_display_mode {mode}")
    chunks = _chunks(arguments)
    stream = Stream(world.now() + world.timing.stream_s, mode, recipient)
    message = Message(
        ts=world.next_ts(),
        at=world.now(),
        user=bot.user_id,
        text="",
        blocks=[],
        bot=bot,
        thread_ts=thread_ts,
        stream=stream,
    )
    _grow(message, stream, chunks)
    world.post(channel, message)
    settle_status(world, bot, channel, message)
    events.said(world, channel, message)
    return {"channel": channel.id, "ts": message.ts}


def append_stream(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, message, stream = _open_stream(world, bot, arguments)
    chunks = _chunks(arguments)
    if not chunks:
        raise Refusal("no_text")
    _grow(message, stream, chunks)
    world.show("stream", channel, message)
    return {"channel": channel.id, "ts": message.ts}


def stop_stream(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, message, stream = _open_stream(world, bot, arguments)
    chunks = _chunks(arguments)
    blocks = arguments.objects("blocks", "invalid_blocks_format")
    check_message_blocks(blocks)
    metadata = metadata_of(arguments)
    session_status = arguments.text("session_status")
    if session_status and session_status not in SESSION_STATES:
        raise Refusal("invalid_arguments", f"unknown session_status {session_status}")
    before = message_to_wire(channel, message, world.base_url)
    _grow(message, stream, chunks)
    stream.is_open, stream.ended_by = False, "app"
    message.blocks = with_ids([*message.blocks, *blocks])
    message.mentions = marks_in_blocks(message.blocks)
    message.metadata = metadata
    thread = channel.agent_threads.get(message.thread_ts or "")
    if session_status and thread is not None:
        thread.session_status = session_status
    world.show("stream", channel, message)
    events.changed(world, channel, message, before)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_to_wire(channel, message, world.base_url),
    }


def expire_streams(world: World) -> list[Message]:
    """End every stream now, as if its time were over."""
    ended = []
    for channel in world.channels.values():
        for message in channel.messages.values():
            if message.stream is not None and message.stream.is_open:
                message.stream.expires_at = min(message.stream.expires_at, world.now())
                close_if_expired(world, channel, message)
                ended.append(message)
    return ended


def close_if_expired(world: World, channel: Channel, message: Message) -> None:
    """Mark a stream that is over as over."""
    stream = message.stream
    if stream is not None and stream.is_open and world.now() >= stream.expires_at:
        stream.is_open, stream.ended_by = False, "expiry"
        world.show("stream", channel, message)


def _open_stream(world: World, bot: Bot, arguments: Arguments) -> tuple[Channel, Message, Stream]:
    channel = joined_channel(world, bot, arguments.required("channel"))
    message = message_of(channel, arguments.required("ts"))
    if message.bot is not bot:
        raise Refusal("message_not_owned_by_app")
    close_if_expired(world, channel, message)
    stream = message.stream
    if stream is not None and stream.ended_by == "person":
        raise Refusal("stopped_by_user")
    if stream is None or not stream.is_open:
        raise Refusal("message_not_in_streaming_state")
    return channel, message, stream


def _recipient(channel: Channel, arguments: Arguments) -> str:
    user, team = arguments.text("recipient_user_id"), arguments.text("recipient_team_id")
    if channel.kind == "im":
        return user or next(iter(channel.members - {channel.bot.user_id if channel.bot else ""}), "")
    if not user:
        raise Refusal("missing_recipient_user_id")
    if not team:
        raise Refusal("missing_recipient_team_id")
    if user not in channel.members or team != channel.team.id:
        raise Refusal("user_not_in_channel")
    return user


def _chunks(arguments: Arguments) -> list[Json]:
    markdown = arguments.text("markdown_text")
    chunks = arguments.objects("chunks", "invalid_chunks")
    if markdown and chunks:
        raise Refusal("markdown_text_conflict")
    chunks = [{"type": "markdown_text", "text": markdown}] if markdown else chunks
    for chunk in chunks:
        _check_chunk(chunk)
    return chunks


def _check_chunk(chunk: Json) -> None:
    kind = chunk.get("type")
    if kind == "markdown_text":
        if not isinstance(chunk.get("text"), str):
            raise Refusal("invalid_chunks", "text must be a string")
        if len(chunk["text"]) > MARKDOWN_TEXT_MAX:
            raise Refusal("msg_too_long")
    elif kind == "task_update":
        is_named = isinstance(chunk.get("id"), str) and isinstance(chunk.get("title"), str)
        if not is_named or chunk.get("status") not in TASK_STATES:
            raise Refusal("invalid_chunks", f"a task has an id, a title and a status of {TASK_STATES}")
        if len(chunk["title"]) > TITLE_MAX:
            raise Refusal("msg_too_long")
    elif kind == "plan_update":
        if not isinstance(chunk.get("title"), str):
            raise Refusal("invalid_chunks", "a plan has a title")
    elif kind == "blocks":
        blocks = chunk.get("blocks")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise Refusal("invalid_chunks", "blocks must be an array of objects")
        check_message_blocks(blocks)
    else:
        raise Refusal("invalid_chunks", f"unknown chunk type {kind}")


def _grow(message: Message, stream: Stream, chunks: list[Json]) -> None:
    """Take in new chunks: text is joined, tasks are replaced by id, their details grow."""
    for chunk in chunks:
        last = stream.chunks[-1] if stream.chunks else None
        if chunk["type"] == "markdown_text" and last is not None and last["type"] == "markdown_text":
            last["text"] += chunk["text"]
        elif chunk["type"] == "task_update":
            _update_task(stream, chunk)
        elif chunk["type"] == "plan_update":
            stream.chunks = [one for one in stream.chunks if one["type"] != "plan_update"] + [dict(chunk)]
        else:
            stream.chunks.append(dict(chunk))
    message.text = "".join(one["text"] for one in stream.chunks if one["type"] == "markdown_text")
    message.blocks = _shown(stream)
    message.mentions = marks_in_blocks(message.blocks)


def _update_task(stream: Stream, chunk: Json) -> None:
    known = next(
        (one for one in stream.chunks if one["type"] == "task_update" and one["id"] == chunk["id"]), None
    )
    if known is None:
        stream.chunks.append(dict(chunk))
        return
    details = known.get("details", "") + chunk.get("details", "") if "details" in chunk else None
    known.update(chunk)
    if details is not None:
        known["details"] = details


def _shown(stream: Stream) -> list[Json]:
    blocks: list[Json] = []
    for chunk in stream.chunks:
        if chunk["type"] == "markdown_text" and chunk["text"]:
            blocks.append({"type": "markdown", "text": chunk["text"]})
        elif chunk["type"] == "task_update":
            task = {name: value for name, value in chunk.items() if name not in ("type", "id")}
            blocks.append({"type": "task_card", "task_id": chunk["id"], **task})
        elif chunk["type"] == "plan_update":
            blocks.append({"type": "plan", "title": chunk["title"]})
        elif chunk["type"] == "blocks":
            blocks.extend(chunk["blocks"])
    return blocks
