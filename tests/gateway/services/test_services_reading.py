"""What agents read where `privacy.models` is on: what people said, titles, names and texts of files; the same twice."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.agents.port import FileUnreadable, Found, GivenFile, RunContext
from gateway.rules.redaction import Redactor
from gateway.services.reading import TEXT_BYTES, Reading
from storage.run_values import Answered, Steered
from storage.values import Decided, Said

MAIL = "ada@example.org"
ORG = "org_default"


class Journal:
    """Gives one steered message; the rest of a journal is not asked for."""

    async def steered(self, key: str) -> tuple[Steered, ...]:
        return (Steered("msg_2", f"and {MAIL}", "Ada"),)


async def said(limit: int) -> list[Said]:
    return [Said(1, "user", f"I am {MAIL}"), Said(2, "assistant", "hello")][:limit]


async def search(words: str, limit: int) -> list[Found]:
    return [Found("thr_1", f"Mail of {MAIL}", "msg_1", MAIL, "2026-11-21T00:00:00.000Z")]


async def ask(asked: Any) -> Decided:
    return Decided("apr_1", True, f"ask {MAIL}", "Ada")


def given(data: bytes, media_type: str, name: str = "notes.txt") -> GivenFile:
    async def read() -> bytes:
        return data

    return GivenFile(name, media_type, len(data), read)


CONTEXT = RunContext(
    run_id="run_1",
    thread_id="thr_1",
    thread_title=f"Mail of {MAIL}",
    attempt=1,
    text=f"write to {MAIL}",
    origin="slack",
    requested_by="slack:U1",
    said=said,
    search=search,
    journal=Journal(),  # type: ignore[arg-type]
    ask=ask,
    now_ms=lambda: 0,
    decisions=(Decided("apr_1", False, f"not to {MAIL}", "Ada", edited=f'"{MAIL}"'),),
    answers=(Answered("who", MAIL, "Ada"), Answered("when", None, "")),
    files=(
        given(f"Dear {MAIL}".encode(), "text/plain", f"for {MAIL}"),
        given(MAIL.encode(), "image/png"),
        given(b"\xff" + MAIL.encode(), "application/pdf"),
        given(b"x" * (TEXT_BYTES + 1), "text/plain"),
    ),
)


async def redacted() -> tuple[RunContext, Reading, dict[str, int]]:
    reading = Reading(lambda org_id: Redactor())
    context, counts = await reading.redacted(ORG, CONTEXT)
    return context, reading, dict(counts)


async def test_without_the_setting_agents_read_what_was_said() -> None:
    assert await Reading().redacted(ORG, CONTEXT) == (CONTEXT, {})


async def test_nothing_that_people_said_reaches_the_agent_as_it_was() -> None:
    context, _, counts = await redacted()
    assert (context.text, context.thread_title) == ("write to [email]", "Mail of [email]")
    assert counts == {"email": 1}
    assert [one.text for one in await context.said(2)] == ["I am [email]", "hello"]
    assert [(one.thread_title, one.text) for one in await context.search("x", 1)] == [
        ("Mail of [email]", "[email]")
    ]
    assert [one.text for one in await context.journal.steered("k")] == ["and [email]"]
    assert [one.text for one in context.answers] == ["[email]", None]
    assert (await context.ask(None)).reason == "ask [email]"  # type: ignore[arg-type]


async def test_what_a_person_edited_is_the_act_itself() -> None:
    context, _, _ = await redacted()
    (decision,) = context.decisions
    assert decision == replace(CONTEXT.decisions[0], reason="not to [email]")


async def test_files_that_are_text_are_redacted_and_others_are_what_they_are() -> None:
    context, _, _ = await redacted()
    letter, picture, document, book = context.files
    assert (letter.name, await letter.read()) == ("for [email]", b"Dear [email]")
    assert await picture.read() == MAIL.encode()
    assert await document.read() == b"\xff" + MAIL.encode()
    with pytest.raises(FileUnreadable, match="searched for personal data"):
        await book.read()


async def test_only_how_much_was_found_is_counted() -> None:
    context, reading, _ = await redacted()
    await context.said(2)
    ((name, _, count, labels),) = reading.samples()
    assert (name, labels) == ("threadgate_redactions", {"kind": "email"})
    assert count >= 5


async def test_reading_twice_is_reading_the_same() -> None:
    one, _, _ = await redacted()
    two, _, _ = await redacted()
    assert (one.text, await one.said(2)) == (two.text, await two.said(2))
