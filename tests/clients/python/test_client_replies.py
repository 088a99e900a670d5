"""The pure part of a reply: items in, text to show out, always ending as the durable message has it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from threadgate_client import (
    Actor,
    Event,
    Live,
    Reset,
    RunCancelled,
    RunFailed,
    RunInterrupted,
    SubscriptionReset,
    TextUpdate,
)
from threadgate_client.replies import Reply

ACTOR = {"id": "agent", "kind": "agent", "name": "Demo"}


def event(kind: str, run_id: str = "run_1", **data: Any) -> Event:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Event("thr_1", 1, kind, at, Actor("agent", "agent", "Demo"), run_id, data)


def said(text: str, message_id: str = "msg_1", role: str = "assistant") -> Event:
    content = [{"type": "text", "text": text}]
    message = {"id": message_id, "role": role, "content": content, "author": ACTOR, "run_id": "run_1"}
    return event("message.created", message=message)


def written(text: str, run_id: str = "run_1", message_id: str = "msg_1") -> TextUpdate:
    return TextUpdate("thr_1", run_id, message_id, "?", text)


def completed(message_id: str | None = "msg_1") -> Event:
    return event("run.completed", message_id=message_id, usage={})


def shown(*items: Any) -> tuple[list[str], Reply]:
    reply = Reply("run_1")
    return [chunk for item in items if (chunk := reply.take(item))], reply


def test_what_is_shown_together_is_the_message() -> None:
    chunks, reply = shown(written("a"), written("ab"), said("abc"), completed())
    assert chunks == ["a", "b", "c"]
    assert (reply.text, reply.is_over, reply.is_replaced) == ("abc", True, False)


def test_without_streaming_the_message_comes_at_once() -> None:
    assert shown(said("abc"), completed())[0] == ["abc"]


def test_other_runs_and_other_items_are_not_ours() -> None:
    others = [written("x", "run_2"), event("run.failed", "run_2"), Live("thr_1", 3), said("hi", role="user")]
    assert shown(*others, said("abc"), completed())[0] == ["abc"]


def test_a_message_may_name_the_run_instead_of_its_event() -> None:
    assert shown(replace(said("abc"), run_id=None), completed())[0] == ["abc"]


def test_a_message_that_differs_wins() -> None:
    chunks, reply = shown(written("I thi"), said("Sorry."), completed())
    assert chunks == ["I thi"]
    assert (reply.text, reply.is_replaced) == ("Sorry.", True)


def test_another_attempt_is_shown_as_far_as_it_says_the_same() -> None:
    lost = event("run.interrupted", will_retry=True, reason="restart")
    chunks, reply = shown(
        written("one two"),
        lost,
        written("one", message_id="msg_2"),
        written("one two three", message_id="msg_2"),
    )
    assert chunks == ["one two", " three"]
    reply.take(said("one two three", "msg_2"))
    assert reply.take(completed("msg_2")) == ""
    assert not reply.is_replaced


def test_a_run_that_is_tried_again_goes_on_as_another_run() -> None:
    lost = event("run.interrupted", will_retry=True, reason="restart")
    again = event("run.queued", "run_2", agent_id="demo", message_id="msg_0", retry_of="run_1")
    chunks, reply = shown(written("one"), lost, again, written("one two", "run_2", "msg_2"))
    assert (chunks, reply.run_id) == (["one", " two"], "run_2")
    with pytest.raises(RunFailed):
        reply.take(event("run.failed", "run_2", error={"kind": "agent_error", "message": "broke"}))


def test_the_run_names_its_answer() -> None:
    chunks, reply = shown(said("let me look", "msg_1"), said("42", "msg_2"), completed("msg_1"))
    assert chunks == ["let me look"]
    assert reply.text == "let me look"
    assert not reply.is_replaced


def test_nothing_to_say_is_an_answer() -> None:
    chunks, reply = shown(completed(None))
    assert (chunks, reply.text, reply.message, reply.is_over) == ([], "", None, True)


@pytest.mark.parametrize(
    ("ending", "error", "words"),
    [
        (
            event("run.failed", error={"kind": "agent_error", "message": "broke"}),
            RunFailed,
            "agent_error: broke",
        ),
        (event("run.cancelled", reason="enough"), RunCancelled, "enough"),
        (event("run.interrupted", reason="lost", will_retry=False), RunInterrupted, "lost"),
    ],
)
def test_a_run_without_an_answer_raises(ending: Event, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        shown(written("so far"), ending)


def test_a_lost_place_raises() -> None:
    with pytest.raises(SubscriptionReset, match="trimmed"):
        shown(Reset("thr_1", "trimmed"))
