"""`threadgate route explain`: who would answer, and why."""

from typing import Annotated

import typer
from threadgate_client import Client

from gateway.cli.connecting import with_client
from gateway.cli.options import Json
from gateway.cli.printing import clean, print_fields, print_json

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Which agent answers: explain."""


@app.command()
@with_client()
async def explain(
    client: Client,
    text: Annotated[str, typer.Argument(help="What somebody says.")] = "",
    channel: Annotated[
        str, typer.Option(help="Where: slack, telegram, discord; client for clients.")
    ] = "client",
    account: Annotated[str | None, typer.Option(help="Through which account.", show_default="none")] = None,
    room: Annotated[str | None, typer.Option(help="In which room, by its id.", show_default="none")] = None,
    mention: Annotated[bool, typer.Option("--mention", help="The bot is mentioned in the room.")] = False,
    json: Json = False,
) -> None:
    """Say which agent would answer a message that begins a conversation, and why."""
    route = await client.routes.explain(text, channel=channel, account=account, room=room, mention=mention)
    if json:
        print_json(route)
        return
    rule = f"rule {route.rule}" if route.rule else "the default"
    print_fields([("agent", route.agent_id), ("by", rule), ("gets", route.text)])
    for reason in route.reasons:
        print(clean(reason))
