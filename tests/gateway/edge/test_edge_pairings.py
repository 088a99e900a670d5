"""`pairing.*` on the wire: who asks to be let in, decided by id or by the code, with few wrong guesses."""

from typing import Any

import pytest
from gateway_stage import Frame, TelegramStage, Wire

from channels.messages import Addressed, Inbound, RoomRef, Sender
from gateway.services import pairings
from gateway.services.channels import thaw
from gateway.services.notices import CODE as TEMPLATE_CODE
from gateway.services.notices import LET_IN, OFFER
from protocol.records import Role


@pytest.fixture
async def strict(telegram: TelegramStage) -> TelegramStage:
    """A gateway whose bot lets in whom an operator lets in."""
    table = {**telegram._given["channels"][0], "dm_policy": "pairing"}
    await telegram.restart(channels=(table,))
    return telegram


async def asks(stage: TelegramStage, person: str = "2002") -> str:
    """Somebody writes; returns the code that they are told."""
    _, intake = stage.gateway._intakes[0]
    message = Inbound(
        f"asking {person}", RoomRef(person), "1", Sender(person, f"Person {person}"), "hello",
        Addressed.DIRECT, is_direct=True, occurred_at_ms=1, thread_key=person,
    )  # fmt: skip
    await intake.commit([message], {})
    offer = (await owed(stage, person))[-1]
    before, _, after = OFFER.replace("`", "").partition(TEMPLATE_CODE)
    return offer.removeprefix(before).removesuffix(after)


async def owed(stage: TelegramStage, person: str) -> list[str]:
    def read(tx: Any) -> list[str]:
        rows = tx.all("SELECT content FROM outbox WHERE room = :room ORDER BY created_at, id", room=person)
        return [thaw(row["content"]).text for row in rows]

    return await stage.store.engine.read(read)


async def listed(wire: Wire, **params: Any) -> list[Frame]:
    found: list[Frame] = (await wire.call("pairing.list", **params))["pairings"]
    return found


