"""`threadgate serve`: the gateway itself. Trying it out is in `demo.py`."""

import errno
import sys
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console

from gateway import daemon, log
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail
from gateway.cli.options import Config, DataDir, settings_of
from gateway.rules.redaction import log_redactor
from gateway.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8787")]

console = Console(highlight=False)


@explained
def serve(config: Config = None, data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Run the gateway until it is told to stop (Ctrl-C or SIGTERM)."""
    settings = settings_of(config, data_dir, {"host": host, "port": port})
    configure_log(settings)
    try:
        uvloop.run(daemon.serve(settings, _announce))
    except OSError as error:
        if error.filename is not None:
            raise  # a file, not the address
        _explain_address(error, settings)


def _announce(url: str, secret: str | None) -> None:
    lines = [f"Threadgate listens on {url}"]
    if secret is not None:
        lines += [
            f"owner token, shown this once: {secret}",
            "[dim]more with: threadgate token create --role operator[/]",
        ]
    console.print("\n".join(lines), soft_wrap=True)
    sys.stdout.flush()


def configure_log(settings: Settings) -> None:
    """Log as the settings say, on stderr."""
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    redact = log_redactor(settings.privacy).text
    log.configure(level=settings.log_level, json=is_json, redact=redact)


def _explain_address(error: OSError, settings: Settings) -> NoReturn:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        fail(
            f"Port {settings.port} of {settings.host} is taken by another program.",
            f"Stop it, or choose another: threadgate serve --port {settings.port + 1} (0 takes a free one).",
            EXIT_UNUSABLE,
        )
    if error.errno == errno.EACCES:
        fail(f"Only root may listen on {where}.", "Choose a port above 1023.", EXIT_UNUSABLE)
    fail(f"The gateway cannot listen on {where}: {error.strerror or error}", code=EXIT_UNUSABLE)
