"""Telegram's limits: every number of this adapter with its unit, reason and source.

Bot API: https://core.telegram.org/bots/api (10.0), limits: https://core.telegram.org/bots/faq, server source:
https://github.com/tdlib/telegram-bot-api (10.0, 2026-05-07). Read in 2026-11.
"""

from channels.capabilities import Capabilities, Idempotency, Rate, StreamMode, TextUnit
from channels.messages import RoomRef

# sendMessage: "1-4096 characters after entities parsing", counted in UTF-16 code units.
TEXT_MAX_UTF16 = 4096
# sendDocument and its siblings: "0-1024 characters after entities parsing", counted the same way.
CAPTION_MAX_UTF16 = 1024
# The server drops entities beyond about 100 of a message without a word, so a part may not have more.
ENTITIES_MAX = 100

# FAQ: about one message per second in one chat, 20 per minute in one group; edits count like messages.
EDIT_INTERVAL_PRIVATE_S = 1.0
EDIT_INTERVAL_GROUP_S = 3.0
# The same as rates. Bursts are not published: a placeholder, an answer in two parts. A group gets what keeps any
# minute within 20 (3 + 60 s of the rate), the account what keeps any second within the FAQ's 30 (5 + 25).
RATE_PRIVATE = Rate(per_s=1.0, burst=3)
RATE_GROUP = Rate(per_s=17 / 60, burst=3)
RATE_ACCOUNT = Rate(per_s=25.0, burst=5)
# Drafts are not messages and are not known to be limited like them; faster than this nobody reads.
DRAFT_INTERVAL_S = 0.5
# sendMessageDraft: "a temporary 30-second preview".
DRAFT_LIFE_S = 30.0
# sendChatAction: "the status is set for 5 seconds or less"; one second to get there.
TYPING_REFRESH_S = 4.0

# InlineKeyboardButton.callback_data: "1-64 bytes". Buttons beyond 100 are dropped (not documented).
BUTTON_VALUE_MAX_BYTES = 64
BUTTONS_MAX = 100
# Eight fit into a row; beyond three their labels are cut on a telephone.
BUTTONS_PER_ROW = 3
# answerCallbackQuery: "0-200 characters".
CALLBACK_ANSWER_MAX_UTF16 = 200

# https://core.telegram.org/bots/api#sending-files and #getfile, in bytes: 50 MB up, photos 10 MB, 20 MB down.
UPLOAD_MAX_BYTES = 50_000_000
PHOTO_MAX_BYTES = 10_000_000
DOWNLOAD_MAX_BYTES = 20_000_000
# What is read of a file at a time: few wake-ups, little memory.
DOWNLOAD_PIECE_BYTES = 64 * 1024

# getUpdates: 1-100 updates per call; the server caps the wait at 50 s (LONG_POLL_MAX_TIMEOUT).
POLL_BATCH_MAX = 100
POLL_TIMEOUT_MAX_S = 50
# Long enough to be quiet, short enough for proxies that cut connections idle for a minute.
POLL_TIMEOUT_S = 30

# Messages and edits that nobody fetched are kept for 24 h (Client::add_message_update); pressed buttons for 150 s,
# but those people press again.
RETENTION_MS = 24 * 3600 * 1000
# "If there are no new updates for at least a week, then identifier of the next update will be chosen randomly."
UPDATE_IDS_RESTART_MS = 7 * 24 * 3600 * 1000
# How often it is noted that we were listening: far below the retention, and one small write each time.
ALIVE_NOTE_MS = 5 * 60 * 1000
# How often the webhook is looked at: Telegram tries a failed delivery again after a minute at the latest.
WEBHOOK_CHECK_S = 60.0
# setWebhook: 1-100 posts at the same time, one per chat; a single store commits them one after another anyway.
WEBHOOK_CONNECTIONS = 20

# A slow answer to a send is not a lost one, and a lost one cannot be asked for: rather wait than not know.
# The SDK's 5 s gave up on messages that were then posted (measured against a slow server).
READ_TIMEOUT_S = 40.0
CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 20.0
# Connections kept open for calls. At the 25 a second that a bot may make a few are in use; httpcore's pool looks at
# every one for every call and more, so the SDK's own 256 cost 20 ms of CPU per message under load.
POOL_CONNECTIONS = 24
# Waiting for one of them; nothing has been sent by then.
POOL_TIMEOUT_S = 5.0

# Waits between failed polls: long enough not to hammer a broken server, short enough to notice its recovery.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 20.0

# The General topic of a forum has this id on the way in and is addressed by leaving it out (Client.h).
GENERAL_TOPIC = "1"


def is_group(room: RoomRef) -> bool:
    """Private chats have positive ids, groups negative ones."""
    return room.room.startswith("-")


def room_capabilities(room: RoomRef, *, has_drafts: bool = True) -> Capabilities:
    """What a room takes; `has_drafts` is whether the server lets this bot show drafts at all."""
    in_group = is_group(room)
    by_drafts = has_drafts and not in_group
    edit_interval_s = EDIT_INTERVAL_GROUP_S if in_group else EDIT_INTERVAL_PRIVATE_S
    return Capabilities(
        text_max=TEXT_MAX_UTF16,
        text_unit=TextUnit.UTF16,
        # The Bot API has neither a client-chosen message key nor a way to read the bot's own messages.
        idempotency=Idempotency.NONE,
        can_edit=True,
        edit_interval_s=edit_interval_s,
        typing_refresh_s=TYPING_REFRESH_S,
        stream=StreamMode.DRAFT if by_drafts else StreamMode.EDIT,
        stream_interval_s=DRAFT_INTERVAL_S if by_drafts else edit_interval_s,
        stream_max_s=DRAFT_LIFE_S if by_drafts else None,
        room_rate=RATE_GROUP if in_group else RATE_PRIVATE,
        account_rate=RATE_ACCOUNT,
        file_max_bytes=UPLOAD_MAX_BYTES,
        reactions=True,
        actions_max=BUTTONS_MAX,
    )
