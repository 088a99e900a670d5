"""Sending a file: an address from Slack, the bytes to it, and the completion that shows the file to people.

Until the completion nobody sees anything, so whatever fails before it is certainly not done.
https://docs.slack.dev/messaging/working-with-files
"""

from collections.abc import Mapping
from typing import Any

from channels.errors import ChannelError, Permanent, TooLarge, UnknownOutcome, Unreachable
from channels.messages import OutboundFile, Rendered
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import FILE_MAX_BYTES
from channels.slack.downloads import is_slacks
from channels.slack.failures import TRANSPORT
from channels.slack.places import Place

_NO_MESSAGE = "file:"
"""How the reference of a file begins whose message Slack did not name in time."""


async def upload(calls: SlackCalls, place: Place, content: Rendered, file: OutboundFile) -> str:
    """Share a file; the reference of the message that shows it. Raises ChannelError."""
    if not file.data:
        raise Permanent("upload: Slack takes no empty files")
    if len(file.data) > FILE_MAX_BYTES:
        raise TooLarge(f"upload: the file has {len(file.data)} bytes, {FILE_MAX_BYTES} are allowed")
    try:
        file_id = await _transfer(calls, place, file)
    except UnknownOutcome as error:
        raise Unreachable(str(error)) from None
    fields = await calls.call(
        place.team,
        "files.completeUploadExternal",
        lambda client: client.files_completeUploadExternal(
            files=[{"id": file_id, "title": file.name}],
            channel_id=place.channel,
            thread_ts=place.thread_ts,
            initial_comment=content.text or None,
        ),
    )
    completed = next((one for one in fields.get("files") or () if isinstance(one, Mapping)), {})
    return shared_ts(completed, place.channel) or await _ask_for_message(calls, place, file_id)


async def _transfer(calls: SlackCalls, place: Place, file: OutboundFile) -> str:
    fields = await calls.call(
        place.team,
        "files.getUploadURLExternal",
        lambda client: client.files_getUploadURLExternal(filename=file.name, length=len(file.data)),
    )
    url, file_id = str(fields.get("upload_url") or ""), str(fields.get("file_id") or "")
    if not (is_slacks(url) or calls.is_ours(url)):
        raise Permanent("upload: Slack named an address that is not its own")
    try:
        async with calls.session().post(url, data=file.data, allow_redirects=False) as response:
            if response.status != 200:
                raise Unreachable(f"upload: HTTP {response.status}")
    except TRANSPORT as error:
        raise Unreachable(f"upload: {type(error).__name__}") from None
    return file_id


async def _ask_for_message(calls: SlackCalls, place: Place, file_id: str) -> str:
    """Slack shares after it has answered; when it has not yet, the file's id stands for the message."""
    try:
        fields = await calls.call(place.team, "files.info", lambda client: client.files_info(file=file_id))
    except ChannelError:
        # The file is there: nothing may say otherwise.
        fields = {}
    file = fields.get("file")
    found = shared_ts(file, place.channel) if isinstance(file, Mapping) else None
    return found or f"{_NO_MESSAGE}{file_id}"


def shared_ts(file: Mapping[str, Any], channel: str) -> str | None:
    """The message that shows a file in a channel, as the file object knows it."""
    shares = file.get("shares")
    for audience in shares.values() if isinstance(shares, Mapping) else ():
        for one in audience.get(channel) or () if isinstance(audience, Mapping) else ():
            if isinstance(one, Mapping) and one.get("ts"):
                return str(one["ts"])
    return None
