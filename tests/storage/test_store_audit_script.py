"""The verifier script, which shares no code with the gateway, says what the gateway's own verifying says."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from audit_stage import (
    LOG,
    LOG_ID,
    NEXT_SIGNER,
    NOTES,
    ORIGIN,
    SIGNER,
    STRANGER,
    chained,
    forged,
    note_over,
    rotation,
    said,
)

from storage.audit_inspection import inspect_export
from storage.audit_verify import Withheld

SCRIPT = Path(__file__).parents[2] / "tools" / "verify_audit.py"
LINES_MAX = 150
KEY = SIGNER.verifier.vkey()
SOME = LOG[:300]
SOME_NOTES = NOTES[:3]


def written(file: Path, log=SOME, notes=SOME_NOTES) -> Path:
    lines = [orjson.dumps({"export": {"v": 1, "log_id": LOG_ID, "origin": ORIGIN, "first_seq": 1}}).decode()]
    for entry in log:
        is_withheld = isinstance(entry, Withheld)
        lines.append(
            orjson.dumps({"leaf": entry.hash, "seq": entry.seq}).decode() if is_withheld else entry.body
        )
    lines += [orjson.dumps({"checkpoint": note.text}).decode() for note in notes]
    file.write_text("\n".join(lines) + "\n")
    return file


def run(file: Path, *more: str, key: str = KEY) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), str(file), "--key", key, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "export.ndjson"


def test_it_is_short_and_imports_nothing_of_ours() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= LINES_MAX
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_good_export_verifies(file: Path) -> None:
    code, said_ = run(written(file))
    assert (code, said_) == (0, "300 entries as they were written, 300 of them under signed checkpoints")


def test_withheld_entries_verify_by_their_hashes(file: Path) -> None:
    some = [entry if number % 4 else Withheld(entry.seq, entry.hash) for number, entry in enumerate(SOME)]
    assert run(written(file, some))[0] == 0


def test_a_checkpoint_from_elsewhere_is_compared(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(f"{NOTES[1].text}\n{NOTES[4].text}\n")
    code, said_ = run(written(file), "--checkpoints", str(kept))
    assert (code, said_) == (1, "NOT VERIFIED: entry 301 is missing: a checkpoint says that there are 500")
    assert run(written(file, LOG[:500], NOTES[:5]), "--checkpoints", str(kept))[0] == 0


def test_another_key_is_not_the_logs(file: Path) -> None:
    code, said_ = run(written(file), key=STRANGER.verifier.vkey())
    assert (code, "not signed by the key" in said_) == (1, True)
    assert run(written(file), key=KEY[:-4])[0] == 2
    assert run(written(file, notes=[]))[0] == 1, "nobody has signed for it"


def test_what_is_no_export_cannot_be_verified(file: Path) -> None:
    for content in ("", "{}\n", "nonsense\n", '{"export":{}}\n'):
        file.write_text(content)
        assert run(file)[0] == 2
    assert run(file.with_name("none"))[0] == 2


def test_keys_and_epochs_are_followed(file: Path) -> None:
    log = chained([said(0), rotation(1, SIGNER, NEXT_SIGNER), rotation(2, NEXT_SIGNER, STRANGER), said(3)])
    notes = [note_over(log[:1]), note_over(log[:2], NEXT_SIGNER), note_over(log, STRANGER)]
    written(file, log, notes)
    for key in (SIGNER, NEXT_SIGNER, STRANGER):
        assert run(file, key=key.verifier.vkey())[0] == 0
    before = chained(said(number) for number in range(8))
    epoch = said(5, epoch=2, action="audit.epoch", detail={"known": {"size": 8}})
    after = chained([*(said(n) for n in range(5)), epoch, said(6, epoch=2)])
    code, said_ = run(written(file, after, [note_over(before), note_over(after, epoch=2)]))
    assert (code, f"LOST at a restore: {ORIGIN} had 8 entries" in said_) == (3, True)


# --- the same verdicts ------------------------------------------------------------------------------


def load():
    spec = importlib.util.spec_from_file_location("verify_audit", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tampered(at: int):
    """Every sort of tampering at one place."""
    body = LOG[at].body
    flipped = body[: at % 50 + 5] + chr(ord(body[at % 50 + 5]) ^ 1) + body[at % 50 + 6 :]
    yield [*SOME[:at], forged(LOG[at], flipped), *SOME[at + 1 :]]
    yield [*SOME[:at], *SOME[at + 1 :]]
    yield [*SOME[:at], LOG[at], *SOME[at:]]
    yield [*SOME[:at], *reversed(SOME[at : at + 2]), *SOME[at + 2 :]] if at + 1 < len(SOME) else SOME[:-1]
    yield SOME[:at]
    yield [*SOME[:at], Withheld(at + 1, "0" * 64), *SOME[at + 1 :]]
    yield chained(said(number, via="forged" if number >= at else "websocket") for number in range(len(SOME)))


def test_it_finds_what_the_gateway_finds(file: Path) -> None:
    script = load()
    keys = dict([script.key(KEY)])
    for at in range(0, len(SOME), 13):
        for log in tampered(at):
            written(file, log)
            found = inspect_export(file, keys=[SIGNER.verifier]).broken
            assert found is not None
            with pytest.raises(script.Bad, match=rf"entr(y {found.seq}|ies {found.seq} to \d+)\b"):
                script.verify(file, keys, [])
