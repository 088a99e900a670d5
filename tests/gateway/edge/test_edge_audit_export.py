"""`GET /v1/audit/export` and the filters of `audit.list`, from outside: whole, verifiable, recorded itself."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_stage import Frame, Stage, Wire, words

from gateway import audit_key
from gateway.edge import audit_export
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.services import audit_export as service
from protocol.records import Role
from storage.audit_chain import Link
from storage.audit_inspection import inspect_export
from storage.errors import StoreUnavailable
from storage.values import DEFAULT_ORG, Act

OTHER = "org_other"


async def export(stage: Stage, **query: str) -> httpx.Response:
    return await stage.http().get("/v1/audit/export", params=query)


async def record(stage: Stage, action: str, org_id: str = DEFAULT_ORG, **detail: Any) -> None:
    act = Act(org_id, LOCAL_ACTOR, "test", stage.clock.now_ms())
    await stage.store.audit.record(act, action, {"thread_id": "thr_1"}, "success", detail)


def lines_of(answer: httpx.Response) -> list[Frame]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]


def check_chain(answer: httpx.Response) -> None:
    """Follow the hashes of an export as an auditor would: entries by their bytes, withheld ones by their hash."""
    first, *rest = answer.content.splitlines()
    place = Link.start(json.loads(first)["export"]["log_id"])
    for line in rest:
        value = json.loads(line)
        if "checkpoint" in value:
            continue
        assert value["seq"] == place.seq + 1
        if "leaf" not in value:
            assert value["prev"] == place.hash
        place = Link(value["seq"], value.get("leaf") or hashlib.sha256(b"\0" + line).hexdigest())


async def test_everything_is_exported_verbatim_with_its_checkpoints(stage: Stage, wire: Wire) -> None:
    await wire.call("message.send", content=words("say hello"))
    await wire.call("thread.create", title="two")
    answer = await export(stage)
    first, *middle = lines_of(answer)
    assert first["export"].keys() == {"v", "log_id", "origin", "first_seq"}
    notes = [line["checkpoint"] for line in middle if "checkpoint" in line]
    entries = [line for line in middle if "checkpoint" not in line]
    assert entries[-1]["action"] == "audit.export", "its own entry is the last one"
    assert notes[-1].splitlines()[:2] == [first["export"]["origin"], str(entries[-1]["seq"])]
    listed = (await wire.call("audit.list", limit=500))["entries"]
    assert [json.loads(one["body"]) for one in listed] == entries
    check_chain(answer)
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.ndjson"'


async def test_what_does_not_fit_and_what_is_not_ours_is_withheld_by_its_hash(
    stage: Stage, wire: Wire
) -> None:
    await record(stage, "thread.update")
    await record(stage, "secret.act", org_id=OTHER, word="sesame")
    await record(stage, "thread.update")
    answer = await export(stage)
    assert "sesame" not in answer.text and len([one for one in lines_of(answer) if "leaf" in one]) == 1
    check_chain(answer)
    some = await export(stage, action="thread.*")
    assert {one["action"] for one in lines_of(some) if "action" in one} == {"thread.update"}
    check_chain(some)


@pytest.mark.parametrize(
    "query", [{}, {"action": "thread.*"}, {"outcome": "failure"}, {"entity": "thr_1", "via": "test"}]
)
async def test_an_export_verifies_offline_whatever_is_filtered(
    stage: Stage, tmp_path: Path, query: dict[str, str]
) -> None:
    for number in range(5):
        await record(stage, "thread.update" if number % 2 else "run.cancelled")
        await record(stage, "secret.act", org_id=OTHER)
    path = tmp_path / "audit.ndjson"
    path.write_bytes((await export(stage, **query)).content)
    keys = audit_key.load(audit_key.path_of(None, tmp_path / "data")).verifiers
    report = inspect_export(path, keys=keys)
    assert report.broken is None and report.signed
    assert report.place.seq == report.sealed >= 11, "the newest checkpoint is over all of it"
    path.write_bytes(
        path.read_bytes().replace(b"run.cancelled", b"run.cancelleb").replace(b'"leaf":"', b'"leaf":"0', 1)
    )
    assert inspect_export(path, keys=keys).broken is not None


async def test_pages_are_no_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAGE", 3)
    for number in range(10):
        await record(stage, "thread.update" if number % 2 else "run.cancelled", number=number)
    answer = await export(stage, action="thread.update")
    check_chain(answer)
    assert [one["detail"]["number"] for one in lines_of(answer) if "detail" in one] == [1, 3, 5, 7, 9]
    rows = list(csv.DictReader(io.StringIO((await export(stage, format="csv", action="run.*")).text)))
    assert [json.loads(row["detail"])["number"] for row in rows] == [0, 2, 4, 6, 8]


async def test_a_table_holds_no_formula(stage: Stage) -> None:
    await record(stage, "=cmd|'/c calc'!A1")
    answer = await export(stage, format="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert "'=cmd|'/c calc'!A1" in [row["action"] for row in rows]
    assert rows[-1]["action"] == "audit.export" and rows[0]["seq"] == "1"
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())


async def test_security_tools_get_events(stage: Stage) -> None:
    await record(stage, "message.send", address="mail ada@example.org")
    *_, sent, own = lines_of(await export(stage, format="ocsf"))
    assert (sent["class_uid"], own["activity_name"]) == (6003, "audit.export")
    assert "ada@example.org" not in json.dumps(sent), "personal data is masked on the way out"


@pytest.mark.parametrize(
    ("query", "problem"),
    [({"format": "xml"}, "format"), ({"outcome": "maybe"}, "outcome"), ({"since": "yesterday"}, "since")],
)
async def test_a_question_that_makes_no_sense_is_refused(
    stage: Stage, query: dict[str, str], problem: str
) -> None:
    answer = await export(stage, **query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == problem


async def test_reading_is_not_exporting(stage: Stage) -> None:
    for role, status in ((Role.OPERATOR, 403), (Role.VIEWER, 403), (Role.AUDITOR, 200)):
        answer = await stage.http(await stage.token(role)).get("/v1/audit/export")
        assert answer.status_code == status, role
    assert (await stage.http(None).get("/v1/audit/export")).status_code == 401


async def test_nothing_is_exported_without_its_entry(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*args: object, **options: object) -> None:
        raise StoreUnavailable("no disk")

    monkeypatch.setattr(stage.store.audit, "record", full)
    answer = await export(stage)
    assert (answer.status_code, answer.json()["kind"]) == (503, "unavailable")


async def test_what_breaks_off_does_not_look_whole(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*args: object) -> None:
        raise StoreUnavailable("no disk")

    monkeypatch.setattr(stage.store.trail, "lines", gone)
    with pytest.raises(httpx.RemoteProtocolError):
        await export(stage)
    assert (await stage.http().get("/healthz")).status_code == 200


async def test_exports_at_once_are_few(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "EXPORTS_AT_ONCE", 0)
    answer = await export(stage)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


# --- audit.list -------------------------------------------------------------------------------------


async def test_entries_are_listed_by_what_is_in_them(stage: Stage, wire: Wire) -> None:
    sent = await wire.call("message.send", content=words("say hello"))
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    about = (await wire.call("audit.list", entity=f"thread_id:{sent['thread_id']}"))["entries"]
    assert {entry["action"] for entry in about} >= {"message.send"}
    assert (await wire.call("audit.list", actor="local", via="websocket"))["entries"]
    assert (await wire.call("audit.list", outcome="failure"))["entries"] == []
    now = (await wire.call("audit.list"))["entries"][0]["at"]
    assert len((await wire.call("audit.list", since=now, action="message.*"))["entries"]) == 1
    assert (await wire.call("audit.list", until=now))["entries"] == []
    assert (await viewer.refusal("audit.list")).kind == "forbidden"


async def test_a_day_that_does_not_exist_is_refused(wire: Wire) -> None:
    refused = await wire.refusal("audit.list", since="2026-02-30T00:00:00.000Z")
    assert refused.code == -32602
