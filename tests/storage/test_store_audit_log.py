"""The audit log of a live store: every act leaves its entry, in its own transaction, and tampering is found."""

import inspect
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from store_stage import CHAT, OTHER_ORG, Scene, cancelled, failed, interrupted, open_scene, refused

from gateway.rules import delivery_states as states
from protocol.errors import ErrorKind
from protocol.privacy import RetentionRunResult
from protocol.records import ActorKind, Role
from storage import (
    approval_ports,
    audit_log,
    audit_ports,
    budget_ports,
    device_ports,
    identity_ports,
    ports,
    privacy_ports,
    run_ports,
)
from storage.audit_chain import leaf_hash
from storage.audit_values import KeyRotation, NewEpoch
from storage.channel_values import Gap, PairingKey
from storage.device_values import DeviceGrant, InvocationOutcome
from storage.engine import DATABASE_NAME
from storage.errors import StaleFence
from storage.identity_values import NewLinkCode, NewUser, UserChange
from storage.store import DEFAULT_ORG, verify_audit

READS = {
    "threads.get", "threads.page", "threads.history", "threads.replay", "threads.search", "threads.heads",
    "threads.said", "runs.get", "runs.page", "runs.waiting_threads", "runs.abandoned",
    "runs.running", "runs.resumable", "runs.count_by_state", "runs.progress", "runs.recorded",
    "journal.steps", "journal.read",
    "approvals.get", "approvals.page", "approvals.page_of_voter", "approvals.editable", "approvals.by_code",
    "approvals.is_released", "approvals.next_due_ms", "approvals.to_remind", "approvals.stale_cards",
    "inbox.cursors", "inbox.find_thread", "outbox.pending_rooms", "outbox.next_in_room", "outbox.counts",
    "identities.authenticate", "identities.list_tokens", "audit.page", "trail.lines", "trail.notes", "trail.positions",
    "checkpoints.head", "checkpoints.root", "checkpoints.latest", "checkpoints.path", "checkpoints.consistency",
    "pairings.page", "pairings.place", "pairings.find", "devices.standing", "devices.active", "devices.known",
    "devices.get",
    "devices.page", "invocations.claimed", "invocations.of_device", "invocations.overdue",
    "vault.get", "vault.keys", "links.principal_of",
    "identities.find_token", "users.organizations", "users.get", "users.page",
    "holds.open", "retention.organizations", "retention.look", "retention.answered", "erasures.subject",
    "erasures.last_place", "erasures.threads", "erasures.traces", "erasures.count", "erasures.going",
    "outbox.gaps", "budgets.states", "budgets.notices", "usage.groups", "switches.all", "switches.unfinished",
    "deliveries.page", "blobs.get", "blobs.read", "blobs.locate", "blobs.due", "blobs.next_due",
}  # fmt: skip
PLURAL = {
    "thread": "threads", "run": "runs", "identity": "identities", "approval": "approvals", "pairing": "pairings",
    "delivery": "deliveries", "blob": "blobs", "handover": "handovers", "link": "links", "user": "users",
    "budget": "budgets", "switch": "switches", "hold": "holds", "erasure": "erasures", "checkpoint": "checkpoints",
    "device": "devices", "invocation": "invocations",
}  # fmt: skip
"""Repositories whose name is not their port's."""
PERSONAL = re.compile(r'"(ada|grace|Eve)"|"(telegram|slack|discord):[0-9A-Z]|laptop|192\.0\.2\.')
"""What names a person or says where they were, as the stage's people and tokens have it."""
BOOKKEEPING = {
    "runs.claim", "runs.take_over", "runs.resume", "runs.renew_leases", "runs.note", "journal.checkpoint",
    "journal.open", "journal.close", "journal.allow_repeat", "journal.take_steers", "outbox.open_live",
    "outbox.doubt_interrupted_sends", "outbox.step", "identities.forget_answers", "blobs.begin", "blobs.keep",
    "blobs.settle", "blobs.fail", "blobs.postpone", "blobs.collect", "blobs.discard", "blobs.sweep",
    "vault.put", "vault.delete", "approvals.show", "identities.note_used", "links.forget_codes",
    "budgets.recover", "budgets.tell", "budgets.forget", "usage.set_tags",
    "erasures.erase_in_thread", "erasures.erase_deliveries", "erasures.scrub", "erasures.finish",
    "checkpoints.grow", "checkpoints.add", "devices.seen", "invocations.send", "invocations.forget",
    "audit.find", "trail.advance",
}  # fmt: skip
"""What the gateway does of itself while it works on what somebody asked for: events and metrics, no entry. Steps of an
erasure are between the entries of its beginning and of its end."""


