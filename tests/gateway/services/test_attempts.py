"""A delivery through a scripted network: said once whatever fails, and counted where nobody can know."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_stage import (
    NONCE,
    NONE,
    PLACEHOLDER,
    READBACK,
    ROOM,
    Crash,
    Fate,
    Lost,
    Network,
    Office,
)

from channels.capabilities import Capabilities, StreamMode
from channels.errors import AuthLost, Gone, Permanent, RateLimited, UnknownOutcome, Unreachable
from channels.messages import OutboundFile, Rendered
from gateway.rules import breaker, retry
from gateway.services import attempts
from gateway.services.channels import AccountPolicy
from storage.values import OutboxRow

Made = Callable[..., "asyncio.Future[Office]"]


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.002)
    monkeypatch.setattr(retry, "LAST_S", 0.01)
    monkeypatch.setattr(breaker, "FIRST_S", 0.01)
    monkeypatch.setattr(breaker, "AUTH_S", 0.02)
    monkeypatch.setattr(attempts, "LOOK_AGAIN_S", 0.02)


async def picture(org_id: str, blob_id: str) -> OutboundFile:
    if blob_id != "blb_1":
        raise Permanent("no such file")
    return OutboundFile("cat.png", "image/png", b"png")


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    offices: list[Office] = []

    async def make(capabilities: Capabilities = READBACK, policy: AccountPolicy | None = None) -> Office:
        office = Office(Network(capabilities), policy, picture)
        await office.open(tmp_path / f"data{len(offices)}")
        offices.append(office)
        return office

    yield make
    for office in offices:
        await office.close()


# --- what travels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("capabilities", [READBACK, NONCE])
async def test_where_a_repeat_is_noticed_the_content_is_one_call(opened, capabilities: Capabilities) -> None:
    office = await opened(capabilities)
    thread_id = await office.owe("one", "two")
    await office.settled()
    assert office.network.calls == [("send", "one"), ("send", "two")]
    assert (await office.kinds(thread_id))[-2:] == ["delivery.sent", "delivery.sent"]


async def test_elsewhere_a_placeholder_goes_first(opened) -> None:
    office = await opened(NONE)
    await office.owe("the answer")
    await office.settled()
    assert office.network.calls == [("send", PLACEHOLDER), ("edit", "the answer")]


async def test_a_message_that_is_recognised_is_made_to_say_what_it_should(opened) -> None:
    """A lost placeholder has the name of the answer: to be told "I have that one" is not to have said it."""
    office = await opened(NONCE)
    office.network.fates("send", Lost())
    office.network.hidden = 1
    run = await office.run()
    row = await office.store.outbox.open_live(run, "dlv_live", office.clock.now_ms())
    with pytest.raises(UnknownOutcome):
        await office.deliveries.reserve(office.network, ROOM, row)
    await office.complete(run, "the answer")
    await office.settled()
    assert office.network.texts() == ["the answer"]
    assert await office.uncertain() == 0


@pytest.mark.parametrize("capabilities", [READBACK, NONCE, NONE])
async def test_a_file_is_uploaded(opened, capabilities: Capabilities) -> None:
    office = await opened(capabilities)
    await office.owe("look:", Rendered("a cat", blob_id="blb_1"))
    await office.settled()
    assert office.network.texts() == ["look:", "cat.png: a cat"]
    assert await office.phases() == ["sent", "sent"]


async def test_a_file_that_is_not_there_is_a_failed_delivery_and_blocks_nothing(opened) -> None:
    office = await opened()
    await office.owe(Rendered("a dog", blob_id="blb_2"), "behind it")
    await office.settled()
    assert office.network.texts() == ["behind it"]
    assert await office.phases() == ["failed", "sent"]


async def test_an_upload_that_is_found_is_delivered_and_not_edited(opened) -> None:
    office = await opened()
    office.network.fates("upload", Lost())
    await office.owe(Rendered("a cat", blob_id="blb_1"))
    await office.settled()
    assert office.network.texts() == ["cat.png: a cat"]
    assert office.network.called("edit") == 0


# --- nobody knows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["the answer", Rendered("a cat", blob_id="blb_1")])
@pytest.mark.parametrize("on_unknown", ["repeat", "ask"])
async def test_what_nobody_knows_is_repeated_or_held_as_the_operator_wants(
    opened, on_unknown: str, content: str | Rendered
) -> None:
    office = await opened(NONE, AccountPolicy(on_unknown=on_unknown))
    method = "send" if isinstance(content, str) else "upload"
    office.network.fates(method, UnknownOutcome("reset"))
    thread_id = await office.owe(content)
    await office.settled()
    assert await office.uncertain() == 1
    assert (await office.kinds(thread_id)).count("delivery.uncertain") == 1
    assert await office.phases() == ["sent" if on_unknown == "repeat" else "held"]
    assert office.network.called(method) == (2 if on_unknown == "repeat" else 1)


async def test_what_is_held_blocks_no_other_and_waits_through_a_restart(opened) -> None:
    office = await opened(NONE, AccountPolicy(on_unknown="ask"))
    office.network.fates("send", UnknownOutcome("reset"))
    await office.owe("held")
    await office.owe("behind it")
    await office.settled()
    await office.kill()
    await office.start()
    await office.owe("and more")
    await office.settled()
    assert office.network.texts() == ["behind it", "and more"]
    assert await office.phases() == ["held", "sent", "sent"]


async def test_what_cannot_be_found_is_looked_for_twice(opened) -> None:
    """A request may still be under way inside the platform when we look for the first time."""
    office = await opened(READBACK)
    office.network.fates("send", Lost())
    office.network.hidden = 1
    await office.owe("once")
    await office.settled()
    assert office.network.called("reconcile") == 2
    assert office.network.texts() == ["once"]


async def test_an_adapter_that_breaks_leaves_the_outcome_open(
    opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await opened(READBACK)
    real, broken = office.network.send, []

    async def breaks_once(*args: object) -> object:
        receipt = await real(*args)
        if not broken:
            broken.append(True)
            raise KeyError("ts")
        return receipt

    monkeypatch.setattr(office.network, "send", breaks_once)
    await office.owe("once", "more")
    await office.settled()
    assert office.network.texts() == ["once", "more"]


async def test_when_its_first_send_began_is_remembered(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later attempt that is doubted, too, is looked for from the first one on."""
    office, seen = await opened(READBACK), []
    real = office.network.reconcile

    async def note(operation, *rest: object) -> object:
        seen.append(operation.attempted_at_ms)
        return await real(operation, *rest)

    monkeypatch.setattr(office.network, "reconcile", note)
    office.network.fates("send", *[UnknownOutcome("reset")] * 3)
    await office.owe("once")
    await office.settled()
    assert len(seen) == 6
    assert len(set(seen)) == 1


