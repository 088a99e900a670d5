"""`deliveries` and `channels`, and what `doctor` says of channels: lists, decisions, and a fix for what is wrong."""

import socket
from collections.abc import Iterator

import pytest
from cli_process import Cli
from threadgate_client import Channel

from gateway.cli.channels import _remarks
from gateway.doctor.channels import _look_at
from gateway.doctor.findings import Level

HEALTHY = {
    "id": "telegram:gate",
    "kind": "telegram",
    "account": "gate",
    "state": "connected",
    "deliveries_held": 0,
    "deliveries_failed": 0,
    "lag_ms": 1200,
}
GAP = {
    "since": "2026-11-20T10:00:00.000Z",
    "until": "2026-11-21T12:00:00.000Z",
    "reason": "the gateway was down",
}


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A gateway whose one channel nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    home = tmp_path_factory.mktemp("gateway")
    (home / ".config" / "threadgate").mkdir(parents=True)
    (home / ".config" / "threadgate" / "config.toml").write_text(
        f'[[channels]]\nkind = "telegram"\naccount = "gate"\ntoken = "1:x"\napi_base_url = "http://127.0.0.1:{port}"\n'
    )
    shared = Cli(home)
    with shared.serving():
        yield shared


def test_deliveries_are_listed_and_a_wrong_one_is_explained(running: Cli) -> None:
    assert running.json("deliveries") == []
    assert running.json("deliveries", "--state", "failed", "--channel", "telegram:gate") == []
    assert running.run("deliveries", "list").stderr == "No deliveries.\n"
    assert "no such delivery" in running.refused("deliveries", "retry", "dlv_nope")
    assert "no such delivery" in running.refused("deliveries", "settle", "dlv_nope")
    assert "failed" in running.refused("deliveries", "--state", "nonsense")


def test_a_channel_that_nobody_answers_is_an_error_with_its_reason(unreachable: Cli) -> None:
    (shown,) = unreachable.json("channels")
    assert shown["id"] == "telegram:gate"
    assert shown["state"] in ("starting", "degraded")
    headings = unreachable.lines("channels")[0].split()
    assert [headings[-6], *headings[-5:]] == ["lag", "waiting", "uncertain", "held", "failed", "detail"]
    done = unreachable.run("doctor")
    assert "telegram:gate" in done.stdout
    assert "1:x" not in done.stdout


def test_a_channel_that_is_well_is_said_to_be() -> None:
    (finding,) = _look_at(HEALTHY)
    assert (finding.level, finding.what) == (
        Level.OK,
        "telegram:gate is connected; its newest event was under way for 1.2 s",
    )


@pytest.mark.parametrize("state", ["degraded", "stopped"])
def test_a_channel_that_is_not_is_an_error(state: str) -> None:
    (finding,) = _look_at({**HEALTHY, "state": state, "detail": "set a valid token"})
    assert finding.level is Level.ERROR
    assert "set a valid token" in finding.what
    assert finding.fix


def test_what_is_missing_stuck_or_lost_is_a_warning_each() -> None:
    channel = {**HEALTHY, "missing": ["files:read"], "deliveries_held": 2, "last_gap": GAP}
    found = list(_look_at(channel))
    assert [finding.level for finding in found] == [Level.OK, *[Level.WARNING] * 3]
    said = " / ".join(finding.what for finding in found[1:])
    for word in ("files:read", "2 held", "the gateway was down"):
        assert word in said
    assert all(finding.fix for finding in found[1:])


def test_the_table_says_everything_there_is_to_act_on() -> None:
    channel = Channel.from_json(
        {**HEALTHY, "detail": "slow", "breaker": "open", "missing": ["files:read"], "last_gap": GAP}
    )
    remarks = _remarks(channel)
    for part in ("slow", "suspended (open)", "missing: files:read", "the gateway was down"):
        assert part in remarks
    assert _remarks(Channel.from_json(HEALTHY)) == ""
