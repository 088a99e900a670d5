"""What agents read, without personal data where the settings want that (`privacy.models`).

The store keeps what was said; what is given to an agent is redacted on the way, the same for every kind of agent and in
every attempt, so that a run over its journal reads the same. Only how much was found is counted, never what. What
agents answer is not changed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.agents.port import FileUnreadable, Found, GivenFile, Journal, Json, Recorded, RunContext, Step
from gateway.metrics import Sample
from gateway.rules.redaction import Redactor
from protocol.limits import KIB, MIB
from protocol.records import Usage
from storage.run_values import Answered, Steered, StepOutcome
from storage.values import Decided, Said

THREAD_CHARS: Final = 4 * KIB
"""More text than that is redacted in a thread: at worst 2 µs a character (measured with texts made for it)."""
TEXT_BYTES: Final = MIB
"""A text that is larger is not given at all: searching it would hold up everybody else."""
_PICTURES: Final = ("image/", "audio/", "video/")

RedactorOf = Callable[[str], Redactor]
"""The redactor of an organization."""


class Reading:
    """Redacts contexts of runs. Without a redactor agents read what was said."""

    def __init__(self, redactor_of: RedactorOf | None = None) -> None:
        self._redactor_of = redactor_of
        self._counts: Counter[str] = Counter()

    def samples(self) -> Iterable[Sample]:
        """How much was replaced in what agents read, since the start."""
        for kind, count in sorted(self._counts.items()):
            yield "threadgate_redactions", "Findings replaced in what agents read", count, {"kind": kind}

    async def redacted(self, org_id: str, context: RunContext) -> tuple[RunContext, Mapping[str, int]]:
        """The context as its agent may read it, and what was found in the message it is to answer."""
        if self._redactor_of is None:
            return context, {}
        reader = _Reader(self._redactor_of(org_id), self._counts)
        text, counts = await reader.counted(context.text)
        return (
            replace(
                context,
                text=text,
                thread_title=await reader.text(context.thread_title),
                said=reader.said(context),
                search=reader.search(context),
                journal=_ReadJournal(context.journal, reader),
                decisions=tuple([await reader.decided(one) for one in context.decisions]),
                answers=tuple([await reader.answered(one) for one in context.answers]),
                files=tuple([await reader.file(one) for one in context.files]),
                ask=reader.asking(context),
            ),
            counts,
        )


class _Reader:
    """Redacts for one run."""

    def __init__(self, redactor: Redactor, counts: Counter[str]) -> None:
        self._redactor = redactor
        self._counts = counts

    async def counted(self, text: str) -> tuple[str, Mapping[str, int]]:
        if len(text) > THREAD_CHARS:
            redacted, counts = await asyncio.to_thread(self._redactor.counted, text)
        else:
            redacted, counts = self._redactor.counted(text)
        self._counts.update(counts)
        return redacted, counts

    async def text(self, text: str) -> str:
        return (await self.counted(text))[0]

    def said(self, context: RunContext) -> Any:
        async def said(limit: int) -> list[Said]:
            return [replace(one, text=await self.text(one.text)) for one in await context.said(limit)]

        return said

    def search(self, context: RunContext) -> Any:
        async def search(words: str, limit: int) -> list[Found]:
            found = await context.search(words, limit)
            return [
                replace(one, thread_title=await self.text(one.thread_title), text=await self.text(one.text))
                for one in found
            ]

        return search

    def asking(self, context: RunContext) -> Any:
        async def ask(asked: Any) -> Decided:
            return await self.decided(await context.ask(asked))

        return ask

    async def decided(self, one: Decided) -> Decided:
        """The reason a person gave; what they edited is the act itself and stays."""
        return replace(one, reason=await self.text(one.reason))

    async def answered(self, one: Answered) -> Answered:
        return replace(one, text=await self.text(one.text)) if one.text is not None else one

    async def file(self, file: GivenFile) -> GivenFile:
        """A file whose name, and content where that is text, hold no personal data."""

        async def read() -> bytes:
            data = await file.read()
            try:
                text = data.decode()
            except UnicodeDecodeError:
                return data
            if len(data) > TEXT_BYTES:
                raise FileUnreadable(
                    f"it is larger than the {TEXT_BYTES} bytes that are searched for personal data"
                )
            return (await self.text(text)).encode()

        is_text = not file.media_type.startswith(_PICTURES)
        return replace(file, name=await self.text(file.name), read=read if is_text else file.read)


class _ReadJournal:
    """`gateway.agents.port.Journal` whose steered messages are redacted; what the agent did itself is not."""

    def __init__(self, journal: Journal, reader: _Reader) -> None:
        self._journal = journal
        self._reader = reader

    async def begin(self, step: Step) -> Recorded | None:
        return await self._journal.begin(step)

    async def finish(
        self, key: str, result: Json, *, outcome: StepOutcome = "ok", usage: Usage | None = None
    ) -> Recorded:
        return await self._journal.finish(key, result, outcome=outcome, usage=usage)

    def is_closed(self, key: str) -> bool:
        return self._journal.is_closed(key)

    async def steered(self, key: str) -> tuple[Steered, ...]:
        said = await self._journal.steered(key)
        return tuple([replace(one, text=await self._reader.text(one.text)) for one in said])
