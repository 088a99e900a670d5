"""Telegram's limits: every number of this adapter with its unit, reason and source.

Bot API: https://core.telegram.org/bots/api (10.0), limits: https://core.telegram.org/bots/faq, server source:
https://github.com/tdlib/telegram-bot-api (10.0, 2026-05-07). Read in 2026-11.
"""

from channels.capabilities import Capabilities, Idempotency, StreamMode, TextUnit
from channels.messages import RoomRef

# sendMessage: "1-4096 characters after entities parsing", counted in UTF-16 code units.
TEXT_MAX_UTF16 = 4096
# The server drops entities beyond about 100 of a message without a word, so a part may not have more.
ENTITIES_MAX = 100

# FAQ: about one message per second in one chat, 20 per minute in one group; edits count like messages.
EDIT_INTERVAL_PRIVATE_S = 1.0
EDIT_INTERVAL_GROUP_S = 3.0
# sendChatAction: "the status is set for 5 seconds or less"; one second to get there.
TYPING_REFRESH_S = 4.0

# getUpdates: 1-100 updates per call; the server caps the wait at 50 s (LONG_POLL_MAX_TIMEOUT).
POLL_BATCH_MAX = 100
POLL_TIMEOUT_MAX_S = 50
# Long enough to be quiet, short enough for proxies that cut connections idle for a minute.
POLL_TIMEOUT_S = 30

# A slow answer to a send is not a lost one, and a lost one cannot be asked for: rather wait than not know.
# The SDK's 5 s gave up on messages that were then posted (measured against a slow server).
READ_TIMEOUT_S = 40.0
CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 20.0
# Waiting for one of the SDK's 256 pooled connections; nothing has been sent by then.
POOL_TIMEOUT_S = 5.0

# Waits between failed polls: long enough not to hammer a broken server, short enough to notice its recovery.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 20.0

# The General topic of a forum has this id on the way in and is addressed by leaving it out (Client.h).
GENERAL_TOPIC = "1"


def room_capabilities(room: RoomRef) -> Capabilities:
    """Private chats have positive ids, groups negative ones; that is all that makes a difference."""
    is_group = room.room.startswith("-")
    return Capabilities(
        text_max=TEXT_MAX_UTF16,
        text_unit=TextUnit.UTF16,
        # The Bot API has neither a client-chosen message key nor a way to read the bot's own messages.
        idempotency=Idempotency.NONE,
        can_edit=True,
        edit_interval_s=EDIT_INTERVAL_GROUP_S if is_group else EDIT_INTERVAL_PRIVATE_S,
        typing_refresh_s=TYPING_REFRESH_S,
        stream=StreamMode.EDIT,
        stream_interval_s=EDIT_INTERVAL_GROUP_S if is_group else EDIT_INTERVAL_PRIVATE_S,
    )