async def act_on(scene: Scene, name: str) -> Callable:
    """The stage set for one audited method; what then does it."""
    run = await scene.started(origin=CHAT)
    token, _ = await scene.store.identities.create_token(scene.act(), scene.token())
    if name == "threads.restore":
        await scene.store.threads.archive(scene.act(), run.thread_id)
    is_asked = name in (
        "approvals.decide",
        "approvals.expire",
        "approvals.escalate",
        "approvals.remind",
        "approvals.consume",
    )
    asked = await scene.ask(run, escalate_at_ms=scene.now_ms + 5) if is_asked else ""
    if name == "approvals.consume":
        await scene.store.approvals.decide(scene.act(), scene.decide(asked))
    if name == "runs.retry":
        await scene.answer(run)
    if name == "runs.expire_questions":
        await scene.wait(run, questions=[scene.question()])
    act, threads, runs, handovers = scene.act(), scene.store.threads, scene.store.runs, scene.store.handovers
    if name == "handovers.speak":
        await handovers.assign(act, run.thread_id, act.actor, None, None)
    if name == "deliveries.decide":
        _, (part,) = await scene.owed("the answer")
        await scene.store.outbox.step(part.id, states.refused("no"), scene.now_ms)
        return lambda: scene.store.deliveries.decide(act, part.id, states.RETRIED, "delivery.retry")
    if name == "blobs.upload":
        draft = await scene.draft(b"bytes")
        return lambda: scene.store.blobs.upload(act, scene.new_file(), draft)
    if name == "audit.reveal":
        await scene.store.audit.record(act, "login", {}, "failure", {}, content={"said": "hello"})
        newest = len(await scene.audited())
        return lambda: scene.store.audit.reveal(act, [newest])
    if name.startswith(("users", "links")):
        return await act_on_users(scene, name)
    if name.startswith(("pairings", "devices", "invocations", "checkpoints")):
        return await act_on_machines(scene, name)
    if name.startswith(("holds", "retention", "erasures")):
        return await privacy_act_on(scene, name, run.thread_id)
    calls = {
        "threads.create": lambda: threads.create(act, scene.new_thread()),
        "threads.update": lambda: threads.update(act, run.thread_id, "Title", None),
        "threads.archive": lambda: threads.archive(act, run.thread_id),
        "threads.restore": lambda: threads.restore(act, run.thread_id),
        "threads.delete": lambda: threads.delete(act, run.thread_id),
        "threads.accept": lambda: scene.say("more", run.thread_id),
        "runs.complete": lambda: scene.answer(run, parts=scene.parts("answer")),
        "runs.end": lambda: scene.end(run, failed()),
        "runs.cancel": lambda: runs.cancel(act, run.id, cancelled(notice=scene.notice())),
        "runs.retry": lambda: runs.retry(act, run.id, "run_again", 10),
        "runs.wait": lambda: scene.wait(run, [scene.approval()], [scene.question()]),
        "runs.expire_questions": lambda: runs.expire_questions(scene.now_ms + 10**9, 10),
        "handovers.assign": lambda: handovers.assign(act, run.thread_id, act.actor, None, scene.notice()),
        "handovers.speak": lambda: handovers.speak(
            act, run.thread_id, "msg_said", "run_said", "hello", scene.parts("hello")
        ),
        "approvals.decide": lambda: scene.store.approvals.decide(act, scene.decide(asked)),
        "approvals.consume": lambda: scene.store.approvals.consume(run, asked, "call", scene.now_ms),
        "approvals.ask": lambda: scene.store.approvals.ask(act, scene.approval()),
        "approvals.escalate": lambda: scene.store.approvals.escalate(scene.now_ms + 10**6, 10),
        "approvals.remind": lambda: scene.store.approvals.remind(act.org_id, asked, [], scene.now_ms),
        "approvals.expire": lambda: scene.store.approvals.expire(scene.now_ms + 10**9, 10),
        "inbox.commit": lambda: scene.receive(scene.delivery("hello"), cursor="5"),
        "inbox.report_gap": lambda: scene.store.inbox.report_gap(act, "telegram", "main", Gap(1, 2, "down")),
        "identities.create_token": lambda: scene.store.identities.create_token(act, scene.token()),
        "identities.revoke_token": lambda: scene.store.identities.revoke_token(act, token.id),
        "switches.off": lambda: scene.store.switches.off(act, "demo", "it errs", cancelled(), {}),
        "switches.on": lambda: scene.store.switches.on(act, "demo"),
        "audit.record": lambda: scene.store.audit.record(act, "login", {}, "failure", {"why": "x"}),
    }
    return calls[name]


