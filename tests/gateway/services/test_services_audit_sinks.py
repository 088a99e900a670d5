"""Sinks of the audit log: every entry at least once and in order, whatever happens to the target or to the gateway."""

import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from audit_receivers import Collector, SyslogReceiver, collecting, first_times
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from gateway_stage import Stage, eventually, until

from channels.secrets import SecretUnavailable
from gateway.doctor.findings import Level
from gateway.doctor.sinks import check_sinks
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.services import audit_outlets, audit_sinks
from gateway.services.audit_outlets import Outlet
from gateway.services.audit_targets import FileTarget, Item, NotTaken, SyslogTarget, framed, syslog_message
from gateway.settings import SettingsError
from storage.audit_chain import leaf_hash
from storage.values import DEFAULT_ORG, Act


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is followed by the next attempt at once; batches are small."""
    monkeypatch.setattr(audit_outlets, "FIRST_S", 0.01)
    monkeypatch.setattr(audit_outlets, "LAST_S", 0.02)
    monkeypatch.setattr(audit_sinks, "BATCH", 3)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Not started: tests say with which sinks."""
    made = Stage(tmp_path / "data")
    yield made
    await made.close()


@pytest.fixture
async def syslog() -> AsyncIterator[SyslogReceiver]:
    made = SyslogReceiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


async def record(
    stage: Stage, times: int = 1, action: str = "thread.update", outcome: str = "success"
) -> None:
    act = Act(DEFAULT_ORG, LOCAL_ACTOR, "test", stage.clock.now_ms())
    for number in range(times):
        await stage.store.audit.record(act, action, {"thread_id": "thr_1"}, outcome, {"number": number})


async def start(stage: Stage, *sinks: dict[str, Any]) -> None:
    await stage.start(audit={"sinks": sinks})


async def entries(stage: Stage) -> list[bytes]:
    """The log as the store has it."""
    return [line.body.encode() for line in await stage.store.trail.lines(0, 1 << 53, 1000)]


def outlet(stage: Stage) -> Outlet:
    return stage.gateway.governance.outlets._sinks[0]


async def taken(stage: Stage) -> None:
    """Wait until the sink has everything, and its place is stored."""

    async def is_all() -> bool:
        positions = await stage.store.trail.positions()
        return positions.get(outlet(stage).key, 0) == len(await entries(stage))

    await eventually(is_all)


# --- file -------------------------------------------------------------------------------------------


async def test_a_file_gets_every_entry_verbatim(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    await start(stage, {"name": "disk", "kind": "file", "path": path})
    await record(stage, 7)
    await taken(stage)
    assert path.read_bytes().splitlines() == await entries(stage)
    assert path.stat().st_mode & 0o077 == 0
    await record(stage, 2)
    await stage.stop()
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1] and leaf_hash(lines[0]) == json.loads(lines[1])["prev"]


