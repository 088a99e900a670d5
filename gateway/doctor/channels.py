"""The channels of a running gateway: whether messages flow, what is missing, and what waits for an operator."""

import http.client
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.doctor.findings import Finding, error, ok, warning
from gateway.runtime_file import Runtime

CHECK: Final = "channel"
ANSWER_S: Final = 5.0
"""As for readiness: a gateway that takes longer is not well."""


def check_channels(running: Runtime, organizations: Iterable[str]) -> Iterator[Finding]:
    """How each account of these organizations fares; nothing when the gateway does not answer, which another check
    tells."""
    for org_id in sorted(organizations):
        try:
            channels = _ask(running, org_id)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return
        for channel in channels:
            yield from _look_at(channel)


def _look_at(channel: dict[str, Any]) -> Iterator[Finding]:
    name, state, detail = channel["id"], channel["state"], channel.get("detail") or "no reason is known"
    if state == "connected":
        yield ok(CHECK, f"{name} is connected{_lag(channel)}")
    elif state == "starting":
        yield warning(CHECK, f"{name} is still starting: {detail}", "Look again in a moment.")
    else:
        yield error(CHECK, f"{name} is {state}: {detail}", "Do what it says; messages do not flow meanwhile.")
    for missing in channel.get("missing", ()):
        yield warning(CHECK, f"{name} lacks {missing}", "Grant it to the bot, or do without.")
    stuck = [
        f"{channel[f'deliveries_{kind}']} {kind}"
        for kind in ("held", "failed")
        if channel[f"deliveries_{kind}"]
    ]
    if stuck:
        fix = "See threadgate deliveries --state held (or failed), then retry or settle them."
        yield warning(CHECK, f"{name} has deliveries that wait for you: {', '.join(stuck)}", fix)
    gap = channel.get("last_gap")
    if gap is not None:
        what = f"{name}: messages from {gap['since']} to {gap['until']} may be lost: {gap['reason']}"
        yield warning(CHECK, what, "Ask the people there to repeat what matters; nothing else can be done.")


def _lag(channel: dict[str, Any]) -> str:
    lag_ms = channel.get("lag_ms")
    return f"; its newest event was under way for {lag_ms / 1000:.1f} s" if lag_ms is not None else ""


def _ask(running: Runtime, org_id: str) -> list[dict[str, Any]]:
    # Not urllib.request: it would ask a proxy from the environment for an address of this machine.
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=ANSWER_S)
    try:
        headers = {"Authorization": f"Bearer {running.secret}@{org_id}"}
        connection.request("POST", "/v1/channel.list", body="{}", headers=headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        found: list[dict[str, Any]] = body["channels"]
        return found
    finally:
        connection.close()