# --- given up, and not given up ---------------------------------------------------------------------


async def test_being_told_to_wait_is_no_failure_however_often(
    opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELIVERY_ATTEMPTS", 3)
    office = await opened()
    office.network.fates("send", *[RateLimited(0.001, "room")] * 6, AuthLost("revoked"))
    await office.owe("patience")
    await office.settled()
    assert office.network.texts() == ["patience"]


@pytest.mark.parametrize("failure", [Unreachable("down"), Permanent("no")])
async def test_what_never_succeeds_is_a_dead_letter(
    opened, failure: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELIVERY_ATTEMPTS", 3)
    office = await opened()
    office.network.fates("send", *[failure] * 3)
    thread_id = await office.owe("lost")
    await office.settled()
    assert await office.phases() == ["failed"]
    assert "delivery.failed" in await office.kinds(thread_id)
    assert office.network.called("send") == (1 if isinstance(failure, Permanent) else 3)


async def test_a_message_that_is_gone_is_sent_anew(opened) -> None:
    office = await opened(NONE)
    office.network.fates("edit", Gone("deleted"))
    await office.owe("the answer")
    await office.settled()
    assert office.network.texts() == [PLACEHOLDER, "the answer"]


async def test_a_stream_left_open_by_an_earlier_process_is_closed_before_the_end(opened) -> None:
    office = await opened(capabilities_native())
    run = await office.run()
    row = await office.store.outbox.open_live(run, "dlv_live", office.clock.now_ms())
    await office.deliveries.reserve(
        office.network, ROOM, row, lambda operation: office.network.open_stream(operation, ROOM)
    )
    await office.network.append(ROOM, "m1", "half of ")
    await office.kill()
    await office.start()
    await office.complete(run, "half of it, and the rest")
    await office.settled()
    (message,) = office.network.messages
    assert (message.text, message.is_open) == ("half of it, and the rest", False)


def capabilities_native() -> Capabilities:
    return Capabilities(
        4000, READBACK.text_unit, READBACK.idempotency, can_edit=True, edit_interval_s=0.01,
        stream=StreamMode.NATIVE,
    )  # fmt: skip


# --- whatever happens -------------------------------------------------------------------------------

FATES = st.sampled_from(
    [
        None,
        Lost(),
        Crash(),
        Crash(after=True),
        UnknownOutcome("reset"),
        Unreachable("refused"),
        RateLimited(0.001, "room"),
        RateLimited(0.001),
        AuthLost("revoked"),
    ]
)
CALLS = ("send", "edit", "reconcile", "upload")


@settings(max_examples=60, deadline=None)
@given(
    capabilities=st.sampled_from([READBACK, NONCE, NONE]),
    fates=st.lists(st.tuples(st.sampled_from(CALLS), FATES), max_size=12),
    parts=st.integers(1, 3),
    with_file=st.booleans(),
)
def test_whatever_fails_an_answer_is_said_once_or_counted(
    capabilities: Capabilities, fates: list[tuple[str, Fate | None]], parts: int, with_file: bool
) -> None:
    contents: list[str | Rendered] = [f"part {number}" for number in range(parts)]
    if with_file:
        contents.append(Rendered("a cat", blob_id="blb_1"))

    async def tell() -> tuple[Network, list[str], int]:
        with TemporaryDirectory() as directory:
            network = Network(capabilities)
            for method, fate in fates:
                if fate is not None:
                    network.fates(method, fate)
            office = Office(network, None, picture)
            await office.open(Path(directory) / "data")
            try:
                await office.owe(*contents)
                await survive(office)
                return network, await office.phases(), await office.uncertain()
            finally:
                await office.close()

    network, phases, uncertain = asyncio.run(tell())
    texts = [text for text in network.texts() if text != PLACEHOLDER]
    said = [content if isinstance(content, str) else "cat.png: a cat" for content in contents]
    assert phases == ["sent"] * len(contents)
    if capabilities is not NONE:
        assert texts == said
        assert (len(network.messages), uncertain) == (len(said), 0)
    else:
        assert [text for text in texts if "cat" not in text] == said[:parts]
        assert len(network.messages) <= len(said) + uncertain


async def survive(office: Office) -> None:
    """Start again after every crash, until nothing is owed."""
    while True:
        done, crash = (
            asyncio.ensure_future(wait) for wait in (office.settled(), office.network.crashed.wait())
        )
        await asyncio.wait({done, crash}, return_when=asyncio.FIRST_COMPLETED)
        is_crash = office.network.crashed.is_set()
        for future in (done, crash):
            future.cancel()
        await asyncio.gather(done, crash, return_exceptions=True)
        if not is_crash:
            assert done.done() and not done.cancelled() and done.exception() is None, (
                "it was delivered in time"
            )
            return
        await office.kill()
        await office.start()


def test_a_row_names_its_operation(tmp_path: Path) -> None:
    row = OutboxRow(
        id="dlv_1", org_id="org", channel="paper", account="main", room="r1", topic=None, thread_id=None,
        run_id=None, part=1, phase="idle", content="{}", ref=None, attempt=3, next_attempt_at_ms=0,
        recipient="U1", sending_since_ms=77,
    )  # fmt: skip
    made = attempts.Attempts(None, None, None, None, None)  # type: ignore[arg-type]
    operation = made.operation(row)
    assert (operation.id, operation.attempt, operation.attempted_at_ms, operation.recipient) == (
        "dlv_1", 3, 77, "U1",
    )  # fmt: skip
