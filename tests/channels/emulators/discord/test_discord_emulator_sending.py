"""What bots may send, edit and delete: limits, errors, nonces, replies, mentions, permissions, files."""

import asyncio
import io
from typing import Any

import pytest
from aiohttp import FormData
from discord_emulator_cast import ADA, BO, GATE, GENERAL, MAKERS, RANDOM, SHY, Api, Clock

from channels.emulators.discord import DiscordEmulator, Permission
from channels.emulators.discord.bot_messages import OLD_EDITS_MAX

V2 = 1 << 15


def button(custom_id: str, **fields: object) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Yes", "custom_id": custom_id, **fields}


def row(*components: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(components)}


def text(content: str) -> dict[str, Any]:
    return {"type": 10, "content": content}


def problems(errors: dict[str, Any], path: str = "") -> set[str]:
    """The paths and codes in the errors of a 50035."""
    found = {f"{path}:{one['code']}" for one in errors.get("_errors", [])}
    for name, inner in errors.items():
        if name != "_errors":
            found |= problems(inner, f"{path}.{name}" if path else name)
    return found


TOO_MUCH = [
    ({"content": "x" * 2001}, "content:BASE_TYPE_MAX_LENGTH"),
    ({"content": "x", "nonce": "n" * 26}, "nonce:BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": "x"}] * 11}, "embeds:BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": "x" * 257}]}, "embeds.0.title:BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"description": "x" * 4096}] * 2}, "embeds:MAX_EMBED_SIZE_EXCEEDED"),
    ({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}, "embeds.0.fields.0.value:BASE_TYPE_REQUIRED"),
    ({"components": [row(button("a"))] * 6}, "components:BASE_TYPE_MAX_LENGTH"),
    (
        {"components": [row(*(button(str(n)) for n in range(6)))]},
        "components.0.components:BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"components": [row(button("x" * 101))]},
        "components.0.components.0.custom_id:BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"components": [row(button("a"), button("a"))]},
        "components.0.components.1.custom_id:COMPONENT_CUSTOM_ID_DUPLICATED",
    ),
    (
        {"components": [row(button("a", label="x" * 81))]},
        "components.0.components.0.label:BASE_TYPE_BAD_LENGTH",
    ),
    (
        {"components": [row({"type": 2, "style": 5, "label": "go"})]},
        "components.0.components.0.url:BASE_TYPE_BAD_LENGTH",
    ),
    ({"components": [text("x")]}, "components.0.type:UNION_TYPE_CHOICES"),
    (
        {"components": [text("x")], "content": "y", "flags": V2},
        "content:MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    (
        {"components": [text("x")] * 41, "flags": V2},
        "components:COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
    ),
    (
        {"components": [text("x" * 2001)] * 2, "flags": V2},
        "components:COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
    ),
    (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        "allowed_mentions:MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    ),
    ({"content": "x", "message_reference": {"message_id": "1"}}, "message_reference:REPLIES_UNKNOWN_MESSAGE"),
]


@pytest.mark.parametrize(("body", "problem"), TOO_MUCH)
async def test_bodies_beyond_the_limits(
    api: Api, emulator: DiscordEmulator, body: dict[str, Any], problem: str
) -> None:
    status, answer = await api.send(**body)
    assert (status, answer["code"], answer["message"]) == (400, 50035, "Invalid Form Body")
    assert problem in problems(answer["errors"])
    assert emulator.messages() == []


FITTING = [
    {"content": "🧵" * 2000},
    {"content": "x", "nonce": "n" * 25},
    {"embeds": [{"description": "x" * 4096}, {"description": "x" * 1904}]},
    {"components": [row(*(button(f"{n}.{m}") for m in range(5))) for n in range(5)]},
    {"components": [text("x" * 4000)], "flags": V2},
    {"components": [text("x")] * 40, "flags": V2},
]


@pytest.mark.parametrize("body", FITTING)
async def test_bodies_at_the_limits(api: Api, emulator: DiscordEmulator, body: dict[str, Any]) -> None:
    assert (await api.send(**body))[0] == 200
    assert len(emulator.messages()) == 1


@pytest.mark.parametrize("body", [{}, {"content": "  \n "}, {"embeds": []}])
async def test_empty_messages(api: Api, body: dict[str, Any]) -> None:
    assert await api.send(**body) == (400, {"message": "Cannot send an empty message", "code": 50006})


async def test_space_around_a_text_is_cut_off(api: Api) -> None:
    assert (await api.send(content=" hello \n"))[1]["content"] == "hello"


