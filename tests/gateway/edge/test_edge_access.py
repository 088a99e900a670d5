"""What a change of access does to what is open: it holds at once, for connections, streams and requests under way."""

import asyncio
import time
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, eventually

from protocol.errors import CloseCode
from protocol.records import Role


async def ended(wire: Wire) -> tuple[str, int]:
    """Why the connection was closed, in words and as a code."""
    frames, code = await wire.ended()
    return frames[-1]["params"]["reason"], code


async def stream_of(stage: Stage, secret: str, thread_id: str) -> asyncio.Task[bytes]:
    """An open stream of server-sent events; its task is done when it ends."""
    opened = asyncio.Event()

    async def read() -> bytes:
        found = b""
        client = stage.http(secret)
        async with client.stream("GET", f"/v1/threads/{thread_id}/events") as response:
            assert response.status_code == 200
            async for chunk in response.aiter_raw():
                found += chunk
                opened.set()
        return found

    task = asyncio.create_task(read())
    await opened.wait()
    return task


async def over(task: "asyncio.Task[bytes]") -> None:
    """The stream ends by itself, in time; how the socket ends does not matter."""
    done, _ = await asyncio.wait((task,), timeout=5.0)
    assert done, "the stream is still open"
    task.exception()


async def test_disabling_a_user_ends_everything_of_theirs_at_once(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.OPERATOR)
    other = await stage.token(Role.VIEWER, user_id=user_id)
    mine, too, bystander = await stage.connect(secret), await stage.connect(other), await stage.connect()
    thread_id = (await mine.call("thread.create"))["thread"]["id"]
    stream = await stream_of(stage, secret, thread_id)
    await wire.call("user.save", user_id=user_id, disabled=True)
    for closed in (mine, too):
        assert await ended(closed) == ("the principal was disabled", CloseCode.UNAUTHORIZED)
    await over(stream)
    assert (await stage.http(secret).post("/v1/server.info")).status_code == 401
    assert (await bystander.call("server.info"))["epoch"]
    await wire.call("user.save", user_id=user_id, disabled=False)
    assert (await stage.http(secret).post("/v1/server.info")).status_code == 200


async def test_another_role_ends_connections_which_come_back_with_it(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.OPERATOR)
    mine = await stage.connect(secret)
    thread_id = (await mine.call("thread.create"))["thread"]["id"]
    stream = await stream_of(stage, secret, thread_id)
    await wire.call("user.save", user_id=user_id, role="auditor")
    assert await ended(mine) == ("the role was changed", CloseCode.ACCESS_CHANGED)
    await over(stream)
    again = await stage.connect(secret)
    assert "thread.read" not in again.hello["scopes"], "the token may what both may"
    assert (await stage.http(secret).get(f"/v1/threads/{thread_id}/events")).status_code == 403


async def test_a_new_name_ends_nothing(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.OPERATOR)
    mine = await stage.connect(secret)
    await wire.call("user.save", user_id=user_id, name="Grace Hopper", role="operator")
    assert await mine.call("server.info")


async def test_revoking_ends_streams_and_connections(stage: Stage, wire: Wire) -> None:
    secret = await stage.token(name="gone")
    mine = await stage.connect(secret)
    stream = await stream_of(stage, secret, (await mine.call("thread.create"))["thread"]["id"])
    (token,) = [one for one in (await wire.call("token.list"))["tokens"] if one["name"] == "gone"]
    await wire.call("token.revoke", token_id=token["id"])
    assert await ended(mine) == ("the token was revoked", CloseCode.UNAUTHORIZED)
    await over(stream)


