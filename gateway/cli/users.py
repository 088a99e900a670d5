"""`threadgate users …`: who is in the organization, what they may, and who they are in chat networks."""

from enum import StrEnum
from typing import Annotated

import typer
from threadgate_client import ChatLink, Client, User

from gateway.cli.connecting import with_client
from gateway.cli.failures import fail
from gateway.cli.groups import LIMIT, listing_group
from gateway.cli.options import Json
from gateway.cli.printing import local_time, one_line, print_json, print_table
from gateway.cli.threads import Limit, first
from protocol.limits import PAGE_MAX

app = listing_group(
    "Users and machines of the organization: list them, make and change them, link chat identities."
)


class Kind(StrEnum):
    """Which principals to list."""

    USER = "user"
    SERVICE = "service"
    AGENT = "agent"
    DEVICE = "device"


class NewKind(StrEnum):
    """What can be made."""

    USER = "user"
    SERVICE = "service"


class GivenRole(StrEnum):
    """What people and service accounts may be."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    APPROVER = "approver"
    VIEWER = "viewer"
    AUDITOR = "auditor"


@app.command("list")
@with_client()
async def list_(
    client: Client,
    kind: Annotated[Kind | None, typer.Option(help="Only those of this kind.")] = None,
    limit: Limit = LIMIT,
    json: Json = False,
) -> None:
    """List who is in the organization, newest first."""
    wanted = kind.value if kind is not None else None
    users = await first(client.users.list(kind=wanted, limit=min(limit, PAGE_MAX)), limit)
    if json:
        print_json(users)
        return
    rows = [
        (
            user.id,
            user.kind,
            user.role,
            _standing(user),
            ", ".join(map(_identity, user.links)),
            one_line(user.name),
        )
        for user in users
    ]
    print_table(("user", "kind", "role", "since", "chats", "name"), rows, "Nobody.")


@app.command()
@with_client()
async def save(
    client: Client,
    user_id: Annotated[
        str | None, typer.Argument(metavar="[USER]", help="Whom to change; without, somebody is made.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What they are called.")] = None,
    role: Annotated[GivenRole | None, typer.Option(help="What they may.")] = None,
    kind: Annotated[NewKind, typer.Option(help="Of a new one.")] = NewKind.USER,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Shut out everywhere at once, or let in again.")
    ] = None,
    unlink: Annotated[
        str | None, typer.Option(metavar="CHANNEL:ACCOUNT:ID", help="Take this chat identity away.")
    ] = None,
) -> None:
    """Make a user or a service account, or change one; prints the id. Changes hold at once, for what is open, too."""
    given = role.value if role is not None else None
    if user_id is None:
        if name is None or given is None:
            fail("A new user needs a name and a role.", "Give --name and --role.", code=2)
        if disabled is not None or unlink is not None:
            fail("That is for users who are there already.", "Name one: threadgate users list.", code=2)
        print((await client.users.create(name, given, kind=kind.value)).id)
        return
    link = await _linked(client, user_id, unlink) if unlink is not None else None
    user = await client.users.update(user_id, name=name, role=given, disabled=disabled, unlink=link)
    print(user.id)


@app.command()
@with_client()
async def link(
    client: Client,
    code: Annotated[str | None, typer.Argument(help="The code that the bot showed you in the chat.")] = None,
) -> None:
    """Link your chat identity to yourself, with a token of yours: get a code, type it to the bot, give back its own."""
    progress = await client.users.link(code)
    if progress.link is not None:
        print(f"linked {_identity(progress.link)}")
        return
    print(f"/link {progress.code}")
    typer.echo(
        "Type this in a direct message to the bot (!link where slashes are commands), then give back the code it\n"
        f"shows you: threadgate users link CODE. It is valid until {local_time(progress.expires_at)}.",
        err=True,
    )


async def _linked(client: Client, user_id: str, name: str) -> ChatLink:
    """The link of a user that is meant. Exits when there is none."""
    async for user in client.users.list(limit=PAGE_MAX):
        if user.id == user_id:
            for one in user.links:
                if _identity(one) == name:
                    return one
    fail(f"No chat identity {name} is linked to {user_id}.", "threadgate users list shows which are.")


def _identity(link: ChatLink) -> str:
    return f"{link.channel}:{link.account}:{link.sender_id}"


def _standing(user: User) -> str:
    if user.disabled_at is not None:
        return f"disabled {local_time(user.disabled_at)}"
    return local_time(user.created_at)
