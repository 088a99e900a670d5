"""Tokens through their port: whom they speak for, until when, and that no secret is kept."""

import hashlib

import pytest
from store_stage import OTHER_ORG, Scene, claim, read, refused

from protocol.errors import ErrorKind
from protocol.records import Role
from storage.identities import FORGET_AT_ONCE
from storage.values import DEFAULT_ORG, TokenRevoked

SECRET = "tg_a_secret_that_nobody_else_knows"
HASH = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize("role", list(Role))
async def test_a_token_speaks_for_its_principal(scene: Scene, role: Role) -> None:
    new = scene.token(role, secret_hash=HASH, name="laptop")
    token, is_new = await scene.store.identities.create_token(scene.act(), new)
    assert is_new
    assert (token.id, token.name, token.role, token.expires_at) == (new.id, "laptop", role, None)
    bearer = await scene.store.identities.authenticate(HASH, scene.now_ms)
    assert (bearer.token_id, bearer.org_id, bearer.role) == (new.id, DEFAULT_ORG, role)
    assert (bearer.actor.id, bearer.actor.name, bearer.actor.kind) == (new.principal_id, "laptop", "service")
    assert bearer.expires_at_ms is None


async def test_a_token_of_an_agent_process_says_for_which_agent_it_answers(scene: Scene) -> None:
    new = scene.token(Role.AGENT, secret_hash=HASH, agent_id="writer")
    token, _ = await scene.store.identities.create_token(scene.act(), new)
    assert token.agent_id == "writer"
    assert (await scene.store.identities.authenticate(HASH, scene.now_ms)).agent_id == "writer"
    await scene.store.identities.create_token(scene.act(), scene.token())
    listed, _ = await scene.store.identities.list_tokens(DEFAULT_ORG, 10, None)
    assert [one.agent_id for one in listed] == [None, "writer"]


async def test_a_token_without_a_name_is_called_by_its_role(scene: Scene) -> None:
    token, _ = await scene.store.identities.create_token(scene.act(), scene.token(Role.VIEWER, name=""))
    assert token.name == "viewer"


async def test_only_the_hash_of_a_secret_is_stored(scene: Scene) -> None:
    await scene.store.identities.create_token(scene.act(claim=claim("k")), scene.token(secret_hash=HASH))
    for table, rows in (await scene.dump()).items():
        assert not any(SECRET in str(row) for row in rows), table
        assert table == "tokens" or not any(HASH in str(row) for row in rows), table


@pytest.mark.parametrize("secret_hash", ["", "unknown", SECRET, HASH.upper(), HASH[:-1], "%", "' OR '1'='1"])
async def test_who_does_not_know_the_secret_is_nobody(scene: Scene, secret_hash: str) -> None:
    await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    await refused(scene.store.identities.authenticate(secret_hash, scene.now_ms), ErrorKind.UNAUTHORIZED)


async def test_a_token_expires_at_its_instant(scene: Scene) -> None:
    at_ms = scene.now_ms + 1000
    new = scene.token(secret_hash=HASH, expires_at_ms=at_ms)
    await scene.store.identities.create_token(scene.act(), new)
    assert (await scene.store.identities.authenticate(HASH, at_ms - 1)).expires_at_ms == at_ms
    for now_ms in (at_ms, at_ms + 1):
        await refused(scene.store.identities.authenticate(HASH, now_ms), ErrorKind.EXPIRED)


async def test_a_revoked_token_is_nobodys(scene: Scene) -> None:
    token, _ = await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    answer = await scene.store.identities.revoke_token(scene.act(), token.id)
    assert read(answer)["token"]["revoked_at"]
    await refused(scene.store.identities.authenticate(HASH, scene.now_ms), ErrorKind.UNAUTHORIZED)


async def test_revoking_is_told_and_audited_once(scene: Scene) -> None:
    token, _ = await scene.store.identities.create_token(scene.act(), scene.token())
    first = await scene.store.identities.revoke_token(scene.act(), token.id)
    before = await scene.dump()
    again = await scene.store.identities.revoke_token(scene.act(), token.id)
    assert bytes(again) == bytes(first), "with the instant of the first time"
    assert await scene.dump() == before
    assert scene.told(TokenRevoked) == [TokenRevoked(token.id)]
    assert await scene.audited() == ["token.create", "token.revoke"]


