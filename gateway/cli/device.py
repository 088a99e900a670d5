"""`threadgate device run`: this machine as a device: it shows notes, and gives files and runs commands of a list."""

import platform
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from threadgate_client import Device, KeyUnusable, PairingAsked

from gateway.cli.connecting import running_on
from gateway.cli.device_commands import FileReader, Notifier, Program
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail, note
from gateway.cli.options import Config, DataDir, Url, settings_of
from gateway.cli.refusals import answered

app = typer.Typer(help="This machine as a device of a gateway.", no_args_is_help=True)

STATE: Final = Path("~/.local/state/threadgate/device")
"""Where the key is and what was done, unless told: beside other programs' state (XDG base directories)."""
TEXT: Final = {"type": "string", "maxLength": 2000}


@app.callback()
def _group() -> None:
    """This machine as a device of a gateway."""


@app.command()
@explained
@answered
def run(
    name: Annotated[str, typer.Option(help="What whoever approves it sees.")] = "",
    notify: Annotated[bool, typer.Option("--notify", help="Offer `notify`: shows a text.")] = False,
    read: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Offer `read_file` for files below this.")
    ] = None,
    run_: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="NAME=CMD", help="Offer `run`: this very command, under this name."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Where its key is and what it did.")
    ] = STATE,
    url: Url = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Do what the gateway says, of what is offered here, until Ctrl-C.

    The first time a code is shown, with which somebody lets it in: `threadgate pairing approve CODE`. What is not named
    is not offered: no other file is read, no other command is run, and none through a shell.
    """
    device = Device(
        _address(url, config, data_dir),
        directory=directory,
        name=name or platform.node() or "threadgate-device",
        platform=f"{platform.system()} {platform.machine()}",
        on_pairing=_tell,
    )
    offered = _offer(device, notify=notify, read=read or [], programs=run_ or [])
    if not offered:
        fail(
            "Nothing is offered.",
            "Name what may be done: --notify, --read DIR, --run NAME=CMD.",
            EXIT_UNUSABLE,
        )
    note(f"offers {', '.join(offered)}; Ctrl-C ends it")
    try:
        device.serve()
    except KeyUnusable as error:
        fail(str(error), code=EXIT_UNUSABLE)


def _offer(device: Device, *, notify: bool, read: list[Path], programs: list[str]) -> list[str]:
    """Declare what was named; the names of it."""
    offered: list[str] = []
    if notify:
        schema = {
            "type": "object",
            "properties": {"title": TEXT, "text": TEXT},
            "required": ["text"],
            "additionalProperties": False,
        }
        device.command("notify", schema, "low", description="Show a text to whoever sits at the machine.")(
            Notifier().notify
        )
        offered.append("notify")
    if read:
        reader = FileReader(read)
        schema = {
            "type": "object",
            "properties": {"path": {"type": "string", "minLength": 1, "maxLength": 4096}},
            "required": ["path"],
            "additionalProperties": False,
        }
        below = ", ".join(str(root) for root in reader.roots)
        device.command(
            "read_file", schema, "medium", description=f"Read a file below {below}.", idempotent=True
        )(reader.read)
        offered.append("read_file")
    if programs:
        known = dict(_program(given) for given in programs)
        schema = {
            "type": "object",
            "properties": {"name": {"enum": sorted(known)}},
            "required": ["name"],
            "additionalProperties": False,
        }
        listed = "; ".join(f"{one}: {shlex.join(program.argv)}" for one, program in sorted(known.items()))

        async def execute(params: Mapping[str, Any]) -> object:
            return await known[params["name"]].run()

        device.command("run", schema, "medium", description=f"Run one of these programs. {listed}"[:1000])(
            execute
        )
        offered.append("run")
    return offered


def _program(given: str) -> tuple[str, Program]:
    name, equals, line = given.partition("=")
    argv: list[str] = []
    with suppress(ValueError):
        argv = shlex.split(line)
    if not equals or not name or not argv:
        fail(f"--run {given}: give NAME=CMD, such as --run disk='df -h'.", code=EXIT_UNUSABLE)
    return name, Program(tuple(argv))


def _address(url: str | None, config: Path | None, data_dir: Path | None) -> str:
    """Where the gateway is: named, or the one that runs here."""
    if url is not None:
        return url
    directory = data_dir if data_dir is not None else settings_of(config, None).data_dir
    running = running_on(directory)
    if running is None:
        fail(f"No gateway runs on {directory}.", "Give its address with --url.", EXIT_UNUSABLE)
    return running.url


def _tell(asked: PairingAsked) -> None:
    print(f"To let this device in: threadgate pairing approve {asked.code}", flush=True)
