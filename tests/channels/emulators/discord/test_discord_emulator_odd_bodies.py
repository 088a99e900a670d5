"""Bodies of the wrong shape: every one is refused with a code, none breaks the server."""

import itertools
from typing import Any

import pytest
from discord_emulator_cast import ADA, GATE, GENERAL, WORKSHOP, Api

from channels.emulators.discord import DiscordEmulator, Permission

ODD: list[Any] = [
    None,
    True,
    7,
    -1,
    1.5,
    "x",
    "\ud800",
    [],
    [7],
    ["x"],
    [None],
    {},
    {"type": "x"},
    [{}],
    [[[]]],
]
MESSAGE_FIELDS = (
    *("content", "nonce", "tts", "embeds", "components", "flags", "attachments"),
    *("allowed_mentions", "message_reference", "enforce_nonce"),
)
INNER: list[dict[str, Any]] = (
    [{"embeds": [{"fields": odd}]} for odd in ODD]
    + [{"embeds": [{"footer": odd, "author": odd, "title": odd}]} for odd in ODD]
    + [{"components": [{"type": 1, "components": odd}]} for odd in ODD]
    + [
        {"components": [{"type": 1, "components": [{"type": kind, name: odd}]}]}
        for kind, name, odd in itertools.product((2, 3), ("custom_id", "options", "label", "style"), ODD)
    ]
    + [
        {
            "components": [{"type": kind, "components": odd, "accessory": odd, "content": odd, "file": odd}],
            "flags": 1 << 15,
        }
        for kind, odd in itertools.product((1, 9, 10, 12, 13, 17), ODD)
    ]
    + [
        {"content": "x", "allowed_mentions": {name: odd}}
        for name, odd in itertools.product(("parse", "users", "roles", "replied_user"), ODD)
    ]
    + [{"content": "x", "message_reference": {"message_id": odd, "channel_id": odd}} for odd in ODD]
    + [{"content": "x", "attachments": [{"id": odd, "filename": odd}]} for odd in ODD]
)


async def test_odd_messages(api: Api, emulator: DiscordEmulator) -> None:
    _, sent = await api.send(content="start")
    path = f"/channels/{GENERAL}/messages"
    plain = [{"content": "x", name: odd} for name, odd in itertools.product(MESSAGE_FIELDS, ODD)]
    for body in plain + INNER:
        for verb, where in (("POST", path), ("PATCH", f"{path}/{sent['id']}")):
            status, answer = await api.call(verb, where, body)
            assert status == 200 or (status in (400, 404) and answer["code"] >= 10_000), body
    # What was taken can be read again.
    assert (await api.call("GET", path))[0] == 200


OTHERS = [
    ("POST", f"/channels/{GENERAL}/threads", ("name", "type", "auto_archive_duration")),
    ("PATCH", f"/channels/{GENERAL}", ("name", "topic")),
    ("POST", f"/channels/{GENERAL}/messages/bulk-delete", ("messages",)),
    ("POST", "/users/@me/channels", ("recipient_id",)),
    ("POST", f"/applications/{GATE.id}/commands", ("name", "description", "type", "options")),
    ("POST", f"/applications/{GATE.id}/guilds/{WORKSHOP}/commands", ("options",)),
]


@pytest.mark.parametrize(("verb", "path", "names"), OTHERS)
async def test_other_odd_bodies(api: Api, verb: str, path: str, names: tuple[str, ...]) -> None:
    base = {"name": "x", "description": "x"}
    for name, odd in itertools.product(names, ODD):
        status, answer = await api.call(verb, path, {**base, name: odd})
        assert status < 300 or (status < 500 and answer["code"] >= 10_000), (name, odd)


async def test_odd_threads(api: Api, emulator: DiscordEmulator) -> None:
    emulator.moderation.set_permissions(GENERAL, allow=Permission.MANAGE_THREADS)
    thread = emulator.start_thread("aside")
    for name, odd in itertools.product(("name", "archived", "locked", "auto_archive_duration"), ODD):
        status, _ = await api.call("PATCH", f"/channels/{thread.id}", {name: odd})
        assert status in (200, 400, 403), (name, odd)
    assert thread.thread is not None and thread.thread.archived in (True, False)


async def test_odd_answers_to_interactions(api: Api, emulator: DiscordEmulator) -> None:
    row = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}]}
    _, sent = await api.send(content="Really?", components=[row])
    bodies = [{"type": odd} for odd in ODD]
    bodies += [{"type": kind, "data": odd} for kind, odd in itertools.product((4, 5, 7, 9), ODD)]
    bodies += [{"type": 9, "data": {"custom_id": "m", "title": "t", "components": odd}} for odd in ODD]
    bodies += [
        {
            "type": 9,
            "data": {
                "custom_id": "m",
                "title": "t",
                "components": [{"type": kind, "component": odd, "components": odd}],
            },
        }
        for kind, odd in itertools.product((1, 10, 18), ODD)
    ]
    for body in bodies:
        pressed = emulator.press(GENERAL, int(sent["id"]), "yes", user=ADA)
        where = f"/interactions/{pressed.id}/{pressed.token}/callback"
        status, answer = await api.call("POST", where, body)
        assert status < 300 or (status < 500 and answer["code"] >= 10_000), body
