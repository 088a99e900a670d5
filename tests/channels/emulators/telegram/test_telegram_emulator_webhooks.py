"""Webhooks: posts in order within a chat, chats beside each other, tries again, errors shown, calls in answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from telegram import Bot, Update
from telegram import User as TelegramUser
from telegram.error import BadRequest, Conflict
from telegram_emulator_cast import GATE, GROUP, Clock, Connect

from channels.emulators.telegram import NO_FLOOD_LIMITS, TelegramEmulator, User

ADA, BO = User(1001, "Ada"), User(1002, "Bo")
WAIT_S = 5.0
# A second of waiting between tries becomes this long.
TIME_SCALE = 0.01


class Receiver:
    """A webhook's other end: keeps what arrives, answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.updates: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[web.Response] = []
        self.gate: Callable[[dict[str, object]], Awaitable[None]] | None = None
        self.at_once = self.most_at_once = 0
        self._arrived = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        update = await request.json()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        async with self._arrived:
            self.updates.append(update)
            self.headers.append(dict(request.headers))
            self._arrived.notify_all()
        try:
            if self.gate is not None:
                await self.gate(update)
        finally:
            self.at_once -= 1
        return self.answers.pop(0) if self.answers else web.Response()

    async def has(self, count: int) -> None:
        async with self._arrived:
            await asyncio.wait_for(self._arrived.wait_for(lambda: len(self.updates) >= count), WAIT_S)

    def ids(self) -> list[object]:
        return [update["update_id"] for update in self.updates]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@pytest.fixture
async def emulator(clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[TelegramEmulator]:
    # Where the network's clock is moved by hand, waiting itself must never come to an end.
    scale = 1e6 if "patient" in request.fixturenames else TIME_SCALE
    async with TelegramEmulator(
        [GATE],
        clock=clock,
        flood_limits=NO_FLOOD_LIMITS,
        slows_repeated_polls=False,
        webhook_time_scale=scale,
    ) as made:
        yield made


@pytest.fixture
def patient(emulator: TelegramEmulator) -> TelegramEmulator:
    """An emulator whose retries fall due by its own clock only."""
    return emulator


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 (a condition of another party, without an event)
            await asyncio.sleep(0.005)


async def test_updates_are_posted_with_the_secret(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    early = emulator.say("before the webhook")
    await bot.set_webhook(receiver.url, secret_token="s3cret_-")
    said = emulator.say("hello")
    await receiver.has(2)
    assert receiver.ids() == [early.update_id, said.update_id]
    assert receiver.headers[0]["X-Telegram-Bot-Api-Secret-Token"] == "s3cret_-"
    assert receiver.headers[0]["Content-Type"] == "application/json"
    update = Update.de_json(receiver.updates[1], bot)
    assert update.message is not None and update.message.text == "hello"
    assert update.effective_user == TelegramUser(ADA.id, "Ada", False)
    await until(lambda: emulator.pending_updates() == [])
    assert emulator.confirmed_offset() == (said.update_id or 0) + 1


async def test_one_post_at_a_time_in_a_chat_and_several_beside_each_other(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    release = asyncio.Event()

    async def hold(update: dict[str, object]) -> None:
        await release.wait()

    receiver.gate = hold
    await bot.set_webhook(receiver.url, max_connections=2)
    first, second = emulator.say("one").update_id, emulator.say("two").update_id
    other = emulator.say("from Bo", user=BO).update_id
    third = emulator.say("/go", chat_id=GROUP).update_id
    await receiver.has(2)
    assert receiver.ids() == [first, other], "the second of a chat waits, a third chat has no connection"
    release.set()
    await receiver.has(4)
    assert set(receiver.ids()) == {first, other, second, third} and receiver.most_at_once == 2


async def test_a_failed_post_is_tried_again_later_and_later_and_holds_its_chat_back(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [web.Response(status=500) for _ in range(3)]
    await bot.set_webhook(receiver.url)
    first, second = emulator.say("one").update_id, emulator.say("two").update_id
    await receiver.has(5)
    assert receiver.ids() == [first] * 4 + [second]
    info = await bot.get_webhook_info()
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
    assert info.last_error_date is not None and info.last_error_date.timestamp() == clock.now


async def failed(emulator: TelegramEmulator) -> None:
    """Wait until the try of this moment is known to have failed."""
    webhook = emulator.world.webhooks[GATE.id]
    await until(lambda: webhook.last_error_at == emulator.world.now())


async def test_waits_double_up_to_a_minute_and_end_with_the_update(
    bot: Bot, patient: TelegramEmulator, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=500) for _ in range(20)]
    await bot.set_webhook(receiver.url)
    patient.say("one")
    for tries, wait_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), 1):
        await receiver.has(tries)
        await failed(patient)
        patient.advance(wait_s - 0.5)
        await asyncio.sleep(0.01)
        assert len(receiver.updates) == tries
        patient.advance(0.5)
    await receiver.has(9)
    await failed(patient)
    patient.advance(24 * 3600)
    assert patient.pending_updates() == []


async def test_the_receiver_says_when_to_come_again(
    bot: Bot, patient: TelegramEmulator, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=503, headers={"Retry-After": "3000"})]
    await bot.set_webhook(receiver.url)
    patient.say("one")
    await receiver.has(1)
    await failed(patient)
    patient.advance(2999)
    await asyncio.sleep(0.02)
    assert len(receiver.updates) == 1
    patient.advance(1)
    await receiver.has(2)
    await until(lambda: patient.pending_updates() == [])