async def test_a_restart_goes_on_where_it_was(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    await start(stage, {"name": "disk", "kind": "file", "path": path})
    await record(stage, 4)
    await taken(stage)
    before = path.read_bytes()
    await stage.restart()
    await record(stage, 4)
    await taken(stage)
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().splitlines() == await entries(stage), "nothing twice, nothing missing"


async def test_a_file_that_was_moved_away_begins_anew(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    await start(stage, {"name": "disk", "kind": "file", "path": path})
    await record(stage, 2)
    await taken(stage)
    rotated = path.rename(tmp_path / "audit.ndjson.1")
    await record(stage, 2)
    await taken(stage)
    assert rotated.read_bytes().splitlines() + path.read_bytes().splitlines() == await entries(stage)


async def test_a_line_that_a_crash_tore_is_written_again_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    path.write_bytes(b'{"seq":1}\n{"se')
    target = FileTarget(path)
    await target.send([Item(2, b'{"seq":2}\n')])
    await target.close()
    assert path.read_bytes() == b'{"seq":1}\n{"seq":2}\n'


async def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.ndjson"
    target = FileTarget(path)
    await target.send([Item(1, b"one\n")])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        with pytest.raises(OSError):
            await target.send([Item(2, b"two\n")])
    assert path.read_bytes() == b"one\n"
    await target.send([Item(2, b"two\n")])
    await target.close()
    assert path.read_bytes() == b"one\ntwo\n"


async def test_a_directory_that_is_not_there_holds_up_nothing(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "later" / "audit.ndjson"
    await start(stage, {"name": "disk", "kind": "file", "path": path, "spool_max": 3})
    await record(stage, 5)
    await until(lambda: outlet(stage).is_failing)
    assert outlet(stage).is_degraded
    ready = await stage.http(None).get("/readyz")
    assert ready.status_code == 200, "the gateway works"
    assert ready.json()["degraded"] == [f"the audit log's disk is {outlet(stage).lag} entries behind"]
    lag = re.search(
        r'threadgate_audit_sink_lag\{sink="disk"\} (\d+)', (await stage.http().get("/metrics")).text
    )
    assert lag is not None and int(lag[1]) >= 5
    settings = stage.gateway._settings
    (finding,) = check_sinks(settings)
    assert finding.level is Level.WARNING and "wait for the sink disk" in finding.what
    path.parent.mkdir()
    await taken(stage)
    assert (await stage.http(None).get("/readyz")).json()["degraded"] == []
    (finding,) = check_sinks(settings)
    assert finding.level is Level.OK
    assert path.read_bytes().splitlines() == await entries(stage)


# --- syslog -----------------------------------------------------------------------------------------


async def test_syslog_messages_are_framed_by_their_octets(stage: Stage, syslog: SyslogReceiver) -> None:
    await start(stage, {"name": "siem", "kind": "syslog", "address": syslog.address})
    await record(stage, 4)
    await record(stage, action="token.revoke", outcome="failure")
    await taken(stage)
    await until(lambda: len(syslog.messages) >= 5)
    shape = rb'<(110|108)>1 (\S+T\S+Z) (\S+) threadgate - (\S+) \[meta sequenceId="(\d+)"\] (\{.*\})'
    found = [re.fullmatch(shape, message) for message in syslog.messages]
    assert all(found)
    assert [one[6] for one in found if one] == await entries(stage)
    assert [(one[1], one[4]) for one in found if one][-1] == (b"108", b"token.revoke"), "a failure warns"


async def test_a_receiver_that_hangs_up_misses_nothing(stage: Stage, syslog: SyslogReceiver) -> None:
    syslog.hangs_up_after = 2
    await start(stage, {"name": "siem", "kind": "syslog", "address": syslog.address})
    await record(stage, 20)
    await taken(stage)
    await until(lambda: len(set(syslog.seqs)) >= 20)
    assert first_times(syslog.seqs) == [json.loads(line)["seq"] for line in await entries(stage)]


async def test_what_a_dead_receiver_may_have_lost_comes_again(syslog: SyslogReceiver) -> None:
    host, _, port = syslog.address.rpartition(":")
    target = SyslogTarget(host, int(port))
    await target.send([Item(1, b"one")])
    await until(lambda: syslog.messages == [b"one"])
    await syslog.stop()
    syslog.messages.clear()
    await syslog.start()
    for _ in range(3):  # whether the end of the connection was noticed yet is a matter of time
        try:
            await target.send([Item(2, b"two")])
            break
        except (NotTaken, OSError):
            continue
    await until(lambda: b"two" in syslog.messages)
    await target.close()
    assert syslog.messages == [b"one", b"two"], "the last batch is sent again before the next"


def certificate(directory: Path) -> Path:
    """A certificate of 127.0.0.1 that signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siem")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "siem.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


async def test_syslog_over_tls_trusts_known_authorities_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    receiver = SyslogReceiver()
    await receiver.start(context)
    host, _, port = receiver.address.rpartition(":")
    stranger = SyslogTarget(host, int(port), tls=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        await stranger.send([Item(1, b"one")])
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    target = SyslogTarget(host, int(port), tls=True)
    await target.send([Item(1, b"one"), Item(2, b"two")])
    await until(lambda: receiver.messages == [b"one", b"two"])
    await target.close()
    await receiver.stop()


def test_a_message_says_no_more_in_its_head_than_syslog_takes() -> None:
    body = json.dumps(
        {"outcome": "odd", "action": "ä b]" * 20, "at": "2026-11-21T09:30:00.123Z", "seq": 2_147_483_648}
    )
    head = syslog_message(body, b"{}", "host").split(b"[")[0]
    assert head == b"<108>1 2026-11-21T09:30:00.123Z host threadgate - " + b"__b]" * 8 + b" "
    assert b'sequenceId="1"' in syslog_message(body, b"{}", "host"), (
        "the number begins again, RFC 5424 §7.3.1"
    )
    assert framed("ä".encode()) == b"2 \xc3\xa4", "octets, not characters"


# --- HTTP -------------------------------------------------------------------------------------------


async def test_batches_are_posted_in_order_with_the_headers(
    stage: Stage, collector: Collector, tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    secret.write_text("Bearer s3cret\n")
    sink = {
        "name": "siem",
        "kind": "http",
        "url": collector.url,
        "headers": {"Authorization": f"file:{secret}"},
    }
    await start(stage, sink)
    await record(stage, 8)
    await taken(stage)
    assert collector.lines == await entries(stage)
    assert {(one["Authorization"], one["Content-Type"]) for one in collector.headers} == {
        ("Bearer s3cret", "application/x-ndjson")
    }
    assert max(len(body.splitlines()) for body in collector.bodies) <= 3


async def test_what_was_refused_is_sent_again(stage: Stage, collector: Collector) -> None:
    collector.answers = [500, 404, 302, 503]
    await start(stage, {"name": "siem", "kind": "http", "url": collector.url})
    await record(stage, 5)
    await taken(stage)
    assert collector.lines == await entries(stage)


async def test_a_lost_answer_costs_a_repetition_and_no_gap(stage: Stage, collector: Collector) -> None:
    await start(stage, {"name": "siem", "kind": "http", "url": collector.url})
    await record(stage, 2)
    await taken(stage)
    collector.loses_answer = True
    await record(stage, 5)
    await taken(stage)
    seqs = [json.loads(line)["seq"] for line in collector.lines]
    assert len(seqs) > len(set(seqs)) and first_times(seqs) == list(range(1, len(set(seqs)) + 1))


async def test_a_collector_that_asks_for_a_pause_gets_it(stage: Stage, collector: Collector) -> None:
    collector.answers, collector.retry_after = [429], "1"
    began = time.monotonic()
    await start(stage, {"name": "siem", "kind": "http", "url": collector.url})
    await record(stage)
    await taken(stage)
    assert time.monotonic() - began >= 1.0


async def test_events_of_security_tools_are_masked(stage: Stage, collector: Collector) -> None:
    await start(stage, {"name": "siem", "kind": "http", "url": collector.url, "format": "ocsf"})
    act = Act(DEFAULT_ORG, LOCAL_ACTOR, "test", stage.clock.now_ms())
    await stage.store.audit.record(act, "login", {}, "failure", {"mail": "ada@example.org"})
    await taken(stage)
    last = json.loads(collector.lines[-1])
    assert (last["class_uid"], last["status_id"]) == (3002, 2)
    assert "ada@example.org" not in json.dumps(last)


# --- settings ---------------------------------------------------------------------------------------


async def test_a_target_that_is_down_at_the_start_holds_up_nothing(
    stage: Stage, syslog: SyslogReceiver
) -> None:
    await syslog.stop()
    await start(stage, {"name": "siem", "kind": "syslog", "address": syslog.address})
    await record(stage, 3)
    assert (await stage.http().post("/v1/server.info")).status_code == 200
    await until(lambda: outlet(stage).is_failing)
    await syslog.start()
    await taken(stage)
    await until(lambda: first_times(syslog.seqs) == list(range(1, len(set(syslog.seqs)) + 1)))


async def test_stopping_waits_for_no_target_that_is_down(stage: Stage) -> None:
    await start(stage, {"name": "siem", "kind": "syslog", "address": "127.0.0.1:9"})
    await record(stage, 3)
    await until(lambda: outlet(stage).is_failing)
    began = time.monotonic()
    await stage.stop()
    assert time.monotonic() - began < audit_outlets.STOP_S


async def test_a_header_without_its_secret_starts_nothing(stage: Stage) -> None:
    sink = {
        "name": "a",
        "kind": "http",
        "url": "http://127.0.0.1:9/",
        "headers": {"X": "env:THREADGATE_ABSENT"},
    }
    with pytest.raises(SecretUnavailable, match="THREADGATE_ABSENT"):
        await start(stage, sink)
    stage.is_running = False
    await stage.store.close()


async def test_names_of_sinks_are_their_own(stage: Stage, tmp_path: Path) -> None:
    sink = {"name": "a", "kind": "file", "path": tmp_path / "a"}
    with pytest.raises((SettingsError, ValueError), match="once"):
        await start(stage, sink, sink)
