"""The Bot API methods there are, and since which version of the server.

Pure. `getUpdates` waits and therefore lives in `polling.py`.
"""

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.chat_methods import CHAT_METHODS
from channels.emulators.telegram.ephemeral_methods import EPHEMERAL_METHODS
from channels.emulators.telegram.file_methods import FILE_METHODS
from channels.emulators.telegram.message_methods import MESSAGE_METHODS
from channels.emulators.telegram.parameters import Method
from channels.emulators.telegram.records import BotAccount
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.rich import RICH_METHODS
from channels.emulators.telegram.webhook_methods import WEBHOOK_METHODS
from channels.emulators.telegram.world import World

METHODS: dict[str, Method] = {
    **CHAT_METHODS,
    **EPHEMERAL_METHODS,
    **FILE_METHODS,
    **MESSAGE_METHODS,
    **RICH_METHODS,
    **WEBHOOK_METHODS,
}
# Older methods are taken for granted.
SINCE: dict[str, tuple[int, int]] = {
    "sendmessagedraft": (9, 3),
    **dict.fromkeys(RICH_METHODS, (10, 1)),
    **dict.fromkeys(EPHEMERAL_METHODS, (10, 2)),
}


def call_method(world: World, bot: BotAccount, method: str, arguments: Arguments) -> object:
    """Do one call. Raises Refusal, also for a method that does not exist (names ignore case)."""
    name = method.lower()
    function = METHODS.get(name)
    if function is None or world.api_version < SINCE.get(name, (0, 0)):
        raise Refusal(404, "Not Found: method not found")
    return function(world, bot, arguments)