async def act_on_machines(scene: Scene, name: str) -> Callable:
    """The stage set for who wants to be let in, for devices, and for what the log itself records."""
    pairing = await scene.stranger() if name.startswith("pairings") else ""
    device = await scene.device() if name.startswith(("devices", "invocations")) else ""
    invocation = await scene.invocation(device) if name == "invocations.settle" else ""
    act = scene.act()
    calls = {
        "devices.ask": lambda: scene.store.devices.ask(act, scene.device_offer()),
        "devices.revoke": lambda: scene.store.devices.revoke(act, device),
        "devices.rename": lambda: scene.store.devices.rename(act, device, "attic"),
        "devices.declare": lambda: scene.store.devices.declare(act, device, [], "thing", "bench"),
        "devices.rotate": lambda: scene.store.devices.rotate(act, device, "dev_next", "key"),
        "invocations.request": lambda: scene.store.invocations.request(act, scene.new_invocation(device)),
        "pairings.approve": lambda: scene.store.pairings.approve(
            act, PairingKey(pairing), scene.notice(), DeviceGrant()
        ),
        "invocations.settle": lambda: scene.store.invocations.settle(
            act, invocation, InvocationOutcome("done", {"x": 1})
        ),
        "pairings.reject": lambda: scene.store.pairings.reject(act, PairingKey(pairing)),
        "checkpoints.begin_epoch": lambda: scene.store.checkpoints.begin_epoch(
            act, NewEpoch(2, "epo_2", "behind", "log", 7, "00")
        ),
        "checkpoints.rotate_key": lambda: scene.store.checkpoints.rotate_key(
            act, KeyRotation("log+01+a", "log+02+b", "sig")
        ),
    }
    return calls[name]


async def act_on_users(scene: Scene, name: str) -> Callable:
    users, links, act = scene.store.users, scene.store.links, scene.act("grace")
    new = NewUser("prn_grace", ActorKind.USER, "Grace", Role.VIEWER)
    code = NewLinkCode("lnk_1", "AAAA-BBBB", scene.now_ms + 60_000, 3)
    if name == "users.create":
        return lambda: users.create(act, new)
    await users.create(act, new)
    if name == "users.save":
        return lambda: users.save(act, UserChange("prn_grace", Role.VIEWER, is_disabled=True))
    if name == "links.begin":
        return lambda: links.begin(act, code)
    await links.begin(act, code)
    await scene.receive(scene.link("AAAA-BBBB", "CCCC-DDDD"))
    return lambda: links.finish(act, "CCCC-DDDD")


async def privacy_act_on(scene: Scene, name: str, thread_id: str) -> Callable:
    """The stage set for one act of retention, holds or erasure."""
    act, holds, retention, erasures = (
        scene.act(),
        scene.store.holds,
        scene.store.retention,
        scene.store.erasures,
    )
    if name == "holds.release":
        await holds.place(scene.act(), "hld_1", "thread", thread_id, "case")
    subject = await erasures.subject(DEFAULT_ORG, "prn_ada", "ers_1")
    if name in ("erasures.erase_thread", "erasures.erase_person", "erasures.certify"):
        await erasures.begin(scene.act(), subject, "they asked")
    empty = (await scene.store.threads.create(scene.act(), scene.new_thread()), scene.now_ms)[1]
    done = RetentionRunResult(dry_run=False, classes=[])
    old = (await retention.look(DEFAULT_ORG, "messages", empty + 1, 0, 10)).due
    calls = {
        "holds.place": lambda: holds.place(act, "hld_1", "thread", thread_id, "case"),
        "holds.release": lambda: holds.release(act, "thread", thread_id, "closed"),
        "retention.delete": lambda: retention.delete(act, "messages", empty + 1, old),
        "retention.finish": lambda: retention.finish(act, done),
        "erasures.begin": lambda: erasures.begin(act, subject, "they asked"),
        "erasures.refused": lambda: erasures.refused(act, subject, "hld_1"),
        "erasures.erase_thread": lambda: erasures.erase_thread(act, subject, thread_id),
        "erasures.erase_person": lambda: erasures.erase_person(act, subject),
        "erasures.certify": lambda: erasures.certify(act, subject),
    }
    return calls[name]


