"""Fetching an export of the audit log from a running gateway: over HTTP, piece by piece, with the standard library."""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import BinaryIO, Final
from urllib.parse import urlencode, urlsplit

from gateway.cli.connecting import Endpoint
from gateway.cli.failures import EXIT_FAILED, EXIT_UNUSABLE, fail

PATH: Final = "/v1/audit/export"
TIMEOUT_S: Final = 60.0
"""A connection on which nothing moves for so long is broken."""
PIECE_BYTES: Final = 256 * 1024
PROBLEM_BYTES: Final = 64 * 1024
"""More than any problem takes."""


def download(endpoint: Endpoint, form: str, wanted: Mapping[str, str], file: BinaryIO) -> None:
    """Write the export to a file. Exits with a message when it cannot be had, or not whole."""
    address = urlsplit(endpoint.url)
    # Not urllib.request: it would ask a proxy of the environment, and follow wherever it is sent.
    connection = (
        http.client.HTTPSConnection(address.netloc, timeout=TIMEOUT_S, context=ssl.create_default_context())
        if address.scheme == "https"
        else http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
    )
    path = f"{address.path.rstrip('/')}{PATH}?{urlencode({'format': form, **wanted})}"
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {endpoint.token()}"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            _refused(response.status, response.read(PROBLEM_BYTES))
        while piece := response.read(PIECE_BYTES):
            file.write(piece)
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        fail(f"The export broke off: {type(error).__name__}.", "Try again.", EXIT_FAILED)
    finally:
        connection.close()


def _refused(status: int, body: bytes) -> None:
    try:
        problem = json.loads(body)
        detail, hint = str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        detail, hint = f"The gateway answered {status}", ""
    fail(f"{detail}.", hint, EXIT_UNUSABLE)
