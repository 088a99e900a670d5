"""One bot's receiving from start to stop: logging in, the slash command, and the tasks that belong together."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from channels.discord import commands
from channels.discord.backoff import Backoff
from channels.discord.catch_up import CatchUp, History
from channels.discord.gateway import Gateway
from channels.discord.inbound import Reader
from channels.discord.places import Places
from channels.discord.receiver import Counter, Receiver
from channels.discord.rest import Rest
from channels.discord.settings import DiscordSettings
from channels.discord.watch import Watch
from channels.errors import AuthLost, ChannelError, Permanent, RateLimited
from channels.messages import Health, HealthState
from channels.port import InboxSink

log = logging.getLogger(__name__)

NO_CONTENT = (
    "Message Content intent: what people write is read only in direct messages, mentions and commands; follow-ups "
    "in threads need a mention"
)


class Calls(History, Counter, Protocol):
    """The REST side, as receiving needs it."""


class Session:
    """`run` once; `health` at any time."""

    def __init__(
        self,
        settings: DiscordSettings,
        token: str,
        rest: Rest,
        places: Places,
        calls: Calls,
        sink: InboxSink,
        backoff: Backoff,
    ) -> None:
        self._settings = settings
        self._rest = rest
        self._places = places
        self._sink = sink
        self._backoff = backoff
        self._receiver = Receiver(
            account=settings.account,
            sink=sink,
            places=places,
            watch=Watch(),
            counter=calls,
            reader=Reader("", settings.reply_in_threads),
            rooms=frozenset(settings.rooms),
            backoff=backoff,
        )
        self._catch_up = CatchUp(settings.account, self._receiver.watch, calls, self._receiver, backoff)
        self._gateway = Gateway(
            settings.account, rest, token, self._receiver, settings.message_content, backoff
        )
        self._is_logged_in = False
        self._trouble: str | None = None
        self._end: str | None = None
        self._command_trouble: str | None = None

    async def run(self) -> None:
        """Receive until cancelled, or until that is over for good, which `health` then explains."""
        failures = 0
        try:
            while self._end is None:
                await asyncio.sleep(self._backoff.delay_s(failures))
                await self._receive()
                failures += 1
        finally:
            await self._receiver.finish()

    async def _receive(self) -> None:
        """Log in and keep the tasks running until one of them fails. All of them end together."""
        try:
            await self._log_in()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receiver.run(self._catch_up.wake), name=f"{self._name} stores")
                group.create_task(self._catch_up.run(), name=f"{self._name} catches up")
                group.create_task(self._gateway.run(), name=f"{self._name} listens")
        except* (AuthLost, Permanent) as ended:
            self._end = str(ended.exceptions[0])
            log.error("discord stopped: %s", self._end, extra=self._log_fields("stopped"))  # noqa: TRY400 - no trace: expected
        except* Exception:
            # The edge of this task: a mistake of ours. The gateway's new session has every room read back.
            log.exception("discord receiving broke and begins again", extra=self._log_fields("broke"))
            self._trouble = "receiving broke and begins again; see the log"

    def health(self) -> Health:
        """Whether messages flow right now."""
        state, detail = self._state()
        latency_s = self._gateway.latency_s
        return Health(
            state,
            detail,
            self._receiver.last_event_at_ms,
            None if latency_s is None else round(latency_s * 1000),
            tuple(self._missing()),
        )

    def _state(self) -> tuple[HealthState, str | None]:
        if self._end is not None:
            return HealthState.STOPPED, self._end
        if self._receiver.is_stuck:
            return (
                HealthState.DEGRADED,
                "what was received could not be stored and is tried again; see the log",
            )
        if self._gateway.is_ready and self._gateway.latency_s is not None:
            behind = self._receiver.watch.behind_count
            return HealthState.CONNECTED, f"{behind} rooms are still read back" if behind else None
        trouble = self._trouble or self._gateway.trouble
        if trouble is None:
            return HealthState.STARTING, "connecting"
        return HealthState.DEGRADED, trouble

    def _missing(self) -> Iterator[str]:
        if self._is_logged_in and not self._gateway.reads_content and self._gateway.is_ready:
            yield NO_CONTENT
        yield from self._places.missing()
        if self._command_trouble is not None:
            yield f"/{commands.COMMAND}: the command could not be registered ({self._command_trouble})"
        if count := len(self._receiver.unreadable_rooms):
            yield f"Read Message History in {count} rooms: what was written there while the bot was away is lost"

    async def _log_in(self) -> None:
        """Who we are, where receiving stands, and the command. Raises AuthLost."""
        failures = 0
        while True:
            try:
                me = await self._rest.identify()
                await self._receiver.load()
                application = await self._rest.call("GET", "/oauth2/applications/@me")
                break
            except AuthLost:
                raise
            except ChannelError as error:
                failures += 1
                await self._wait(failures, error)
            except Exception:
                # The edge of this task: a store that cannot be read must not end receiving.
                log.exception("discord cursors not read", extra=self._log_fields("cursors_not_read"))
                failures += 1
                await self._wait(failures, ChannelError("the store could not be read; see the log"))
        self._places.bot_id = str(me["id"])
        self._receiver.reader = Reader(str(me["id"]), self._settings.reply_in_threads)
        self._is_logged_in, self._trouble = True, None
        self._catch_up.wake()
        await self._register(str(application["id"]))

    async def _wait(self, failures: int, error: ChannelError) -> None:
        if str(error) != self._trouble:
            log.warning("discord degraded: %s", error, extra=self._log_fields("degraded"))
        self._trouble = str(error)
        at_least_s = error.after_s if isinstance(error, RateLimited) else 0.0
        await asyncio.sleep(max(at_least_s, self._backoff.delay_s(failures)))

    async def _register(self, application_id: str) -> None:
        """Register the slash command when its definition has changed. A failure costs the command, nothing else."""
        wanted = commands.definition_hash(application_id)
        try:
            cursors: Mapping[str, Any] = await self._sink.cursors()
            if commands.SCOPE in cursors and cursors[commands.SCOPE].value == wanted:
                return
            await self._rest.call(
                "PUT",
                "/applications/{application_id}/commands",
                json=commands.definition(),
                application_id=application_id,
            )
            await self._sink.commit([], {commands.SCOPE: wanted})
        except AuthLost:
            raise
        except ChannelError as error:
            self._command_trouble = str(error)
            log.warning("discord command not registered: %s", error, extra=self._log_fields("no_command"))
        except Exception:
            # The edge of this task. Registered but not remembered: it is registered once more at the next start.
            log.exception("discord command not remembered", extra=self._log_fields("no_command"))

    @property
    def _name(self) -> str:
        return f"discord:{self._settings.account}"

    def _log_fields(self, action: str) -> dict[str, str]:
        return {"action": f"discord.{action}", "account": self._settings.account}
