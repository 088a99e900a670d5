"""Users, their tokens and a connection's newer credential, by the client against a gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_stage import AgentStage
from threadgate_client import Client, Forbidden, InvalidState, NotFound


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[AgentStage]:
    made = AgentStage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


async def test_a_user_gets_a_token_which_is_rotated_and_renewed_in_place(stage: AgentStage) -> None:
    admin = stage.client
    user = await admin.users.create("Grace", "operator")
    first = await admin.tokens.create(
        "operator", user_id=user.id, networks=["127.0.0.0/8"], requests_per_s=400
    )
    assert (first.token.principal_id, first.token.networks) == (user.id, ("127.0.0.0/8",))
    async with Client(stage.url, token=first.secret) as grace:
        assert grace.hello is not None
        assert (grace.hello.principal.id, grace.hello.principal.kind) == (user.id, "user")
        second = await admin.tokens.rotate(first.token.id, overlap_s=600, ttl_s=3600)
        assert second.token.rotated_from == first.token.id
        access = await grace.refresh(second.secret)
        assert access.principal.id == user.id
        assert access.auth_expires_at == second.token.expires_at
        await admin.tokens.revoke(first.token.id)
        assert (await grace.server_info()).epoch, "the connection is kept by the newer one"
        with pytest.raises(Forbidden):
            await grace.refresh(stage.secret)
    listed = [one async for one in admin.users.list(kind="user")]
    assert [one.name for one in listed] == ["Grace"]


async def test_a_user_is_changed_and_shut_out(stage: AgentStage) -> None:
    user = await stage.client.users.create("Ada", "viewer", kind="service")
    changed = await stage.client.users.update(user.id, role="auditor", disabled=True)
    assert (changed.role, changed.kind) == ("auditor", "service")
    assert changed.disabled_at is not None
    assert (await stage.client.users.update(user.id, disabled=False)).disabled_at is None
    with pytest.raises(NotFound):
        await stage.client.users.update("prn_nobody", disabled=True)


async def test_linking_begins_with_a_code_and_ends_with_that_of_the_chat(stage: AgentStage) -> None:
    user = await stage.client.users.create("Ada", "viewer")
    token = await stage.client.tokens.create("viewer", user_id=user.id)
    async with Client(stage.url, token=token.secret) as ada:
        begun = await ada.users.link()
        assert (begun.state, begun.link) == ("begun", None)
        assert begun.code is not None
        assert begun.code not in repr(begun)
        with pytest.raises(NotFound):
            await ada.users.link("ZZZZ-ZZZZ")
    with pytest.raises(InvalidState):
        await stage.client.users.link()
