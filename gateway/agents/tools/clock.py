"""The tool `clock`: what time it is, in UTC and in any time zone."""

import asyncio
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.agents.port import Json, StepFailed
from gateway.agents.tools.port import Schema, ToolContext
from gateway.policy_settings import Risk

_PARAMETERS: Final[Schema] = {
    "type": "object",
    "properties": {
        "zone": {"type": "string", "maxLength": 64, "description": "Such as Europe/Berlin or Asia/Tokyo"}
    },
    "additionalProperties": False,
}


class Clock:
    """`gateway.agents.tools.port.Tool`. Journalled like every call, so a replay sees the same time again."""

    name: Final = "clock"
    description: Final = (
        "Tells the present time in UTC, and the local time in a time zone when one is given by its IANA name."
    )
    parameters: Final = _PARAMETERS
    is_repeatable: Final = True
    kind: Final = "tool"
    risk: Final[Risk] = "low"

    def __init__(self, requires_approval: bool = False) -> None:
        self.requires_approval = requires_approval

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        """`{"utc": …, "zone": …, "local": …, "weekday": …}`, instants as RFC 3339, to the second."""
        now = datetime.fromtimestamp(context.now_ms() // 1000, UTC)
        told = {"utc": now.isoformat().replace("+00:00", "Z"), "weekday": f"{now:%A}"}
        zone = arguments.get("zone")
        if zone is None:
            return told
        local = now.astimezone(await asyncio.to_thread(_zone, zone))
        return told | {"zone": zone, "local": local.isoformat(), "weekday": f"{local:%A}"}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise StepFailed(
            f"There is no time zone {name!r}. Use an IANA name such as Europe/Berlin, or UTC."
        ) from error
