"""`audit verify|key|checkpoint|prove|verify-proof|rotate-key`, as an operator and an auditor use them."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cli_process import Cli

from gateway.cli.audit import EXIT_LOST

DATABASE = "threadgate.db"


def tamper(cli: Cli, script: str) -> None:
    with closing(sqlite3.connect(cli.data_dir / DATABASE)) as connection:
        connection.executescript(script)


def make_tokens(cli: Cli, count: int = 3) -> None:
    for number in range(count):
        cli.lines("token", "create", "--role", "viewer", "--name", f"screen {number}")


def verdict(cli: Cli, *args: str, code: int = 0) -> dict:
    done = cli.run("audit", "verify", "--json", *args)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def vkey(cli: Cli) -> str:
    (key,) = cli.lines("audit", "key")
    return key


def test_a_running_gateway_is_verified_sealed_and_proven(running: Cli, tmp_path: Path) -> None:
    make_tokens(running)
    key = vkey(running)
    assert key.startswith("threadgate/epo_")
    note = running.run("audit", "checkpoint").stdout
    size = int(note.splitlines()[1])
    assert running.json("audit", "checkpoint")["size"] == size
    found = verdict(running)
    assert (found["break"], found["entries"], found["sealed"], found["signatures_checked"]) == (
        None,
        size,
        size,
        True,
    )
    assert found["contents"] >= 3, "the names of the tokens"
    proof = tmp_path / "entry.tlog-proof"
    proof.write_text(running.run("audit", "prove", str(size)).stdout)
    (entry,) = running.lines("audit", "verify-proof", str(proof), "--key", key)
    assert json.loads(entry)["seq"] == size
    assert "There is no audit entry" in running.refused("audit", "prove", "999999")


def test_a_proof_is_checked_anywhere_with_the_public_key_alone(
    running: Cli, cli: Cli, tmp_path: Path
) -> None:
    make_tokens(running, 1)
    key, proof = vkey(running), tmp_path / "p.tlog-proof"
    proof.write_text(running.run("audit", "prove", "1").stdout)
    assert cli.run("audit", "verify-proof", str(proof), "--key", key).returncode == 0
    assert "public key" in cli.run("audit", "verify-proof", str(proof)).stderr
    proof.write_text(proof.read_text().replace("index 0", "index 1"))
    assert "proves nothing" in cli.refused("audit", "verify-proof", str(proof), "--key", key, code=1)
    assert "--key" in cli.refused("audit", "verify-proof", str(proof), "--key", "nonsense")


def test_tampering_is_named_and_one_checkpoint_kept_elsewhere_finds_the_rest(
    cli: Cli, tmp_path: Path
) -> None:
    make_tokens(cli)
    with cli.serving():
        make_tokens(cli)
        kept = tmp_path / "kept"
        kept.write_text(cli.run("audit", "checkpoint").stdout)
    key, whole = vkey(cli), verdict(cli)
    assert "unbroken" in cli.lines("audit", "verify")[0]

    tamper(cli, "UPDATE audit_entries SET body = replace(body, 'success', 'failure') WHERE seq = 2")
    assert "entry 2 was changed" in cli.refused("audit", "verify", code=1)
    assert verdict(cli, code=1)["break"]["seq"] == 2
    tamper(cli, "UPDATE audit_entries SET body = replace(body, 'failure', 'success') WHERE seq = 2")
    assert verdict(cli) == whole

    tamper(
        cli,
        "DELETE FROM audit_entries WHERE seq > 3; DELETE FROM audit_checkpoints; DELETE FROM audit_content",
    )
    (cli.data_dir / "audit.checkpoints").unlink()
    assert verdict(cli)["entries"] == 3, "nothing on this machine tells"
    assert "entry 4 is missing" in cli.refused(
        "audit", "verify", "--checkpoints", str(kept), "--key", key, code=1
    )


def test_a_restored_backup_begins_an_epoch_and_verify_tells_it(cli: Cli) -> None:
    with cli.serving():
        make_tokens(cli)
    shutil.copy(cli.data_dir / DATABASE, cli.home / "backup.db")
    with cli.serving():
        make_tokens(cli)
    after = verdict(cli)
    shutil.copy(cli.home / "backup.db", cli.data_dir / DATABASE)
    for suffix in ("-wal", "-shm"):
        (cli.data_dir / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    assert "is missing" in cli.refused("audit", "verify", code=1), "before the gateway has seen it"
    with cli.serving():
        make_tokens(cli, 1)
        assert "/epoch2\n" in cli.run("audit", "checkpoint").stdout
    found = verdict(cli, code=EXIT_LOST)
    assert (found["break"], found["epochs"], found["lost"][-1]["size"]) == (None, 2, after["entries"])
    done = cli.run("audit", "verify")
    assert (done.returncode, "lost at a restore" in done.stderr) == (EXIT_LOST, True)


def test_a_key_is_rotated_while_the_gateway_is_stopped(cli: Cli) -> None:
    make_tokens(cli)
    with cli.serving():
        old = vkey(cli)
        assert "already uses" in cli.refused("audit", "rotate-key")
    (new,) = cli.lines("audit", "rotate-key")
    assert (new != old, new == vkey(cli)) == (True, True)
    with cli.serving():
        make_tokens(cli, 1)
    for key in (old, new):
        assert verdict(cli, "--key", key)["break"] is None, "each vouches for the other"
    stranger = f"{old.split('+')[0]}+00000000+{old.split('+', 2)[2]}"
    assert "--key" in cli.refused("audit", "verify", "--key", stranger)


def test_a_lost_key_is_replaced_only_when_told_so(cli: Cli) -> None:
    with cli.serving():
        make_tokens(cli, 1)
    old = vkey(cli)
    (cli.data_dir / "audit.key").unlink()
    assert "rotate-key --lost" in cli.refused("token", "list")
    (new,) = cli.lines("audit", "rotate-key", "--lost")
    with cli.serving():
        make_tokens(cli, 1)
    assert "not signed" in cli.refused("audit", "verify", code=1)
    assert verdict(cli, "--key", old, "--key", new)["break"] is None


def test_the_key_is_for_its_owner_alone(cli: Cli) -> None:
    make_tokens(cli, 1)
    path = cli.data_dir / "audit.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert "chmod 600" in cli.refused("token", "list")


def test_what_is_not_there_cannot_be_verified(cli: Cli, tmp_path: Path) -> None:
    assert "There is no store" in cli.run("audit", "verify").stderr
    assert "There is no store" in cli.refused("audit", "rotate-key")
    assert not (cli.data_dir / DATABASE).exists()
    export = tmp_path / "x.ndjson"
    export.write_text("nonsense\n")
    assert "line 1 is not JSON" in cli.refused("audit", "verify", "--export", str(export))
    assert cli.run("audit", "verify", "--export", str(tmp_path / "none")).returncode == 2
