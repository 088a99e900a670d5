"""`chat.*` but for streams: post, change and delete messages, and show one to a single person.

Pure. https://docs.slack.dev/reference/methods?family=chat
"""

from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.blocks import check_message_blocks, with_ids
from channels.emulators.slack.lookups import (
    joined_channel,
    message_of,
    metadata_of,
    thread_root,
    visible_channel,
    writable_channel,
)
from channels.emulators.slack.mentions import marks_in, marks_in_blocks, marks_in_words
from channels.emulators.slack.records import Bot, Channel, Json, Message
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.wire import message_to_wire
from channels.emulators.slack.world import World

# chat.postMessage cuts longer texts off, chat.update refuses beyond 4,000 (the methods' pages).
TEXT_MAX, UPDATE_TEXT_MAX = 40_000, 4_000
MARKDOWN_TEXT_MAX = 12_000


class Content:
    """What a message is to show: from `text`, `blocks`, `attachments` or `markdown_text`. Raises Refusal."""

    def __init__(self, arguments: Arguments) -> None:
        self.blocks = arguments.objects("blocks", "invalid_blocks_format")
        self.attachments = arguments.objects("attachments", "invalid_attachments")
        self.text = arguments.text("text")
        markdown = arguments.text("markdown_text")
        if markdown:
            if self.text or self.blocks:
                raise Refusal("markdown_text_conflict")
            if len(markdown) > MARKDOWN_TEXT_MAX:
                raise Refusal("msg_too_long")
            self.text, self.blocks = markdown, [{"type": "markdown", "text": markdown}]
        check_message_blocks(self.blocks)
        self.blocks = with_ids(self.blocks)
        if not self.text and not self.blocks and not self.attachments:
            raise Refusal("no_text")
        in_text = () if markdown else marks_in(self.text)
        if arguments.flag("link_names") or arguments.text("parse") == "full":
            in_text += marks_in_words(self.text)
        # A text beside blocks is only the fallback; whether it notifies is not documented, so it counts.
        marks = (*in_text, *marks_in_blocks(self.blocks), *_marks_in_attachments(self.attachments))
        self.mentions = tuple(dict.fromkeys(marks))


def post_message(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = writable_channel(world, bot, arguments.text("channel"))
    content = Content(arguments)
    message = _new_message(world, bot, channel, content, arguments)
    message.metadata = metadata_of(arguments)
    if arguments.flag("reply_broadcast") and message.thread_ts:
        message.subtype = "thread_broadcast"
    world.post(channel, message)
    settle_status(world, bot, channel, message)
    events.said(world, channel, message)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_to_wire(channel, message, world.base_url),
    }


def post_ephemeral(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = joined_channel(world, bot, arguments.required("channel"))
    user = arguments.required("user")
    content = Content(arguments)
    if user not in channel.members:
        raise Refusal("user_not_in_channel")
    message = _new_message(world, bot, channel, content, arguments)
    message.ephemeral_to = user
    world.post(channel, message)
    return {"message_ts": message.ts}


def update(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = joined_channel(world, bot, arguments.required("channel"))
    message = message_of(channel, arguments.required("ts"))
    if message.bot is not bot:
        raise Refusal("cant_update_message")
    if message.stream is not None and message.stream.is_open and world.now() < message.stream.expires_at:
        raise Refusal("streaming_state_conflict")
    content = Content(arguments)
    if len(arguments.text("text")) > UPDATE_TEXT_MAX:
        raise Refusal("msg_too_long")
    metadata = metadata_of(arguments)
    before = message_to_wire(channel, message, world.base_url)
    # A text without blocks removes the blocks; metadata that is not sent again is gone.
    message.mentions, message.metadata = content.mentions, metadata
    if "attachments" in arguments:
        message.attachments = content.attachments
    world.revise(channel, message, content.text, content.blocks, bot.user_id)
    events.changed(world, channel, message, before)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message_to_wire(channel, message, world.base_url),
    }


def delete(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = joined_channel(world, bot, arguments.required("channel"))
    message = message_of(channel, arguments.required("ts"))
    if message.bot is not bot:
        raise Refusal("cant_delete_message")
    world.remove(channel, message)
    events.deleted(world, channel, message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel = visible_channel(world, bot, arguments.required("channel"))
    message = message_of(channel, arguments.required("message_ts"))
    return {"channel": channel.id, "permalink": permalink(channel, message)}


def permalink(channel: Channel, message: Message) -> str:
    """Where a browser shows a message."""
    address = f"https://{channel.team.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts is not None and message.thread_ts != message.ts:
        address += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return address


def settle_status(world: World, bot: Bot, channel: Channel, message: Message) -> None:
    """A message of the app takes its status away (https://docs.slack.dev/ai)."""
    thread = channel.agent_threads.get(message.thread_ts or "")
    if thread is not None and thread.status and message.bot is bot:
        thread.status = ""
        world.note("status", channel, lambda: {"thread_ts": thread.thread_ts, "status": thread.status})


def _marks_in_attachments(attachments: list[Json]) -> tuple[str, ...]:
    found: list[str] = []
    for one in attachments:
        blocks = Arguments(one).objects("blocks", "invalid_attachments")
        check_message_blocks(blocks)
        found += [mark for name in ("pretext", "text") for mark in marks_in(str(one.get(name, "")))]
        found += marks_in_blocks(blocks)
    return tuple(found)


def _new_message(world: World, bot: Bot, channel: Channel, content: Content, arguments: Arguments) -> Message:
    message = Message(
        ts="",
        at=world.now(),
        user=bot.user_id,
        text=content.text[:TEXT_MAX],
        blocks=content.blocks,
        bot=bot,
        thread_ts=thread_root(channel, arguments),
        attachments=content.attachments,
        mentions=content.mentions,
    )
    if arguments.text("username") and "chat:write.customize" in bot.scopes:
        message.username, message.subtype = arguments.text("username"), "bot_message"
    message.ts = world.next_ts()
    return message
