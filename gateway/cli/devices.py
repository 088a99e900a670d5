"""`threadgate devices …`: which devices are paired, what they can do, have them do it, shut them out."""

import json as jsonlib
from typing import Annotated, Any, Final

import typer
from threadgate_client import Client, DeviceInfo

from gateway.cli.connecting import with_client
from gateway.cli.failures import EXIT_UNUSABLE, fail
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import clean, local_time, one_line, print_fields, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.devices import INVOKE_TIMEOUT_MAX_S, INVOKE_TIMEOUT_S
from protocol.limits import PAGE_MAX

app = listing_group("Paired devices: list, show, invoke, rename, revoke.")

Which = Annotated[str, typer.Argument(metavar="DEVICE", help="A device's name or id.")]
SEARCHED: Final = 500
"""Devices among which a name is looked for."""
REQUEST_TIMEOUT_S: Final = INVOKE_TIMEOUT_MAX_S + 30.0
"""The gateway's own word about a device comes first."""


@app.command("list")
@with_client()
async def list_(
    client: Client,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were revoked or replaced.")] = False,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List devices, newest first."""
    state = "all" if all_ else "active"
    devices = await first(client.devices.list(state=state, limit=min(limit, PAGE_MAX)), limit)
    if json:
        print_json(devices)
        return
    rows = [
        (
            device.name,
            "here" if device.connected else device.state if device.state != "active" else "away",
            local_time(device.last_seen_at),
            device.id,
            ", ".join(command.name for command in device.commands) or one_line(device.client),
        )
        for device in devices
    ]
    print_table(("device", "state", "seen", "id", "commands"), rows, "No devices are paired.")


@app.command()
@with_client()
async def show(client: Client, device: Which, json: Json = False) -> None:
    """Show one device and what it can be told to do."""
    found = await _named(client, device)
    if json:
        print_json(found)
        return
    print_fields(
        (
            ("device", found.name),
            ("id", found.id),
            ("fingerprint", found.fingerprint),
            ("state", found.state),
            ("connected", "yes" if found.connected else "no"),
            ("calls itself", f"{found.client} ({found.platform})" if found.platform else found.client),
            ("scopes", ", ".join(found.scopes)),
            ("paired", local_time(found.created_at)),
            ("last seen", local_time(found.last_seen_at)),
            ("revoked", local_time(found.revoked_at)),
            ("replaced by", found.replaced_by or ""),
        )
    )
    rows = [(one.name, one.risk, _parameters(one.params_schema), one.description) for one in found.commands]
    if rows:
        print()
        print_table(("command", "risk", "params", "does"), rows, "")


@app.command()
@with_client(request_timeout_s=REQUEST_TIMEOUT_S)
async def invoke(
    client: Client,
    device: Which,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="One that the device declared.")],
    params: Annotated[str, typer.Argument(metavar="[PARAMS]", help="A JSON object.")] = "{}",
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=INVOKE_TIMEOUT_MAX_S, help="Seconds to wait for it.")
    ] = INVOKE_TIMEOUT_S,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a device that is not connected.")] = False,
    key: Annotated[
        str | None, typer.Option(help="The same key never does it twice: for asking again.")
    ] = None,
    approval: Annotated[
        str | None, typer.Option(metavar="APPROVAL", help="The approval that was given for exactly this.")
    ] = None,
    json: Json = False,
) -> None:
    """Have a device do something, and print what it gives."""
    found = await _named(client, device)
    values = _object(params)
    done = await client.devices.invoke(
        found.id, command, values, timeout_s=timeout_s, wait=wait, approval_id=approval, idempotency_key=key
    )
    if json:
        print_json(done)
    elif isinstance(done.result, str):
        print(clean(done.result))
    elif done.state == "done":
        print_json(done.result)
    if done.state != "done":
        fail(f"{found.name} did not do it: {done.error_message or done.error_kind or done.state}")


@app.command()
@with_client()
async def rename(
    client: Client, device: Which, name: Annotated[str, typer.Argument(help="a-z, 0-9, - and _.")]
) -> None:
    """Call a device otherwise."""
    found = await _named(client, device)
    renamed = await client.devices.rename(found.id, name)
    print(f"{found.name} is called {renamed.name} now")


@app.command()
@with_client()
async def revoke(client: Client, device: Which) -> None:
    """Shut a device out for good, at once."""
    found = await _named(client, device)
    await client.devices.revoke(found.id)
    print(f"shut out {found.name} ({found.id})")


async def _named(client: Client, name: str) -> DeviceInfo:
    """The device of that name or id. Exits when there is none."""
    async for device in client.devices.list(state="all", limit=SEARCHED):
        if device.id == name or (device.name == name and device.state == "active"):
            return device
    fail(f"There is no device {name}.", "threadgate devices lists them.", EXIT_UNUSABLE)


def _object(text: str) -> dict[str, Any]:
    try:
        value = jsonlib.loads(text)
    except ValueError as error:
        fail(f"PARAMS is not JSON: {error}.", code=EXIT_UNUSABLE)
    if not isinstance(value, dict):
        fail('PARAMS is a JSON object, such as \'{"text": "hello"}\'.', code=EXIT_UNUSABLE)
    return value


def _parameters(schema: Any) -> str:
    """The names of the params; those that may be left out have a question mark."""
    properties = schema.get("properties")
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return ""
    return ", ".join(name if name in required else f"{name}?" for name in properties)
