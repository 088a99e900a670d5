"""How a command reaches a gateway: the one that runs on the data directory, or one by address and token.

`with_client` makes a command out of a coroutine that takes a client: it adds the four options that say where
the gateway is, connects, and turns failures into messages. Commands know nothing of all this.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

from threadgate_client import Client

from gateway import runtime_file
from gateway.cli.failures import EXIT_UNUSABLE, explained, fail, note
from gateway.cli.options import Config, DataDir, Org, Token, Url, settings_of
from gateway.cli.refusals import answered
from storage.files import LOCK_NAME, is_locked

P = ParamSpec("P")

CLIENT_NAME: Final = "threadgate-cli"
CONNECT_TIMEOUT_S: Final = 5.0
"""A person waits for this: long enough for a gateway that is restarting, short enough for a wrong address."""
REQUEST_TIMEOUT_S: Final = 30.0
"""Default time for an answer, reconnects included."""
WATCH_EVERY_S: Final = 0.25
"""How often the connection is looked at: interruptions shorter than this need not be told."""
_WHERE: Final = {"config": Config, "data_dir": DataDir, "url": Url, "token": Token, "org": Org}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway is, and what lets us in: asked again for every connection."""

    url: str
    token: Callable[[], str]


def endpoint_of(
    config: Path | None, data_dir: Path | None, url: str | None, token: str | None, org: str | None = None
) -> Endpoint:
    """The gateway to talk to. Raises SettingsError; exits when there is none."""
    if token is not None and org is not None:
        fail("A token belongs to one organization.", "Leave out --org, or --token.", EXIT_UNUSABLE)
    if url is not None and token is not None:
        return Endpoint(url, lambda: token)
    # A named directory is enough: a file that is not valid must not keep anybody from the gateway that runs.
    directory = data_dir if data_dir is not None else settings_of(config, None).data_dir
    running = running_on(directory)
    if running is None:
        fail(
            f"No gateway runs on {directory}.",
            "Start one with `threadgate serve`, name its --data-dir, or give --url and --token.",
            EXIT_UNUSABLE,
        )
    if url is not None and url.rstrip("/") != running.url and token is None:
        fail(f"A token is needed for {url}.", "Give --token, or set THREADGATE_TOKEN.", EXIT_UNUSABLE)

    def secret() -> str:
        # A gateway that was restarted has a new one.
        return in_organization((runtime_file.read(directory) or running).secret, org)

    return Endpoint(url or running.url, secret if token is None else lambda: token)


def in_organization(local_secret: str, org: str | None) -> str:
    """The local secret, for an organization; the default one without."""
    return f"{local_secret}@{org}" if org else local_secret


def running_on(directory: Path) -> runtime_file.Runtime | None:
    """The gateway that runs on a data directory; None when nobody does, even if a killed one left its file."""
    if not (directory / LOCK_NAME).exists() or not is_locked(directory):
        return None
    return runtime_file.read(directory)


def client_for(endpoint: Endpoint, request_timeout_s: float = REQUEST_TIMEOUT_S) -> Client:
    """A client that is not connected yet. Exits when the address is none."""
    # The client says in exceptions what matters here; what it logs would go between the lines.
    logging.getLogger("threadgate_client").addHandler(logging.NullHandler())
    try:
        return Client(
            endpoint.url,
            token=endpoint.token,
            name=CLIENT_NAME,
            request_timeout_s=request_timeout_s,
            connect_timeout_s=CONNECT_TIMEOUT_S,
        )
    except ValueError as error:
        fail(f"--url {endpoint.url}: {error}.", code=EXIT_UNUSABLE)


def with_client(
    *, request_timeout_s: float = REQUEST_TIMEOUT_S
) -> Callable[[Callable[Concatenate[Client, P], Awaitable[None]]], Callable[..., None]]:
    """Make a command out of a coroutine whose first parameter is a connected client."""

    def decorate(command: Callable[Concatenate[Client, P], Awaitable[None]]) -> Callable[..., None]:
        def run(*args: Any, **options: Any) -> None:
            endpoint = endpoint_of(*(options.pop(name) for name in _WHERE))
            asyncio.run(_talk(endpoint, command, args, options, request_timeout_s))

        # What typer reads: the command's own parameters, then ours.
        own = list(inspect.signature(command).parameters.values())[1:]
        ours = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for name, annotation in _WHERE.items()
        ]
        run.__name__, run.__doc__ = getattr(command, "__name__", "command"), command.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *ours]}
        run.__dict__["__signature__"] = inspect.Signature([*own, *ours])
        return explained(answered(run))

    return decorate


async def _talk(
    endpoint: Endpoint,
    command: Callable[..., Awaitable[None]],
    args: tuple[Any, ...],
    options: dict[str, Any],
    request_timeout_s: float,
) -> None:
    async with client_for(endpoint, request_timeout_s) as client:
        await command(client, *args, **options)


async def tell_interruptions(client: Client, tell: Callable[[str], None] = note) -> None:
    """Say when the connection is lost and when it is back. Runs until it is cancelled."""
    was_connected = True
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        if client.is_connected != was_connected:
            was_connected = client.is_connected
            tell("connected again" if was_connected else "connection lost, resuming…")


async def thread_named(client: Client, name: str) -> str:
    """The id of the thread a user means: an id, or `last` for the one that changed last."""
    if name != "last":
        return name
    page = await client.threads.list(limit=1)
    if not page.items:
        fail("There is no thread yet.", "Say something: threadgate send hello", EXIT_UNUSABLE)
    return page.items[0].id
