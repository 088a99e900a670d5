"""The bot token reaches no log and no error, however talkative the libraries below are."""

import logging
from collections.abc import Iterator

import pytest
from channel_stage import MemorySink, until
from telegram_stage import ADA, GATE, make_adapter

from channels.emulators.telegram import FaultKind, TelegramEmulator
from channels.errors import ChannelError
from channels.messages import Inbound, Operation, Rendered
from channels.telegram.redaction import keep_tokens_out_of_logs

OPERATION = Operation("dlv_1", attempt=1)
SECRET = GATE.token.partition(":")[2]


@pytest.fixture
def talkative(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every library logs everything, whatever the adapter has set."""
    for name in ("httpx", "httpcore", "telegram"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    yield caplog


async def test_a_day_of_work_leaves_no_token_in_the_logs(
    emulator: TelegramEmulator, sink: MemorySink, talkative: pytest.LogCaptureFixture
) -> None:
    adapter = make_adapter(emulator.url)
    talkative.set_level(logging.DEBUG, logger="httpx")
    emulator.send_file("document", b"x" * 100, name="a.txt", caption="hello")
    await adapter.start(sink)
    await until(lambda: sink.texts)
    await adapter.send(OPERATION, ADA, Rendered("hi"))
    (inbound,) = sink.stored.values()
    assert isinstance(inbound, Inbound)
    for fault in (None, *FaultKind):
        if fault is not None:
            emulator.faults.add(fault, "download")
        try:
            assert [piece async for piece in adapter.download(inbound.attachments[0], 1000)]
        except ChannelError as error:
            assert SECRET not in str(error)
    for kind in FaultKind:
        emulator.faults.add(kind, "sendMessage")
        try:
            await adapter.send(OPERATION, ADA, Rendered("hi"))
        except ChannelError as error:
            assert SECRET not in str(error)
    await adapter.stop()
    assert "/bot<token>/sendMessage" in talkative.text, "httpx was not heard: this test shows nothing"
    assert "/file/bot<token>/documents/" in talkative.text, "no download was heard"
    assert SECRET not in talkative.text


async def test_a_refused_token_is_not_quoted(
    emulator: TelegramEmulator, sink: MemorySink, talkative: pytest.LogCaptureFixture
) -> None:
    adapter = make_adapter(emulator.url, token="42:revoked-secret")
    await adapter.start(sink)
    await until(lambda: "telegram stopped" in talkative.text)
    await adapter.stop()
    assert "revoked-secret" not in talkative.text


async def test_errors_bring_no_cause_that_could_quote_it(emulator: TelegramEmulator) -> None:
    adapter = make_adapter(emulator.url)
    emulator.faults.add(FaultKind.ERROR, code=400, description=f"Bad Request: {GATE.token}")
    with pytest.raises(ChannelError) as raised:
        await adapter.send(OPERATION, ADA, Rendered("hi"))
    assert raised.value.__suppress_context__
    assert str(raised.value) == "<token>"
    await adapter.stop()


def test_httpx_is_quiet_unless_it_was_told_to_speak() -> None:
    httpx_logger = logging.getLogger("httpx")
    before = httpx_logger.level
    try:
        httpx_logger.setLevel(logging.NOTSET)
        keep_tokens_out_of_logs()
        assert httpx_logger.level == logging.WARNING
        httpx_logger.setLevel(logging.INFO)
        keep_tokens_out_of_logs()
        assert httpx_logger.level == logging.INFO
    finally:
        httpx_logger.setLevel(before)


def test_the_filter_is_set_once() -> None:
    keep_tokens_out_of_logs()
    count = len(logging.getLogger("httpx").filters)
    keep_tokens_out_of_logs()
    assert len(logging.getLogger("httpx").filters) == count
