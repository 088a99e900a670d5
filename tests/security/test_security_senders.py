"""Who somebody of a chat network is: the platform's immutable id, matched exactly, or nobody."""

from dataclasses import replace
from typing import Any, Final, Literal

import pytest

from channels.messages import Inbound
from gateway.rules.admission import Admitted, Policy, Refusal, Saying, judge
from protocol.records import Role
from tests.contract.networks import ADA, BOB, Network, Person
from tests.gateway.gateway_stage import Refused, eventually
from tests.security.security_stage import ChatStage

POLICIES: Final[tuple[Literal["allowlist", "open", "pairing"], ...]] = ("allowlist", "open", "pairing")


async def only_ada_is_heard(chat: ChatStage, network: Network, impostor: Person) -> None:
    """The impostor speaks first and is not heard, then Ada is."""
    network.say(network.direct(impostor), "say pwned", impostor)
    said = network.say(network.direct(ADA), "say hello")
    await chat.answer(said, "hello")
    assert chat.questions() == ["say hello"]
    assert network.posts(network.direct(impostor)) == 0


async def test_mutable_usernames_as_identity(chat: ChatStage, network: Network) -> None:
    """CVE-2026-28480 (Telegram usernames), Matrix displayName, Nextcloud actor.name: names change hands."""
    await chat.go(dm_policy="allowlist", allow=[network.id_of(ADA)])
    await only_ada_is_heard(chat, network, Person(7, ADA.name))


async def test_a_name_that_looks_like_an_id(chat: ChatStage, network: Network) -> None:
    """CVE-2026-28480: somebody calls themselves what the allowlist says."""
    await chat.go(dm_policy="allowlist", allow=[network.id_of(ADA)])
    await only_ada_is_heard(chat, network, Person(8, network.id_of(ADA)))


async def test_empty_sender_id() -> None:
    """CVE-2026-28446 (CVSS 9.4): an empty caller id was allowed, because everything ends with nothing."""
    said = Saying(sender_id="", room="r", is_direct=True, is_ambient=False)
    for allow in (frozenset({"1001"}), frozenset({""}), frozenset[str]()):
        for policy in POLICIES:
            assert judge(Policy(dm_policy=policy, allow=allow), said) is Refusal.STRANGER


async def test_nobody_is_taken_for_somebody(telegram: ChatStage) -> None:
    """CVE-2026-28446, from outside: a message without a sender is not stored under anybody's name."""
    await telegram.go(dm_policy="open")
    senders: list[str] = []
    real = telegram.gateway._intakes[0][1].commit

    async def commit(deliveries: Any, cursors: Any) -> Any:
        blank = [
            replace(one, sender=replace(one.sender, id="")) for one in deliveries if isinstance(one, Inbound)
        ]
        senders.extend(one.sender.id for one in blank)
        return await real(blank, cursors)

    telegram.gateway._intakes[0][1].commit = commit  # type: ignore[method-assign]
    telegram.network.say(telegram.network.direct(), "say pwned")
    await telegram.eventually(lambda: senders)
    await telegram.eventually(lambda: telegram.rows("SELECT 1 FROM inbox"))
    assert telegram.questions() == []


@pytest.mark.parametrize(
    "sender_id",
    ["11001", "1001 ", " 1001", "01001", "1001\x00", "\uff11\uff10\uff10\uff11", "100", "001", "1001.0", "*"],
)
def test_suffix_match(sender_id: str) -> None:
    """CVE-2026-28446: the allowlist matched the end of an id. Ours matches the whole, character by character."""
    said = Saying(sender_id=sender_id, room="r", is_direct=True, is_ambient=False)
    assert judge(Policy(dm_policy="allowlist", allow=frozenset({"1001"})), said) is Refusal.STRANGER
    exact = judge(Policy(dm_policy="allowlist", allow=frozenset({"1001"})), replace(said, sender_id="1001"))
    assert isinstance(exact, Admitted)


async def test_an_id_of_another_network_opens_nothing(chat: ChatStage, network: Network) -> None:
    """Identity spoofing between networks (allowlist/identity spoof, 11 advisories): an id belongs to one account."""
    await chat.go(dm_policy="pairing")
    network.say(network.direct(), "say hello")
    owner = await chat.operator()

    async def pending() -> list[dict[str, object]]:
        found: list[dict[str, object]] = (await owner.call("pairing.list"))["pairings"]
        return found

    (pairing,) = await eventually(pending)
    assert (pairing["channel"], pairing["account"], pairing["subject"]) == (
        network.kind,
        "gate",
        network.id_of(ADA),
    )
    assert chat.questions() == [], "nothing is taken before an operator says so"


async def test_bots_are_not_people(chat: ChatStage, network: Network) -> None:
    """Untrusted senders in a tool flow (GHSA-wh94-p5m6-mr7j): what another program says starts nothing."""
    await chat.go(dm_policy="open")
    robot = Person(9, "Robot", is_bot=True)
    lobby = network.room()
    network.mention(lobby, "say pwned", robot)
    said = network.mention(lobby, "say hello", BOB)
    await chat.answer(said, "hello")
    assert not [text for text in chat.questions() if "pwned" in text]


async def test_pairing_approved_without_the_scope(telegram: ChatStage) -> None:
    """CVE-2026-33579: `/pair approve` dropped the caller's scopes, and a missing argument meant open."""
    await telegram.go(dm_policy="pairing")
    network = telegram.network
    network.say(network.direct(), "say hello")
    owner = await telegram.operator()

    async def pending() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await owner.call("pairing.list"))["pairings"]
        return found

    (pairing,) = await eventually(pending)
    for role in (Role.VIEWER, Role.DEVELOPER, Role.AUDITOR, Role.APPROVER):
        wire = await telegram.connect(await telegram.token(role))
        refused = await wire.refusal("pairing.approve", pairing_id=pairing["id"], scopes=["pairing.approve"])
        assert (refused.kind, refused.data["scope"]) == ("forbidden", "pairing.approve")
    for missing in ({}, {"pairing_id": None}, {"code": None}, {"code": ""}, {"pairing_id": ""}):
        with pytest.raises(Refused):
            await owner.call("pairing.approve", **missing)
    network.say(network.direct(), "/pair approve")
    assert (await owner.call("pairing.list"))["pairings"][0]["state"] == "pending"


async def test_pairing_by_flood(telegram: ChatStage) -> None:
    """Pairing flood: strangers cannot fill the list of who wants in."""
    await telegram.go(dm_policy="pairing")
    network = telegram.network
    for number in range(20, 32):
        stranger = Person(number, f"Stranger {number}")
        network.say(network.direct(stranger), "let me in", stranger)
    owner = await telegram.operator()
    await telegram.eventually(lambda: len(telegram.rows("SELECT 1 FROM inbox")) >= 12)
    waiting = (await owner.call("pairing.list"))["pairings"]
    assert 1 <= len(waiting) <= 5
    codes = telegram.rows("SELECT code_hash FROM pairings")
    assert codes and all(len(code) == 64 for (code,) in codes), "no code is kept in clear"