async def test_an_answer_of_the_store_that_is_under_way_lets_nobody_in(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read began before the revocation, and its answer comes after."""
    user_id, secret = await stage.user()
    real, under_way, go_on = stage.store.identities.authenticate, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        found = await real(*args)
        under_way.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(stage.store.identities, "authenticate", slow)
    request = asyncio.create_task(stage.http(secret).post("/v1/server.info"))
    await under_way.wait()
    await wire.call("user.save", user_id=user_id, disabled=True)
    go_on.set()
    assert (await request).status_code == 401


async def test_a_request_that_waits_behind_another_does_not_outlive_the_access(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, secret = await stage.user()
    mine = await stage.connect(secret)
    thread_id = (await mine.call("thread.create", title="first"))["thread"]["id"]
    real, under_way, go_on = stage.store.threads.update, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        under_way.set()
        await go_on.wait()
        return await real(*args)

    monkeypatch.setattr(stage.store.threads, "update", slow)
    await mine.post("thread.update", thread_id=thread_id, title="second")
    await mine.post("thread.archive", thread_id=thread_id)
    await under_way.wait()
    await wire.call("user.save", user_id=user_id, disabled=True)
    go_on.set()
    await ended(mine)
    assert (await wire.call("thread.get", thread_id=thread_id))["thread"]["status"] == "active"


# --- expiry and renewal -----------------------------------------------------------------------------


async def test_an_expired_token_closes_4201(stage: Stage) -> None:
    mine = await stage.connect(await stage.token(ttl_s=1))
    assert await ended(mine) == ("the token has expired", CloseCode.TOKEN_EXPIRED)


async def test_a_connection_is_given_a_newer_credential_before_the_old_one_expires(stage: Stage) -> None:
    user_id, _ = await stage.user()
    old = await stage.token(ttl_s=1, user_id=user_id)
    newer = await stage.token(Role.VIEWER, ttl_s=3600, user_id=user_id)
    mine = await stage.connect(old)
    first_end = mine.hello["auth_expires_at"]
    answer = await mine.call("auth.refresh", auth={"token": newer})
    assert answer["auth_expires_at"] > first_end
    assert answer["principal"] == mine.hello["principal"]
    assert "message.send" not in answer["scopes"]
    began = time.monotonic()
    while time.monotonic() - began < 1.2:  # beyond the end of the old one
        await mine.call("server.info")
        await asyncio.sleep(0.2)
    assert (await mine.refusal("thread.create")).data["scope"] == "thread.write", (
        "it is the newer one that counts"
    )


@pytest.mark.parametrize("other", ["another user", "another organization", "nobody"])
async def test_the_credential_of_somebody_else_changes_nothing(stage: Stage, other: str) -> None:
    _, secret = await stage.user(Role.VIEWER)
    mine = await stage.connect(secret)
    if other == "nobody":
        refused = await mine.refusal("auth.refresh", auth={"token": "tgate_x"})
        assert refused.kind == "unauthorized"
    else:
        _, theirs = await stage.user(Role.OWNER)
        theirs = f"{stage.owner}@org_default" if other == "another organization" else theirs
        assert (await mine.refusal("auth.refresh", auth={"token": theirs})).kind == "forbidden"
    assert (await mine.refusal("thread.create")).kind == "forbidden"
    assert await mine.call("server.info")


async def test_a_connection_that_may_read_no_more_follows_nothing(stage: Stage, wire: Wire) -> None:
    user_id, secret = await stage.user(Role.OPERATOR)
    mine = await stage.connect(secret)
    thread_id = (await wire.call("thread.create"))["thread"]["id"]
    await mine.call("thread.subscribe", thread_id=thread_id)
    await mine.call("auth.refresh", auth={"token": await stage.token(Role.AUDITOR, user_id=user_id)})
    await wire.call("thread.update", thread_id=thread_id, title="secret")
    assert "secret" not in str([note for note in await mine.quiet() if note["method"] == "event"])


async def test_http_has_no_connection_to_renew(stage: Stage) -> None:
    response = await stage.http().post("/v1/auth.refresh", json={"auth": {"token": stage.owner}})
    assert (response.status_code, response.json()["kind"]) == (409, "invalid_state")


# --- rotation ---------------------------------------------------------------------------------------


async def rotated(wire: Wire, **params: Any) -> tuple[Frame, Frame]:
    """A token of a user, and the one that takes its place."""
    made = await wire.call(
        "token.create", role="operator", name="laptop", networks=["127.0.0.0/8"], requests_per_s=500
    )
    return made, await wire.call("token.create", rotates=made["token"]["id"], **params)


async def test_a_rotated_token_overlaps_with_the_new_one_and_then_ends(stage: Stage, wire: Wire) -> None:
    old, new = await rotated(wire, overlap_s=1)
    for name in ("principal_id", "role", "name", "networks", "requests_per_s"):
        assert new["token"][name] == old["token"][name]
    assert new["token"]["rotated_from"] == old["token"]["id"]
    mine = await stage.connect(old["secret"])
    assert mine.hello["principal"] == (await stage.connect(new["secret"])).hello["principal"]
    assert await ended(mine) == ("the token has expired", CloseCode.TOKEN_EXPIRED)
    assert (await stage.http(old["secret"]).post("/v1/server.info")).status_code == 401
    assert (await stage.http(new["secret"]).post("/v1/server.info")).status_code == 200


async def test_a_connection_that_is_open_learns_of_the_earlier_end(stage: Stage, wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer")
    mine = await stage.connect(made["secret"])
    stream = await stream_of(stage, made["secret"], (await wire.call("thread.create"))["thread"]["id"])
    await wire.call("token.create", rotates=made["token"]["id"], overlap_s=0)
    assert await ended(mine) == ("the token has expired", CloseCode.TOKEN_EXPIRED)
    monitored = [one for one in stage.gateway._server._context.streams if one.expires_at_ms is not None]
    assert len(monitored) == 1, "the stream ends at its next look at the clock"
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_what_is_not_valid_any_more_is_not_rotated(wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer")
    await wire.call("token.revoke", token_id=made["token"]["id"])
    assert (await wire.refusal("token.create", rotates=made["token"]["id"])).kind == "invalid_state"


async def test_a_life_is_as_long_as_that_of_the_token_before(wire: Wire) -> None:
    made = await wire.call("token.create", role="viewer", ttl_s=3600)
    new = await wire.call("token.create", rotates=made["token"]["id"])
    assert new["token"]["expires_at"] > made["token"]["expires_at"]
    old = {one["id"]: one for one in (await wire.call("token.list"))["tokens"]}[made["token"]["id"]]
    assert old["expires_at"] <= made["token"]["expires_at"], "never later than it would have"


# --- networks, rates, last use ----------------------------------------------------------------------


async def test_a_token_comes_from_its_networks_alone_over_both_ways(stage: Stage) -> None:
    here = await stage.token(networks=["127.0.0.0/8", "::1/128"])
    elsewhere = await stage.token(networks=["192.0.2.0/24"])
    assert (await stage.http(here).post("/v1/server.info")).status_code == 200
    assert (await stage.connect(here)).hello["scopes"]
    response = await stage.http(elsewhere).post("/v1/server.info")
    assert (response.status_code, response.json()["kind"]) == (401, "unauthorized")
    forged = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7", "X-Real-IP": "192.0.2.7"}
    assert (await stage.http(elsewhere).post("/v1/server.info", headers=forged)).status_code == 401
    wire = await stage.open()
    await wire.receive()
    await wire.post("hello", minor=0, client={"name": "w"}, auth={"token": elsewhere})
    assert (await wire.ended())[1] == CloseCode.UNAUTHORIZED


@pytest.mark.parametrize("networks", [["office"], ["10.0.0.1/8"], ["10.0.0.0/8"] * 17])
async def test_networks_that_are_none_are_refused(wire: Wire, networks: list[str]) -> None:
    refused = await wire.refusal("token.create", role="viewer", networks=networks)
    assert (refused.kind, refused.data["errors"][0]["path"].split(".")[0]) == ("invalid_params", "networks")


async def test_a_token_has_a_rate_of_its_own_beside_its_principals(stage: Stage) -> None:
    user_id, _ = await stage.user(Role.VIEWER)
    slow, quick = (
        await stage.token(Role.VIEWER, user_id=user_id, requests_per_s=1.0),
        await stage.token(Role.VIEWER, user_id=user_id),
    )
    wire = await stage.connect(slow)
    refused = None
    for _ in range(4):
        frame = await wire.answer(await wire.post("server.info"))
        refused = frame.get("error", refused)
    assert refused is not None
    assert refused["data"]["kind"] == "rate_limited"
    assert refused["data"]["retry_after_ms"] > 0
    other = stage.http(slow)
    assert (await other.post("/v1/server.info")).status_code == 429, "over whatever it comes"
    for _ in range(10):
        assert (await stage.http(quick).post("/v1/server.info")).status_code == 200


async def test_last_use_is_written_by_housekeeping_and_not_by_requests(stage: Stage, wire: Wire) -> None:
    secret = await stage.token(name="used")
    writes = stage.store.engine.stats.writes
    for _ in range(5):
        await stage.http(secret).post("/v1/server.info")
    assert stage.store.engine.stats.writes == writes

    async def shown() -> Any:
        (token,) = [one for one in (await wire.call("token.list"))["tokens"] if one["name"] == "used"]
        return token.get("last_used_at")

    assert await shown() is None
    await stage.gateway.governance.authenticator.note_used()
    first = await shown()
    assert first is not None
    await stage.gateway.governance.authenticator.note_used()
    assert stage.store.engine.stats.writes == writes + 1, "nothing was used, nothing is written"
    await asyncio.sleep(0.01)
    await stage.http(secret).post("/v1/server.info")
    await stage.gateway.governance.authenticator.note_used()
    second = await eventually(shown)
    assert second > first
    mine = await stage.connect(secret)
    await stage.gateway.governance.authenticator.note_used()
    third = await shown()
    await asyncio.sleep(0.01)
    await mine.call("server.info")
    await stage.restart()
    again = await stage.connect()
    (token,) = [one for one in (await again.call("token.list"))["tokens"] if one["name"] == "used"]
    assert token["last_used_at"] > third > second, (
        "a connection uses it with every request; the end writes it"
    )