async def test_a_nonce_answers_with_the_first_message(
    api: Api, emulator: DiscordEmulator, clock: Clock
) -> None:
    body = {"content": "once", "nonce": "n", "enforce_nonce": True}
    _, first = await api.send(**body)
    clock.now += 119
    _, again = await api.send(**{**body, "content": "twice"})
    assert (again["id"], again["content"], again["nonce"]) == (first["id"], "once", "n")
    # It is the author's, whatever the room, and nobody else's.
    assert (await api.send(RANDOM, **body))[1]["id"] == first["id"]
    _, other = await api.call("POST", f"/channels/{GENERAL}/messages", body, token=SHY.token)
    assert other["id"] != first["id"]
    clock.now += 1
    assert (await api.send(**body))[1]["id"] != first["id"]


async def test_a_nonce_that_is_not_enforced_proves_nothing(api: Api, emulator: DiscordEmulator) -> None:
    for _ in range(2):
        await api.send(content="x", nonce="n")
    assert len(emulator.messages()) == 2


async def test_the_nonce_of_a_deleted_message_finds_nothing(api: Api, emulator: DiscordEmulator) -> None:
    body = {"content": "once", "nonce": "n", "enforce_nonce": True}
    _, first = await api.send(**body)
    await api.call("DELETE", f"/channels/{GENERAL}/messages/{first['id']}")
    assert await api.send(**body) == (404, {"message": "Unknown Message", "code": 10008})
    assert len(emulator.messages()) == 1


async def test_a_reply_notifies_and_shows_what_it_answers(api: Api, emulator: DiscordEmulator) -> None:
    said = emulator.say("question")
    _, reply = await api.send(content="answer", message_reference={"message_id": str(said.id)})
    assert (reply["type"], reply["referenced_message"]["content"]) == (19, "question")
    assert [user["id"] for user in reply["mentions"]] == [str(ADA.id)]
    quiet = {"content": "psst", "message_reference": {"message_id": str(said.id)}}
    _, silent = await api.send(**quiet, allowed_mentions={"parse": []})
    assert silent["mentions"] == []
    emulator.delete(GENERAL, said.id)
    _, again = await api.call("GET", f"/channels/{GENERAL}/messages/{reply['id']}")
    assert again["referenced_message"] is None
    lenient = {"message_id": str(said.id), "fail_if_not_exists": False}
    assert (await api.send(content="anyway", message_reference=lenient))[1]["type"] == 0


MENTIONING = f"<@{BO.id}> <@&{MAKERS}> @everyone"
MENTIONS = [
    (MENTIONING, None, ([BO.id], [MAKERS], False)),
    (MENTIONING, {"parse": []}, ([], [], False)),
    (MENTIONING, {"parse": ["roles"]}, ([], [MAKERS], False)),
    (MENTIONING, {"users": [str(BO.id)]}, ([BO.id], [], False)),
    (MENTIONING, {"users": [str(ADA.id)]}, ([], [], False)),
    (f"`<@{BO.id}>` ```\n<@{BO.id}>\n```", None, ([], [], False)),
    ("<@123>", None, ([], [], False)),
]


@pytest.mark.parametrize(("content", "allowed", "notified"), MENTIONS)
async def test_who_is_notified(
    api: Api,
    emulator: DiscordEmulator,
    content: str,
    allowed: object,
    notified: tuple[list[int], list[int], bool],
) -> None:
    body: dict[str, Any] = {} if allowed is None else {"allowed_mentions": allowed}
    _, sent = await api.send(content=content, **body)
    users, roles, everyone = notified
    assert [int(user["id"]) for user in sent["mentions"]] == users
    assert ([int(one) for one in sent["mention_roles"]], sent["mention_everyone"]) == (roles, everyone)
    (message,) = emulator.messages()
    assert (list(message.mentions.users), list(message.mentions.roles)) == (users, roles)


async def test_everyone_needs_the_permission(api: Api, emulator: DiscordEmulator) -> None:
    emulator.moderation.set_permissions(GENERAL, allow=Permission.MENTION_EVERYONE)
    assert (await api.send(content="@here"))[1]["mention_everyone"] is True
    assert (await api.send(content="@here", allowed_mentions={"parse": []}))[1]["mention_everyone"] is False
    _, shown = await api.send(components=[text(f"<@{BO.id}>")], flags=V2)
    assert [user["id"] for user in shown["mentions"]] == [str(BO.id)]


async def test_edits_change_what_they_name(api: Api, emulator: DiscordEmulator) -> None:
    _, sent = await api.send(content="one", embeds=[{"title": "t"}], components=[row(button("a"))])
    path = f"/channels/{GENERAL}/messages/{sent['id']}"
    _, edited = await api.call("PATCH", path, {"content": "two", "components": []})
    assert (edited["content"], edited["components"]) == ("two", [])
    assert edited["embeds"][0]["title"] == "t" and edited["edited_timestamp"] is not None
    (message,) = emulator.messages()
    assert message.edits[0].content == "one" and message.edits[0].components
    empty = {"content": "", "embeds": []}
    assert (await api.call("PATCH", path, empty))[1]["code"] == 50006