async def test_a_day_of_gone_deletes_the_webhook(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    receiver.answers = [web.Response(status=410), web.Response(status=410)]
    await bot.set_webhook(receiver.url)
    emulator.say("one")
    await receiver.has(1)
    assert (await bot.get_webhook_info()).url == receiver.url
    emulator.advance(23 * 3600 + 1)
    await receiver.has(2)
    await until(lambda: emulator.world.webhooks[GATE.id].url == "")
    assert len(await bot.get_updates()) == 1, "what waited can be polled now"


async def test_nobody_listening_is_an_error_too(
    bot: Bot, emulator: TelegramEmulator, unused_tcp_port: int
) -> None:
    await bot.set_webhook(f"http://127.0.0.1:{unused_tcp_port}/hook")
    emulator.say("one")
    await until(lambda: emulator.world.webhooks[GATE.id].last_error != "")
    info = await bot.get_webhook_info()
    assert (info.last_error_message, info.pending_update_count) == ("Connection refused", 1)
    await bot.delete_webhook(drop_pending_updates=True)
    assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_a_method_in_the_answer_is_done(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    receiver.answers = [
        web.json_response({"method": "sendMessage", "chat_id": ADA.id, "text": "in the answer"}),
        web.json_response({"method": "deleteWebhook"}),
        web.Response(text="thank you"),
    ]
    await bot.set_webhook(receiver.url)
    for text in ("one", "two", "three"):
        emulator.say(text)
    await receiver.has(3)
    await until(lambda: emulator.pending_updates() == [])
    assert [message.text for message in emulator.messages(ADA.id)][-1] == "in the answer"
    assert (await bot.get_webhook_info()).url == receiver.url, "some methods are not for answers"
    assert [call.status for call in emulator.calls.select("sendMessage")] == [200]


async def test_polling_and_a_webhook_exclude_each_other(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    waiting = asyncio.create_task(bot.get_updates(timeout=20))
    await until(lambda: bool(emulator.calls.select("getUpdates")))
    await bot.set_webhook(receiver.url)
    with pytest.raises(Conflict, match="terminated by setWebhook request"):
        await asyncio.wait_for(waiting, 2)


async def test_only_kinds_that_were_asked_for_are_posted(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    emulator.say("dropped")
    await bot.set_webhook(receiver.url, allowed_updates=["edited_message"], drop_pending_updates=True)
    said = emulator.say("not asked for")
    assert said.update_id is None
    edited = emulator.edit(ADA.id, said.message_id, "edited")
    await receiver.has(1)
    assert receiver.ids() == [edited]
    info = await bot.get_webhook_info()
    assert (info.allowed_updates, info.max_connections) == (("edited_message",), 40)


async def test_a_repeated_update_is_posted_again(
    bot: Bot, emulator: TelegramEmulator, receiver: Receiver
) -> None:
    await bot.set_webhook(receiver.url)
    said = emulator.say("one")
    await receiver.has(1)
    await until(lambda: emulator.pending_updates() == [])
    assert said.update_id is not None
    emulator.redeliver(said.update_id)
    await receiver.has(2)
    assert receiver.ids() == [said.update_id] * 2


async def test_addresses_and_secrets_are_checked(bot: Bot) -> None:
    for url in ("https://gate.example/hook", "https://127.0.0.1/hook"):
        with pytest.raises(BadRequest, match="not emulated yet"):
            await bot.set_webhook(url)
    for url in ("http://gate.example/hook", "http://10.0.0.1/hook", "http://127.0.0.1:99999/"):
        with pytest.raises(BadRequest, match=r"(?i)an https url must be provided"):
            await bot.set_webhook(url)
    with pytest.raises(BadRequest, match=r"(?i)secret token contains unallowed"):
        await bot.set_webhook("http://127.0.0.1:9/", secret_token="no spaces")
    with pytest.raises(BadRequest, match=r"(?i)secret token is too long"):
        await bot.set_webhook("http://127.0.0.1:9/", secret_token="x" * 257)


async def test_a_stopped_emulator_posts_nothing_and_goes_on_afterwards(
    clock: Clock, connect: Connect, receiver: Receiver
) -> None:
    emulator = TelegramEmulator([GATE], clock=clock, webhook_time_scale=TIME_SCALE)
    await emulator.start()
    bot: Bot = await connect(emulator)
    await bot.set_webhook(receiver.url)
    await emulator.stop()
    said = emulator.say("while it was off")
    await asyncio.sleep(0.02)
    assert receiver.updates == []
    await emulator.start()
    await receiver.has(1)
    assert receiver.ids() == [said.update_id]
    await emulator.stop()