def test_codes_are_long_unambiguous_and_all_different() -> None:
    codes = {pairings.new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(len(code.replace("-", "")) == pairings.CODE_CHARS >= 8 for code in codes)
    assert not set("".join(codes)) & set("ILOU01")
    assert all(pairings.normalized(code) == code for code in codes)


@pytest.mark.parametrize("typed", ["abcd-efgh", " ABCDEFGH ", "abcd efgh", "a-b-c-d-e-f-g-h"])
def test_a_code_may_be_typed_as_people_type(typed: str) -> None:
    assert pairings.normalized(typed) == "ABCD-EFGH"


async def test_who_asks_is_listed_without_the_code(strict: TelegramStage) -> None:
    code = await asks(strict)
    wire = await strict.connect()
    (found,) = await listed(wire)
    assert found.items() >= {
        "kind": "person", "channel": "telegram", "account": "gate", "subject": "2002", "name": "Person 2002",
        "state": "pending",
    }.items()  # fmt: skip
    assert code not in str(wire.raw)
    assert found["expires_at"] > found["created_at"]


@pytest.mark.parametrize("by", ["id", "code"])
@pytest.mark.parametrize(
    ("method", "state", "told"), [("approve", "approved", [LET_IN]), ("reject", "rejected", [])]
)
async def test_a_decision_is_by_id_or_by_code(
    strict: TelegramStage, by: str, method: str, state: str, told: list[str]
) -> None:
    code = await asks(strict)
    wire = await strict.connect()
    (found,) = await listed(wire)
    key = {"pairing_id": found["id"]} if by == "id" else {"code": code}
    decided = (await wire.call(f"pairing.{method}", **key))["pairing"]
    assert (decided["id"], decided["state"]) == (found["id"], state)
    assert decided["decided_at"] >= decided["created_at"]
    assert (await owed(strict, "2002"))[1:] == told
    assert await listed(wire) == []
    assert await listed(wire, state=state) == await listed(wire, state="all") == [decided]


@pytest.mark.parametrize("params", [{}, {"pairing_id": "par_1", "code": "ABCD-EFGH"}])
async def test_one_of_id_and_code_is_given(strict: TelegramStage, params: Frame) -> None:
    wire = await strict.connect()
    for method in ("pairing.approve", "pairing.reject"):
        assert (await wire.refusal(method, **params)).kind == "invalid_params"


async def test_after_five_wrong_codes_one_waits(strict: TelegramStage) -> None:
    code = await asks(strict)
    wire = await strict.connect()
    for number in range(pairings.GUESSES):
        method = "pairing.approve" if number % 2 else "pairing.reject"
        assert (await wire.refusal(method, code="AAAA-AAAA")).kind == "not_found"
    refused = await wire.refusal("pairing.approve", code=code)
    assert refused.kind == "rate_limited", "even the right one"
    assert 0 < refused.data["retry_after_ms"] <= pairings.GUESSES_S * 1000
    (found,) = await listed(wire)
    assert (await wire.call("pairing.approve", pairing_id=found["id"]))["pairing"]["state"] == "approved"


async def test_right_codes_cost_no_guess_and_guesses_are_a_principals_own(strict: TelegramStage) -> None:
    wire = await strict.connect()
    other = await strict.connect(await strict.token(Role.OPERATOR))
    for number in range(pairings.GUESSES + 1):
        await wire.call("pairing.approve", code=await asks(strict, str(number)))
    for _ in range(pairings.GUESSES):
        await other.refusal("pairing.approve", code="AAAA-AAAA")
    assert (await other.refusal("pairing.approve", code="AAAA-AAAA")).kind == "rate_limited"
    await wire.call("pairing.approve", code=await asks(strict, "last"))


async def test_a_code_that_ran_out_is_expired(strict: TelegramStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.services.intake.LIFE_MS", 0)
    code = await asks(strict)
    wire = await strict.connect()
    (found,) = await listed(wire, state="expired")
    assert (await wire.refusal("pairing.approve", pairing_id=found["id"])).kind == "expired"
    assert (await wire.refusal("pairing.approve", code=code)).kind == "not_found"


async def test_only_three_wait_per_account(strict: TelegramStage) -> None:
    for person in ("1", "2", "3"):
        await asks(strict, person)
    await asks(strict, "4")
    assert len(await listed(await strict.connect())) == pairings.PENDING_MAX == 3


async def test_a_viewer_sees_nobody_and_decides_nothing(strict: TelegramStage) -> None:
    await asks(strict)
    viewer = await strict.connect(await strict.token(Role.VIEWER))
    assert (await viewer.refusal("pairing.list")).data["scope"] == "pairing.read"
    assert (await viewer.refusal("pairing.approve", code="x")).data["scope"] == "pairing.approve"
    operator = await strict.connect(await strict.token(Role.OPERATOR))
    (found,) = await listed(operator)
    await operator.call("pairing.approve", pairing_id=found["id"])


async def test_who_decided_is_in_the_audit_log(strict: TelegramStage) -> None:
    await asks(strict)
    wire = await strict.connect()
    (found,) = await listed(wire)
    await wire.call("pairing.approve", pairing_id=found["id"])
    entries = (await wire.call("audit.list"))["entries"]
    request, approval = entries[-2:]
    assert (request["action"], request["actor"]["name"]) == ("pairing.request", found["name"])
    assert "2002" not in request["body"], "who a person is stands in a table that can be erased"
    assert (approval["action"], approval["actor"]["id"]) == ("pairing.approve", wire.hello["principal"]["id"])
    assert approval["subject"] == {
        "pairing_id": found["id"], "channel": "telegram:gate", "person": request["actor"]["id"],
    }  # fmt: skip


async def test_an_account_that_is_configured_no_more_tells_nobody(strict: TelegramStage) -> None:
    await asks(strict)
    await strict.restart(channels=())
    wire = await strict.connect()
    (found,) = await listed(wire)
    assert (await wire.call("pairing.approve", pairing_id=found["id"]))["pairing"]["state"] == "approved"
    assert len(await owed(strict, "2002")) == 1