async def test_components_v2_is_a_way_of_no_return(api: Api) -> None:
    _, sent = await api.send(content="one")
    path = f"/channels/{GENERAL}/messages/{sent['id']}"
    layout: dict[str, Any] = {"components": [text("two")], "flags": V2}
    status, answer = await api.call("PATCH", path, layout)
    assert (status, answer["code"]) == (400, 50035)
    assert (await api.call("PATCH", path, {**layout, "content": None}))[0] == 200
    status, answer = await api.call("PATCH", path, {"content": "three", "flags": 0})
    assert "flags:MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG" in problems(answer["errors"])


async def test_old_messages_are_edited_sparingly(api: Api, clock: Clock) -> None:
    _, sent = await api.send(content="start")
    path = f"/channels/{GENERAL}/messages/{sent['id']}"
    for number in range(OLD_EDITS_MAX + 5):
        assert (await api.call("PATCH", path, {"content": f"young {number}"}))[0] == 200
    clock.now += 3600
    for number in range(OLD_EDITS_MAX):
        assert (await api.call("PATCH", path, {"content": f"old {number}"}))[0] == 200
    status, answer = await api.call("PATCH", path, {"content": "once more"})
    assert (status, answer["code"], answer["retry_after"]) == (429, 30046, 3600)
    clock.now += 3600
    assert (await api.call("PATCH", path, {"content": "later"}))[0] == 200


async def test_what_is_not_the_bots_own(api: Api, emulator: DiscordEmulator) -> None:
    said = emulator.say("mine")
    path = f"/channels/{GENERAL}/messages/{said.id}"
    status, answer = await api.call("PATCH", path, {"content": "yours"})
    assert (status, answer["code"]) == (403, 50005)
    assert (await api.call("DELETE", path))[1]["code"] == 50013
    emulator.moderation.set_permissions(GENERAL, allow=Permission.MANAGE_MESSAGES)
    assert (await api.call("DELETE", path))[0] == 204
    assert (await api.call("DELETE", path))[1]["code"] == 10008
    pair = [emulator.say("a").id, emulator.say("b").id]
    bulk = f"/channels/{GENERAL}/messages/bulk-delete"
    assert (await api.call("POST", bulk, {"messages": pair[:1]}))[1]["code"] == 50016
    assert (await api.call("POST", bulk, {"messages": pair}))[0] == 204
    assert all(message.deleted_at for message in emulator.messages())


DENIED = [
    (Permission.VIEW_CHANNEL, 403, 50001),
    (Permission.SEND_MESSAGES, 403, 50013),
]


@pytest.mark.parametrize(("permission", "status", "code"), DENIED)
async def test_without_a_permission_nothing_is_sent(
    api: Api, emulator: DiscordEmulator, permission: Permission, status: int, code: int
) -> None:
    emulator.moderation.set_permissions(GENERAL, deny=permission)
    found, answer = await api.send(content="hello")
    assert (found, answer["code"]) == (status, code)
    assert (await api.call("POST", f"/channels/{GENERAL}/typing"))[1]["code"] == code
    emulator.moderation.set_permissions(GENERAL)
    assert (await api.send(content="hello"))[0] == 200


async def test_who_left_the_guild_reaches_nothing(api: Api, emulator: DiscordEmulator) -> None:
    emulator.moderation.remove_bot(emulator.world.channels[GENERAL].guild_id or 0)
    assert (await api.send(content="hello"))[1]["code"] == 50001
    assert (await api.call("GET", f"/channels/{GENERAL}"))[1]["code"] == 50001
    assert (await api.call("GET", "/users/@me/guilds"))[1] == []


async def test_unknown_things(api: Api) -> None:
    for path, code in (
        ("/channels/1", 10003),
        (f"/channels/{GENERAL}/messages/1", 10008),
        ("/users/1", 10013),
        ("/guilds/1", 10004),
        ("/nowhere", 0),
    ):
        status, answer = await api.call("GET", path)
        assert (status, answer["code"]) == (404, code)
    assert (await api.call("POST", "/users/@me/channels", {"recipient_id": "1"}))[1]["code"] == 50033


async def test_tokens_that_open_nothing(api: Api) -> None:
    for token in (None, "wrong"):
        assert await api.call("GET", "/users/@me", token=token) == (
            401,
            {"message": "401: Unauthorized", "code": 0},
        )


