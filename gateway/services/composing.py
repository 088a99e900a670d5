"""Composing what the store accepts: a message with the ids, title and endings that belong to it.

Both ways in use it, so that a message from a chat network and one from a client are the same thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import orjson

from channels.messages import Attachment
from gateway.clock import Clock
from gateway.rules import filenames, media_types
from gateway.rules.routing import Arrival
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.rules.titles import title_from
from gateway.services.channels import Channels, freeze
from gateway.services.routing import Routing
from protocol.ids import IdPrefix
from protocol.records import Origin
from storage.file_values import ArrivingFile
from storage.values import Ending, NewMessage, NewThread, Notice

REPLACED: Final = "a newer message took its place"
"""Why on_busy="interrupt" ends a run."""
TAKEN_BACK: Final = "the message was deleted"
"""Why a run is cancelled that had not begun to answer it, or would have to begin again."""
HELD: Final = "has taken over this thread"
"""Why only the person whose name stands before it answers in a thread."""
MESSAGES_MAX: Final = 100_000
"""Messages of one thread unless told: years of a conversation."""
STOPPED: Final = "*Stopped.*"
INTERRUPTED: Final = "*The answer was interrupted. Please ask again.*"
"""What a room shows below an answer that will not be completed."""
SAID_CHARS: Final = 10_000
"""More than any platform shows in one message; the rest need not be rendered."""

OnBusy = Literal["queue", "reject", "interrupt", "steer"]


class Composer:
    """Makes `NewMessage`s and endings. Holds only what they are made with."""

    def __init__(
        self,
        clock: Clock,
        channels: Channels,
        routing: Routing,
        queue_max: int,
        files_max: int = 10,
        *,
        messages_max: int = MESSAGES_MAX,
        steerable: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._clock = clock
        self._channels = channels
        self._routing = routing
        self._files_max = files_max
        self._messages_max = messages_max
        self._steerable = steerable
        self.queue_max = queue_max

    def message(
        self,
        texts: list[str],
        origin: Origin,
        arrival: Arrival,
        *,
        thread_id: str | None = None,
        agent_id: str | None = None,
        on_busy: OnBusy = "queue",
        restore_archived: bool = False,
        files: Sequence[ArrivingFile] = (),
        content: list[dict[str, Any]] | None = None,
        name: str = "",
    ) -> NewMessage:
        """A message of a person; `origin` is used when it begins a thread, and to reach its room.

        `arrival` is what the routes look at to find who answers, unless `agent_id` says so. The thread shows what was
        said; the agent gets it without the command that chose it. `files` have to be fetched. `content` is given when
        there is more to it than texts and those; `name` is that of a file, for a thread that begins without words.
        """
        said = "\n".join(texts)
        choice = None if agent_id else self._routing.choose(replace(arrival, text=said))
        text = choice.text if choice else said
        title = title_from(text) or title_from(name or (files[0].name if files else ""))
        new_id = self._clock.new_id
        new_thread = None
        if thread_id is None:
            agent = choice.agent_id if choice else agent_id
            assert agent is not None, "somebody answers"
            new_thread = NewThread(new_id(IdPrefix.THREAD), agent, title, origin)
        return NewMessage(
            message_id=new_id(IdPrefix.MESSAGE),
            run_id=new_id(IdPrefix.RUN),
            thread_id=thread_id,
            new_thread=new_thread,
            agent_id=choice.agent_id if choice and choice.is_command else agent_id,
            content=content or _content(texts, files),
            text=text,
            title=title,
            queue_max=self.queue_max,
            on_busy=on_busy,
            interrupt=self.cancelled(REPLACED, origin) if on_busy == "interrupt" else None,
            restore_archived=restore_archived,
            files=tuple(files),
            steerable=self._steerable() if on_busy == "steer" else frozenset(),
            messages_max=self._messages_max,
            held=Ending(TRANSITIONS[RunEvent.CANCEL], HELD),
        )

    def arriving(self, channel: str, account: str, attachments: Sequence[Attachment]) -> list[ArrivingFile]:
        """The files of a chat network's message. Of too many, the last says how many will not be fetched."""
        taken = [
            ArrivingFile(
                id=self._clock.new_id(IdPrefix.BLOB),
                name=filenames.safe_name(found.name),
                media_type=media_types.claimed_type(found.media_type or ""),
                size_bytes=found.size_bytes,
                channel=channel,
                account=account,
                source=orjson.dumps(dict(found.key)).decode(),
            )
            for found in attachments[: self._files_max]
        ]
        more = len(attachments) - len(taken)
        if more > 0:
            name = f"{more} more file{'s' if more > 1 else ''}"
            blob_id = self._clock.new_id(IdPrefix.BLOB)
            taken.append(ArrivingFile(blob_id, name, media_types.UNKNOWN, None, channel, account, None))
        return taken

    def cancelled(self, reason: str, origin: Origin, said: str = "") -> Ending:
        """A run that somebody stopped; `said` is what its room has seen of the answer."""
        return Ending(TRANSITIONS[RunEvent.CANCEL], reason, notice=self._notice(STOPPED, origin, said))

    def switched_off(self, why: str, origin: Origin | None = None, said: str = "") -> Ending:
        """A run whose agent was switched off; its room, where there is one, is told why."""
        notice = self._notice(f"*Stopped.* {why}", origin, said) if origin is not None else None
        return Ending(TRANSITIONS[RunEvent.CANCEL], why, notice=notice)

    def failed(self, kind: str, reason: str, origin: Origin, said: str = "") -> Ending:
        """A run that cannot be answered; the room is told why."""
        notice = self._notice(f"This did not work: {reason}", origin, said)
        return Ending(TRANSITIONS[RunEvent.FAIL], reason, error_kind=kind, notice=notice)

    def interrupted(self, reason: str, origin: Origin, said: str = "", *, will_retry: bool) -> Ending:
        """A run that the gateway lost; the room is told unless it is tried again."""
        notice = None if will_retry else self._notice(INTERRUPTED, origin, said)
        return Ending(TRANSITIONS[RunEvent.INTERRUPT], reason, will_retry=will_retry, notice=notice)

    def _notice(self, markdown: str, origin: Origin, said: str) -> Notice | None:
        """What the thread's room shows instead of a complete answer; None when the thread has no room.

        It stays below what was said already, as far as both fit into one platform message.
        """
        place = self._channels.of(origin)
        if place is None:
            return None
        adapter, room = place
        whole = adapter.render(f"{said[:SAID_CHARS]}\n\n{markdown}", room)
        content = whole[0] if len(whole) == 1 else adapter.render(markdown, room)[0]
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(content))


def _content(texts: Sequence[str], files: Sequence[ArrivingFile]) -> list[dict[str, Any]]:
    """Text first, then files. A file needs no words beside it."""
    words = [text for text in texts if text.strip() or not files]
    return [
        *({"type": "text", "text": text} for text in words),
        *({"type": "blob", "blob_id": file.id} for file in files),
    ]