async def test_a_token_that_is_not_there_cannot_be_revoked(scene: Scene) -> None:
    token, _ = await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    identities, stranger = scene.store.identities, scene.act("eve", org_id=OTHER_ORG)
    await refused(identities.revoke_token(scene.act(), "tok_unknown"), ErrorKind.NOT_FOUND)
    await refused(identities.revoke_token(stranger, token.id), ErrorKind.NOT_FOUND)
    assert (await identities.authenticate(HASH, scene.now_ms)).token_id == token.id


async def test_a_disabled_principal_is_nobody(scene: Scene) -> None:
    await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    await scene.store.engine.write(lambda tx: tx.run("UPDATE principals SET disabled_at = 1"))
    await refused(scene.store.identities.authenticate(HASH, scene.now_ms), ErrorKind.UNAUTHORIZED)


async def test_a_repeated_request_makes_no_second_token(scene: Scene) -> None:
    key = claim("k1", method="token.create")
    first, is_new = await scene.store.identities.create_token(scene.act(claim=key), scene.token())
    before = await scene.dump()
    again, is_new_again = await scene.store.identities.create_token(scene.act(claim=key), scene.token())
    assert (again, is_new, is_new_again) == (first, True, False)
    assert await scene.dump() == before


async def test_two_tokens_never_share_a_secret(scene: Scene) -> None:
    await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    before = await scene.dump()
    with pytest.raises(Exception, match="UNIQUE"):
        await scene.store.identities.create_token(scene.act(), scene.token(secret_hash=HASH))
    assert await scene.dump() == before, "its principal and its audit entry are undone too"


async def test_tokens_are_listed_newest_first(scene: Scene) -> None:
    made = [(await scene.store.identities.create_token(scene.act(), scene.token()))[0].id for _ in range(5)]
    await scene.store.identities.create_token(scene.act(org_id=OTHER_ORG), scene.token())
    seen, cursor = [], None
    for _ in range(3):
        page, cursor = await scene.store.identities.list_tokens(DEFAULT_ORG, 2, cursor)
        seen += [token.id for token in page]
    assert (seen, cursor) == (made[::-1], None)


# --- stored answers ---------------------------------------------------------------------------------


async def answers(scene: Scene) -> int:
    ((count,),) = await scene.rows("SELECT count(*) FROM idempotency")
    return count


async def test_old_answers_are_forgotten(scene: Scene) -> None:
    thread_id = await scene.thread()
    old = await scene.say("old", thread_id, claim=claim("old"))
    at_ms = scene.now_ms
    young = await scene.say("young", thread_id, claim=claim("young"))
    assert await scene.store.identities.forget_answers(at_ms) == 0
    assert await scene.store.identities.forget_answers(at_ms + 1) == 1
    assert await scene.store.identities.forget_answers(at_ms + 1) == 0
    assert await scene.say("young", thread_id, claim=claim("young")) == young
    assert (await scene.say("old", thread_id, claim=claim("old"))).message_id != old.message_id


async def test_a_bounded_number_is_forgotten_at_once(scene: Scene) -> None:
    def store_many(tx) -> None:
        for number in range(FORGET_AT_ONCE + 10):
            tx.run(
                "INSERT INTO idempotency (org_id, claim, params_hash, result, created_at) VALUES ('o', :c, '', '', 1)",
                c=str(number),
            )

    await scene.store.engine.write(store_many)
    forget = scene.store.identities.forget_answers
    assert [await forget(2) for _ in range(3)] == [FORGET_AT_ONCE, 10, 0]


async def test_a_clock_that_was_set_back_forgets_nothing_too_early(scene: Scene) -> None:
    thread_id = await scene.thread()
    kept = await scene.say("before", thread_id, claim=claim("before"))
    scene.now_ms -= 1_000_000
    await scene.say("after", thread_id, claim=claim("after"))
    assert await scene.store.identities.forget_answers(scene.now_ms + 1) == 1
    assert await answers(scene) == 1
    assert await scene.say("before", thread_id, claim=claim("before")) == kept
