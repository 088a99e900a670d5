"""The slash command: its definition, and registering it only when the definition has changed.

Creating commands is limited to 200 a day and each change takes a moment to reach everyone's client, so the
hash of what was registered last is kept as a cursor.
"""

import hashlib
import json
from typing import Any, Final

COMMAND: Final = "ask"
COMMAND_TEXT: Final = "text"
SCOPE: Final = "commands"
"""The cursor that holds the hash of the registered definition."""

# In guilds the bot was added to, and in direct messages to it: elsewhere it could not write.
_DEFINITION: Final[list[dict[str, Any]]] = [
    {
        "name": COMMAND,
        "type": 1,
        "description": "Ask the agent",
        "integration_types": [0],
        "contexts": [0, 1],
        "options": [
            {
                "type": 3,
                "name": COMMAND_TEXT,
                "description": "What you want to ask or have done",
                "required": True,
                "max_length": 6000,
            }
        ],
    }
]


def definition() -> list[dict[str, Any]]:
    """All global commands of the bot, as the bulk call takes them."""
    return _DEFINITION


def definition_hash(application_id: str) -> str:
    """Changes when the definition does, or when the token now belongs to another application."""
    content = json.dumps([application_id, _DEFINITION], sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
