"""PROTOCOL.md §1: who may open a WebSocket, and what a refusal before the upgrade says."""

import json

import pytest
from gateway_stage import Refused, Stage
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from gateway.settings import LimitSettings


async def refused(stage: Stage, **options: object) -> tuple[int, dict[str, object]]:
    with pytest.raises(InvalidStatus) as caught:
        await stage.open(**options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"")


@pytest.mark.parametrize("offered", [None, ["graphql-ws"], ["threadgate.v2", "threadgate.v10"]])
async def test_without_our_subprotocol_there_is_no_upgrade(stage: Stage, offered: list[str] | None) -> None:
    status, body = await refused(stage, subprotocols=offered)
    assert status == 400
    assert body["supported"] == ["threadgate.v1"]


async def test_our_subprotocol_is_chosen_among_several(stage: Stage) -> None:
    wire = await stage.open(subprotocols=["threadgate.v2", "threadgate.v1"])
    assert wire.socket.subprotocol == "threadgate.v1"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil",
    ],
)
async def test_a_foreign_origin_is_forbidden(stage: Stage, origin: str) -> None:
    port = stage.url.rsplit(":", 1)[-1]
    status, body = await refused(stage, origin=Origin(origin.format(port=port)))
    assert (status, body["kind"]) == (403, "forbidden")


async def test_the_own_origin_and_no_origin_may_connect(stage: Stage) -> None:
    for origin in (None, Origin(stage.url), Origin(stage.url.replace("127.0.0.1", "localhost"))):
        wire = await stage.open(origin=origin)
        assert (await wire.receive())["method"] == "challenge"


async def test_a_listed_origin_may_connect_and_must_match_exactly(stage: Stage) -> None:
    await stage.restart(allowed_origins=("https://console.example.org",))
    assert (await (await stage.open(origin=Origin("https://console.example.org"))).receive())[
        "method"
    ] == "challenge"
    for near in ("https://console.example.org.evil", "http://console.example.org", "https://example.org"):
        assert (await refused(stage, origin=Origin(near)))[0] == 403


async def test_a_name_that_points_here_is_no_host_of_ours(stage: Stage) -> None:
    port = stage.url.rsplit(":", 1)[-1]
    for host in (f"rebound.example:{port}", "127.0.0.1", f"127.0.0.1:{int(port) % 65535 + 1}"):
        response = await stage.http().get("/", headers={"Host": host})
        assert (response.status_code, response.json()["kind"]) == (403, "forbidden")
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_listed_host_is_ours(stage: Stage) -> None:
    await stage.restart(allowed_hosts=("gate.example.org",))
    assert (await stage.http().get("/", headers={"Host": "Gate.Example.org"})).status_code == 200


async def test_a_credential_in_the_address_is_worth_nothing(stage: Stage) -> None:
    wire = await stage.open(path=f"/v1/ws?token={stage.owner}&access_token={stage.owner}")
    with pytest.raises(Refused, match="unauthorized"):
        await wire.say_hello(None)
    for query in ("token", "access_token", "auth"):
        response = await stage.http(None).post(f"/v1/server.info?{query}={stage.owner}")
        assert response.status_code == 401
        events = await stage.http(None).get(f"/v1/threads/thr_x/events?{query}={stage.owner}")
        assert events.status_code == 401


async def test_a_plain_request_for_the_socket_is_a_bad_request(stage: Stage) -> None:
    offered = {"Sec-WebSocket-Protocol": "threadgate.v1"}
    assert (await stage.http().get("/v1/ws", headers=offered)).status_code == 400
    assert (await stage.http().get("/v1/ws")).status_code == 400


async def test_beyond_the_most_connections_upgrades_are_refused_for_now(stage: Stage) -> None:
    await stage.restart(limits=LimitSettings(connections=2))
    first, _ = await stage.open(), await stage.open()
    status, body = await refused(stage)
    assert (status, body["kind"], body["retryable"]) == (503, "unavailable", True)
    await first.close()
    assert (await (await stage.open()).receive())["method"] == "challenge"


async def test_compression_is_off_unless_switched_on(stage: Stage) -> None:
    plain = await stage.open(compression="deflate")
    assert plain.socket.protocol.extensions == []
    await stage.restart(compression=True)
    packed = await stage.connect(compression="deflate")
    assert packed.socket.protocol.extensions != []
    assert (await packed.call("server.info"))["server"]["name"] == "threadgate"