AUDITED = {
    "holds.place": ["hold.place"],
    "holds.release": ["hold.release"],
    "retention.delete": ["retention.delete"],
    "retention.finish": ["retention.run"],
    "erasures.begin": ["data.erase.begin"],
    "erasures.refused": ["data.erase"],
    "erasures.erase_thread": ["thread.delete"],
    "erasures.erase_person": ["data.erase.person"],
    "erasures.certify": ["data.erase"],
    "threads.create": ["thread.create"],
    "threads.update": ["thread.update"],
    "threads.archive": ["thread.archive"],
    "threads.restore": ["thread.restore"],
    "threads.delete": ["thread.delete"],
    "threads.accept": ["message.send"],
    "runs.complete": ["run.complete"],
    "runs.end": ["run.failed"],
    "runs.cancel": ["run.cancelled"],
    "runs.retry": ["run.retry"],
    "runs.wait": ["approval.request", "question.ask"],
    "runs.expire_questions": ["question.expire"],
    "handovers.assign": ["thread.assign"],
    "handovers.speak": ["message.send"],
    "approvals.consume": ["approval.consume"],
    "approvals.ask": ["approval.request"],
    "approvals.decide": ["approval.vote", "approval.decide"],
    "approvals.escalate": ["approval.escalate"],
    "approvals.remind": ["approval.remind"],
    "approvals.expire": ["approval.expire"],
    "inbox.commit": ["thread.create", "message.send"],
    "inbox.report_gap": ["channel.gap"],
    "pairings.approve": ["pairing.approve"],
    "pairings.reject": ["pairing.reject"],
    "devices.ask": ["pairing.request"],
    "devices.revoke": ["device.revoke"],
    "devices.rename": ["device.rename"],
    "devices.declare": ["device.declare"],
    "devices.rotate": ["device.rotate"],
    "invocations.request": ["device.invoke"],
    "invocations.settle": ["device.result"],
    "blobs.upload": ["blob.upload"],
    "identities.create_token": ["token.create"],
    "identities.revoke_token": ["token.revoke"],
    "users.create": ["user.create"],
    "users.save": ["user.update"],
    "links.begin": ["link.begin"],
    "links.finish": ["user.link"],
    "audit.record": ["login"],
    "switches.off": ["run.cancelled", "agent.switch"],
    "switches.on": ["agent.switch"],
    "audit.reveal": ["audit.reveal"],
    "checkpoints.begin_epoch": ["audit.epoch"],
    "checkpoints.rotate_key": ["key.rotated"],
    "deliveries.decide": ["delivery.retry"],
}


def test_every_port_method_is_a_read_bookkeeping_or_audited() -> None:
    """A new method belongs to one of the three; none is forgotten."""
    names = set()
    modules = (
        ports, run_ports, approval_ports, budget_ports, identity_ports, audit_ports, privacy_ports, device_ports,
    )  # fmt: skip
    values = {name: value for module in modules for name, value in vars(module).items()}
    for protocol in (value for name, value in values.items() if name.endswith("Store")):
        single = protocol.__name__.removesuffix("Store").lower()
        family = PLURAL.get(single, single)
        names |= {f"{family}.{name}" for name, _ in inspect.getmembers(protocol, inspect.iscoroutinefunction)}
    assert names == READS | BOOKKEEPING | AUDITED.keys()


@pytest.mark.parametrize("name", AUDITED)
async def test_an_act_leaves_its_entry_in_one_commit(scene: Scene, name: str) -> None:
    act = await act_on(scene, name)
    before, groups = await scene.audited(), scene.store.engine.stats.groups
    await act()
    assert await scene.audited() == before + AUDITED[name]
    assert scene.store.engine.stats.groups == groups + 1


