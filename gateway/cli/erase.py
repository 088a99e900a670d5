"""`threadgate erase person …`: delete what a person wrote and who they are, with a certificate."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from threadgate_client import Client

from gateway.cli.connecting import with_client
from gateway.cli.options import Json
from gateway.cli.printing import print_json

app = typer.Typer(help="Erase what is known of a person.", no_args_is_help=True)


@app.callback()
def _erase() -> None:
    """Erase what is known of a person."""


@app.command()
@with_client()
async def person(
    client: Client,
    who: Annotated[str, typer.Argument(metavar="PERSON", help="NETWORK:ID (slack:U123), or a user's id.")],
    reason: Annotated[
        str, typer.Option(help="Why; kept with the erasure. Needed unless you only look.")
    ] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would be erased.")] = False,
    certificate: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    json: Json = False,
) -> None:
    """Erase a person, for good: what they wrote, their files, their name. Backups and chat networks keep theirs."""
    done = await client.data.preview(who) if preview else await client.data.erase(who, reason)
    if certificate is not None and done.certificate:
        certificate.write_bytes(orjson.dumps(dict(done.certificate), option=orjson.OPT_INDENT_2) + b"\n")
    if json:
        print_json(done)
        return
    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in done.counts.items() if count)
    if preview:
        print(f"would erase: {counted or 'nothing'}")
        return
    print(f"erased: {counted or 'nothing'}")
    print(f"certificate {done.certificate['erasure_id']}, audit entry {done.certificate['audit_seq']}")
