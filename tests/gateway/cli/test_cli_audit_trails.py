"""`threadgate audit list`, `export` and `gaps`: with the gateway running and stopped."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli
from typer.testing import CliRunner

from gateway.cli.audit import app


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    cli = Cli(tmp_path_factory.mktemp("gateway"))
    with cli.serving():
        cli.lines("send", "say hello")
        yield cli


def test_entries_are_listed_by_what_is_in_them(gateway: Cli) -> None:
    found = gateway.json("audit", "list", "--action", "message.*", "--outcome", "success", "--since", "1h")
    assert [entry["action"] for entry in found] == ["message.send"]
    entity = found[0]["subject"]["thread_id"]
    assert "message.send" in "\n".join(gateway.lines("audit", "list", "--entity", entity, "--actor", "local"))
    assert gateway.json("audit", "list", "--until", "2020-01-01") == []
    assert "no time" in gateway.refused("audit", "list", "--since", "soon")


def test_an_export_is_a_new_file_of_its_owner(gateway: Cli, tmp_path: Path) -> None:
    out = tmp_path / "audit.ndjson"
    gateway.lines("audit", "export", "--output", str(out))
    first, *_, last = [json.loads(line) for line in out.read_text().splitlines()]
    assert first["export"]["first_seq"] == 1 and "checkpoint" in last
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "exists" in gateway.refused("audit", "export", "--output", str(out))
    csv = gateway.lines("audit", "export", "--format", "csv", "--action", "message.send")
    assert csv[0].startswith("seq,at,org_id") and len(csv) == 2


def test_a_wrong_token_leaves_no_file(gateway: Cli, tmp_path: Path) -> None:
    out = tmp_path / "none.ndjson"
    assert "token is not valid" in gateway.refused("audit", "export", "-o", str(out), "--token", "nonsense")
    assert not out.exists()


def test_a_stopped_gateway_is_exported_from_its_store(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with cli.serving():
        cli.lines("send", "say hello")
    lines = [json.loads(line) for line in cli.lines("audit", "export")]
    entries = [line for line in lines if "action" in line]
    assert entries[-1]["action"] == "audit.export" and entries[-1]["via"] == "cli"
    assert "checkpoint" in lines[-1]
    assert "no store" in Cli(tmp_path / "elsewhere").refused("audit", "export")


@pytest.mark.parametrize(
    ("seqs", "code", "told"),
    [
        ([1, 2, 3], 0, "entries 1 to 3, none missing"),
        ([1, 2, 2, 3, 1], 0, "entries 1 to 3, none missing"),
        ([5, 7, 9, 12], 1, "missing: 6\nmissing: 8\nmissing: 10 to 11"),
        ([], 0, ""),
    ],
)
def test_a_receiver_learns_what_it_is_missing(tmp_path: Path, seqs: list[int], code: int, told: str) -> None:
    received = tmp_path / "received.ndjson"
    received.write_text("".join(json.dumps({"v": 2, "seq": seq, "epoch": 1}) + "\n" for seq in seqs))
    done = CliRunner().invoke(app, ["gaps", str(received)])
    assert (done.exit_code, done.stdout.strip()) == (code, told)


def test_what_is_no_export_is_not_judged(tmp_path: Path) -> None:
    received = tmp_path / "received.ndjson"
    received.write_text('{"v":2,"seq":1}\nhello\n')
    done = CliRunner().invoke(app, ["gaps", str(received)])
    assert done.exit_code == 2 and "line 2" in done.stderr


def test_a_sink_misses_nothing_of_a_gateway_that_is_killed(tmp_path: Path) -> None:
    cli, received = Cli(tmp_path), tmp_path / "received.ndjson"
    (tmp_path / ".config" / "threadgate").mkdir(parents=True)
    (tmp_path / ".config" / "threadgate" / "config.toml").write_text(
        f'[[audit.sinks]]\nname = "disk"\nkind = "file"\npath = "{received}"\n'
    )
    for number in range(3):
        process, _ = cli.serve()
        try:
            cli.lines("send", f"say {number}")
        finally:
            process.kill()
            process.communicate()
    with cli.serving():
        cli.lines("send", "say at last")
    newest = cli.json("audit", "verify")["entries"]
    done = CliRunner().invoke(app, ["gaps", str(received), "--json"])
    (told,) = json.loads(done.stdout)["epochs"].values()
    assert (told["first"], told["last"], told["missing"]) == (1, newest, [])