async def test_people_who_take_no_direct_messages(api: Api, emulator: DiscordEmulator) -> None:
    _, room = await api.call("POST", "/users/@me/channels", {"recipient_id": str(ADA.id)})
    assert room["recipients"][0]["username"] == "ada"
    assert (await api.send(int(room["id"]), content="hello"))[0] == 200
    emulator.moderation.close_dms(ADA.id)
    status, answer = await api.send(int(room["id"]), content="hello")
    assert (status, answer["code"]) == (403, 50007)


async def test_files_are_named_by_their_place(api: Api, emulator: DiscordEmulator) -> None:
    form = FormData(quote_fields=False)
    form.add_field(
        "payload_json",
        '{"content": "two", "attachments": [{"id": 1, "filename": "b.txt", "description": "second"}]}',
    )
    form.add_field("files[0]", b"first", filename="a.txt")
    form.add_field("files[1]", b"second", filename="x.txt")
    status, sent = await api.call("POST", f"/channels/{GENERAL}/messages", form=form)
    assert status == 200
    assert [(one["filename"], one.get("description")) for one in sent["attachments"]] == [
        ("a.txt", None),
        ("b.txt", "second"),
    ]


@pytest.mark.parametrize(("size", "status"), [(10 << 20, 200), ((10 << 20) + 1, 413)])
async def test_files_have_a_limit(api: Api, size: int, status: int) -> None:
    form = FormData(quote_fields=False)
    form.add_field("files[0]", io.BytesIO(bytes(size)), filename="big.bin")
    found, answer = await api.call("POST", f"/channels/{GENERAL}/messages", form=form)
    assert found == status
    assert status == 200 or answer["code"] == 40005


async def test_addresses_of_files_expire_and_are_signed(
    api: Api, emulator: DiscordEmulator, clock: Clock
) -> None:
    said = emulator.upload("a.txt", b"hello")
    path = f"/channels/{GENERAL}/messages/{said.id}"
    _, message = await api.call("GET", path)
    url = message["attachments"][0]["url"]

    async def fetch(address: str) -> int:
        async with api.session.get(address) as answer:
            return answer.status

    assert await fetch(url) == 200
    assert await fetch(url.replace("ex=", "ex=f")) == 404
    assert await fetch(url.partition("?")[0]) == 404
    clock.now += 24 * 3600
    assert await fetch(url) == 404
    _, message = await api.call("GET", path)
    assert await fetch(message["attachments"][0]["url"]) == 200


async def test_reactions_have_rules(api: Api, emulator: DiscordEmulator) -> None:
    said = emulator.say("hello")
    base = f"/channels/{GENERAL}/messages/{said.id}/reactions"
    assert (await api.call("PUT", f"{base}/thumbs/@me"))[1]["code"] == 10014
    assert (await api.call("PUT", f"{base}/👍/@me"))[0] == 204
    assert (await api.call("PUT", f"{base}/party:123456/@me"))[0] == 204
    _, who = await api.call("GET", f"{base}/👍")
    assert [one["id"] for one in who] == [str(GATE.id)]
    assert (await api.call("DELETE", f"{base}/👍/{ADA.id}"))[1]["code"] == 50013
    assert (await api.call("DELETE", f"{base}/👍/@me"))[0] == 204
    assert list(said.reactions) == ["party:123456"]
    for number in range(19):
        assert (await api.call("PUT", f"{base}/{chr(0x1F600 + number)}/@me"))[0] == 204
    assert (await api.call("PUT", f"{base}/🚀/@me"))[1]["code"] == 30010


async def test_bodies_that_are_no_bodies(api: Api, emulator: DiscordEmulator) -> None:
    url = f"{emulator.api_base_url}/channels/{GENERAL}/messages"
    headers = {"Authorization": f"Bot {GATE.token}"}
    for data, content_type, code in (
        (b"{", "application/json", 50109),
        (b"[]", "application/json", 50035),
        (b"content=x", "application/x-www-form-urlencoded", 50035),
    ):
        sent = headers | {"Content-Type": content_type}
        async with api.session.post(url, data=data, headers=sent) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, code)


async def test_ids_follow_the_clock_and_never_repeat(
    api: Api, emulator: DiscordEmulator, clock: Clock
) -> None:
    ids = [emulator.say("one").id, emulator.say("two").id]
    clock.now -= 60
    ids.append(emulator.say("back in time").id)
    clock.now += 120
    ids.append(emulator.say("later").id)
    assert ids == sorted(set(ids))
    assert (ids[3] >> 22) - (ids[0] >> 22) == 60_000


async def test_concurrent_sends_keep_their_nonce(api: Api, emulator: DiscordEmulator) -> None:
    body = {"content": "x", "nonce": "n", "enforce_nonce": True}
    answers = await asyncio.gather(*(api.send(**body) for _ in range(5)))
    assert len({answer["id"] for _, answer in answers}) == 1
    assert len(emulator.messages()) == 1
