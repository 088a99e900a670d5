"""One address for three networks: their control sides by name, all changes in one stream, strangers kept out."""

import asyncio
import base64

import pytest
from aiohttp import ClientSession
from playground_stage import PATIENCE_S, Emulator, Networks, make_networks, next_change

from channels.emulators.playground import Playground

ADA = {
    "slack": {"id": "U0ADA", "name": "ada", "real_name": "Ada"},
    "telegram": {"id": 1001, "first_name": "Ada"},
    "discord": {"id": "930000000000000001", "username": "ada"},
}
HTML = b"<script>alert(1)</script>"


async def test_the_page_is_told_where_each_network_is(playground: Playground, http: ClientSession) -> None:
    async with http.get(f"{playground.url}/page/settings.json") as answer:
        settings = await answer.json()
    kinds = ["slack", "telegram", "discord"]
    assert settings["networks"] == [{"kind": kind, "control": f"/{kind}/control"} for kind in kinds]
    assert settings["events"] == "/events"


async def test_people_write_in_every_network_from_one_address(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    channel = networks.slack.direct()
    room = str(networks.discord.dm().id)
    bodies = {
        "slack": {"text": "hello Slack", "user": ADA["slack"], "channel": channel},
        "telegram": {"text": "hello Telegram", "user": ADA["telegram"]},
        "discord": {"content": "hello Discord", "user": ADA["discord"], "channel_id": room},
    }
    for kind, body in bodies.items():
        async with http.post(f"{playground.url}/{kind}/control/messages", json=body) as answer:
            assert answer.status == 200, await answer.text()

    assert [one.text for one in networks.slack.messages(channel)] == ["hello Slack"]
    assert [one.text for one in networks.telegram.messages(1001)] == ["hello Telegram"]
    assert [one.content for one in networks.discord.messages(int(room))] == ["hello Discord"]


async def test_a_refusal_says_why(playground: Playground, http: ClientSession) -> None:
    body = {"chat_id": 5, "message_id": 1, "data": "x", "user": {"id": 5, "first_name": "Bo"}}
    async with http.post(f"{playground.url}/telegram/control/presses", json=body) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "no chat 5 with gate_bot"})


async def test_changes_of_all_networks_come_in_one_stream_by_name(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    async with http.get(f"{playground.url}/events") as stream:
        assert stream.content_type == "text/event-stream"
        await stream.content.readline()
        for emulator in networks:
            emulator.say("hello")
        told = [await next_change(stream) for _ in range(4)]

    messages = {(name, change["type"]) for name, change in told}
    # Slack also tells of the conversation that opened.
    assert messages == {
        ("slack", "channel"),
        ("slack", "message"),
        ("telegram", "message"),
        ("discord", "message"),
    }


async def test_the_stream_ends_with_a_network_so_that_the_page_looks_again(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    async with http.get(f"{playground.url}/events") as stream:
        await stream.content.readline()
        await networks.discord.stop()
        rest = await asyncio.wait_for(stream.content.read(), PATIENCE_S)
    assert b"data:" not in rest


async def test_who_leaves_the_stream_is_forgotten(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    feed = networks.slack.control_side.feed
    async with http.get(f"{playground.url}/events") as stream:
        await stream.content.readline()
        assert feed.has_listeners
    async with asyncio.timeout(PATIENCE_S):
        while feed.has_listeners:
            networks.slack.say("is anybody there")
            await asyncio.sleep(0.01)


async def test_what_somebody_uploaded_never_runs_here(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    slack = networks.slack.upload("x.html", HTML, mimetype="text/html").files[0].id
    telegram = networks.telegram.send_file("document", HTML, name="x.html", mime="text/html")
    (sent,) = networks.telegram.messages(1001)
    assert sent.content.media is not None and sent.id == telegram.message_id
    discord = networks.discord.upload("x.html", HTML).attachments[0].id
    names = {"slack": slack, "telegram": sent.content.media.files[0].unique_id, "discord": discord}
    for kind, name in names.items():
        async with http.get(f"{playground.url}/{kind}/control/files/{name}") as answer:
            assert await answer.read() == HTML
            assert answer.content_type == "application/octet-stream"
            assert answer.headers["Content-Disposition"] == "attachment"
            assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_a_picture_is_shown_in_place(
    playground: Playground, networks: Networks, http: ClientSession
) -> None:
    picture = base64.b64decode("iVBORw0KGgo=")
    file = networks.discord.upload("x.png", picture).attachments[0]
    async with http.get(f"{playground.url}/discord/control/files/{file.id}") as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", picture)
        assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize("kind", ["slack", "telegram", "discord"])
async def test_foreign_pages_cannot_use_it(playground: Playground, http: ClientSession, kind: str) -> None:
    async with http.get(f"{playground.url}/{kind}/control/bots", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403
    async with http.post(f"{playground.url}/{kind}/control/messages", data="{}") as answer:
        assert answer.status == 415


async def test_only_loopback_is_served() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await Playground().start([], host="0.0.0.0")


@pytest.mark.parametrize("emulator", make_networks())
def test_a_network_that_does_not_run_has_nothing_to_show(emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="does not run"):
        _ = emulator.control_side
