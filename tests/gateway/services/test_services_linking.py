"""Linking a chat identity to a user: a code from each side, typed on the other."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Frame, Stage, TelegramStage, Wire, eventually

from channels.emulators.telegram import TelegramEmulator
from channels.messages import Addressed, Inbound, RoomRef, Sender
from gateway.services.linking import typed_code
from gateway.settings import OrganizationSettings
from protocol.records import Role
from storage import audit_people
from storage.values import DEFAULT_ORG

CODE = re.compile(r"[A-Z2-9]{4}-[A-Z2-9]{4}")


@pytest.fixture
async def grace(telegram: TelegramStage) -> AsyncIterator[tuple[str, Wire]]:
    """A user and a connection of theirs."""
    user_id, secret = await telegram.user(Role.APPROVER, "Grace")
    yield user_id, await telegram.connect(secret)


async def typed(stage: TelegramStage, text: str) -> str:
    """What the bot answers to this, said in a direct message."""
    before = len(stage.texts())
    stage.emulator.say(text)

    async def answered() -> list[str]:
        return [text for text in stage.texts()[before:] if text != "…"]  # what is sent first, and then edited

    (answer,) = await eventually(answered)
    return str(answer)


def code_in(text: str) -> str:
    found = CODE.search(text)
    assert found is not None, text
    return found[0]


async def actions(stage: Stage) -> list[tuple[str, str, str]]:
    entries, _ = await stage.store.audit.page(DEFAULT_ORG, 0, None, 500)
    return [(one.action, one.outcome, one.actor.id) for one in entries if "link" in one.action]


async def test_a_code_from_each_side_links(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    user_id, wire = grace
    begun = await wire.call("user.link")
    assert begun["state"] == "begun"
    answer = await typed(telegram, f"/link {begun['code']}")
    linked = await wire.call("user.link", code=code_in(answer).lower().replace("-", " "))
    assert linked["state"] == "linked"
    link = linked["link"]
    assert (link["channel"], link["account"]) == ("telegram", "gate")
    found = await telegram.store.links.principal_of(DEFAULT_ORG, "telegram", "gate", link["sender_id"])
    assert found is not None
    assert (found[0].id, found[1]) == (user_id, Role.APPROVER)
    (shown,) = [one for one in (await wire_of_owner(telegram, "user.list"))["users"] if one["id"] == user_id]
    assert shown["links"] == [link]
    person = await telegram.store.engine.read(
        audit_people.known, DEFAULT_ORG, f"telegram:{link['sender_id']}"
    )
    assert await actions(telegram) == [
        ("link.begin", "success", user_id),
        ("link.answer", "success", person),
        ("user.link", "success", user_id),
    ], "an entry of both sides"


async def wire_of_owner(stage: Stage, method: str, **params: object) -> Frame:
    return await (await stage.connect()).call(method, **params)


async def test_a_link_is_taken_away(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    user_id, wire = grace
    answer = await typed(telegram, f"!link {(await wire.call('user.link'))['code']}")
    link = (await wire.call("user.link", code=code_in(answer)))["link"]
    identity = {name: link[name] for name in ("channel", "account", "sender_id")}
    saved = await wire_of_owner(telegram, "user.save", user_id=user_id, unlink=identity)
    assert saved["user"]["links"] == []
    assert await telegram.store.links.principal_of(DEFAULT_ORG, **identity) is None
    again = (await telegram.connect()).refusal("user.save", user_id=user_id, unlink=identity)
    assert (await again).kind == "not_found"


async def test_a_code_is_good_once(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    _, wire = grace
    code = (await wire.call("user.link"))["code"]
    reply = code_in(await typed(telegram, f"/link {code}"))
    assert CODE.search(await typed(telegram, f"/link {code}")) is None, (
        "somebody else who saw it gets nothing"
    )
    await wire.call("user.link", code=reply)
    assert (await wire.refusal("user.link", code=reply)).kind == "not_found"


async def test_neither_code_alone_links(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    _, wire = grace
    code = (await wire.call("user.link"))["code"]
    assert (await wire.refusal("user.link", code=code)).kind == "not_found", (
        "the own code is not that of the chat"
    )
    reply = code_in(await typed(telegram, f"/link {code}"))
    _, secret = await telegram.user(Role.OWNER, "Eve")
    eve = await telegram.connect(secret)
    assert (await eve.refusal("user.link", code=reply)).kind == "not_found", "it is for who began"


async def test_wrong_codes_end_what_was_begun(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    _, wire = grace
    reply = code_in(await typed(telegram, f"/link {(await wire.call('user.link'))['code']}"))
    for _ in range(5):
        assert (await wire.refusal("user.link", code="ZZZZ-ZZZZ")).kind == "not_found"
    assert (await wire.refusal("user.link", code=reply)).kind == "not_found"
    assert ("user.link", "failure", grace[0]) in await actions(telegram)


async def test_a_user_has_three_open_codes_at_most(grace: tuple[str, Wire]) -> None:
    _, wire = grace
    for _ in range(3):
        await wire.call("user.link")
    assert (await wire.refusal("user.link")).kind == "invalid_state"


async def test_codes_run_out(
    telegram: TelegramStage, grace: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, wire = grace
    code = (await wire.call("user.link"))["code"]
    real = telegram.clock.now_ms
    monkeypatch.setattr(telegram.clock, "now_ms", lambda: real() + 601_000)
    assert CODE.search(await typed(telegram, f"/link {code}")) is None
    await telegram.store.links.forget_codes(telegram.clock.now_ms())
    await wire.call("user.link")


async def test_who_guesses_in_the_chat_is_slowed_down(telegram: TelegramStage) -> None:
    for _ in range(5):
        assert "not a code" in await typed(telegram, "/link AAAA-BBBB")
    assert "too many codes" in await typed(telegram, "/link AAAA-BBBB")


async def test_only_users_link(telegram: TelegramStage) -> None:
    for secret in (telegram.owner, await telegram.token(Role.OWNER)):
        wire = await telegram.connect(secret)
        assert (await wire.refusal("user.link")).kind == "invalid_state"


async def test_no_code_is_stored(telegram: TelegramStage, grace: tuple[str, Wire]) -> None:
    _, wire = grace
    code = (await wire.call("user.link", idempotency_key="k"))["code"]
    again = await wire.call("user.link", idempotency_key="k")
    assert "code" not in again, "it is shown once"
    await telegram.stop()
    for path in telegram.store.engine.path.parent.iterdir():
        if path.is_file():
            assert code.encode() not in path.read_bytes()


def said(text: str, **choices: object) -> Inbound:
    values: dict[str, object] = {
        "delivery_id": "1",
        "room": RoomRef("42"),
        "thread_key": None,
        "message_ref": "7",
        "reply_to": None,
        "sender": Sender("99", "Grace"),
        "addressed": Addressed.MENTION,
        "is_direct": True,
        "text": text,
        "occurred_at_ms": 0,
    }
    return Inbound(**{**values, **choices})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["/link AAAA-BBBB", "!link aaaabbbb", " /LINK  aaaa bbbb "])
def test_a_direct_message_gives_a_code(text: str) -> None:
    assert typed_code(said(text)) == "AAAA-BBBB"


def test_so_does_the_slash_command_of_a_network() -> None:
    command = {"message_ref": None, "addressed": Addressed.COMMAND}
    assert typed_code(said("link AAAA-BBBB", **command)) == "AAAA-BBBB"
    assert typed_code(said("link AAAA-BBBB")) is None, "said to the agent, it is a message"


@pytest.mark.parametrize(
    "text", ["/link", "/link me to the docs", "/linkAAAA-BBBB", "see /link AAAA-BBBB", "/link AAAA-BBB0"]
)
def test_other_words_are_a_message(text: str) -> None:
    assert typed_code(said(text)) is None


def test_a_group_is_no_place_for_codes_nor_are_bots() -> None:
    assert typed_code(said("/link AAAA-BBBB", is_direct=False)) is None
    assert typed_code(said("/link AAAA-BBBB", sender=Sender("99", "Bot", is_bot=True))) is None


async def test_what_arrives_through_an_account_belongs_to_its_organization(
    tmp_path: Path, emulator: TelegramEmulator
) -> None:
    stage = TelegramStage(tmp_path / "acme", emulator, org="org_acme")
    stage._given["organizations"] = (OrganizationSettings(id="org_acme", name="Acme"),)
    await stage.start()
    try:
        hers = await stage.connect(f"{stage.owner}@org_acme")
        stage.emulator.say("say hello")

        async def answered() -> list[str]:
            return [text for text in stage.texts() if "hello" in text]

        await eventually(answered)
        (thread,) = (await hers.call("thread.list"))["threads"]
        assert thread["origin"]["account"] == "gate"
        assert (await (await stage.connect()).call("thread.list"))["threads"] == []
        assert [one["id"] for one in (await hers.call("channel.list"))["channels"]] == ["telegram:gate"]
        assert (await (await stage.connect()).call("channel.list"))["channels"] == []
    finally:
        await stage.close()
