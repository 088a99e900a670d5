"""What the gateway of the governed scenario is told, as the TOML a person would write."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

BUDGET_MICROUSD: Final = 1_000_000
"""What publishing may cost in a day …"""
PRICE_MICROUSD: Final = 1_000_000
"""… and what one publication costs: one is all there is."""

_SCRIPT: Final = f"""\
scenarios:
  - name: publish
    match: '^publish (?P<title>.+)$'
    steps:
      - say: "I would like to publish “{{{{title}}}}”.\\n\\n"
      - tool: {{name: press.publish, arguments: {{title: "{{{{title}}}}"}}}}
      - usage: {{cost_microusd: {PRICE_MICROUSD}}}
      - say: "{{{{result}}}}"
default:
  - say: "Tell me: publish TITLE."
"""


def write(
    place: Path,
    *,
    port: int,
    channels: Sequence[Mapping[str, Any]],
    approvers: Sequence[str],
    room: str,
    ledger: Path,
) -> Path:
    """Write the configuration and the agent's script into `place`; returns the path of the configuration.

    `approvers` are people as policies name them, `room` is where it is asked besides the conversation.
    """
    (place / "press.yaml").write_text(_SCRIPT, "utf-8")
    command = [sys.executable, "-m", "gateway.cli.governed.press", str(ledger)]
    path = place / "config.toml"
    path.write_text(
        "\n".join(
            [
                f"port = {port}",
                'log_level = "warning"',
                *_table(
                    "[[agents]]", {"id": "editor", "kind": "script", "name": "Editor", "script": "press.yaml"}
                ),
                *_table("[[agents.mcp]]", {"name": "press", "command": command}),
                *_table(
                    "[[policies]]",
                    {
                        "name": "publishing",
                        "effect": "require_approval",
                        "kind": ["tool"],
                        "tool": ["press.publish"],
                        "reason": "What is published cannot be taken back.",
                    },
                ),
                *_table(
                    "[policies.approval]",
                    {
                        "approvers": list(approvers),
                        "quorum": 2,
                        "separation": True,
                        "expires_s": 600,
                        "rooms": [room],
                    },
                ),
                *_table(
                    "[[budgets]]",
                    {
                        "name": "press",
                        "of": "microusd",
                        "limit": BUDGET_MICROUSD,
                        "per": "day",
                        "each": "agent",
                    },
                ),
                *(line for channel in channels for line in _table("[[channels]]", channel)),
            ]
        )
        + "\n",
        "utf-8",
    )
    return path


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    return ["", name, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]
