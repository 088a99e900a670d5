"""`threadgate audit …`: check the audit log without trusting a running gateway, seal it, prove entries, change its key.

Exit codes of `verify` and `verify-proof`: 0 it is as it was written, 1 it is not, 2 it could not be looked at, 3 it is
unbroken, but entries were lost when the store was restored from a backup, as the log says.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from threadgate_client import Client

from channels.secrets import SecretUnavailable
from gateway import audit_key, checkpoint_file
from gateway.cli import audit_trails
from gateway.cli.connecting import with_client
from gateway.cli.failures import EXIT_FAILED, EXIT_UNUSABLE, explained, fail, note
from gateway.cli.options import Config, DataDir, Json, settings_of
from gateway.cli.printing import print_json
from gateway.cli.stopped import part
from gateway.content_keys import ContentSealer
from gateway.settings import Settings
from gateway.vault_key import KEY_NAME, vault_cipher
from storage import audit_proof, erasure_certificate
from storage.audit_inspection import ExportError, inspect_export, inspect_store
from storage.audit_notes import Note, NoteError, Verifier
from storage.audit_ports import Sealer
from storage.audit_verify import Report
from storage.files import DATABASE_NAME

app = typer.Typer(help="The audit log.", no_args_is_help=True)

EXIT_LOST: Final = 3

Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VKEY",
        help="Public key that must have signed, as `audit key` prints it; may be repeated.",
    ),
]


audit_trails.add_to(app)


@app.callback()
def _audit() -> None:
    """The audit log."""


@app.command()
@explained
def verify(
    config: Config = None,
    data_dir: DataDir = None,
    export: Annotated[Path | None, typer.Option(help="Verify this export instead of the store.")] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoints that were kept elsewhere, one note after the other; may be repeated."),
    ] = None,
    key: Keys = None,
    json: Json = False,
) -> None:
    """Verify the whole log: chain, tree, checkpoints, signatures, and what entries commit to.

    Works beside a running gateway and changes nothing. Exit codes: 0 as it was written, 1 broken (the first bad
    entry is named), 2 it could not be tried, 3 unbroken, but entries were lost at a restore.
    """
    settings = settings_of(config, data_dir)
    keys = _given(key) or ([] if export is not None else _own_keys(settings))
    notes = _notes(checkpoints or [])
    try:
        if export is not None:
            report = inspect_export(export, notes, keys, _progress)
        else:
            beside = checkpoint_file.beside(settings.data_dir)
            notes += _notes([beside]) if beside.exists() else []
            report = inspect_store(settings.data_dir, notes, keys, _sealer(settings), _progress)
    except ExportError as error:
        fail(f"{export}: {error}", code=EXIT_UNUSABLE)
    _tell(report, json)
    if report.broken is not None:
        raise typer.Exit(EXIT_FAILED)
    if report.lost:
        raise typer.Exit(EXIT_LOST)


@app.command()
@explained
def key(config: Config = None, data_dir: DataDir = None) -> None:
    """Print the public key of the log: keep it where whoever controls the gateway cannot change it."""
    settings = settings_of(config, data_dir)
    path = audit_key.path_of(settings.audit.signing_key, settings.data_dir)
    print(audit_key.load(path).signer.verifier.vkey())


@app.command()
@with_client()
async def checkpoint(client: Client, json: Json = False) -> None:
    """Print a checkpoint over everything until now: a signed note that pins the log."""
    made = await client.audit.checkpoint()
    if json:
        print_json(made)
    else:
        print(made.note, end="")


@app.command()
@with_client()
async def prove(
    client: Client, seq: Annotated[int, typer.Argument(help="The entry's number.", min=1)]
) -> None:
    """Print the proof that an entry is in the log; `> FILE.tlog-proof` keeps it."""
    print((await client.audit.prove(seq)).text, end="")


@app.command("verify-proof")
@explained
def verify_proof(
    file: Annotated[Path, typer.Argument(help="A proof, as `audit prove` printed it.")],
    key: Keys = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Check a proof offline, and print the entry it proves."""
    keys = _needed(key, config, data_dir, "A proof")
    try:
        proof = audit_proof.parse(file.read_text(errors="replace"))
        signer = proof.verify(keys)
    except NoteError as error:
        fail(f"{file} proves nothing: {error}")
    where = proof.note.checkpoint
    note(f"entry {proof.index + 1} of {where.size} in {where.origin}, signed by {signer.name}")
    print(proof.entry.decode(errors="replace"))