@pytest.mark.parametrize("name", AUDITED)
async def test_an_act_whose_entry_cannot_be_written_does_not_happen(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise RuntimeError("no entry")

    act = await act_on(scene, name)
    before, signals = await scene.dump(), len(scene.signals)
    monkeypatch.setattr(audit_log, "seal", break_off)
    with pytest.raises(RuntimeError, match="no entry"):
        await act()
    assert await scene.dump() == before
    assert len(scene.signals) == signals


@pytest.mark.parametrize("name", AUDITED)
async def test_an_entry_names_nobody(scene: Scene, name: str) -> None:
    """Who people are and what they said stands behind entries, where it can be erased."""
    act = await act_on(scene, name)
    await act()
    for (body,) in await scene.rows("SELECT body FROM audit_entries"):
        assert not PERSONAL.search(body), body


async def test_what_is_refused_leaves_no_entry(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    before = await scene.audited()
    await refused(scene.store.runs.cancel(scene.act(), run.id, cancelled()), ErrorKind.INVALID_STATE)
    await refused(scene.store.threads.archive(scene.act(), "thr_unknown"), ErrorKind.NOT_FOUND)
    with pytest.raises(StaleFence):
        await scene.end(run, interrupted(will_retry=False))
    assert await scene.audited() == before


async def test_an_entry_says_who_did_what_from_where(scene: Scene) -> None:
    act = scene.act("grace")
    await scene.store.audit.record(act, "login", {"token_id": "tok_1"}, "failure", {"why": "expired"})
    (entry,), cursor = await scene.store.audit.page(DEFAULT_ORG, 0, None, 10)
    assert (entry.seq, entry.action, entry.outcome) == (1, "login", "failure")
    assert (entry.actor.id, entry.subject, entry.detail) == (
        act.actor.id,
        {"token_id": "tok_1"},
        {"why": "expired"},
    )
    assert "grace" not in entry.body.replace("prn_grace", ""), "a name never stands in an entry"
    assert f'"via":"{act.via}"' in entry.body
    assert entry.hash == leaf_hash(entry.body.encode())
    assert cursor is None


async def test_entries_are_paged_in_order_all_or_of_an_action(scene: Scene) -> None:
    for _ in range(3):
        await scene.say("hello")
    await scene.store.audit.record(scene.act(org_id=OTHER_ORG), "login", {}, "success", {})
    page = scene.store.audit.page
    first, cursor = await page(DEFAULT_ORG, 0, None, 4)
    assert cursor == "4"
    rest, end = await page(DEFAULT_ORG, int(cursor), None, 4)
    assert [entry.seq for entry in first + rest] == [1, 2, 3, 4, 5, 6]
    assert end is None
    sends, cursor = await page(DEFAULT_ORG, 2, "message.send", 1)
    assert ([entry.seq for entry in sends], cursor) == ([4], "4")
    theirs, _ = await page(OTHER_ORG, 0, None, 10)
    assert [entry.action for entry in theirs] == ["login"]


# --- verification -----------------------------------------------------------------------------------


async def test_a_live_store_can_be_verified(scene: Scene) -> None:
    assert verify_audit(scene.directory)[0].seq == 0
    for count in (1, 2, 3):
        await scene.say("hello")
        place, found = verify_audit(scene.directory)
        assert (place.seq, found) == (2 * count, None)
    await scene.say("and the gateway goes on")


async def written(directory: Path) -> None:
    async with open_scene(directory) as scene:
        for _ in range(5):
            await scene.say("hello")


TAMPERINGS = {
    "changed": ("UPDATE audit_entries SET body = replace(body, 'ada', 'eve') WHERE seq = 4", 4),
    "hash": ("UPDATE audit_entries SET hash = replace(hash, 'a', 'b') WHERE seq = 4", 4),
    "deleted": ("DELETE FROM audit_entries WHERE seq = 4", 4),
    "first deleted": ("DELETE FROM audit_entries WHERE seq = 1", 1),
    "renumbered": (
        "DELETE FROM audit_entries WHERE seq = 10; UPDATE audit_entries SET seq = 99 WHERE seq = 9",
        9,
    ),
    "filed elsewhere": ("UPDATE audit_entries SET action = 'nothing.much' WHERE seq = 4", 4),
    "hidden from its organization": ("UPDATE audit_entries SET org_id = 'org_other' WHERE seq = 4", 4),
    "moved in time": ("UPDATE audit_entries SET at = at + 1 WHERE seq = 4", 4),
    "emptied": ("UPDATE audit_entries SET body = '' WHERE seq = 4", 4),
    "not text": ("UPDATE audit_entries SET body = x'ff00fe' WHERE seq = 4", 4),
    "broken text": ("UPDATE audit_entries SET body = CAST(x'7b22ff227d' AS TEXT) WHERE seq = 4", 4),
    "hash not text": ("UPDATE audit_entries SET hash = x'ff' WHERE seq = 4", 4),
    "other log": ("UPDATE store SET audit_log_id = 'log_2'", 1),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_tampering_with_the_file_is_found_and_located(directory: Path, tampering: str) -> None:
    await written(directory)
    script, seq = TAMPERINGS[tampering]
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as connection:
        connection.executescript(script)
    place, found = verify_audit(directory)
    assert found is not None
    assert (found.seq, place.seq) == (seq, seq - 1)


async def test_verifying_changes_nothing(directory: Path) -> None:
    await written(directory)
    before = (directory / DATABASE_NAME).read_bytes()
    verify_audit(directory)
    assert (directory / DATABASE_NAME).read_bytes() == before
