"""`files.*`: an upload in three steps (address, bytes, completion), what is known of a file, and its deletion.

Pure. https://docs.slack.dev/messaging/working-with-files. The file exists from the first step, people see it with
the last one.
"""

import mimetypes

from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.blocks import check_message_blocks, with_ids
from channels.emulators.slack.lookups import joined_channel, thread_root
from channels.emulators.slack.mentions import marks_in, marks_in_blocks
from channels.emulators.slack.records import Bot, Channel, Json, Message, StoredFile
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.wire import file_to_wire
from channels.emulators.slack.world import World


def get_upload_url(world: World, bot: Bot, arguments: Arguments) -> Json:
    name = arguments.required("filename")
    length = arguments.integer("length")
    if length <= 0:
        raise Refusal("invalid_arguments", "length must be more than 0")
    file = new_file(world, bot.team.id, bot.user_id, name, length)
    return {"upload_url": f"{world.base_url}/upload/v1/{file.id}", "file_id": file.id}


def complete_upload(world: World, bot: Bot, arguments: Arguments) -> Json:
    wanted = arguments.objects("files", "invalid_arguments")
    if not wanted:
        raise Refusal("invalid_arguments", "missing required field: files")
    files = [_uploaded(world, bot, str(one.get("id", ""))) for one in wanted]
    channel_ids = arguments.names("channels") or arguments.names("channel_id")
    channels = [joined_channel(world, bot, one) for one in channel_ids]
    threads = [thread_root(channel, arguments) for channel in channels]
    blocks = arguments.objects("blocks", "invalid_blocks_format")
    check_message_blocks(blocks)
    for file, one in zip(files, wanted, strict=True):
        file.is_complete, file.title = True, str(one.get("title") or file.name)
    for channel, thread_ts in zip(channels, threads, strict=True):
        comment = arguments.text("initial_comment")
        message = Message(
            ts=world.next_ts(),
            at=world.now(),
            user=bot.user_id,
            text=comment,
            blocks=with_ids(blocks),
            bot=bot,
            thread_ts=thread_ts,
            mentions=(*marks_in(comment), *marks_in_blocks(blocks)),
        )
        share(world, channel, message, files)
    return {"files": [file_to_wire(file, world.base_url) for file in files]}


def files_info(world: World, bot: Bot, arguments: Arguments) -> Json:
    file = _existing(world, bot, arguments.required("file"))
    return {"file": file_to_wire(file, world.base_url), "comments": []} | {
        "response_metadata": {"next_cursor": ""}
    }


def files_delete(world: World, bot: Bot, arguments: Arguments) -> Json:
    file = _existing(world, bot, arguments.required("file"))
    if file.owner != bot.user_id:
        raise Refusal("cant_delete_file")
    file.is_deleted, file.content = True, None
    for channel_id, ts, _ in file.shares:
        channel = world.channels[channel_id]
        world.show("edited", channel, channel.messages[ts])
    return {}


def new_file(world: World, team_id: str, owner: str, name: str, length: int) -> StoredFile:
    """A file that has no bytes yet."""
    file = StoredFile(world.new_id("F"), name, owner, team_id, world.now(), length)
    file.mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    world.files[file.id] = file
    return file


def take_bytes(world: World, file_id: str, content: bytes) -> None:
    """The second step. Raises Refusal for an address that is not good (any more), or a wrong length."""
    file = world.files.get(file_id)
    if file is None or file.is_complete or file.is_deleted:
        raise Refusal("not_found", status=404)
    if len(content) != file.length:
        raise Refusal("length_mismatch", status=400)
    file.content = content


def share(world: World, channel: Channel, message: Message, files: list[StoredFile]) -> None:
    """Show files in a channel, with the events of it."""
    message.files, message.subtype = files, "file_share"
    for file in files:
        file.shares.append((channel.id, message.ts, message.thread_ts))
    world.post(channel, message)
    events.said(world, channel, message)
    for file in files:
        events.file_shared(world, channel, file)


def _uploaded(world: World, bot: Bot, file_id: str) -> StoredFile:
    file = _existing(world, bot, file_id)
    # Completing twice is refused, as is completing what never arrived.
    if file.content is None or file.is_complete or file.owner != bot.user_id:
        raise Refusal("file_not_found")
    return file


def _existing(world: World, bot: Bot, file_id: str) -> StoredFile:
    file = world.files.get(file_id)
    if file is None or file.team_id != bot.team.id:
        raise Refusal("file_not_found")
    if file.is_deleted:
        raise Refusal("file_deleted")
    return file