@app.command("verify-certificate")
@explained
def verify_certificate(
    file: Annotated[Path, typer.Argument(help="A certificate, as `erase person` wrote it.")],
    key: Keys = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Check the certificate of an erasure offline: the log says the same, under a signature of the key."""
    keys = _needed(key, config, data_dir, "A certificate")
    try:
        certificate = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        fail(f"{file} cannot be read: {error}", code=EXIT_UNUSABLE)
    try:
        signer = erasure_certificate.verify(certificate if isinstance(certificate, dict) else {}, keys)
    except NoteError as error:
        fail(f"{file} certifies nothing: {error}")
    print(f"erasure {certificate['erasure_id']}, audit entry {certificate['audit_seq']}, signed by {signer}")


@app.command("rotate-key")
@explained
def rotate_key(
    lost: Annotated[
        bool, typer.Option("--lost", help="The key that signed until now is gone: begin with another one.")
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Sign with a new key from now on, while the gateway is stopped; the old key signs for the new one in the log."""
    settings = settings_of(config, data_dir)
    if not (settings.data_dir / DATABASE_NAME).exists():  # opening a store makes it
        fail(f"There is no store in {settings.data_dir}.", "threadgate serve makes it.", EXIT_UNUSABLE)
    print(part("key").rotate(settings, lost=lost))


def _given(vkeys: list[str] | None) -> list[Verifier]:
    try:
        return [Verifier.parse(vkey) for vkey in vkeys or []]
    except NoteError as error:
        fail(f"--key: {error}", "threadgate audit key prints it.", EXIT_UNUSABLE)


def _needed(vkeys: list[str] | None, config: Config, data_dir: DataDir, what: str) -> list[Verifier]:
    """The keys that were given, else our own; `what` cannot be checked without one."""
    keys = _given(vkeys) or _own_keys(settings_of(config, data_dir))
    if not keys:
        fail(f"{what} is checked against a public key.", "Give it with --key.", EXIT_UNUSABLE)
    return keys


def _own_keys(settings: Settings) -> list[Verifier]:
    """The key file's, which whoever controls the gateway controls, too."""
    try:
        path = audit_key.path_of(settings.audit.signing_key, settings.data_dir)
        return list(audit_key.load(path).verifiers)
    except SecretUnavailable as error:
        note(f"signatures are not checked: {error}")
        return []


def _notes(paths: list[Path]) -> list[Note]:
    notes = []
    for path in paths:
        found, bad = checkpoint_file.read(path)
        notes += found
        if bad:
            note(f"{path}: {bad} places are no checkpoint")
    return notes


def _sealer(settings: Settings) -> Sealer | None:
    """What opens content, if its key is there: looking must not make one."""
    if settings.vault_key is None and not (settings.data_dir / KEY_NAME).exists():
        return None
    return ContentSealer(vault_cipher(settings.vault_key, settings.data_dir))


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{count} entries", end="\r", file=sys.stderr, flush=True)


def _tell(report: Report, json: bool) -> None:
    if json:
        print_json(_as_json(report))
        return
    place = report.place
    if report.broken is not None:
        good = (
            f"Entries 1 to {place.seq} are as they were written."
            if place.seq and report.broken.seq > place.seq
            else "No entry before it is certain."
        )
        fail(report.broken.reason, good)
    print(f"{place.seq} entries, unbroken; the last hash is {place.hash}")
    signed = "signed" if report.signed else "signatures not checked"
    print(f"{report.checkpoints} checkpoints, {signed}; the newest is over {report.sealed} entries")
    if report.contents:
        print(f"{report.contents} contents are what their entries commit to")
    if report.withheld:
        print(f"{report.withheld} entries are withheld; their hashes fit")
    if report.back_in_time is not None:
        note(f"the clock of entry {report.back_in_time} is behind that of the entry before it")
    for checkpoint in report.lost:
        note(f"lost at a restore: a checkpoint of {checkpoint.origin} was over {checkpoint.size} entries")


def _as_json(report: Report) -> dict[str, Any]:
    broken = report.broken
    return {
        "entries": report.place.seq,
        "hash": report.place.hash,
        "break": {"seq": broken.seq, "reason": broken.reason} if broken is not None else None,
        "checkpoints": report.checkpoints,
        "sealed": report.sealed,
        "signatures_checked": report.signed,
        "contents": report.contents,
        "withheld": report.withheld,
        "epochs": report.epochs,
        "back_in_time": report.back_in_time,
        "lost": [{"origin": lost.origin, "size": lost.size, "root": lost.root.hex()} for lost in report.lost],
    }
