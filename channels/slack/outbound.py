"""Rendered content and places -> arguments of Web API methods. Pure; calls nothing.

Every message we post carries its operation as metadata, so that it can be found again. Anybody in the workspace can
read metadata: it holds an opaque id and nothing else. An update without metadata would take it away, one without
blocks the blocks, so both are always sent.
"""

import re
from collections.abc import Mapping
from typing import Any

from channels.messages import Mark, Operation, Rendered
from channels.slack.places import Place

MARKER = "threadgate_delivery"
PLACEHOLDER = "…"
STATUS = "is thinking…"
# Emoji names without colons.
MARKS: Mapping[Mark, str] = {Mark.SEEN: "eyes", Mark.DONE: "white_check_mark", Mark.FAILED: "warning"}
# What may begin a token that calls somebody, also when the rest of it comes with the next piece.
_TOKEN = re.compile(r"<(?=[@#!]|\Z)")


def marker(op: str) -> dict[str, Any]:
    """The metadata of an operation's message."""
    return {"event_type": MARKER, "event_payload": {"op": op}}


def op_in(message: Mapping[str, Any]) -> str | None:
    """The operation that a message carries; None for one without our metadata."""
    metadata = message.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("event_type") != MARKER:
        return None
    payload = metadata.get("event_payload")
    return str(payload.get("op")) if isinstance(payload, Mapping) else None


def post_arguments(operation: Operation, place: Place, content: Rendered) -> dict[str, Any]:
    """For chat.postMessage. Nothing unfolds: that would make Slack fetch an address an agent was tricked to write."""
    arguments = {
        "channel": place.channel,
        **_content(content),
        "metadata": marker(operation.id),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return arguments | ({"thread_ts": place.thread_ts} if place.thread_ts else {})


def update_arguments(operation: Operation, place: Place, ref: str, content: Rendered) -> dict[str, Any]:
    """For chat.update."""
    return {
        "channel": place.channel,
        "ts": ref,
        **_content(content),
        "metadata": marker(operation.id),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def stream_arguments(operation: Operation, place: Place) -> dict[str, Any]:
    """For chat.startStream; in a channel Slack wants to know whom it is for."""
    arguments: dict[str, Any] = {"channel": place.channel, "thread_ts": place.thread_ts}
    if not place.is_direct:
        arguments |= {"recipient_user_id": operation.recipient, "recipient_team_id": place.team}
    return arguments


def streamed(markdown: str) -> str:
    """A piece of a stream that calls nobody. `&lt;` is shown as the character; inside code it stays until the edit."""
    return _TOKEN.sub("&lt;", markdown)


def ephemeral_arguments(place: Place, user: str, content: Rendered) -> dict[str, Any]:
    """For chat.postEphemeral."""
    arguments = {"channel": place.channel, "user": user, **_content(content)}
    return arguments | ({"thread_ts": place.thread_ts} if place.thread_ts else {})


def command_answer(content: Rendered) -> dict[str, Any]:
    """The acknowledgement of a slash command that says something to who ran it."""
    return {"response_type": "ephemeral", **_content(content)}


def _content(content: Rendered) -> dict[str, Any]:
    blocks = content.payload.get("blocks")
    return {"text": content.text, **({"blocks": list(blocks)} if blocks else {})}
