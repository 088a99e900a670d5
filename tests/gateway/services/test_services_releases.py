"""Releases under policies: an agent is a draft until its very version is approved, and then for good."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Frame, Stage, Wire, eventually, until
from policy_stage import decide, pending

from gateway.services import reloading
from gateway.settings import load

ASK = '[[policies]]\nname = "two eyes"\neffect = "require_approval"\nkind = ["release"]\n'
NEVER = '[[policies]]\nname = "frozen"\neffect = "deny"\nkind = ["release"]\nagent = ["demo"]\n'


class ReleaseStage(Stage):
    """A gateway whose configuration has a demo agent in some version, and policies."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "data")
        self.path = directory / "config.toml"

    def write(self, policies: str, state: str = "released", version: str = "1", more: str = "") -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(
            f'[[agents]]\nid = "demo"\nstate = "{state}"\nversion = "{version}"\n{more}\n{policies}'
        )
        fresh.replace(self.path)

    async def start(self, **changes: object) -> None:
        self._given.update(changes)
        await self.start_with(load(self.path, self._given, {}))


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "WATCH_S", 3600.0)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ReleaseStage]:
    made = ReleaseStage(tmp_path)
    yield made
    await made.close()


async def begin(stage: ReleaseStage, policies: str, **more: str) -> Wire:
    stage.write(policies, **more)
    await stage.start()
    return await stage.connect()


async def change(stage: ReleaseStage, wire: Wire, policies: str, **more: str) -> None:
    stage.write(policies, **more)
    await wire.call("agent.reload")


async def state(wire: Wire) -> str:
    agents = (await wire.call("agent.list"))["agents"]
    return str(agents[0]["state"])


async def becomes(wire: Wire, wanted: str) -> None:
    async def is_so() -> bool:
        return await state(wire) == wanted

    await eventually(is_so)


async def waiting(wire: Wire) -> list[Frame]:
    found: list[Frame] = (await wire.call("approval.list", state="pending"))["approvals"]
    return found


async def test_without_a_policy_what_is_released_is_released(stage: ReleaseStage) -> None:
    wire = await begin(stage, "")
    assert (await state(wire), await waiting(wire)) == ("released", [])


async def test_a_release_waits_for_people_and_lasts(stage: ReleaseStage) -> None:
    wire = await begin(stage, ASK, state="draft")
    assert (await state(wire), await waiting(wire)) == ("draft", []), "a draft asks for nothing"
    await change(stage, wire, ASK)
    assert await state(wire) == "draft"
    approval = await decide(wire)
    assert (approval["kind"], approval["rule"]) == ("release", "two eyes")
    assert approval["title"] == "Release the agent demo, version 1"
    await becomes(wire, "released")
    await stage.restart()
    wire = await stage.connect()
    assert (await state(wire), await waiting(wire)) == ("released", [])


async def test_chat_networks_do_not_talk_to_what_is_held(stage: ReleaseStage) -> None:
    wire = await begin(stage, ASK)
    route = (await wire.call("route.explain", text="hello", channel="slack", account="acme"))["route"]
    assert any("demo is draft" in reason for reason in route["reasons"])
    await decide(wire)
    await becomes(wire, "released")
    route = (await wire.call("route.explain", text="hello", channel="slack", account="acme"))["route"]
    assert not any("draft" in reason for reason in route["reasons"])


@pytest.mark.parametrize("changed", [{"version": "2"}, {"more": 'description = "Another one."'}])
async def test_another_version_or_other_settings_are_another_release(
    stage: ReleaseStage, changed: dict[str, str]
) -> None:
    wire = await begin(stage, ASK)
    await decide(wire)
    await becomes(wire, "released")
    await change(stage, wire, ASK, **changed)
    assert await state(wire) == "draft"
    await pending(wire)
    await change(stage, wire, ASK)
    assert await state(wire) == "released", "back to what was approved"


async def test_a_release_that_is_denied_is_not_asked_about_at_every_reload(stage: ReleaseStage) -> None:
    wire = await begin(stage, ASK)
    await decide(wire, "deny", reason="Not yet")
    await change(stage, wire, f"{ASK}# nothing else\n")
    assert (await state(wire), await waiting(wire)) == ("draft", [])
    await change(stage, wire, ASK, version="2")
    assert len(await waiting(wire)) == 1


async def test_what_a_policy_denies_stays_a_draft_and_nobody_is_asked(stage: ReleaseStage) -> None:
    wire = await begin(stage, NEVER)
    assert (await state(wire), await waiting(wire)) == ("draft", [])
    await change(stage, wire, "")
    assert await state(wire) == "released"


async def test_a_release_survives_kill_between_asking_and_deciding(stage: ReleaseStage) -> None:
    wire = await begin(stage, ASK)
    first = await pending(wire)
    await stage.restart()
    wire = await stage.connect()
    assert [one["id"] for one in await waiting(wire)] == [first["id"]], "the same one still waits"
    await decide(wire)
    await becomes(wire, "released")
    await until(lambda: not stage.gateway.governance.releases._held.versions)
