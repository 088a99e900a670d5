"""An attempt ends by its deadlines, and nothing waits for work that does not end when it is told to."""

import asyncio

import pytest

from gateway.services import deadlines
from gateway.services.deadlines import DeadlineMissed, Deadlines


async def never() -> None:
    await asyncio.Event().wait()


async def test_what_is_done_in_time_is_the_result() -> None:
    async def work() -> int:
        return 7

    assert await Deadlines(1.0, 1.0).run(work(), "work") == 7


async def test_what_it_raises_is_raised() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await Deadlines(1.0, 1.0).run(work(), "work")


async def test_the_whole_has_an_end() -> None:
    with pytest.raises(DeadlineMissed, match=r"within 0\.05 s"):
        await Deadlines(0.05, 10.0).run(never(), "work")


async def test_silence_has_an_end_and_signs_of_life_put_it_off() -> None:
    limits = Deadlines(10.0, 0.1)
    beats = 0

    async def work() -> None:
        nonlocal beats
        while beats < 4:
            await asyncio.sleep(0.05)
            beats += 1
            limits.beat()
        await never()

    with pytest.raises(DeadlineMissed, match=r"no sign of life for 0\.1 s"):
        await limits.run(work(), "work")
    assert beats == 4


async def test_waiting_for_a_person_does_not_count() -> None:
    limits = Deadlines(0.1, 0.1)

    async def work() -> str:
        limits.pause()
        await asyncio.sleep(0.3)
        limits.go_on()
        return "decided"

    assert await limits.run(work(), "work") == "decided"
    assert limits.silent_s < 0.1


async def test_after_the_wait_the_deadlines_hold_again() -> None:
    limits = Deadlines(10.0, 0.05)

    async def work() -> None:
        limits.pause()
        await asyncio.sleep(0.1)
        limits.go_on()
        await never()

    with pytest.raises(DeadlineMissed):
        await limits.run(work(), "work")


async def test_cancelling_ends_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await never()
        finally:
            ended.set()

    running = asyncio.create_task(Deadlines(10.0, 10.0).run(work(), "work"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_work_that_does_not_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    monkeypatch.setattr(deadlines, "GRACE_S", 0.05)
    release = asyncio.Event()

    async def work() -> None:
        try:
            await never()
        finally:
            await release.wait()

    running = asyncio.create_task(Deadlines(10.0 if is_cancelled else 0.05, 10.0).run(work(), "stubborn"))
    await asyncio.sleep(0.01)
    if is_cancelled:
        running.cancel()
    with pytest.raises((asyncio.CancelledError, DeadlineMissed)):
        await asyncio.wait_for(running, 2.0)
    (left,) = deadlines._abandoned
    release.set()
    await asyncio.wait({left}, timeout=1.0)
    assert not deadlines._abandoned
